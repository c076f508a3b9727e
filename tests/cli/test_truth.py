"""``nbdask truth``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.store.address import place_of
from nbdask.store.reader import StoreReader
from nbdask.truth.stored import ground_truth, stored_truth
from tests.export.stores import store_of
from tests.truth.support import experiment


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store of one image, whose pixels nobody looks at."""
    e = experiment("-detpixels 40 -pixel 1 -N 7 -nointerpolate")
    return str(store_of(tmp_path / "a.zarr", e, np.ones((40, 40), np.float32)))


def test_the_table_is_printed(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Crystal and beam; with --reflections the brightest ones."""
    assert main(["truth", store]) == 0
    text = capsys.readouterr().out
    assert "12398.42 eV (1 Angstrom" in text
    assert "cell 40 50 60 90 100 90, cells 7 7 7" in text
    assert "reflections" not in text
    assert main(["truth", store, "--reflections"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (start,) = (number for number, line in enumerate(lines) if "most photons" in line)
    photons = [float(line.split()[6]) for line in lines[start + 2 :]]
    assert len(photons) == 20
    assert photons == sorted(photons, reverse=True)
    assert re.search(r" weaker ones, \S+ photons in all, are left out \(--least\)", "".join(lines))


def test_it_is_kept_in_the_store(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--save, and --overwrite to replace it; then it is read."""
    assert main(["truth", store, "--reflections", "--least", "5", "--save", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    kept = ground_truth(store, reflections=True)
    assert kept.shots.attrs["least_photons"] == 5.0
    assert main(["truth", store, "--save"]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert main(["truth", store, "--save", "--overwrite"]) == 0
    assert "truth of 1 shot" in capsys.readouterr().err


def test_files_of_it(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV, MTZ and JSON hold all reflections."""
    files = [str(tmp_path / name) for name in ("a.csv", "a.mtz")]
    words = ["truth", store, "--reflections", "--json", "--out", files[0], "--mtz", files[1]]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    count = len(found["reflections"]["h"])
    assert found["shots"]["n_reflections"] == [count]
    assert found["attributes"]["least_photons"] == 0.01
    with open(files[0]) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count
    assert float(rows[3]["photons"]) == pytest.approx(found["reflections"]["photons"][3])
    assert gemmi.read_mtz_file(files[1]).nreflections == count
    assert main(words) == 2
    assert "exists already: --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shot", "1"], "holds one image: leave --shot out"),
        (["--shot", "x"], "must be a whole number"),
        (["--least", "-1"], "must be a finite number, 0 or more"),
        (["--out", "a.txt"], "the name must end in .csv"),
        (["--mtz", "a.csv"], "the name must end in .mtz"),
        (["--mtz", "STORE/a.mtz"], "STORE"),
    ],
)
def test_refusals(
    words: list[str], said: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what is allowed, and nothing written."""
    before = sorted(Path(store).parent.rglob("*"))
    assert main(["truth", store, *(word.replace("STORE", store) for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert sorted(Path(store).parent.rglob("*")) == before


def test_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is said as everywhere."""
    assert main(["truth", str(tmp_path / "no.zarr")]) == 2
    assert "does not exist" in capsys.readouterr().err


FLAGS = "-cell 40 50 60 90 100 90 -default_F 10 -lambda 1 -distance 100 -detpixels 16 -pixel 2 -N 5"


@pytest.mark.parametrize("what", ["table", "reflections"])
def test_a_run_keeps_its_truth(what: str, tmp_path: Path) -> None:
    """Of all shots of a series, beside the image."""
    out = str(tmp_path / "a.zarr")
    words = ["--shots", "3", "--orientations", "random:1", "--durability", "fast", "--quiet"]
    assert main(["simulate", *FLAGS.split(), *words, "--truth", what, "--out", out]) == 0
    kept = stored_truth(place_of(out))
    assert kept is not None
    assert kept.shots["shot"].values.tolist() == [0, 1, 2]
    assert (kept.reflections is not None) == (what == "reflections")
    again = ground_truth(StoreReader(out).series)
    assert np.array_equal(kept.shots["quaternion"].values, again.shots["quaternion"].values)
    assert len(np.unique(kept.shots["quaternion"].values[:, 0, 0])) == 3
    assert main(["truth", out, "--shot", "2", "--quiet"]) == 0
    assert main(["truth", out, "--shot", "3"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--semantics", "c", "-oversample_omega", "--truth", "reflections"], "--semantics spec"),
    ],
)
def test_runs_that_cannot_keep_it(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before anything is computed."""
    assert main(["simulate", *FLAGS.split(), *words, "--out", str(tmp_path / "a.zarr")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
