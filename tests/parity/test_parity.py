"""``nbdask parity``: stores and flags against recorded runs of the C program."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask.flags import parse_args, to_toml
from nbdask.parity.outcome import Thresholds
from nbdask.store.reader import StoreReader
from tests.helpers import GOLDEN, golden_cases
from tests.parity.conftest import REPLAY, Run, Script
from tests.pictured import flip, image_of, set_pixels

Stored = Callable[..., Path]


def regions(path: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """Regions of an outcome by their first pixel (slow, fast)."""
    found = json.loads(path.read_text())["regions"]
    return {(item["slow"][0], item["fast"][0]): item for item in found}


def test_recorded_runs_have_their_provenance() -> None:
    """Each recorded image is the one whose checksum stands beside its arguments."""
    runs = json.loads((REPLAY.parent / "runs.json").read_text())
    assert re.fullmatch(r"[0-9a-f]{64}", runs["program_sha256"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", runs["date"])
    packed = (REPLAY.parent / "images.bin").read_bytes()
    assert len(runs["runs"]) > 10
    for item in runs["runs"].values():
        start, length = item["image"]
        image = zlib.decompress(packed[start : start + length])
        assert hashlib.sha256(image).hexdigest() == item["sha256"]
        assert item["arguments"]


def test_flags_are_compared_as_a_whole_image(recorded: str, run: Run, tmp_path: Path) -> None:
    """A small image from flags is one region, and C gets the user's own words."""
    argv = golden_cases()["mosflm_default"].split()
    out = tmp_path / "outcome.json"
    code, said, _ = run("parity", "--backend", "numpy", "--json", out, "--", *argv)
    assert code == 0, said
    outcome = json.loads(out.read_text())
    assert outcome["ok"]
    assert outcome["mode"] == "roi"
    assert outcome["arguments_from"] == "the command line"
    assert outcome["program"]["sha256"] == hashlib.sha256(Path(recorded).read_bytes()).hexdigest()
    (region,) = outcome["regions"]
    assert (region["slow"], region["fast"]) == ([0, 39], [0, 39])
    assert region["max_rel"] <= 2e-7
    assert region["arguments"][: len(argv)] == argv
    assert "equal: 1 region within all thresholds" in said


@pytest.mark.usefixtures("recorded")
def test_a_file_that_describes_the_experiment_is_compared(run: Run, tmp_path: Path) -> None:
    """--config: C's arguments come from the experiment; the numbers are those of flags."""
    experiment = parse_args(golden_cases()["mosflm_default"].split()).experiment
    (tmp_path / "a.toml").write_text(to_toml(experiment))
    argv = ("--backend", "numpy", "--mode", "roi", "--tile", "16", "--only", "--at-tile", "0,0")
    out = tmp_path / "outcome.json"
    code, said, _ = run("parity", *argv, "--config", tmp_path / "a.toml", "--json", out)
    assert code == 0, said
    assert json.loads(out.read_text())["arguments_from"] == "the experiment"


@pytest.mark.c_binary
def test_a_placed_detector_and_equal_weights_are_compared(run: Run, tmp_path: Path) -> None:
    """--pix0-vector-mm places both detectors; weights that differ are refused, C ignores them."""
    argv = (*golden_cases()["mosflm_default"].split(), "-sourcefile", tmp_path / "sources.txt")
    (tmp_path / "sources.txt").write_text("0 0 1 1 1e-10\n0 0.001 1 1 1e-10\n")
    options = ("--backend", "numpy", "--pix0-vector-mm", "100", "3", "-3")
    code, said, notes = run("parity", *options, "--source-weights", "apply", "--", *argv)
    assert code == 0, said
    assert "given to C as beam centre" in notes


def test_weights_that_c_ignores_are_refused(run: Run, script: Script, tmp_path: Path) -> None:
    """Before C runs."""
    argv = (*golden_cases()["mosflm_default"].split(), "-sourcefile", tmp_path / "sources.txt")
    (tmp_path / "sources.txt").write_text("0 0 1 1 1e-10\n0 0.001 1 2 1e-10\n")
    options = ("--c-bin", script("touch ran"), "--backend", "numpy", "--source-weights", "apply")
    code, _, error = run("parity", *options, "--", *argv)
    assert code == 2
    assert "give --source-weights ignore" in error


