"""``nbdask noise`` and ``simulate --noise``, used as a user would."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nbdask import derive
from nbdask.cli.main import main
from nbdask.store.reader import StoreReader
from tests.helpers import lose_records

FLAGS = "-cell 70 80 90 75 85 95 -default_F 300 -N 5 -detpixels 40 -pixel 0.2 -oversample 1"
OPTIONS = "--backend numpy --tile 20"
ALL = (
    "--flicker 1% --pixel-flicker 0.02 --psf-gauss 80um --calibration 3% --calibration-seed 5"
    " --gain 1.5 --readout 2 --offset 10 --integers --saturation 60000"
)
PIPELINE = """
seed = 3
[[steps]]
step = "gaussian_psf"
fwhm = 1.5
[[steps]]
step = "poisson"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated store of 4 tiles."""
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    assert main(["simulate", *FLAGS.split(), *OPTIONS.split(), "--out", str(path)]) == 0
    return path


def pixels(path: Path) -> np.ndarray:
    """The image of a store."""
    return np.asarray(StoreReader(path).image[:])


def noise(run: Path, out: Path, *argv: str) -> int:
    """Run the command."""
    return main(["noise", str(run), "--out", str(out), "--backend", "numpy", *argv])


def test_options_are_steps_in_the_order_of_a_detector(run, tmp_path, capsys) -> None:
    """Widths in micrometres become pixels, shares may be per cent; info tells all of it."""
    out = tmp_path / "noisy.zarr"
    assert noise(run, out, "--seed", "7", "--frame", "2", *ALL.split()) == 0
    steps = (
        derive.Flicker(0.01, 0.02),
        derive.Poisson(),
        derive.GaussianPSF(0.4),
        derive.Calibration(0.03, seed=5),
        derive.Gain(1.5),
        derive.Readout(2.0),
        derive.Offset(10.0),
        derive.Rounding(),
        derive.Saturation(60000.0),
    )
    expected = derive.Pipeline(steps, seed=7, frame=2)
    attributes = StoreReader(out).attributes
    assert attributes["derived"]["pipeline"] == expected.to_dict()
    assert attributes["command"].startswith(f"nbdask noise {run} --out {out}")
    assert np.array_equal(pixels(out), expected.apply(pixels(run)))
    said = capsys.readouterr().out
    assert f"{out}: 40 x 40 pixels" in said
    assert main(["info", str(out)]) == 0
    said = capsys.readouterr().out
    assert "seed 7, frame 2, philox4x32-10" in said
    assert "gaussian_psf fwhm 0.4" in said
    assert f"source       {run}" in said
    assert "[photons]" not in said


def test_info_tells_the_noise_of_one_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seed and steps, as of a store that `nbdask noise` wrote."""
    argv = ["simulate", *FLAGS.split(), "--tile", "40", "--keep-float", "no", "--seed", "7"]
    assert main([*argv, "--psf-gauss", "80um", "--out", str(tmp_path / "a.zarr")]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "a.zarr")]) == 0
    said = capsys.readouterr().out
    assert "noise        seed 7, frame 0, philox4x32-10" in said
    assert "gaussian_psf fwhm 0.4" in said


def test_simulate_writes_a_noisy_copy(run, tmp_path) -> None:
    """The same bits as afterwards by hand; both stores are there."""
    argv = ["simulate", *FLAGS.split(), *OPTIONS.split(), "--out", str(tmp_path / "run.zarr")]
    options = ["--seed", "7", "--psf-fibre", "0.2mm", "--psf-radius", "6"]
    assert main([*argv, "--noise", str(tmp_path / "n.zarr"), *options]) == 0
    assert noise(run, tmp_path / "by-hand.zarr", *options) == 0
    assert np.array_equal(pixels(tmp_path / "run.zarr"), pixels(run))
    assert np.array_equal(pixels(tmp_path / "n.zarr"), pixels(tmp_path / "by-hand.zarr"))
    again = [*argv, "--noise", str(tmp_path / "n.zarr"), *options]
    assert main(again) == 2
    assert main([*again, "--resume"]) == 0
    assert main([*again, "--overwrite"]) == 0


