"""Pieces that commands are made of: words, numbers, files that must be apart, last lines."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask import derive
from nbdask.cli.argv import check_dashes, no_such_option, split_argv
from nbdask.cli.comparison import check_files, thresholds_of
from nbdask.cli.faults import MOST, bar, say_faults
from nbdask.cli.noise_options import given_options, noise_options, pipeline_of
from nbdask.cli.numbers import Number
from nbdask.cli.outputs import check_distinct, files_among, inputs_of
from nbdask.cli.running import resume_command, say_notes
from nbdask.errors import (
    NbdaskError,
)
from nbdask.experiment import Sampling, StructureFactors
from nbdask.parity import errors
from nbdask.parity.outcome import Thresholds
from nbdask.statistics import peak_text
from tests.helpers import small_experiment

QUICK = settings(max_examples=40, deadline=None)
PARAMS = [
    click.Option(["--tile"]),
    click.Option(["--adapt"], nargs=2),
    click.Option(["--quiet"], is_flag=True),
    click.Option(["--log/--linear"]),
]
#: Words that belong to an option, and those that are nanoBragg's.
OWN = [["--tile", "8"], ["--tile=8"], ["--adapt", "1", "2"], ["--quiet"], ["--linear"], ["--log"]]
FLAGS = [["-N", "5"], ["-cell", "70", "80", "90"], ["-nonoise"], ["word"], ["-1.5"]]


@QUICK
@given(st.lists(st.sampled_from(OWN + FLAGS), max_size=8))
def test_arguments_go_to_whom_they_belong(groups: list[list[str]]) -> None:
    """In any order and mixture; each side keeps its own order."""
    own, argv = split_argv([word for group in groups for word in group], PARAMS)
    assert own == [word for group in groups if group in OWN for word in group]
    assert argv == [word for group in groups if group in FLAGS for word in group]


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help_is_an_option_however_it_is_spelt(word: str) -> None:
    """Where there is one."""
    params = [*PARAMS, click.Option(["--help"], is_flag=True)]
    assert split_argv(["-N", "5", word], params) == (["--help"], ["-N", "5"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--tile"], "option --tile needs 1 value"),
        (["--tile", "--quiet"], "option --tile needs 1 value"),
        (["--adapt", "1"], "option --adapt needs 2 values"),
        (["--adapt", "1", "--tile", "3"], "option --adapt needs 2 values"),
        (["--tlie", "8"], "no such option: --tlie (did you mean --tile?)"),
        (["--zzzz"], "no such option: --zzzz (see nbdask test --help)"),
        (["--"], "no such option: -- "),
    ],
)
def test_options_that_are_not_whole(argv: list[str], message: str) -> None:
    """Their name and what they need."""
    with pytest.raises(click.UsageError) as caught:
        split_argv(argv, PARAMS, "nbdask test")
    assert message in caught.value.format_message()


def test_options_with_one_dash() -> None:
    """Meant are two; nanoBragg's own flags pass."""
    check_dashes(["-cell", "1", "-N", "3", "-seed", "4"], ["--tile", "--seed"])
    with pytest.raises(click.UsageError, match=r"unknown flag -tile: did you mean --tile\?"):
        check_dashes(["-N", "3", "-tile", "4"], ["--tile"])
    near = no_such_option("--qiuet", ["--quiet", "--tile"], "nbdask x").format_message()
    assert near == "no such option: --qiuet (did you mean --quiet?)"
    foreign = no_such_option("--pdb", ["--quiet", "--model"], "nbdask x").format_message()
    assert foreign.startswith("no such option: --pdb (--model FILE --dmin D computes amplitudes")
    without = no_such_option("--pdb", ["--quiet"], "nbdask x").format_message()
    assert without == "no such option: --pdb (see nbdask x --help)"


@QUICK
@given(
    st.floats(-5, 5, allow_subnormal=False),
    st.floats(0, 5, allow_subnormal=False),
    st.floats(-20, 20, allow_subnormal=False),
)
def test_numbers_within_bounds(low: float, width: float, value: float) -> None:
    """Both ends are in."""
    kind = Number(low, low + width)
    if low <= value <= low + width:
        assert kind.convert(repr(value), None, None) == value
    else:
        with pytest.raises(click.BadParameter, match="must be a finite number, from"):
            kind.convert(repr(value), None, None)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "x", "", "1e999", "1,5"])
