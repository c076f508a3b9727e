"""The report of a run, and the viewer in a notebook."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import StoreError
from tests.helpers import PATIENCE, small_experiment
from tests.pictured import flip

pytestmark = pytest.mark.long


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A small run."""
    path = tmp_path / "run.zarr"
    nbdask.simulate(small_experiment(), path, tile=16, backend="numpy", progress=False)
    return path


def test_the_report_of_a_run(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One page that holds all it needs: figures, picture, plan, provenance, verification."""
    pytest.importorskip("matplotlib")
    target = tmp_path / "report.html"
    assert main(["info", str(store), "--html", str(target)]) == 0
    assert capsys.readouterr().err == f"nbdask: wrote {target}\n"
    page = target.read_text()
    for part in ("Image", "Experiment", "Plan", "Provenance", "Verification", "Spots that stand"):
        assert f"<strong>{part}" in page
    assert "tiles read against their checksums: all well" in page
    assert re.search(r"brightest<.*>[\d.e+]+ at slow \d+, fast \d+", page)
    assert 'src="data:image/png;base64,' in page
    assert nbdask.open(store).attrs["fingerprint"] in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert main(["info", str(store), "--html", str(target)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


def test_the_report_of_a_damaged_run(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is written, says what is wrong, and the exit code tells; or pixels are not looked at."""
    pytest.importorskip("matplotlib")
    chunk = next(path for path in sorted((store / "image" / "c").rglob("*")) if path.is_file())
    flip(chunk, 0.9)
    target = tmp_path / "report.html"
    assert main(["info", str(store), "--html", str(target)]) == 1
    assert "corrupt" in target.read_text()
    assert "No picture" in target.read_text()
    argv = ["info", str(store), "--html", str(target), "--no-verify", "--overwrite"]
    assert main(argv) == 0
    assert "not done" in target.read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--html", "a.txt"], "must end in .html"),
        (["--html", "a.html", "--json"], "--html and --json"),
        (["--overwrite"], "--overwrite goes with --html"),
    ],
)
def test_what_is_refused(
    words: list[str], why: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    assert main(["info", str(store), *words]) == 2
    assert why in capsys.readouterr().err


def test_the_viewer_in_a_notebook(store: Path) -> None:
    """A frame of its page, which answers until it is closed."""
    pytest.importorskip("bokeh")
    with nbdask.view(store, height=300) as viewer:
        frame = viewer._repr_html_()
        assert f'<iframe src="{viewer.address}"' in frame
        assert 'height="300"' in frame
        with urlopen(viewer.address, timeout=PATIENCE) as answer:
            assert "run.zarr" in answer.read().decode()
    with pytest.raises(URLError):
        urlopen(viewer.address, timeout=PATIENCE)


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """Is refused before a process is started."""
    with pytest.raises(StoreError, match="does not exist"):
        nbdask.view(tmp_path / "none.zarr")
    with pytest.raises(StoreError, match="must be given the path"):
        nbdask.view()
    assert callable(sys.modules["nbdask.view"])
