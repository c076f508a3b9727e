"""Every command's help, its wrong options, and how errors of every kind end."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import click
import pytest

from nbdask.cli.groups import FIRST, GROUPS, GroupedCommand
from nbdask.cli.main import SUBCOMMANDS, main
from nbdask.errors import BackendError, ClusterError, FieldError, NbdaskError, StoreError
from nbdask.version import __version__

Captured = pytest.CaptureFixture[str]


def command_of(name: str) -> click.Command:
    """The click command of a subcommand."""
    command = importlib.import_module(f"nbdask.cli.{name}").command
    assert isinstance(command, click.Command)
    return command


def options_of(name: str) -> list[click.Option]:
    """Its options, without --help."""
    return [param for param in command_of(name).params if isinstance(param, click.Option)]


@pytest.mark.parametrize("word", ["--help", "-h"])
@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_every_command(name: str, word: str, capsys: Captured) -> None:
    """On standard output, exit code 0: how it is called, what it does, all options."""
    assert main([name, word]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"Usage: nbdask {name} ")
    text = " ".join(said.out.split())
    first = (command_of(name).help or "").partition("\n\n")[0]
    assert " ".join(first.split()) in text
    assert "<=None" not in text
    assert said.out.replace("\n", "").isprintable()
    for option in options_of(name):
        assert any(spelling in text for spelling in option.opts), option.name
    # Examples below the options are lines to copy, and are not broken.
    shown = said.out.partition("  -h, --help")[0]
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "-\n" not in shown  # no option is broken at a hyphen


#: Command -> most lines of its help: what is needed first stands on a page or two.
MOST_LINES = dict.fromkeys(SUBCOMMANDS, 65) | {
    "simulate": 133,
    "parity": 110,
    "noise": 70,
    "fit": 80,
}


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_is_short_and_grouped(name: str, capsys: Captured) -> None:
    """Groups have the same names and order in every command; what is long stands behind a word."""
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= MOST_LINES[name]
    command = command_of(name)
    assert isinstance(command, GroupedCommand)
    titles = list(command.grouped())
    assert titles == [title for title in ("Options", *GROUPS) if title in titles]
    left = [title for title in titles if f"\n{title}:\n" not in text]
    for title in left:
        assert main([name, f"--help-{title.lower()}"]) == 0
        part = capsys.readouterr().out
        assert f"\n{title}:\n" in part
        assert all(option.opts[0] in part for option in command.grouped()[title])
    if left:
        assert main([name, "--help-all"]) == 0
        whole = capsys.readouterr().out
        assert [line[:-1] for line in whole.splitlines() if re.match("[A-Z].*:$", line)] == titles


def test_simulate_names_first_what_is_needed_first(capsys: Captured) -> None:
    """Nine flags of nanoBragg, where amplitudes come from, and --out, no option without a group."""
    assert main(["simulate", "--help"]) == 0
    text = capsys.readouterr().out
    first = text.partition("First needed")[2].partition("\n\n")[0]
    for flag in (*FIRST, "--model", "--reflections", "--out"):
        assert f"\n  {flag} " in first
        assert text.count(f"\n  {flag} ") == (2 if flag == "--out" else 1)
    assert "Options" not in command_of("simulate").grouped()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_option_is_explained(name: str) -> None:
    """In a sentence that ends, and no two options share a name."""
    spellings: list[str] = []
    for option in options_of(name):
        assert option.help, option.name
        assert option.help.rstrip().endswith((".", "]", ")")), option.help
        spellings += option.opts + option.secondary_opts
    assert len(spellings) == len(set(spellings))
    assert all(spelling.startswith("--") or spelling in ("-o", "-v") for spelling in spellings)


def test_help_of_the_program(capsys: Captured) -> None:
    """All commands with what they do; without a word the same; the version."""
    texts = []
    for argv in (["--help"], ["-h"], []):
        assert main(argv) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    for name, what in SUBCOMMANDS.items():
        for text in texts:
            assert name in text
            assert what.partition(" ")[0] in text
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


#: Command -> words of a call that lacks nothing but what is tested.
ARGUMENTS = {
    "simulate": [],
    "info": ["a.zarr"],
    "export": ["a.zarr", "a.img"],
    "noise": ["a.zarr"],
    "verify": ["a.zarr"],
    "repair": ["a.zarr"],
    "status": ["a.zarr"],
    "finish": ["a.zarr"],
    "preview": ["a.zarr"],
    "view": ["a.zarr"],
    "pyramid": ["a.zarr"],
    "truth": ["a.zarr"],
    "parity": ["a.zarr"],
    "compare": ["a.npy", "b.npy"],
    "example": [],
    "flags": [],
    "geometry": ["a.geom"],
    "trace": ["1", "2", "a.zarr"],
    "calibrate": [],
    "completion": ["bash"],
    "manual": [],
    "parameters": [],
    "fit": ["a.npy"],
    "amplitudes": ["a.pdb"],
}


def one_line(capsys: Captured) -> str:
    """The error, which is all that was said."""
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("nbdask: error: ")
    return said.err


def test_all_commands_are_tested() -> None:
    """A new one has its words above."""
    assert set(ARGUMENTS) == set(SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_unknown_options(name: str, capsys: Captured, monkeypatch, tmp_path: Path) -> None:
    """Refused in a line that says where the known ones are; nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert main([name, *ARGUMENTS[name], "--frobnicate"]) == 2
    assert "no such option: --frobnicate" in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