def test_each_precision_has_its_bound() -> None:
    """The least precise kernel counts; an image of unknown origin is taken as float64."""
    bound = {"float64": 2e-7, "mixed": 1e-5, "pairs": 1e-5}
    for name, worst in bound.items():
        assert Thresholds().for_precisions(name, "float64", None).max_rel == worst
    assert Thresholds(max_rel=1.0).for_precisions(None).max_rel == 2e-7


@pytest.mark.parametrize("mode", ["roi", "window"])
@pytest.mark.usefixtures("recorded")
def test_stored_tiles_agree_in_both_modes(
    mode: str, run: Run, stored: Stored, tmp_path: Path
) -> None:
    """Corners, centre and drawn tiles of a tilted detector, each with a run of C of its own."""
    store, out = stored("adxv_tilted_beam"), tmp_path / "outcome.json"
    code, said, _ = run("parity", store, "--mode", mode, "--tiles", "2", "--json", out)
    assert code == 0, said
    found = regions(out)
    assert {(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)} <= set(found)
    assert len(found) == 7
    assert all(item["max_rel"] <= 2e-7 for item in found.values())
    sizes = {tuple(item["arguments"]).count("-roi") for item in found.values()}
    assert sizes == ({1} if mode == "roi" else {0})


@pytest.mark.usefixtures("recorded")
def test_a_changed_pixel_is_found(run: Run, stored: Stored, tmp_path: Path) -> None:
    """One pixel that is wrong by 1e-6 ends with exit code 3 and is named."""
    store, out = stored("adxv_tilted_beam"), tmp_path / "outcome.json"
    image = image_of(store)
    place = np.unravel_index(int(np.argmax(image[:16, :16])), (16, 16))
    image[place] = image[place] * np.float32(1.000001)
    set_pixels(store, image)
    code, said, _ = run(
        "parity", store, "--only", "--at-tile", "0,0", "--mode", "roi", "--json", out
    )
    assert code == 3
    assert f"at slow {place[0]}, fast {place[1]} exceeds 2e-07" in said
    item = regions(out)[0, 0]
    assert not item["ok"]
    assert item["max_rel_at"] == [int(p) for p in place]
    assert item["differing_pixels"] >= 1
    again = run("parity", store, "--only", "--at-tile", "0,0", "--mode", "roi", "--max-rel", "1e-5")
    assert again[0] == 0


@pytest.mark.usefixtures("recorded")
def test_a_damaged_tile_is_not_compared(run: Run, stored: Stored) -> None:
    """It is named, with what to do."""
    store = stored("adxv_tilted_beam")
    flip(store / "image" / "c" / "0" / "0")
    code, _, error = run("parity", store, "--only", "--at-tile", "0,0", "--mode", "roi")
    assert code == 2
    assert "tile 0 (slow 0 to 16, fast 0 to 16) is damaged" in error
    assert f"nbdask repair {store}" in error


@pytest.mark.usefixtures("recorded")
def test_carry_over_spares_the_first_pixel_of_each_region(
    run: Run, stored: Stored, tmp_path: Path
) -> None:
    """C's first evaluation of every run is an exception; the store has it once only."""
    store, out = stored("carry_over"), tmp_path / "outcome.json"
    code, said, _ = run("parity", store, "--mode", "window", "--tiles", "0", "--json", out)
    assert code == 0, said
    found = regions(out)
    assert "first_of_run" not in found[0, 0]
    assert found[16, 16]["first_of_run"] == [16, 16]


