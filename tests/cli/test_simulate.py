"""The commands, used as a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.argv import split_argv
from nbdask.cli.main import main
from nbdask.cli.simulate import command
from nbdask.store.reader import StoreReader
from tests.helpers import lose_records

GOOD = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 40 -pixel 0.3 -oversample 1"


def run(*argv: str) -> int:
    return main(["simulate", *argv, "--backend", "numpy"])


def test_flags_become_a_store_that_info_explains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way of the README: simulate, info, open."""
    store = tmp_path / "run.zarr"
    assert run(*GOOD.split(), "--out", str(store)) == 0
    said = capsys.readouterr()
    assert "40 x 40 pixels" in said.out
    assert main(["info", str(store)]) == 0
    text = capsys.readouterr().out
    for expected in ("complete", "max ", "nbdask simulate -cell 70 80", "fingerprint"):
        assert expected in text
    image = nbdask.open(store).image
    assert image.dims == ("slow", "fast")
    assert float(image.max()) > 0
    assert main(["info", str(store), "--json"]) == 0
    attributes = json.loads(capsys.readouterr().out)["attributes"]
    assert nbdask.Experiment.from_dict(attributes["experiment"]).shape == (40, 40)


def test_options_and_flags_may_stand_in_any_order(tmp_path: Path) -> None:
    """Two-dash options before, between and after nanoBragg flags; also with an equals sign."""
    argv = GOOD.split()
    first, second = tmp_path / "a.zarr", tmp_path / "b.zarr"
    assert run("--out", str(first), *argv, "--tile", "16") == 0
    assert run(*argv[:7], f"--out={second}", "--tile=16", *argv[7:]) == 0
    assert np.array_equal(nbdask.open(first).image, nbdask.open(second).image)


def test_arguments_are_split_by_the_number_of_values_an_option_takes() -> None:
    """Negative numbers after an option are its values, not flags."""
    own, argv = split_argv(
        ["-N", "5", "--pix0-vector-mm", "-1", "2", "-3", "--quiet", "-phi", "-4"], command.params
    )
    assert own == ["--pix0-vector-mm", "-1", "2", "-3", "--quiet"]
    assert argv == ["-N", "5", "-phi", "-4"]


def test_floatfile_holds_the_stored_image(tmp_path: Path) -> None:
    """Raw little-endian float32, slow-major, as nanoBragg writes it."""
    store, raw = tmp_path / "run.zarr", tmp_path / "image.bin"
    assert run(*GOOD.split(), "-floatfile", str(raw), "--out", str(store), "--tile", "16") == 0
    pixels = np.fromfile(raw, "<f4").reshape(40, 40)
    assert np.array_equal(pixels, nbdask.open(store).image)


def test_nanobragg_output_files_are_written_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integer, grey and noise images, with their scales; files that were there are replaced."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.img").write_bytes(b"old")
    flags = "-intfile a.img -pgmfile a.pgm -noisefile n.img -seed 3 -adc 10 -noprogress"
    assert run(*GOOD.split(), *flags.split(), "--out", "run.zarr") == 0
    said = capsys.readouterr().err
    assert "-intfile a.img: written, scale " in said
    assert "-pgmfile a.pgm: written, scale " in said
    assert "-noisefile n.img: written, seed 3, " in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.img", "a.pgm", "n.img", "run.zarr"]
    assert (tmp_path / "a.img").stat().st_size == 512 + 2 * 1600


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("-intfile a.img -noisefile a.img", "-noisefile a.img: is the file of -intfile already"),
        ("-pgmfile run.zarr/a.pgm", "-pgmfile run.zarr/a.pgm: must lie outside the store"),
        ("-intfile no/a.img", "-intfile no/a.img: the folder"),
        ("-noisefile a.img -seed -7", "-seed -7: must be 0 or more"),
    ],
)
def test_output_files_that_cannot_be_are_refused_before_the_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
    message: str,
) -> None:
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert run(*GOOD.split(), *flags.split(), "--out", "run.zarr") == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tiles, tasks, memory and time, before anything is computed."""
    store = tmp_path / "run.zarr"
    assert run(*GOOD.split(), "--dry-run", "--out", str(store), "--tile", "16") == 0
    said = capsys.readouterr().out
    for expected in ("3 x 3 = 9", "memory", "time", "sources   1, wavelength", "edges     "):
        assert expected in said
    assert re.search(r"^time      about .* s, limited by the start: start .* s", said, re.MULTILINE)
    assert re.search(r"; storage \d+ MB/s\)$", said, re.MULTILINE)
    assert os.listdir(tmp_path) == []
    assert run(*GOOD.split(), "--dry-run") == 0
    assert "; storage not measured)" in capsys.readouterr().out


def test_pix0_vector_mm_places_the_detector_and_the_old_flag_says_that_it_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours moves the image; nanoBragg's only selects the CUSTOM convention."""
    stores = [tmp_path / f"{i}.zarr" for i in range(3)]
    axes = "-fdet_vector 0 0 1 -sdet_vector 0 -1 0 -odet_vector 1 0 0"
    assert run(*GOOD.split(), *axes.split(), "--out", str(stores[0])) == 0
    capsys.readouterr()
    old = "-pix0_vector_mm 100 5 -5"
    assert run(*GOOD.split(), *axes.split(), *old.split(), "--out", str(stores[1])) == 0
    assert "--pix0-vector-mm" in capsys.readouterr().err
    ours = "--pix0-vector-mm 100 5 -5"
    assert run(*GOOD.split(), *axes.split(), *ours.split(), "--out", str(stores[2])) == 0
    images = [nbdask.open(s).image.to_numpy() for s in stores]
    assert np.array_equal(images[0], images[1])
    assert not np.allclose(images[0], images[2])