def test_pipeline_from_a_file(run, tmp_path) -> None:
    """Any order; the seed stands there or on the command line, or is the same in both."""
    file = tmp_path / "steps.toml"
    file.write_text(PIPELINE)
    expected = derive.Pipeline((derive.GaussianPSF(1.5), derive.Poisson()), seed=3)
    assert noise(run, tmp_path / "a.zarr", "--pipeline", str(file)) == 0
    assert np.array_equal(pixels(tmp_path / "a.zarr"), expected.apply(pixels(run)))
    assert noise(run, tmp_path / "same.zarr", "--pipeline", str(file), "--seed", "3") == 0
    file.write_text(PIPELINE.replace("seed = 3", ""))
    assert noise(run, tmp_path / "b.zarr", "--pipeline", str(file), "--seed", "4") == 0
    expected = derive.Pipeline(expected.steps, seed=4)
    assert np.array_equal(pixels(tmp_path / "b.zarr"), expected.apply(pixels(run)))


def test_own_generator_of_nanobragg(run, tmp_path) -> None:
    """``--noise-rng c``."""
    assert noise(run, tmp_path / "c.zarr", "--seed", "7", "--noise-rng", "c") == 0
    expected = derive.Pipeline((derive.PoissonC(),), 7).apply(pixels(run))
    assert np.array_equal(pixels(tmp_path / "c.zarr"), expected)


def test_damage_is_repaired_by_the_command(run, tmp_path, capsys) -> None:
    """As for simulated stores."""
    out = tmp_path / "noisy.zarr"
    assert noise(run, out, "--seed", "7") == 0
    before = pixels(out)
    lose_records(out, StoreReader(out).grid.counts[1])
    assert main(["verify", str(out)]) == 1
    assert main(["repair", str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    assert np.array_equal(pixels(out), before)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "--seed is missing"),
        ("--seed -1", "--seed -1: must be a whole number from 0 to"),
        ("--seed 18446744073709551616", "--seed 18446744073709551616: must be"),
        ("--seed 1 --frame -1", "--frame -1: must be"),
        ("--seed x", "'x': must be a whole number"),
        ("--seed 1 --readout -2", "--readout -2.0: must be a number of at least 0"),
        ("--seed 1 --readout nan", "'--readout': 'nan': must be"),
        ("--seed 1 --psf-gauss 5mmm", "not a width such as 1.5 or 1.5px"),
        ("--seed 1 --psf-gauss 300", "--psf-gauss 300.0: must be from 0.01 to 200 pixels"),
        ("--seed 1 --psf-gauss 1 --psf-fibre 1", "exclude each other"),
        ("--seed 1 --psf-radius 3", "--psf-radius needs"),
        ("--seed 1 --psf-gauss 1 --psf-radius 0", "--psf-radius 0: must be"),
        ("--seed 1 --calibration -1%", "--calibration -0.01: must be"),
        ("--seed 1 --calibration-seed 3", "needs --calibration"),
        ("--seed 1 --flicker much", "'much' is not a share"),
        ("--seed 1 --gain inf", "'--gain': 'inf': must be a finite number"),
        ("--seed 1 --gain 0", "--gain 0.0: must be a number above 0"),
        ("--seed 1 --offset 1e39", "--offset 1e+39: must be from -3.402823e+38 to"),
        ("--seed 1 --gain-map none.npy", "none.npy: no such file"),
        ("--seed 1 --gain-map BAD", "another kind of file, or cut short"),
        ("--seed 1 --no-poisson", "leaves no step"),
        ("--seed 1 --no-poisson --noise-rng c", "exclude each other"),
        ("--seed 1 --noise-rng c --psf-gauss 1", "in a second run"),
        ("--seed 1 --noise-rng other", "'counter', 'c'"),
        ("--seed 1 --pipeline none.toml", "--pipeline none.toml: no such file"),
        ("--seed 1 --pipeline BAD", "must be a TOML file"),
        ("--seed 1 --pipeline STEP", "one of flicker, poisson"),
        ("--seed 1 --pipeline LIST", "step 1: step = ['poisson']: must be one of flicker"),
        ("--seed 1 --pipeline EMPTY", "--pipeline EMPTY: steps is missing"),
        ("--seed 1 --pipeline GOOD", "--seed 1: GOOD has seed = 3; give it in one place"),
        ("--seed 3 --pipeline GOOD --readout 1", "leave out --readout"),
        ("--pipeline STEPLESS --seed 1", "nothing to do"),
        ("--seed 1 --readuot 2", "--readout"),
        ("--seed 1 --tile 3", "--tile"),
    ],
)
def test_bad_input(run, tmp_path, capsys, monkeypatch, argv, message) -> None:
    """Exit code 2, one line, nothing written."""
    monkeypatch.chdir(tmp_path)
    files = {"BAD": "x = ", "STEP": '[[steps]]\nstep = "no"', "GOOD": PIPELINE}
    files |= {"STEPLESS": "steps = []", "EMPTY": "", "LIST": '[[steps]]\nstep = ["poisson"]'}
    for name, text in files.items():
        Path(name).write_text(text)
    assert noise(run, tmp_path / "out.zarr", *argv.split()) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(files)


