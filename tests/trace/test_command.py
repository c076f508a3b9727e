"""``nbdask trace`` as its users call it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from nbdask.cli.main import main
from nbdask.experiment import Experiment, Sampling
from nbdask.physics import factors
from nbdask.run import simulate
from tests.helpers import GOLDEN, small_experiment
from tests.trace.support import CASES, log, pixel, plant


@pytest.fixture(autouse=True)
def _beside_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN / "inputs")


def argv(name: str, *options: str) -> list[str]:
    """Return a command line for a recorded case."""
    slow, fast = pixel(name)
    flags = CASES[name]["arguments"].split()
    return ["trace", str(slow), str(fast), *options, "--", *flags]


def test_flags_and_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Names, units, numbers of formulas, and values that read back to the same bits."""
    assert main(argv("phi_mosaic", "--limit", "2")) == 0
    out = capsys.readouterr().out
    assert out.startswith("pixel slow 5, fast 9 of 16 x 16, semantics spec\n6 evaluations: ")
    row = next(line for line in out.splitlines() if line.startswith("  hkl "))
    assert row.split()[1] == "S-INT-04"
    assert len([float(x) for x in row.split()[2:]]) == 3
    assert "  position [m]" in out
    assert out.count("  term ") == 2
    assert "4 of 6 evaluations are not shown" in out
    assert "  pixel [photons]" in out.splitlines()[-3]


def test_flags_need_no_separator(capsys: pytest.CaptureFixture[str]) -> None:
    """As with nbdask simulate, options and flags may be mixed."""
    assert main(argv("gauss")) == 0
    expected = capsys.readouterr().out
    mixed = [word for word in argv("gauss") if word != "--"]
    assert main([*mixed, "--limit", "4"]) == 0
    assert capsys.readouterr().out == expected


def test_json_holds_all_that_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the limit of what is printed; a file that is there is kept."""
    target = tmp_path / "out.json"
    assert main(argv("sources", "--json", str(target), "--limit", "1")) == 0
    assert "7 of 8 evaluations are not shown" in capsys.readouterr().out
    content = json.loads(target.read_text())
    assert content["evaluations"] == content["recorded"] == 8
    terms = [v for v in content["values"] if v["name"] == "term"]
    assert [v["source"] for v in terms] == list(range(8))
    assert {"unit", "formula", "tap", "value"} <= set(terms[0])
    before = target.read_bytes()
    assert main(argv("square", "--json", str(target))) == 2
    assert "exists already: --overwrite replaces it" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert main(argv("square", "--json", str(target), "--overwrite", "--sub-pixel", "3")) == 0
    assert json.loads(target.read_text())["selected"] == 1
    capsys.readouterr()
    assert main(argv("gauss", "--json", "-")) == 0
    assert json.loads(capsys.readouterr().out)["pixel"] == {"slow": 12, "fast": 14}
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_against_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and one line where all agrees; 1, name, values and line where not."""
    assert main(argv("layers_water", "--against", log("layers_water", "trace"))) == 0
    seen = capsys.readouterr()
    assert seen.out.startswith("all 87 values of ")
    assert "compared under --semantics c" in seen.err
    plant(monkeypatch, factors.capture_fraction, lambda right, *_: right * 1.001)
    assert main(argv("layers_water", "--against", log("layers_water", "trace"))) == 1
    out = capsys.readouterr().out
    assert out.startswith("first difference: pixel_capture (S-INT-19, S-INT-22)")
    assert "capture_fraction in line 82 of" in out
    assert "differing quantities: pixel_capture, pixel_float64, pixel\n" in out
    assert main(argv("layers_water", "--against", log("layers_water", "printout"))) == 1
    assert "capfrac in line" in capsys.readouterr().out


def test_against_with_json(tmp_path: Path) -> None:
    """Every compared value, with both numbers."""
    target = tmp_path / "out.json"
    assert main(argv("gauss", "--against", log("gauss", "trace"), "--json", str(target))) == 0
    compared = json.loads(target.read_text())["against"]["compared"]
    assert all(row["agrees"] for row in compared)
    assert {"nbdask", "c", "line", "c_name", "deviation"} <= set(compared[0])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished store."""
    path = tmp_path_factory.mktemp("store") / "run.zarr"
    made: Experiment = small_experiment(sampling=Sampling(oversample=2))
    simulate(made, path, backend="numpy", tile=8, steps_per_task=3)
    return path


def test_a_stores_pixel(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The experiment is the store's, and its pixel stands beside the traced one."""
    assert main(["trace", "9", "17", str(store)]) == 0
    seen = capsys.readouterr()
    value = float(np.asarray(zarr.open_array(str(store / "image"), mode="r")[9, 17]))
    assert f"holds {value!r}, " in seen.err
    assert "pixel slow 9, fast 17 of 32 x 24" in seen.out


