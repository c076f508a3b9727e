"""``--crystals``: a file of several crystals, each with flags of its own, and a weight."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from nbdask.amplitudes.request import Request
from nbdask.errors import FieldError, FlagError, InputError, counted
from nbdask.experiment.lattice import Lattice
from nbdask.flags.parse import parse as parse_words
from nbdask.flags.parsed import Parsed
from nbdask.flags.request import request_of
from nbdask.inputs.toml import read_toml

_WHAT = "crystals, each a table [[crystals]] with flags and weight"
_KEYS = ("flags", "weight", "amplitudes")
#: Groups of the flags that a crystal may have.
_GROUPS = ("Crystal", "Structure factors")
#: Most crystals that are believed to be meant.
_MOST = 1000


def parse_crystals(path: str, parse: Callable[[Sequence[str], Request | None], Parsed]) -> Parsed:
    """Return an experiment with the crystals of a file.

    Parameters
    ----------
    path : str
        TOML: tables ``[[crystals]]`` with ``flags`` (nanoBragg's, of crystal and amplitudes),
        ``weight`` (1) and ``amplitudes`` (options of a model or a reflection file).
    parse : callable
        Parses the command line with the flags of one crystal after it, and its amplitudes.

    Raises
    ------
    FieldError, FlagError, InputFileError
        A malformed file, flags that set anything but the crystal and its amplitudes, or what
        parsing raises.
    """
    table = read_toml(path, _WHAT)
    entries = table.get("crystals")
    if set(table) != {"crystals"} or not isinstance(entries, list) or not entries:
        raise FlagError(f"--crystals {path}: must be {_WHAT}, and nothing else")
    if len(entries) > _MOST:
        raise FlagError(f"--crystals {path}: {len(entries)} crystals: must be at most {_MOST}")
    found = [
        _one(f"--crystals {path}: crystal {number}", entry, parse)
        for number, entry in enumerate(entries, 1)
    ]
    (first, weight), others = found[0], found[1:]
    base = first.experiment
    notes, files = dict.fromkeys(first.notes), dict.fromkeys([*first.files, path])
    lattices = []
    for number, (other, share) in enumerate(others, 2):
        experiment = other.experiment
        if experiment.replace(crystal=base.crystal, structure=base.structure) != base:
            raise FlagError(
                f"--crystals {path}: crystal {number}: its flags must be those of the crystal and"
                " its amplitudes; put what the beam and the detector need on the command line"
            )
        same = experiment.structure == base.structure
        structure = None if same else experiment.structure
        lattices.append(Lattice(experiment.crystal, share, structure))
        notes.update(dict.fromkeys(other.notes))
        files.update(dict.fromkeys(other.files))
    try:
        whole = base.replace(lattices=tuple(lattices), weight=weight)
    except FieldError as error:
        raise FlagError(f"--crystals {path}: {error}") from None
    weights = " ".join(f"{share:g}" for _, share in found)
    told = f"--crystals {path}: {counted(len(found), 'crystal')}, weights {weights}"
    return Parsed(whole, first.outputs, (told, *notes), tuple(files))


def _one(
    where: str, entry: Any, parse: Callable[[Sequence[str], Request | None], Parsed]
) -> tuple[Parsed, float]:
    """Return what one crystal's table says, and its weight."""
    if not isinstance(entry, dict) or any(key not in _KEYS for key in entry):
        raise FlagError(f"{where}: must be a table with the keys {', '.join(_KEYS)}")
    weight = entry.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0.0 <= weight < 1e30:
        raise FlagError(f"{where}: weight = {weight!r}: must be a number of at least 0")
    try:
        words = shlex.split(entry.get("flags", ""))
    except (ValueError, AttributeError, TypeError):
        raise FlagError(f"{where}: flags: must be nanoBragg's flags as one text") from None
    try:
        for given in parse_words(words, ignore_unknown=True):
            if given.flag.group not in _GROUPS:
                raise FlagError(
                    "its flags must be those of the crystal and its amplitudes; put"
                    f" {given.text} on the command line"
                )
        asked = request_of(entry.get("amplitudes"), "amplitudes")
        return parse(words, asked), float(weight)
    except InputError as error:
        raise FlagError(f"{where}: {error}") from None
