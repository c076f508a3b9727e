"""The user's own nanoBragg arguments, made ready for a run of C in another directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nbdask.experiment import Experiment
from nbdask.flags.parse import Given, parse
from nbdask.parity.binary import UsersArgv

#: Input files by the field that they go to.
_NAMES = {
    "files.matrix": "orientation.mat",
    "files.hkl": "amplitudes.hkl",
    "files.dump": "amplitudes.bin",
    "files.sources": "sources.txt",
    "files.img": "header.img",
    "files.mask": "mask.img",
}


def verbatim(argv: Sequence[str], experiment: Experiment, base: Path | None = None) -> UsersArgv:
    """Return the arguments for C: as given, with links for files and an explicit seed.

    Left out are files to write, the region of interest (each run has its own), and what C itself
    ignores (unknown arguments, ``-curved_det`` as the last one).  The seed of a random misset
    is put before everything else, since C reads ``-misset_seed`` after ``-misset random`` as
    three angles.

    Parameters
    ----------
    argv : sequence of str
    experiment : Experiment
        What nbdask made of them.
    base : Path, optional
        Folder that relative paths start from; None: the working directory.
    """
    base = Path.cwd() if base is None else base
    kept: list[str] = []
    files: dict[str, str] = {}
    if experiment.crystal.misset == "random":
        kept += ["-misset_seed", str(experiment.crystal.misset_seed)]
    for given in parse(argv, ignore_unknown=True):
        kept += _kept(given, files, base)
    return UsersArgv(tuple(kept), tuple(files.items()))


def _kept(given: Given, files: dict[str, str], base: Path) -> tuple[str, ...]:
    """Return the arguments of one flag that C is given; note its file."""
    flag = given.flag
    if flag.special in ("roi", "misset_seed") or flag.group == "Output":
        return ()
    if flag.special == "curved" and given.following == 0:
        return ()
    target = flag.targets[0] if flag.targets else ""
    name = _NAMES.get(target)
    if name is None:
        return given.argv
    path = os.path.abspath(base / str(given.values[0]))
    if target == "files.dump" and not os.path.isfile(path):
        # With -hkl it names a file to write, which is of no interest here.
        return ()
    files[name] = path
    return (given.argv[0], name)
