"""DIALS, where it is installed: its commands, and its Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT

LOOK = Path(__file__).with_name("look.py")
#: Folder with zarr and what else nbdask needs in the Python of DIALS; such as .ci/dials makes.
PACKAGES = "NBDASK_DIALS_PACKAGES"


@dataclass(frozen=True, slots=True)
class Dials:
    """How DIALS is called."""

    python: str

    def run(self, folder: Path, *argv: str, packages: str | None = None) -> str:
        """Run a command of DIALS in a folder, and return what it prints."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        if packages is not None:
            environment["PYTHONPATH"] = packages
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def look(self, folder: Path, *argv: str, packages: str | None = None) -> Any:
        """Return what tests/dials/look.py prints."""
        said = self.run(folder, self.python, str(LOOK), *argv, packages=packages)
        return json.loads(said.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def dials() -> Dials:
    """DIALS."""
    program = shutil.which("dials.version")
    if program is None:
        pytest.skip("DIALS is not installed (dials.version is not on the path)")
    first = Path(program).read_text(encoding="utf-8", errors="replace").splitlines()[0]
    python = first.removeprefix("#!").strip() if "python" in first else "dials.python"
    return Dials(python)


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH with which the Python of DIALS finds nbdask and its Format class."""
    packages = os.environ.get(PACKAGES)
    if packages is None:
        pytest.skip(f"{PACKAGES} does not name a folder of packages for the Python of DIALS")
    folder = tmp_path_factory.mktemp("plugin")
    info = folder / "nbdask-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nbdask\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[dxtbx.format]\nFormatNbdask:Format = nbdask.export.dxtbx_format:FormatNbdask\n"
    )
    return os.pathsep.join([str(folder), str(ROOT), packages])