SPELT = [
    (name, option.opts[0])
    for name in SUBCOMMANDS
    for option in options_of(name)
    if len(option.opts[0]) > 6
]


@pytest.mark.parametrize(("name", "spelling"), SPELT, ids=lambda x: x)
def test_every_option_is_suggested(
    name: str, spelling: str, capsys: Captured, monkeypatch, tmp_path: Path
) -> None:
    """With two letters swapped, and without a value: the right one is named."""
    monkeypatch.chdir(tmp_path)
    middle = len(spelling) // 2 + 1
    wrong = spelling[:middle] + spelling[middle + 1] + spelling[middle] + spelling[middle + 2 :]
    if wrong == spelling or any(wrong in option.opts for option in options_of(name)):
        wrong = spelling + "x"
    assert main([name, *ARGUMENTS[name], wrong]) == 2
    said = one_line(capsys)
    assert f"no such option: {wrong} (did you mean --" in said
    assert spelling in said


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("simulat", "Did you mean simulate?"),
        ("exprot", "Did you mean export?"),
        ("veiw", "Did you mean view?"),
        ("INFO", "Did you mean info?"),
        ("piramid", "Did you mean pyramid?"),
        ("qqqq", "Commands: simulate, info, export"),
    ],
)
def test_commands_that_there_are_not(word: str, hint: str, capsys: Captured) -> None:
    """The nearest, or all of them."""
    assert main([word]) == 2
    said = one_line(capsys)
    assert f"no such command '{word}'" in said
    assert hint in said


@pytest.mark.parametrize("flag", ["-cell", "-lambda", "-x"])
def test_flags_without_a_command(flag: str, capsys: Captured) -> None:
    """They belong to simulate."""
    assert main([flag, "1"]) == 2
    assert f"write nbdask simulate {flag} ..." in one_line(capsys)


@pytest.mark.parametrize(
    "name", ["info", "verify", "repair", "preview", "view", "pyramid", "noise"]
)
def test_the_store_is_missing(name: str, capsys: Captured) -> None:
    """It is named."""
    assert main([name]) == 2
    assert "Missing argument 'STORE" in one_line(capsys)


