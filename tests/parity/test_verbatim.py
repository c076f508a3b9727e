"""The user's own words, made ready for C."""

from __future__ import annotations

from pathlib import Path

from nbdask.flags import parse_args
from nbdask.parity.binary import UsersArgv
from nbdask.parity.verbatim import verbatim
from tests.helpers import GOLDEN

INPUTS = GOLDEN / "inputs"


def ready(text: str) -> UsersArgv:
    """UsersArgv for C from a command line."""
    argv = text.split()
    return verbatim(argv, parse_args(argv, base_dir=INPUTS).experiment, INPUTS)


def test_arguments_stay_as_they_are_typed() -> None:
    """Longer spellings, unused flags and odd numbers too."""
    text = "-cell 70 80 90 -default_F 1e2 -lambda 1.0 -mosaic_spread 0.50 -coherent -density 1.2"
    assert ready(text) == UsersArgv(tuple(text.split()), ())


def test_files_get_short_names_and_outputs_go() -> None:
    """C reads links in its own directory, and writes nothing but the image that it is told to."""
    found = ready("-mat tilted.mat -hkl block.hkl -floatfile x.bin -roi 1 2 3 4 -noisefile n.img")
    assert found.argv == ("-mat", "orientation.mat", "-hkl", "amplitudes.hkl")
    assert dict(found.files) == {
        "orientation.mat": str(INPUTS / "tilted.mat"),
        "amplitudes.hkl": str(INPUTS / "block.hkl"),
    }


def test_seed_of_a_random_misset_is_explicit_and_first() -> None:
    """From the clock or behind ``-misset random``: C must read the seed that nbdask used."""
    found = ready("-cell 70 -default_F 1 -misset random -misset_seed 5 -N 5 -lambda 1").argv
    assert found[:2] == ("-misset_seed", "5")
    assert found.count("-misset_seed") == 1
    clock = ready("-cell 70 -default_F 1 -misset random").argv
    assert clock[0] == "-misset_seed"
    assert int(clock[1]) > 0


def test_last_argument_that_c_ignores_is_left_out() -> None:
    """UsersArgv that are added behind it would bring it to life."""
    assert "-curved_det" not in ready("-cell 70 -default_F 1 -curved_det").argv
    assert "-curved_det" in ready("-cell 70 -default_F 1 -curved_det -N 3").argv


def test_dump_that_would_be_written_is_left_out(tmp_path: Path) -> None:
    """With -hkl, -dump names an output."""
    assert "-dump" not in ready("-mat tilted.mat -hkl block.hkl -dump new.bin").argv