@pytest.mark.usefixtures("recorded")
def test_expected_difference_is_explained_and_can_be_computed_away(
    run: Run, stored: Stored, tmp_path: Path
) -> None:
    """With a step at phi = 0 a spec store differs from C; --semantics c computes what C does."""
    store, out = stored("carry_over", semantics="spec"), tmp_path / "outcome.json"
    argv = ("parity", store, "--mode", "window", "--only", "--at-tile", "1,1")
    code, _, notes = run(*argv)
    assert code == 3
    assert "expected difference: the rotation has a step at exactly phi = 0" in notes
    code, said, notes = run(*argv, "--semantics", "c", "--json", out)
    assert code == 0, said
    assert "expected difference" not in notes
    outcome = json.loads(out.read_text())
    assert (outcome["semantics"], outcome["pixels_from"]) == ("c", "computed")
    verdicts = StoreReader(store).attributes["parity"]
    assert [v["ok"] for v in verdicts] == [False, True]


@pytest.mark.usefixtures("recorded")
def test_verdicts_are_appended_to_the_store(run: Run, stored: Stored) -> None:
    """Each run adds one entry with date and checksum; --no-record changes no byte."""
    store = stored("mosflm_default")
    before = (store / "zarr.json").read_bytes()
    argv = ("parity", store, "--mode", "roi", "--only", "--at-tile", "0,0")
    assert run(*argv, "--no-record")[0] == 0
    assert (store / "zarr.json").read_bytes() == before
    assert run(*argv)[0] == 0
    assert run(*argv)[0] == 0
    first, second = StoreReader(store).attributes["parity"]
    assert first["regions"] == second["regions"] == 1
    assert re.fullmatch(r"[0-9a-f]{64}", first["program_sha256"])
    assert first["date"] <= second["date"]
    code, said, _ = run("info", store)
    assert code == 0
    assert "2 comparisons, the last: equal" in said


@pytest.mark.usefixtures("recorded")
def test_mask_and_headers_reach_a_window(run: Run, stored: Stored) -> None:
    """A masked image whose geometry came from a header agrees, window by window."""
    code, said, _ = run("parity", stored("mask_header"), "--mode", "window", "--tiles", "1")
    assert code == 0, said


@pytest.mark.usefixtures("recorded")
def test_report_is_one_file_with_all_pictures(run: Run, stored: Stored, tmp_path: Path) -> None:
    """The page refers to nothing outside of itself and shows each region three times."""
    store, out = stored("mosflm_default"), tmp_path / "report.html"
    code, _, said = run("parity", store, "--mode", "roi", "--tiles", "0", "--html", out, "--quiet")
    assert code == 0, said
    text = out.read_text()
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == 1 + 3 * 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert "within all thresholds" in text
    assert "$" not in re.sub(r"<pre>.*?</pre>|base64,[^\"]*", "", text, flags=re.DOTALL)
    code, _, error = run("parity", store, "--mode", "roi", "--tiles", "0", "--html", out)
    assert code == 2
    assert "exists already" in error


@pytest.mark.long
@pytest.mark.usefixtures("recorded")
def test_regions_are_compared_by_worker_processes(run: Run, stored: Stored, tmp_path: Path) -> None:
    """The same regions through worker processes give the same numbers."""
    store = stored("mosflm_default")
    argv = ("parity", store, "--mode", "roi", "--tiles", "0", "--no-record", "--json")
    cluster = ("--cluster", "local", "--workers", "1", "--threads", "2")
    assert run(*argv, tmp_path / "a.json")[0] == 0
    assert run(*argv, tmp_path / "b.json", *cluster)[0] == 0
    one, other = regions(tmp_path / "a.json"), regions(tmp_path / "b.json")
    for item in (*one.values(), *other.values()):
        item.pop("seconds_reference")
    assert one == other


