"""Completion in shells, and the manual page: all commands, options and flags are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nbdask.cli.main import SUBCOMMANDS, main
from nbdask.cli.manual import EXIT_CODES
from nbdask.flags.table import TABLE
from tests.cli.test_help import options_of

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


def script(shell: str, capsys: Captured) -> str:
    """What the command prints."""
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["sim"], {"simulate"}),
        (["simulate", "-lam"], {"-lambda"}),
        (["simulate", "--help-c"], {"--help-cluster"}),
        (["--v"], {"--version"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["simulate", "--semantics", "s"], {"spec"}),
        (["simulate", "--backend", ""], {"auto", "cpu", "cuda", "numpy"}),
        (["info", "-lam"], set()),
        (["info", "--j"], {"--json"}),
        (["parity", "a.zarr", "--", "-default"], {"-default_F"}),
        (["simulate", "file"], set()),
    ],
)
def test_bash_completes(typed: list[str], found: set[str], capsys: Captured) -> None:
    """As bash calls the function: the words so far, the last one begun."""
    words = " ".join(f"'{word}'" for word in ["nbdask", *typed])
    code = (
        f"{script('bash', capsys)}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _nbdask"
        '\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert set(done.stdout.split()) == found


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["sim"], ["simulate"]),
        (["simulate", "-lam"], ["-lambda"]),
        (["simulate", "--semantics", "s"], ["spec"]),
        (["completion", "f"], ["fish"]),
        (["--v"], ["--version"]),
    ],
)
def test_zsh_completes(
    typed: list[str], found: list[str], tmp_path: Path, capsys: Captured
) -> None:
    """From the first time on, when zsh has yet to load the file; ``compadd`` stands for zsh's."""
    (tmp_path / "_nbdask").write_text(script("zsh", capsys))
    words = " ".join(f"'{word}'" for word in ["nbdask", *typed])
    code = (
        f"fpath=({tmp_path}); autoload -U _nbdask; words=({words}); CURRENT={len(typed) + 1}\n"
        'compadd() { shift; for word; do [[ $word == "${words[CURRENT]}"* ]] && print -r -- $word;'
        " done }; _files() { }; _nbdask; return 0"
    )
    done = subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split() == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_everything_is_listed(shell: str, capsys: Captured) -> None:
    """Each command, its options and nanoBragg's flags; a shell that is there can read it."""
    text = script(shell, capsys)
    for name in SUBCOMMANDS:
        assert name in text
        for option in options_of(name):
            spelt = option.opts[-1] if shell != "fish" else f"-l {option.opts[-1][2:]} "
            assert spelt in text
    for flag in TABLE:
        assert all((name if shell != "fish" else f" {name[1:]} ") in text for name in flag.names)
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_manual_page(capsys: Captured) -> None:
    """All commands, options, flags and exit codes; troff, where it is there, finds no fault."""
    assert main(["manual"]) == 0
    page = capsys.readouterr().out
    plain = page.replace("\\-", "-")
    for name in SUBCOMMANDS:
        assert f".SS nbdask {name}\n" in page
        assert all(option.opts[0] in plain for option in options_of(name))
    assert all(f".B {flag.usage}\n" in plain for flag in TABLE)
    known = r"\.(TH|SH|SS|TP|PP|B|I)\b"
    assert all(re.match(known, line) for line in page.splitlines() if line.startswith("."))
    if shutil.which("groff"):
        done = subprocess.run(
            ["groff", "-man", "-ww", "-Tascii"], input=page, capture_output=True, text=True
        )
        assert done.stderr == ""


def test_exit_codes_are_those_of_the_page() -> None:
    """docs/exit-codes.md lists the same numbers."""
    text = (ROOT / "docs" / "exit-codes.md").read_text()
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == list(EXIT_CODES)