def test_config_file_gives_the_same_image_as_its_flags(tmp_path: Path) -> None:
    """An experiment written as TOML simulates as it did from flags."""
    from nbdask.flags import parse_args, to_toml

    experiment = parse_args(GOOD.split()).experiment
    config = tmp_path / "experiment.toml"
    config.write_text(to_toml(experiment))
    first, second = tmp_path / "a.zarr", tmp_path / "b.zarr"
    assert run(*GOOD.split(), "--out", str(first)) == 0
    assert run("--config", str(config), "--out", str(second)) == 0
    assert np.array_equal(nbdask.open(first).image, nbdask.open(second).image)
    same = [nbdask.open(s).attrs["fingerprint"] for s in (first, second)]
    assert same[0] == same[1] == experiment.fingerprint()


def test_semantics_option_changes_a_step_at_phi_zero(tmp_path: Path) -> None:
    """The carry-over appears with C semantics only, and the store says which it holds."""
    flags = [*GOOD.split(), "-osc", "4", "-phisteps", "2"]
    stores = [tmp_path / "spec.zarr", tmp_path / "c.zarr"]
    assert run(*flags, "--out", str(stores[0])) == 0
    assert run(*flags, "--semantics", "c", "--out", str(stores[1])) == 0
    spec, c = (nbdask.open(s) for s in stores)
    assert not np.allclose(spec.image, c.image)
    assert (spec.attrs["semantics"], c.attrs["semantics"]) == ("spec", "c")


def test_interpolation_outside_the_list_is_refused_under_c_semantics_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spec goes on with default_F and says so once; C semantics explains why it does not."""
    listed = tmp_path / "few.hkl"
    listed.write_text(
        "".join(f"{h} {k} {el} 10\n" for h in (0, 3) for k in (0, 3) for el in (0, 3))
    )
    flags = f"-cell 70 80 90 90 90 90 -hkl {listed} -N 2 -detpixels 20 -oversample 1".split()
    assert run(*flags, "--out", str(tmp_path / "spec.zarr")) == 0
    assert capsys.readouterr().err.count("default_F was used") == 1
    assert run(*flags, "--semantics", "c", "--out", str(tmp_path / "c.zarr")) == 2
    said = capsys.readouterr().err
    assert "thread" in said
    assert "--semantics spec" in said


def test_resume_finishes_an_unfinished_store(tmp_path: Path) -> None:
    """What a broken run left missing is computed; the result is the unbroken one's to the bit."""
    whole, broken = tmp_path / "whole.zarr", tmp_path / "broken.zarr"
    for store in (whole, broken):
        assert run(*GOOD.split(), "--tile", "16", "--out", str(store)) == 0
    columns = StoreReader(broken).grid.counts[1]
    lose_records(broken, *range(columns, 2 * columns))
    assert run(*GOOD.split(), "--tile", "16", "--resume", "--out", str(broken)) == 0
    assert np.array_equal(nbdask.open(whole).image, nbdask.open(broken).image)


def test_help_and_version_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for help is no error."""
    for argv in ([], ["--help"], ["simulate", "-h"], ["parity", "-h"], ["--version"]):
        assert main(argv) == 0
        assert "nbdask" in capsys.readouterr().out
    assert main(["flags"]) == 0
    assert "-distance" in capsys.readouterr().out


@pytest.mark.long
def test_the_path_of_a_simulation_loads_no_heavy_library(tmp_path: Path) -> None:
    """Neither distributed nor xarray nor pandas nor matplotlib, for a quick start."""
    code = (
        "import sys; from nbdask.cli.main import main;"
        f"code = main(['simulate', *'{GOOD}'.split(), '--out', r'{tmp_path / 'a.zarr'}',"
        " '--quiet']); heavy = [m for m in ('distributed', 'xarray', 'pandas', 'matplotlib',"
        " 'dask.array', 'bokeh', 'gemmi') if m in sys.modules]; print(heavy); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_python_dash_m_runs_the_command() -> None:
    """``python -m nbdask`` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "nbdask", "--version"], capture_output=True, text=True, check=True
    )
    assert nbdask.__version__ in done.stdout