def test_c_runs_in_a_fresh_directory_with_one_thread(
    run: Run, stored: Stored, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A left-over Fdump.bin where nbdask is called is out of C's sight; what C ran in is kept."""
    (tmp_path / "Fdump.bin").write_text("left over")
    monkeypatch.chdir(tmp_path)
    program = script('ls; echo "threads $OMP_NUM_THREADS"; head -c 1024 /dev/zero > image.bin')
    out = tmp_path / "outcome.json"
    argv = ("parity", stored("curved"), "--c-bin", program, "--mode", "window", "--keep", "kept")
    code, *_ = run(*argv, "--only", "--at-tile", "1,1", "--json", out)
    assert code == 3
    (item,) = regions(out).values()
    assert "Fdump.bin" not in item["stdout"]
    assert "threads 1" in item["stdout"]
    kept = tmp_path / "kept" / "slow16-31_fast16-31"
    assert (kept / "arguments.txt").read_text().split() == item["arguments"]
    assert (kept / "image.bin").stat().st_size == 1024


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("echo broken >&2; exit 9", 1, "C ended with exit status 9 .*broken"),
        ("kill -SEGV $$", 1, "C ended with signal SIGSEGV"),
        ("exec sleep 20", 1, "C took more than 0.3 s"),
        ("exit 0", 1, "C wrote no image for the region .*: it printed nothing"),
        (r"printf 'a\033[31mb\a' >&2; exit 3", 1, r"exit status 3 .*: a\\x1b\[31mb\\x07"),
        ("echo '(24x48 pixels)'; : > image.bin", 4, "C made an image of 48 x 24 pixels"),
    ],
)
def test_runs_of_c_that_fail(
    body: str, code: int, message: str, run: Run, stored: Stored, script: Script
) -> None:
    """Each failure of the program has one line and its exit code; the store is not changed."""
    store = stored("curved")
    before = (store / "zarr.json").read_bytes()
    argv = ("--c-bin", script(body), "--mode", "roi", "--only", "--at-tile", "0,0")
    found, said, error = run("parity", store, *argv, "--time-limit", "0.3")
    assert (found, said) == (code, "")
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert (store / "zarr.json").read_bytes() == before


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ((), 2, "nothing to compare"),
        (("--tiles", "0", "--only", "--", "-cell", "10"), 2, "leaves nothing to compare"),
        (("no.zarr", "--time-limit", "nan"), 2, "'nan': must be a finite number, 0.001 or more"),
        (("--json", "x", "--map", "x", "--", "-cell", "10"), 2, "is the file of --json already"),
        (("--tils", "3"), 2, "did you mean --tiles?"),
        (("-tiles", "3"), 2, "unknown flag -tiles: did you mean --tiles?"),
        (("no.zarr", "--", "-cell", "10"), 2, "either the store no.zarr or nanoBragg flags"),
        (("-lambda", "1"), 2, "put -- before the nanoBragg flags"),
        (("no.zarr", "--tiles", "some"), 2, "whole number"),
        (("no.zarr", "--at-tile", "3"), 2, "row,column"),
        (("no.zarr", "--tile", "3,4"), 2, "--at-tile ROW,COLUMN chooses one of its tiles"),
        (("no.zarr", "--source-weights", "apply"), 2, "goes with nanoBragg flags only"),
        (("--config", "a.toml", "--pix0-vector-mm", "1", "2", "3"), 2, "with nanoBragg flags only"),
        (("--config", "a.toml", "no.zarr"), 2, "leave out store and flags"),
        (("--config", "no.toml"), 2, "no.toml"),
        (("no.zarr", "--backend", "numpy"), 2, "a store has its own"),
        (("no.zarr",), 2, "does not exist"),
        (("--", "-cell", "10", "-lamda", "1"), 2, "unknown flag -lamda"),
        (("--", "-cell", "10", "-hkl", "no.hkl"), 2, "no.hkl"),
        (("--", "-cell", "10", "-default_F", "1", "-lambda", "-1"), 2, "-lambda"),
        (("--json", "no/where.json", "--", "-cell", "10", "-default_F", "1"), 2, "does not exist"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_wrong_arguments_have_their_exit_code(
    argv: tuple[str, ...], code: int, message: str, run: Run
) -> None:
    """Usage ends with 1, missing inputs and outputs with 5, on one line."""
    found, said, error = run("parity", *argv)
    assert (found, said) == (code, "")
    assert message in error
    assert error.count("\n") == 1


def test_a_program_must_be_named(run: Run, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --c-bin and NB_C_BIN nothing can be compared; a name must be that of a program."""
    monkeypatch.delenv("NB_C_BIN", raising=False)
    store = stored("curved")
    code, _, error = run("parity", store)
    assert code == 2
    assert "--c-bin PATH, or set NB_C_BIN" in error
    code, _, error = run("parity", store, "--c-bin", GOLDEN / "cases.json")
    assert code == 2
    assert "is not executable" in error


@pytest.mark.usefixtures("recorded")
def test_threads_of_c_are_warned_of(run: Run, stored: Stored) -> None:
    """More OpenMP threads make the carry-over a matter of timing, and the user is told so."""
    argv = ("parity", stored("carry_over"), "--mode", "window", "--only", "--at-tile", "1,1")
    assert "timing" not in run(*argv)[2]
    assert "--c-threads 2: C's result may depend on timing" in run(*argv, "--c-threads", "2")[2]


@pytest.mark.c_binary
@pytest.mark.parametrize("mode", ["roi", "window"])
@pytest.mark.parametrize("case", ["everything", "custom_sample_pivot", "source_list"])
def test_the_program_itself_agrees(
    case: str, mode: str, run: Run, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored tiles against runs of the real program."""
    code, said, _ = run("parity", stored(case), "--mode", mode, "--tiles", "1")
    assert code == 0, said


def test_nothing_that_is_read_is_overwritten(
    run: Run, stored: Stored, script: Script, tmp_path: Path
) -> None:
    """Neither the program, nor the store, nor an input file of it; C does not even run."""
    program, store, ran = script("touch ran"), stored("curved"), tmp_path / "kept"
    listed = tmp_path / "list.hkl"
    listed.write_text("1 0 0 10\n")
    before = {p: p.read_bytes() for p in (Path(program), store / "zarr.json", listed)}
    flags = ("--", "-cell", "70", "80", "90", "75", "85", "95", "-lambda", "1", "-N", "2")
    for argv, message in (
        ((store, "--map", program), "is an input of this run"),
        ((store, "--json", store / "zarr.json"), "must lie outside the store"),
        ((store, "--keep", store / "kept"), "must lie outside the store"),
        (("--html", listed, *flags, "-hkl", listed), "is an input of this run"),
        ((store, "--keep", listed), f"--keep {listed}: {listed} is a file"),
    ):
        code, _, error = run("parity", "--c-bin", program, "--overwrite", *argv)
        assert (code, error.count("\n")) == (2, 1), error
        assert message in error
    assert {p: p.read_bytes() for p in before} == before
    assert not ran.exists()


def test_a_store_that_cannot_be_written_is_told_before_c_runs(
    run: Run, stored: Stored, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the option that does without; root may write everywhere, so the test is told so."""
    store, access = stored("curved"), os.access
    monkeypatch.setattr(os, "access", lambda p, m: p != str(store) and access(p, m))
    code, _, error = run("parity", store, "--c-bin", script("exit 7"))
    assert code == 2
    assert "--no-record leaves it out" in error


@pytest.mark.usefixtures("recorded")
def test_noise_is_not_compared_with_c(run: Run, stored: Stored, tmp_path: Path) -> None:
    """A store with noise is refused, and the message names the image that it comes from."""
    store, noisy = stored("curved"), tmp_path / "noisy.zarr"
    assert (
        run("noise", store, "--out", noisy, "--seed", "1", "--backend", "numpy", "--quiet")[0] == 0
    )
    code, _, error = run("parity", noisy)
    assert code == 2
    assert "holds noise or detector effects" in error
    assert str(store) in error
    code, _, remark = run("trace", "3", "4", noisy)
    assert code == 0
    assert "with noise or detector effects added" in remark


def test_counts_of_one_pass_are_not_compared_with_c(run: Run, tmp_path: Path) -> None:
    """There is no image without noise then; the message names the option."""
    flags = "-cell 40 50 60 90 90 90 -N 3 -default_F 9 -lambda 1 -detpixels 8 -pixel 1"
    noise = ["--keep-float", "no", "--seed", "1", "--quiet"]
    assert run("simulate", *flags.split(), *noise, "--out", tmp_path / "a.zarr")[0] == 0
    code, _, error = run("parity", tmp_path / "a.zarr", "--c-bin", sys.executable)
    assert code == 2
    assert "simulate it without --keep-float no" in error
