"""A C program that plays back recorded runs, small stores, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbdask.cli.main import main
from nbdask.flags import parse_args
from nbdask.parity.binary import VARIABLE
from nbdask.run import simulate
from tests.helpers import GOLDEN, golden_cases

REPLAY = Path(__file__).parent / "recorded" / "replay.py"

#: Makes an executable script in a folder from lines of shell, and returns its path.
Script = Callable[[str], str]
#: Runs nbdask on words and returns exit code, standard output, standard error.
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return what makes a stand-in for the C program from a few lines of shell."""

    def make(body: str) -> str:
        path = tmp_path / "program"
        # Written by a process of its own: a thread that starts another program meanwhile would
        # hand the open file on, and the system refuses to run a file that is open for writing.
        text = f"#!/bin/sh\n{body}\n"
        subprocess.run(["sh", "-c", 'cat > "$1"', "sh", path], input=text, text=True, check=True)
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def recorded(script: Script, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a program that plays back runs of nanoBragg C, which NB_C_BIN names too."""
    path = script(f'exec "{sys.executable}" -IS "{REPLAY}" "$@"')
    monkeypatch.setenv(VARIABLE, path)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the command line in this process."""

    def call(*argv: str | os.PathLike[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([os.fspath(word) for word in argv])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """Return what simulates a golden case into a small store, in tiles of 16 pixels."""

    def make(case: str, semantics: str = "c") -> Path:
        argv = golden_cases()[case].split()
        experiment = parse_args(argv, base_dir=GOLDEN / "inputs", semantics=semantics).experiment
        out = tmp_path / f"{case}-{semantics}.zarr"
        simulate(experiment, out, backend="numpy", tile=16, threads=2)
        return out

    return make
