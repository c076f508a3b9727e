"""The tutorials, typed in as they stand: every shell and Python block, in order, in one folder."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from nbdask.experiment import Experiment, Sampling
from tests.cluster import slurm
from tests.helpers import STRICT

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HELP = 'nbdask() { python -m nbdask "$@"; }\nset -eu\n'


def script(page: str, **settings: str) -> str:
    """Return a tutorial's blocks as one shell script; ``settings`` replace its assignments."""
    parts = []
    for language, code in BLOCK.findall((FOLDER / page).read_text()):
        parts.append(
            code if language == "sh" else f"python {' '.join(STRICT)} - <<'END'\n{code}END\n"
        )
    text = "\n".join(parts)
    for name, value in settings.items():
        text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, f"{page} sets {name} {count} times"
    return HELP + text


def type_in(text: str, folder: Path, **variables: str) -> str:
    """Run a script in a folder; return what it printed."""
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def grey(path: Path) -> np.ndarray:
    """Return a picture in shades of grey."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


@pytest.mark.long
def test_first_image(tmp_path: Path) -> None:
    """Picture and files are there; the picture is not of one colour."""
    printed = type_in(script("first-image.md"), tmp_path)
    assert "pyrope.hkl" in printed
    for name in ("pyrope-spots.png", "wide.png"):
        assert grey(tmp_path / "first" / name).std() > 10
    assert (tmp_path / "first" / "wide_0001.img").read_bytes().startswith(b"{\nHEADER_BYTES=")
    assert (tmp_path / "first" / "wide.h5").stat().st_size > 10_000


@pytest.mark.long
def test_put_right(tmp_path: Path) -> None:
    """The fit finds what the page says; its own assertions hold."""
    printed = type_in(script("put-right.md"), tmp_path)
    assert "converged" in printed
    assert printed.count("standard deviations off") == 3


@pytest.mark.long
def test_detector_from_stills(tmp_path: Path) -> None:
    """Distance and tilts are found; the report shows stills."""
    printed = type_in(script("detector-from-stills.md"), tmp_path)
    assert "20 shots" in printed
    assert printed.count("standard deviations off") == 3
    assert (tmp_path / "detector.html").stat().st_size > 10_000


@pytest.mark.long
def test_structure_factors_from_stills(tmp_path: Path) -> None:
    """Of a few stills: what they know to 5 % differs from the truth by less."""
    printed = type_in(script("structure-factors-from-stills.md", SHOTS="12"), tmp_path)
    assert "12 shots" in printed
    assert "amplitudes are known to 5 %" in printed


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Slurm on loopback; skips with the reason where it cannot be started."""
    reason = slurm.missing()
    if reason is not None:
        pytest.skip(reason)
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="nbdask-slurm-"))
    folder.chmod(0o755)
    try:
        with slurm.slurm(folder / "slurm") as environment:
            yield {
                "SLURM_CONF": environment["SLURM_CONF"],
                "DASK_NBDASK__INTERFACE": "lo",
                "DASK_NBDASK__JOB_DIRECTORY": str(tmp_path / "jobs"),
            }
    finally:
        shutil.rmtree(folder)


@pytest.mark.slurm
@pytest.mark.long
def test_large_detector_on_slurm(tmp_path: Path, batch: dict[str, str]) -> None:
    """The same commands on a small detector, with workers as jobs of a real Slurm."""
    text = script(
        "large-detector-on-slurm.md",
        SIZE="256",
        PARTITION=slurm.PARTITION,
        WORKERS="1",
        MEMORY="900MB",
    )
    printed = type_in(text, tmp_path, **batch)
    assert "256 x 256" in printed
    assert (tmp_path / "large.png").stat().st_size > 10_000
    assert list((tmp_path / "jobs").glob("nbdask-*.out"))


@pytest.mark.long
@pytest.mark.c_binary
@pytest.mark.skipif("NB_C_BIN" not in os.environ, reason="needs the C program: set NB_C_BIN")
def test_compare_with_c(tmp_path: Path) -> None:
    """Both programs agree, by every command of the page."""
    printed = type_in(script("compare-with-c.md"), tmp_path)
    assert (tmp_path / "both.html").stat().st_size > 10_000
    assert "2e-07" in printed


def gallery() -> ModuleType:
    """Return the script that makes the gallery."""
    spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "gallery" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = gallery()


@pytest.mark.long
@pytest.mark.parametrize("name", MAKE.PICTURES)
def test_gallery(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture can be made again (here from small images), and shows something."""
    real = MAKE.example

    def small(name: str = "quartz", pixels: int = 512) -> Experiment:
        # Pixels so wide would be cut into very many sub-pixels.
        return real(name, 40).replace(sampling=Sampling(oversample=1))

    monkeypatch.setattr(MAKE, "example", small)
    MAKE.PICTURES[name](tmp_path / "a.png")
    made = grey(tmp_path / "a.png")
    assert made.std() > 5
    assert grey(ROOT / "docs" / "images" / f"gallery-{name}.png").shape == made.shape