def test_what_is_no_finite_number(value: str) -> None:
    """Also where no bound is given."""
    with pytest.raises(click.BadParameter, match=f"'{value}': must be a finite number, 0 or more"):
        Number(0.0).convert(value, None, None)


def test_outputs_that_are_not_apart(tmp_path: Path) -> None:
    """Inputs, links to them, files in a store, and each other."""
    (tmp_path / "in.hkl").write_text("x")
    (tmp_path / "hard").hardlink_to(tmp_path / "in.hkl")
    (tmp_path / "soft").symlink_to(tmp_path / "in.hkl")
    store = tmp_path / "run.zarr"
    store.mkdir()
    inputs = [str(tmp_path / "in.hkl"), store, None, "s3://bucket/run.zarr"]
    for outputs, message in (
        ({"--json": tmp_path / "in.hkl"}, "is an input of this run; name another file"),
        ({"--json": tmp_path / "hard"}, "is an input of this run"),
        ({"--json": tmp_path / "soft"}, "is an input of this run"),
        ({"--json": tmp_path / "x" / ".." / "in.hkl"}, "is an input of this run"),
        ({"--map": store / "deep" / "a.png"}, "must lie outside the store"),
        ({"--json": tmp_path / "a", "--html": tmp_path / "a"}, "is the file of --json already"),
        ({"--json": tmp_path / "a", "--map": tmp_path / "." / "a"}, "is the file of --json"),
    ):
        with pytest.raises(click.UsageError) as caught:
            check_distinct(outputs, inputs)
        assert message in caught.value.format_message()
        assert caught.value.format_message().startswith(list(outputs)[-1])
    check_distinct({"--json": "-", "--html": "-", "--map": None}, inputs)
    check_distinct({"--json": tmp_path / "a", "--html": tmp_path / "b"}, inputs)


