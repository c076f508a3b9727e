"""The package with its arm64 library, run by an arm64 Python in the emulator."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from nbdask.native import sources

HOOK = Path(__file__).parents[2] / "hatch_build.py"
CROSS = "aarch64-linux-gnu-g++"


def missing() -> str | None:
    """Return what is missing here, or None."""
    folder = os.environ.get("NBDASK_ARM64")
    if not folder:
        return "NBDASK_ARM64 does not name what tests/native/make_arm64.sh makes"
    if not os.access(Path(folder) / "python", os.X_OK):
        return f"NBDASK_ARM64 = {folder}: no program named python in it"
    if shutil.which(CROSS) is None and importlib.util.find_spec("ziglang") is None:
        return f"neither {CROSS} nor ziglang is there"
    return None if HOOK.is_file() else "the build hook is not beside the tests"


@cache
def _copy() -> TemporaryDirectory[str]:
    """A folder with a copy of the package and the arm64 library; gone when the tests end."""
    made = TemporaryDirectory(prefix="nbdask-arm64-")
    folder = Path(made.name)
    left_out = shutil.ignore_patterns("lib", "__pycache__")
    shutil.copytree(sources.FOLDER.parent, folder / "nbdask", ignore=left_out)
    shutil.copy2(HOOK, folder)
    compiler = {"CXX": CROSS} if shutil.which(CROSS) else {}
    argv = ["hatch_build.py", "--target", "aarch64-linux-gnu"]
    subprocess.run([sys.executable, *argv], cwd=folder, env={**os.environ, **compiler}, check=True)
    (folder / "build/native/aarch64-linux-gnu").rename(folder / "nbdask/native/lib")
    return made


def run(code: str, *argv: str, cwd: Path | None = None) -> str:
    """Run Python code there, NumPy and nbdask at hand, and return what it prints."""
    done = subprocess.run(
        [os.environ["NBDASK_ARM64"] + "/python", "-c", code, *argv],
        env={**os.environ, "PYTHONPATH": _copy().name},
        cwd=cwd or _copy().name,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
