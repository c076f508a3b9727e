"""-v, -vv, --log-file and --quiet, which every command has."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from nbdask.cli.main import SUBCOMMANDS, main
from tests.cli.test_help import options_of

Captured = pytest.CaptureFixture[str]
FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 16 -pixel 3 -oversample 1"
GOOD = ["simulate", *FLAGS.split()]
ROOT = logging.getLogger("nbdask")


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_command_has_them(name: str) -> None:
    """By the same names."""
    spellings = {spelling for option in options_of(name) for spelling in option.opts}
    assert {"-v", "--verbose", "--log-file", "--quiet"} <= spellings


def test_steps_and_details(tmp_path: Path, capsys: Captured) -> None:
    """-v tells steps by folder, -vv tiles too, with times; no handler stays behind."""
    before = list(ROOT.handlers)
    assert main([*GOOD, "--tile", "8", "--out", str(tmp_path / "a.zarr"), "-v"]) == 0
    said = capsys.readouterr().err
    assert "nbdask: flags: flags: -cell 70" in said
    assert "nbdask: fill: 4 of 4 tiles to compute" in said
    assert "tile 0 done" not in said
    assert main([*GOOD, "--tile", "8", "--out", str(tmp_path / "b.zarr"), "-vv"]) == 0
    assert " s fill: tile " in capsys.readouterr().err
    assert main([*GOOD, "--dry-run"]) == 0
    assert "flags: -cell" not in capsys.readouterr().err
    assert ROOT.handlers == before


def test_a_log_file_holds_everything(tmp_path: Path, capsys: Captured) -> None:
    """Details, notes and errors, without a word more on the screen; it is appended to."""
    log = tmp_path / "log.txt"
    assert main([*GOOD, "--dry-run", "--log-file", str(log)]) == 0
    (note,) = (x for x in capsys.readouterr().err.splitlines() if "note: -cell: the angles" in x)
    assert main([*GOOD, "--out", "", "-N", "x", "--log-file", str(log)]) == 2
    text = log.read_text()
    assert "DEBUG nbdask.prepare: plan: tiles" in text
    assert f"INFO nbdask.cli: {note.removeprefix('nbdask: ')}" in text
    assert "ERROR nbdask.cli: -N: n is 'x': must be a whole number" in text


@pytest.mark.parametrize("place", ["none/log.txt", ".", "a.zarr/log.txt"])
def test_log_files_that_cannot_be(
    place: str, tmp_path: Path, capsys: Captured, monkeypatch
) -> None:
    """Refused before anything else is done."""
    monkeypatch.chdir(tmp_path)
    if place.startswith("a.zarr"):
        assert main([*GOOD, "--out", "a.zarr"]) == 0
        capsys.readouterr()
    assert main([*GOOD, "--out", "b.zarr", "--log-file", place]) == 2
    assert f"error: --log-file {place}" in capsys.readouterr().err
    assert not (tmp_path / "b.zarr").exists()


def test_errors_are_printed_once() -> None:
    """In a process of its own, whose loggers have no handlers."""
    done = subprocess.run(
        [sys.executable, "-m", "nbdask", "simulat"], capture_output=True, text=True, check=False
    )
    assert done.stderr.count("no such command") == 1


def test_quiet_leaves_notes_out(capsys: Captured) -> None:
    """Also of commands that had no such option of their own."""
    argv = ["parameters", *FLAGS.split(), "-wavelength", "1"]
    assert main(argv) == 0
    loud = capsys.readouterr()
    assert "note:" in loud.err
    assert main([*argv, "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert quiet.out == loud.out