def test_files_that_arguments_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there; an experiment knows its own."""
    monkeypatch.chdir(tmp_path)
    Path("a.hkl").write_text("1 2 3 4\n")
    assert files_among(["-hkl", "a.hkl", "-mat", "none.mat", "."]) == ("a.hkl",)
    experiment = small_experiment(structure=StructureFactors(path="a.hkl"))
    assert [Path(p).name for p in inputs_of(experiment) if p is not None] == ["a.hkl"]
    plain = small_experiment(sampling=Sampling(oversample=1))
    assert set(inputs_of(plain)) == {None}


@pytest.mark.parametrize(
    ("value", "slow", "fast", "text"),
    [
        (0.0, -1, -1, "no pixel above 0"),
        (12.5, 3, 4, "max 12.5 at slow 3, fast 4"),
        (1234567.89, 0, 0, "max 1234568 at slow 0, fast 0"),
        (math.inf, 1, 2, "max infinite at slow 1, fast 2: pixels exceed single precision"),
        (None, 1, 2, "max infinite at slow 1, fast 2: pixels exceed single precision"),
    ],
)
def test_the_brightest_pixel_in_words(value: Any, slow: int, fast: int, text: str) -> None:
    """Also where there is none, and where JSON had no number for it."""
    assert peak_text(value, slow, fast) == text


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nbdask", "simulate", "-N", "5"], "nbdask simulate -N 5 --resume"),
        (["nbdask", "noise", "--overwrite", "a b"], "nbdask noise 'a b' --resume"),
        (["nbdask", "--resume", "x"], "nbdask x --resume"),
    ],
)
def test_the_line_that_resumes(argv: list[str], line: str) -> None:
    """Fit for a shell; --resume once and never beside --overwrite."""
    assert resume_command(argv) == line


def test_notes_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """In their order, on standard error."""
    say_notes(["b", "a", "b"])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "nbdask: note: b\nnbdask: note: a\n"


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, MOST + 50])
def test_many_faults(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The first ones, and how many more."""
    say_faults([f"fault {n}" for n in range(count)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[: min(count, MOST)] == [f"fault {n}" for n in range(min(count, MOST))]
    assert lines[MOST:] == ([f"... and {count - MOST} more"] if count > MOST else [])


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere, and with --quiet, there is none."""
    with bar("reading", False) as progress:
        assert progress is None
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with bar("reading", True) as progress:
        assert progress is None
    assert terminal.getvalue() == ""
    with bar("reading", False) as progress:
        assert progress is not None
        for done in range(1, 5):
            progress(done, 4)
    assert "reading" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


ERRORS: list[tuple[NbdaskError, int]] = [
    (errors.ShapeError("x"), 4),
    (errors.RunnerError("x"), 1),
    (errors.FileError("x"), 2),
    (errors.ParityUsageError("x"), 2),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda x: type(x).__name__)
def test_codes_of_comparisons(error: NbdaskError, code: int) -> None:
    """As in every command, but for images that cannot be compared."""
    assert error.exit_code == code


def options_of(**given: Any) -> dict[str, Any]:
    """Options of a comparison."""
    names = ("max_rel", "min_corr", "sum_tol", "peak_tol")
    files = {"json_file": None, "html_file": None, "map_file": None, "overwrite": False}
    return {**dict.fromkeys(names), **files, **given}


def test_bounds_from_options() -> None:
    """What is not given stays; only without --max-rel does the precision choose."""
    assert thresholds_of(options_of()) == {"thresholds": Thresholds(), "by_precision": True}
    found = thresholds_of(options_of(max_rel=0.5, peak_tol=2.0))
    assert found == {"thresholds": Thresholds(max_rel=0.5, peak_tol=2.0), "by_precision": False}


def test_files_of_outcomes_are_checked_first(tmp_path: Path) -> None:
    """Folder, device, missing folder, a file that is there; standard output is none."""
    (tmp_path / "old").write_text("x")
    for flag in ("json", "html", "map"):
        for name, message in (
            (tmp_path, "is a folder: give the path of a file"),
            ("/dev/null", "is a device, pipe or socket: give the path of a regular file"),
            (tmp_path / "old", "exists already: --overwrite replaces it"),
            (tmp_path / "none" / "a", "does not exist"),
        ):
            with pytest.raises(errors.FileError) as caught:
                check_files(options_of(**{f"{flag}_file": str(name)}), [])
            assert str(caught.value).startswith(f"--{flag} {name}")
            assert message in str(caught.value)
    check_files(options_of(json_file="-", html_file=str(tmp_path / "new")), [])
    check_files(options_of(json_file=str(tmp_path / "old"), overwrite=True), [])


def pipeline_from(argv: str, pixel_size: float = 1e-4) -> derive.Pipeline:
    """The pipeline that options of noise describe; their errors are raised."""
    made: list[derive.Pipeline] = []

    @click.command()
    @noise_options
    def command(**options: Any) -> None:
        made.append(pipeline_of(options, pixel_size))

    done = CliRunner().invoke(command, argv.split(), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return made[0]


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("1.5", 1.5),
        ("1.5px", 1.5),
        ("1.5 px", 1.5),
        ("150um", 1.5),
        ("0.15mm", 1.5),
        ("0.00015m", 1.5),
        ("1.5e-4m", 1.5),
        (".15mm", 1.5),
        ("30.um", 0.3),
        ("123.456789um", 1.23456789),
    ],
)
@pytest.mark.parametrize("option", ["--psf-gauss", "--psf-fibre"])
def test_widths_in_any_unit(option: str, text: str, pixels: float) -> None:
    """Pixels, or lengths that are divided by the pixel's, to twelve digits."""
    made: list[Any] = []

    @click.command()
    @noise_options
    def command(**options: Any) -> None:
        made.append(pipeline_of(options, 1e-4))

    argv = [option, text, "--no-poisson"]
    assert CliRunner().invoke(command, argv, standalone_mode=False).exception is None
    assert made[0].steps[0].fwhm == pixels


@pytest.mark.parametrize("text", ["5km", "px", "1.5pxx", "wide", "1.5 5", "--5", "1e", "5PX"])
def test_widths_that_are_none(text: str) -> None:
    """What is allowed is shown."""
    with pytest.raises(click.BadParameter, match=r"is not a width such as 1\.5"):
        pipeline_from(f"--psf-gauss={text.replace(' ', '_')} --seed 1")


@pytest.mark.parametrize(
    ("text", "value"), [("0.03", 0.03), ("3%", 0.03), ("0", 0.0), ("150%", 1.5)]
)
@pytest.mark.parametrize(
    ("option", "field"),
    [("--flicker", "frame_rms"), ("--pixel-flicker", "pixel_rms"), ("--calibration", "rms")],
)
def test_shares(option: str, field: str, text: str, value: float) -> None:
    """Numbers or per cent."""
    made = pipeline_from(f"{option} {text} --no-poisson --seed 1")
    assert getattr(made.steps[0], field) == pytest.approx(value, rel=1e-15)


STEPS = {
    "--flicker 1%": "flicker",
    "--psf-gauss 2": "gaussian_psf",
    "--calibration 2%": "calibration",
    "--gain 2": "gain",
    "--readout 3": "readout",
    "--offset 4": "offset",
    "--integers": "rounding",
    "--saturation 99": "saturation",
}


@QUICK
@given(st.permutations(list(STEPS)), st.integers(0, len(STEPS)))
def test_steps_stand_in_the_order_of_a_detector(options: list[str], count: int) -> None:
    """Whatever the order of the words; photons are counted unless told otherwise."""
    chosen = options[:count]
    kinds = [step.kind for step in pipeline_from(" ".join([*chosen, "--seed", "1"])).steps]
    wanted = [kind for option, kind in STEPS.items() if option in chosen]
    assert kinds == [k for k in wanted if k == "flicker"] + ["poisson"] + [
        k for k in wanted if k != "flicker"
    ]


@pytest.mark.parametrize(
    ("argv", "needs"),
    [
        ("--no-poisson --gain 2", False),
        ("--no-poisson --psf-gauss 1 --offset 3 --integers", False),
        ("--gain 2", True),
        ("--no-poisson --readout 1", True),
        ("--no-poisson --calibration 1%", True),
        ("--no-poisson --calibration 1% --calibration-seed 3", False),
        ("--no-poisson --flicker 1%", True),
        ("--noise-rng c", True),
    ],
)
def test_when_a_seed_is_needed(argv: str, needs: bool) -> None:
    """Where something is drawn; a calibration may have its own."""
    if needs:
        with pytest.raises(click.UsageError, match="--seed is missing: give a whole number"):
            pipeline_from(argv)
    else:
        assert not pipeline_from(argv).random
    assert pipeline_from(f"{argv} --seed 5").seed == 5


def test_options_that_were_given() -> None:
    """As flags; a number that is 0 was given too."""
    made: list[list[str]] = []

    @click.command()
    @noise_options
    def command(**options: Any) -> None:
        made.append(given_options(options))

    argv = ["--readout", "1", "--seed", "0", "--no-poisson", "--psf-gauss", "2", "--offset", "0"]
    CliRunner().invoke(command, argv, standalone_mode=False)
    CliRunner().invoke(command, [], standalone_mode=False)
    wanted = ["--no-poisson", "--offset", "--psf-gauss", "--readout", "--seed"]
    assert sorted(made[0]) == wanted
    assert made[1] == []


def test_a_file_gives_seed_and_frame(tmp_path: Path) -> None:
    """Options may repeat them, or add what is not there; other numbers are refused."""
    path = tmp_path / "steps.toml"
    path.write_text('seed = 3\nframe = 7\nsteps = [{step = "poisson"}]\n')
    assert pipeline_from(f"--pipeline {path}") == derive.Pipeline((derive.Poisson(),), 3, 7)
    assert pipeline_from(f"--pipeline {path} --seed 3 --frame 7").frame == 7
    with pytest.raises(click.UsageError, match="leave out --offset or put it in the file"):
        pipeline_from(f"--pipeline {path} --offset 0")
    with pytest.raises(
        click.UsageError, match=r"--frame 8: .* has frame = 7; give it in one place"
    ):
        pipeline_from(f"--pipeline {path} --frame 8")
    path.write_text('steps = [{step = "poisson"}]\n')
    assert pipeline_from(f"--pipeline {path} --seed 9 --frame 2") == derive.Pipeline(
        (derive.Poisson(),), 9, 2
    )
    image = np.ones((3, 3), np.float32)
    plain = pipeline_from("--seed 9 --frame 2").apply(image)
    assert np.array_equal(
        pipeline_from(f"--pipeline {path} --seed 9 --frame 2").apply(image), plain
    )


def test_labels_of_bars_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold names of files, and go to the terminal as they are."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with bar("\x1b[31mx.bin", False) as progress:
        assert progress is not None
        progress(1, 1)
    assert "\\x1b[31mx.bin" in screen.getvalue()
    assert "\x1b[31m" not in screen.getvalue()