def test_without_a_place_to_write(run, tmp_path, capsys) -> None:
    """The missing option is named; options of noise alone are refused by simulate."""
    assert main(["noise", str(run), "--seed", "1"]) == 2
    assert "--out is missing" in capsys.readouterr().err
    argv = ["simulate", *FLAGS.split(), "--out", str(tmp_path / "x.zarr")]
    assert main([*argv, "--readout", "3"]) == 2
    assert "--readout needs --noise PATH" in capsys.readouterr().err
    assert main([*argv, "--noise", "", "--seed", "1"]) == 2
    assert "--noise is empty" in capsys.readouterr().err
    assert main([*argv, "--noise", str(tmp_path / "x.zarr"), "--seed", "1"]) == 2
    assert "is the store --out too" in capsys.readouterr().err
    assert main([*argv, "--noise", str(tmp_path / "x.zarr" / "n"), "--seed", "1"]) == 2
    assert "must lie outside the store" in capsys.readouterr().err
    assert main([*argv, "--noise", str(tmp_path), "--seed", "1"]) == 2
    assert "must not hold the store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_is_refused(run, tmp_path, capsys) -> None:
    """Chunks that cannot be decoded and chunks of other pixels; after repair the run goes on."""
    source, out = tmp_path / "s.zarr", tmp_path / "noisy.zarr"
    shutil.copytree(run, source)
    chunks = source / "image" / "c"
    shutil.copy(chunks / "0" / "0", chunks / "1" / "1")
    for number, damage in ((3, None), (1, chunks / "0" / "1")):
        if damage is not None:
            damage.write_bytes(damage.read_bytes()[:-4] + b"\xff\xff\xff\xff")
        assert noise(source, out, "--seed", "7", "--overwrite", "--cluster", "threads") == 2
        said = capsys.readouterr().err
        assert f"tile {number} (slow" in said
        assert "is damaged: " in said
        assert f"nbdask repair {source} computes them again; then the same" in said
        assert "Error" not in said
        if damage is None:
            shutil.copy(run / "image" / "c" / "1" / "1", chunks / "1" / "1")
    assert main(["repair", str(source)]) == 0
    assert noise(source, out, "--seed", "7", "--resume") == 0
    assert noise(run, tmp_path / "whole.zarr", "--seed", "7") == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "whole.zarr"))


def test_a_store_within_the_source_is_refused(run, tmp_path, capsys) -> None:
    """Also by another way to it; nothing is written."""
    before = sorted(p.name for p in run.iterdir())
    (tmp_path / "link").symlink_to(run)
    for out in (run / "sub", tmp_path / "link" / "deep" / "sub"):
        assert noise(run, out, "--seed", "7") == 2
        assert "must lie outside the store" in capsys.readouterr().err
    assert sorted(p.name for p in run.iterdir()) == before


def test_a_map_of_another_shape(run, tmp_path, capsys) -> None:
    """Both shapes in one line."""
    np.save(tmp_path / "map.npy", np.ones((40, 41)))
    argv = ("--seed", "1", "--gain-map", str(tmp_path / "map.npy"))
    assert noise(run, tmp_path / "out.zarr", *argv) == 2
    assert "has 40 x 41 pixels, the image 40 x 40" in capsys.readouterr().err