@pytest.mark.parametrize("name", ["info", "verify", "repair", "pyramid"])
@pytest.mark.parametrize("store", ["none.zarr", "folder", "file", ""])
def test_what_is_no_store(
    name: str, store: str, capsys: Captured, monkeypatch, tmp_path: Path
) -> None:
    """Missing, an empty folder, a file, an empty name: one line, exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    assert main([name, store]) == 2
    said = one_line(capsys)
    assert store in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert list((tmp_path / "folder").iterdir()) == []


def raising(error: BaseException) -> click.Command:
    """A command that ends with an error."""

    @click.command(name="flags")
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StoreError("no store"), 2, "nbdask: error: no store"),
        (ClusterError("two\n  lines"), 2, "nbdask: error: two lines"),
        (BackendError("none"), 2, "nbdask: error: none"),
        (click.UsageError("words"), 2, "nbdask: error: words"),
        (KeyboardInterrupt(), 130, "nbdask: interrupted"),
        (click.Abort(), 130, "nbdask: interrupted"),
        (OSError(28, "No space left on device", "a.bin"), 1, "a.bin: No space left on device"),
        (OSError(5, "Input/output error"), 1, "nbdask: error: system: Input/output error"),
        (FieldError("beam.wavelength", -1.0, "above 0"), 2, "-lambda (-1.0): must be above 0"),
        (FieldError("some.thing", 3, "less"), 2, "some.thing = 3: must be less"),
    ],
)
def test_how_errors_end(
    error: BaseException, code: int, line: str, capsys: Captured, monkeypatch
) -> None:
    """One line on standard error, with the code of its kind; fields by their flag."""
    monkeypatch.setattr("nbdask.cli.flags.command", raising(error))
    assert main(["flags"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip().count("\n") == 0
    assert line in said.err


def test_an_error_may_have_its_own_code(capsys: Captured, monkeypatch) -> None:
    """As those of traces and comparisons have."""
    error = NbdaskError("own")
    error.exit_code = 7
    monkeypatch.setattr("nbdask.cli.flags.command", raising(error))
    assert main(["flags"]) == 7
    assert one_line(capsys) == "nbdask: error: own\n"


def test_mistakes_of_the_program_are_not_hidden(monkeypatch) -> None:
    """A traceback is what helps there."""
    monkeypatch.setattr("nbdask.cli.flags.command", raising(ZeroDivisionError("x")))
    with pytest.raises(ZeroDivisionError):
        main(["flags"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["calibrate", "--backend", "fortran"], "'fortran' is not one of"),
        (["view", "a.zarr", "--port", "0"], "0 is not in the range 1<=x<=65535"),
        (["view", "a.zarr", "--port", "x"], "'x': must be a whole number"),
        (["verify", "a.zarr", "--recompute", "-1"], "-1 is not in the range x>=0"),
        (["verify", "a.zarr", "--threads", "0"], "0 is not in the range x>=1"),
        (["repair", "a.zarr", "--threads", "many"], "'many': must be a whole number"),
        (["pyramid", "a.zarr", "--kind", "least"], "'least' is not one of 'both', 'max', 'mean'"),
        (["preview", "a.zarr", "-o", "a.png", "--axes", "inch"], "is not one of 'pixels', 'mm'"),
        (["preview", "a.zarr", "-o", "a.png", "--roi", "1", "2"], "requires 4 arguments"),
        (["export", "a.zarr", "a.img", "--scale", "big"], "'big': must be a finite number"),
        (["export", "a.zarr", "a.img", "--seed", "1.5"], "'1.5': must be a whole number"),
        (["trace", "x", "2", "a.zarr"], "x"),
        (["trace", "1"], "FAST"),
        (["compare", "a.npy"], "Missing argument 'REFERENCE'"),
        (["info", "a.zarr", "b.zarr"], "unexpected extra argument (b.zarr)"),
        (["flags", "extraordinary"], "no flag has to do with extraordinary: nbdask flags lists"),
        (["example", "--png", "none/a.png"], "--png none/a.png: the folder "),
    ],
)
def test_values_that_are_refused(
    argv: list[str], message: str, capsys: Captured, monkeypatch, tmp_path: Path
) -> None:
    """One line with what was given; exit code 2; nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert message in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_examples_are_listed(capsys: Captured, monkeypatch, tmp_path: Path) -> None:
    """One name a line, each of which can be asked for; nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert main(["example", "--list"]) == 0
    names = capsys.readouterr().out.split()
    assert len(names) == len(set(names)) >= 1
    assert main(["example", "unobtainium"]) == 2
    said = one_line(capsys)
    assert all(name in said for name in names)
    assert list(tmp_path.iterdir()) == []


def test_flags_are_listed(capsys: Captured) -> None:
    """Every group, and the flags that simulations use most."""
    assert main(["flags"]) == 0
    text = capsys.readouterr().out
    for flag in ("-cell", "-hkl", "-lambda", "-distance", "-detpixels", "-N", "-floatfile"):
        assert flag in text


def test_flags_of_a_word(capsys: Captured) -> None:
    """Only those with all words, whatever their capitals, under their group."""
    assert main(["flags", "Beam", "mm"]) == 0
    text = capsys.readouterr().out
    assert "-Xbeam" in text
    assert "-hkl" not in text
    assert text.startswith("Beam:\n") or "\nDetector:\n" in text
    assert main(["flags", "beam", "centre"]) == 0  # the example of the help
    text = capsys.readouterr().out
    assert {"-Xbeam", "-Ybeam"} <= set(text.split())
    assert main(["flags", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert {"-cell", "-hkl"} <= {name for row in table for name in row["flags"]}
    assert next(row for row in table if "-N" in row["flags"])["values"] == ["n"]
