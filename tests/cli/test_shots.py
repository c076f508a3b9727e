"""Series on the command line: what is computed, told and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

import nbdask
from nbdask.cli.main import main
from nbdask.store.reader import StoreReader

GOOD = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 24 -pixel 0.4 -oversample 1"
VARIED = "--orientations random --vary detector.distance=normal:1% --shot-seed 3"


def run(*argv: str) -> int:
    """Exit code of a simulation."""
    return main(["simulate", *GOOD.split(), *argv, "--backend", "numpy"])


def test_a_shot_is_the_image_of_its_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bit for bit, as computed alone from what to_args tells; info says what varies."""
    store, alone = tmp_path / "run.zarr", tmp_path / "one.zarr"
    assert run("--shots", "3", *VARIED.split(), "--out", str(store)) == 0
    told = capsys.readouterr().out
    assert "3 x 24 x 24 pixels (shot x slow x fast)" in told
    assert "orientation           random, uniform" in told
    series = StoreReader(store).series
    assert series is not None
    nbdask.simulate(series.shot(2), alone, backend="numpy")
    images = nbdask.open(store).image
    assert images.dims == ("shot", "slow", "fast")
    assert np.array_equal(images[2], nbdask.open(alone).image)
    assert not np.array_equal(images[2], images[1])
    assert main(["info", str(store)]) == 0
    text = capsys.readouterr().out
    assert "image 3 (shots) x 24 (slow) x 24 (fast)" in text
    assert "at shot" in text
    assert "detector.distance" in text
    assert main(["info", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["varies"]["shots"] == "3, seed 3"


def test_shards_of_a_series_fill_one_store(tmp_path: Path) -> None:
    """The same bits as in one run."""
    whole, parts = tmp_path / "whole.zarr", tmp_path / "parts.zarr"
    series = ("--shots", "4", *VARIED.split())
    assert run(*series, "--out", str(whole)) == 0
    for shard in ("2/2", "1/2"):
        assert run(*series, "--out", str(parts), "--shard", shard) == 0
    assert np.array_equal(nbdask.open(whole).image, nbdask.open(parts).image)


def test_a_dry_run_tells_what_varies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And writes nothing; each shot of a laser's beam has its own spectrum."""
    argv = "--scan 0:1.5:0.5 --spectrum sase:30eV:2eV:99 --shot-seed 4 --dry-run"
    assert run(*argv.split(), "--out", str(tmp_path / "no.zarr")) == 0
    told = capsys.readouterr().out
    assert "3 shots" in told
    assert "scan.phi0             0.5 deg, 0 to 1" in told
    assert "SASE, 99 energies" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--shots 3 -floatfile x.bin", "-floatfile: there are 3 shots: must be one image"),
        ("--shot-seed 3", "--shot-seed needs --shots"),
        ("--shots 3 --orientations random", "--shot-seed is missing"),
        ("--shots 3 --vary beam.flux=5", "one of the units photon/s"),
        ("--shots 2 --vary crystal.mosaic_spread=normal:1deg,1deg --shot-seed 1", "or lognormal"),
        ("--scan 0:1", "START:STOP:WIDTH"),
        ("--shots none.csv", "no such file"),
    ],
)
def test_what_cannot_be_done_is_refused(
    argv: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, nothing written."""
    assert run(*argv.split(), "--out", str(tmp_path / "no.zarr")) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three shots; tests do not change it."""
    store = tmp_path_factory.mktemp("stills") / "stills.zarr"
    assert run("--shots", "3", *VARIED.split(), "--quiet", "--out", str(store)) == 0
    return store


def test_a_pixel_of_a_shot_is_traced(
    stills: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S-STORE-84: the experiment and the pixel are those of the shot."""
    reader = StoreReader(stills)
    slow, fast = np.unravel_index(np.argmax(reader.image[2:3][0]), (24, 24))
    where = ["trace", str(slow), str(fast)]
    assert main([*where, str(stills), "--shot", "2"]) == 0
    said = capsys.readouterr()
    assert "stills.zarr (numpy, float64) holds" in said.err
    assert "the traced pixel bit for bit" in said.err or "(rounding)" in said.err
    series = reader.series
    assert series is not None
    nbdask.simulate(series.shot(2), tmp_path / "one.zarr", backend="numpy", progress=False)
    assert main([*where, str(tmp_path / "one.zarr")]) == 0
    assert capsys.readouterr().out == said.out
    assert main([*where, str(stills), "--shot", "1"]) == 0
    assert capsys.readouterr().out != said.out


def test_a_pixel_of_counts_is_not_the_traced_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S-STORE-84: noise that was added at once is told, not taken for damage."""
    store = tmp_path / "counts.zarr"
    counts = ("--keep-float", "no", "--seed", "1", "--quiet", "--out", str(store))
    assert run("--shots", "2", *VARIED.split(), *counts) == 0
    assert main(["trace", "12", "12", str(store), "--shot", "1"]) == 0
    assert "the traced pixel with noise or detector effects added" in capsys.readouterr().err
    assert main(["parity", str(store), "--shot", "1", "--c-bin", "/bin/true"]) == 2
    assert "holds noise or detector effects" in capsys.readouterr().err


@pytest.mark.c_binary
def test_a_shot_is_compared_with_the_c_program(stills: Path, tmp_path: Path) -> None:
    """S-STORE-84: of the shot's flags C makes the shot's image; the verdict names the shot."""
    store, told = shutil.copytree(stills, tmp_path / "a.zarr"), tmp_path / "found.json"
    words = ["parity", str(store), "--tiles", "all", "--quiet"]
    assert main([*words, "--shot", "2", "--json", str(told)]) == 0
    found = json.loads(told.read_text())
    assert found["shot"] == 2
    assert found["image"].endswith("a.zarr, shot 2")
    assert {region["pixels"] for region in found["regions"]} == {576}
    assert main([*words, "--shot", "1", "--semantics", "c"]) == 0
    assert [one["shot"] for one in StoreReader(store).attributes["parity"]] == [2, 1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("trace 1 1 {}", "trace: {} holds 3 shots of a series: --shot must name one, 0 to 2"),
        ("trace 1 1 {} --shot 3", "--shot 3: {} holds 3 shots: must be a whole number from 0 to 2"),
        ("trace 1 1 --shot 0 -- -N 5", "--shot 0 goes with a STORE of a series only"),
        ("parity {} --c-bin /bin/true", "parity: {} holds 3 shots of a series: --shot must name"),
        ("parity --shot 1 --c-bin /bin/true -- -N 5", "--shot 1 goes with a STORE of a series"),
        ("pyramid {} --shots 2:5", "--shots 2:5: {} holds 3 shots: must be FIRST:END"),
        ("pyramid {} --shots 2", "--shots 2: {} holds 3 shots: must be FIRST:END"),
    ],
)
def test_shots_that_are_not_there(
    stills: Path, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    """One line, exit code 2."""
    assert main(words.format(stills).split()) == 2
    assert line.format(stills) in capsys.readouterr().err


def test_pyramids_of_some_shots(
    stills: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S-PYR-15: levels of those shots alone; the others follow when they are asked for."""
    large = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 600 -pixel 0.1 -oversample 1"
    store = tmp_path / "a.zarr"
    argv = ["simulate", *large.split(), "--shots", "4", *VARIED.split(), "--quiet"]
    assert main([*argv, "--out", str(store)]) == 0
    assert main(["pyramid", str(store), "--shots", "1:4:2", "--kind", "max"]) == 0
    assert "wait for tiles" not in capsys.readouterr().out
    level = zarr.open_array(store, path="pyramid/max/1/image", mode="r")
    assert [bool(np.isnan(level[shot]).all()) for shot in range(4)] == [True, False, True, False]
    assert main(["pyramid", str(store)]) == 0
    assert not np.isnan(level[:]).any()
    assert main(["pyramid", str(tmp_path / "none.zarr"), "--shots", "0:1"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_the_common_fluence_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the dry run and info; not where it differs from shot to shot."""
    beam = ("-flux", "1e12", "-beamsize", "0.05", "--shots", "2", *VARIED.split())
    store = str(tmp_path / "run.zarr")
    fluence = "4e+20 photons/m^2 (1e+12 photons/s for 1 s on 0.05 x 0.05 mm)"
    assert run(*beam, "--out", store, "--quiet") == 0
    assert main(["info", store]) == 0
    assert fluence in capsys.readouterr().out
    assert run(*beam, "--dry-run") == 0
    assert fluence in capsys.readouterr().out
    assert run(*beam, "--vary", "beam.flux=normal:1%", "--dry-run") == 0
    assert "photons/m^2" not in capsys.readouterr().out


def test_equal_shots_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing varies; not of one shot, nor where something does."""
    for argv, told in (("--shots 3", True), ("--shots 1", False), ("--scan 0:3:1", False)):
        assert run(*argv.split(), "--dry-run") == 0
        assert ("note: all shots are the same" in capsys.readouterr().err) == told