def test_a_store_with_another_pixel(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1: what is stored is not what the experiment gives."""
    import shutil

    copy = tmp_path / "run.zarr"
    shutil.copytree(store, copy)
    image = zarr.open_array(str(copy / "image"), mode="r+")
    image[9, 17] = 12345.0
    assert main(["trace", "9", "17", str(copy)]) == 1
    assert "the stored pixel differs, see nbdask verify" in capsys.readouterr().err
    image[9, 17] = np.nan
    assert main(["trace", "9", "17", str(copy)]) == 0
    assert "not computed yet" in capsys.readouterr().err
    assert main(["trace", "9", "17", str(copy), "--semantics", "c"]) == 0
    image[9, 17] = 1.0
    assert main(["trace", "9", "17", str(copy), "--semantics", "c"]) == 0
    assert "computed under --semantics spec" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["trace"], "SLOW FAST (nothing): must be the two whole numbers of a pixel"),
        (["trace", "5"], "SLOW FAST (5): must be"),
        (["trace", "a", "b", "run.zarr"], "SLOW FAST (a b): must be"),
        (["trace", "5", "9"], "give a store, --config FILE, or nanoBragg flags after --"),
        (["trace", "5", "9", "no.zarr"], "no.zarr does not exist"),
        (["trace", "5", "9", "run.zarr", "-N", "5"], "-N after the store run.zarr"),
        (["trace", "5", "9", "x", "--config", "y"], "leave out store and flags"),
        (["trace", "5", "9", "--domian", "3", "x.zarr"], "no such option: --domian (did you mean"),
        (argv("gauss", "--taps", "x"), "--taps x: must be some of geometry, hkl_subpixel"),
        (
            argv("gauss", "--taps", "omega", "--against", "x"),
            "--taps omega: leave it out with --against",
        ),
        (argv("gauss", "--against", "no.log"), "--against no.log: no such file"),
        (argv("gauss", "--json", "no/x.json"), "no does not exist"),
        (argv("gauss", "--rtol", "nan"), "'nan': must be a finite number, 0 or more"),
        (argv("gauss", "--phi", "1"), "--phi 1: must be a number or a range such as 0:10"),
        (argv("gauss", "--kernels", "x"), "--kernels x: must be some of reference, cpu, cuda"),
        (
            ["trace", "5", "99", "--", "-cell", "70", "-default_F", "1", "-detpixels", "8"],
            "fast 99",
        ),
    ],
)
def test_mistakes_end_in_one_line(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on standard output."""
    assert main(given) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert message in seen.err.splitlines()[-1]


def test_nothing_that_is_read_is_overwritten(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the store nor a list of amplitudes nor what C printed."""
    listed, log = tmp_path / "list.hkl", tmp_path / "c.log"
    listed.write_text("1 0 0 10\n")
    log.write_text("TRACE_C: omega_pixel 1\n")
    flags = ["--", "-cell", "70", "80", "90", "75", "85", "95", "-lambda", "1", "-N", "2"]
    before = {p: p.read_bytes() for p in (store / "zarr.json", listed, log)}
    for target, rest, message in (
        (store / "zarr.json", [str(store)], "must lie outside the store"),
        (listed, [*flags, "-hkl", str(listed)], "is an input of this run"),
        (log, ["--against", str(log), *flags, "-default_F", "1"], "is an input of this run"),
    ):
        assert main(["trace", "1", "1", "--json", str(target), "--overwrite", *rest]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert {p: p.read_bytes() for p in before} == before


def test_a_full_disk_names_the_file(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option, its file and the system's reason; exit code 2."""

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    target = tmp_path / "v.json"
    assert main(["trace", "1", "1", str(store), "--json", str(target)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"--json {target}: cannot be written: No space left on device" in error


def test_more_than_a_trace_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before a file is written, with the options that choose."""
    from nbdask.trace import walk

    monkeypatch.setattr(walk, "MOST", 3)
    target = tmp_path / "out.json"
    assert main(argv("sources", "--json", str(target))) == 2
    assert "8 evaluations are chosen and a trace holds at most 3" in capsys.readouterr().err
    assert not target.exists()
