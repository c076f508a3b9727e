"""``nbdask export``, used as a user would."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.export.formats import export
from tests.export.stores import store_of
from tests.helpers import small_experiment

IMAGE = np.random.default_rng(3).gamma(0.5, 40.0, (32, 24)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a complete store."""
    monkeypatch.chdir(tmp_path)
    store_of(tmp_path / "run.zarr", small_experiment(), IMAGE, tile=(16, 16))
    return tmp_path


def test_several_files_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by its ending; one line each, with the scale."""
    assert main(["export", "run.zarr", "a.img", "a.pgm", "a.bin", "a.h5"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4
    assert said[0].startswith("a.img: smv, 32 (slow) x 24 (fast) pixels, 2.5 KiB, scale ")
    assert said[2] == "a.bin: float, 32 (slow) x 24 (fast) pixels, 3.0 KiB"
    assert (folder / "a.bin").read_bytes() == IMAGE.tobytes()


def test_region_scale_and_format(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--roi is slow, then fast, inclusive; --format wins over the name."""
    flags = "export run.zarr x.dat --format float --roi 4 30 2 9 --scale 2 --adc 1 --quiet"
    assert main(flags.split()) == 0
    assert capsys.readouterr().out == ""
    wanted = (IMAGE[4:31, 2:10].astype(np.float64) * 2.0 + 1.0).astype(np.float32)
    assert (folder / "x.dat").read_bytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("run.zarr a.xyz", "a.xyz: unknown ending .xyz; known are .bin .float"),
        ("run.zarr a.img b.xyz", "b.xyz: unknown ending .xyz"),
        ("run.zarr a.img --formt smv", "no such option: --formt (did you mean --format?)"),
        ("run.zarr a.img -scale 3", "no such option: -scale (did you mean --scale?)"),
        ("run.zarr s3://b/a.img", "s3://b/a.img: files are written to local paths only"),
        ("run.zarr a.img --format svm", "unknown format (did you mean smv?)"),
        ("run.zarr a.img --dtype int32", "--dtype is not used by smv"),
        ("run.zarr", "no file to write after run.zarr"),
        ("no.zarr a.img", "no.zarr does not exist"),
        ("run.zarr no/a.img", "the folder"),
        ("run.zarr a.img --roi 0 3 24 30", "--roi 0 3 24 30: must be the first and last pixel"),
        ("run.zarr a.img --roi 0 32 0 3", "--roi 0 32 0 3: must be within 0 to 31 along slow"),
        ("run.zarr a.img --scale 0", "--scale 0: must be above 0; leave it out"),
        ("run.zarr a.img --scale -1", "--scale -1: must be above 0"),
        ("run.zarr run.zarr/image/a.img", "must lie outside the store"),
        ("run.zarr a.img run.zarr/image/a.img", "must lie outside the store"),
        ("run.zarr a.h5 a.img --dtype int32", "--dtype is not used by smv"),
        ("run.zarr a.h5 a.cbf --dtype float32", "--dtype is not used by cbf"),
        ("run.zarr a.img --format smv-noise --seed -1", "--seed -1: must be 0 or more"),
    ],
)
def test_mistakes_end_with_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: str, message: str
) -> None:
    """Exit code 2, what is allowed, nothing written."""
    assert main(["export", *flags.split()]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [p.name for p in folder.iterdir()] == ["run.zarr"]


@pytest.mark.parametrize("roi", ["", "--roi 4 20 2 20", "--roi 0 3 0 3"])
@pytest.mark.parametrize("number", [0, 1])
def test_damage_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], number: int, roi: str
) -> None:
    """A chunk of other pixels that decodes, also where the tile is wanted in part; no file left."""
    chunks = folder / "run.zarr" / "image" / "c"
    other = store_of(folder / "other.zarr", small_experiment(), IMAGE + 1, tile=(16, 16))
    (chunks / "0" / str(number)).write_bytes(
        (other / "image" / "c" / "0" / str(number)).read_bytes()
    )
    names = sorted(p.name for p in folder.iterdir())
    wanted = 0 if number == 1 and roi.endswith("3") else 2
    assert main(["export", "run.zarr", "a.bin", *roi.split()]) == wanted
    if wanted == 2:
        said = capsys.readouterr().err
        assert f"tile {number} (slow 0 to 16, fast " in said
        assert "is damaged: CRC-32C" in said
        assert "run.zarr computes them again" in said
        assert sorted(p.name for p in folder.iterdir()) == names


def test_a_file_is_kept_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--overwrite replaces it; with several files nothing is started before all are checked."""
    (folder / "b.img").write_bytes(b"old")
    assert main(["export", "run.zarr", "a.img", "b.img"]) == 2
    assert "b.img exists already: --overwrite" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["b.img", "run.zarr"]
    assert main(["export", "run.zarr", "a.img", "b.img", "--overwrite"]) == 0
    assert (folder / "b.img").read_bytes() == (folder / "a.img").read_bytes()


def test_an_empty_name_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a shell variable gives it that is not set."""
    assert main(["export", "run.zarr", ""]) == 2
    assert "path '' is empty" in capsys.readouterr().err


def test_integers_for_all_formats_that_have_them(folder: Path) -> None:
    """CBF has no others, so asking for them there is no mistake."""
    names = ["a.h5", "a.cbf", "a.tif"]
    assert main(["export", "run.zarr", *names, "--dtype", "int32", "--quiet"]) == 0
    assert (folder / "a.cbf").exists()


@pytest.mark.long
def test_a_killed_export_leaves_no_file_under_the_name(folder: Path) -> None:
    """kill -9 while rows are written: an older file is whole; the next one deletes what is left."""
    (folder / "a.h5").write_bytes(b"old")
    code = (
        "import os, signal\n"
        "from nbdask.export import hdf5_pixels\n"
        "hdf5_pixels.counts32 = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from nbdask.export.formats import export\n"
        "export('run.zarr', 'a.h5', dtype='int32', overwrite=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (folder / "a.h5").read_bytes() == b"old"
    left = [p.name for p in folder.iterdir() if p.name not in ("a.h5", "run.zarr")]
    assert len(left) == 1
    assert re.fullmatch(r"\.[0-9a-f]{8}-[0-9]+-[0-9a-f]{12}\.a\.h5", left[0])
    export("run.zarr", "a.h5", overwrite=True)
    assert sorted(p.name for p in folder.iterdir()) == ["a.h5", "run.zarr"]


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    """The second would replace the first."""
    assert main(["export", "run.zarr", "a.img", "./a.img", "--overwrite"]) == 2
    assert [p.name for p in folder.iterdir()] == ["run.zarr"]
