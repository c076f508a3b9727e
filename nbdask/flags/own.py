"""What nbdask's own options say of beam and crystal, which no flag of nanoBragg can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nbdask.errors import FieldError
from nbdask.flags.builder import Builder
from nbdask.flags.spectrum import set_spectrum


@dataclass(frozen=True, slots=True)
class Own:
    """Options as they were given; None: not given.

    Parameters
    ----------
    spectrum : str or None
        The beam's spectrum: a file, or a formula such as ``"gauss:20eV"``.
    spectrum_seed : int or None
        Of the random numbers of a SASE spectrum.
    """

    spectrum: str | None = None
    spectrum_seed: int | None = None


def set_own(builder: Builder, own: Own, use: Callable[[str], str]) -> None:
    """Set what the options say.

    Parameters
    ----------
    builder : Builder
    own : Own
    use : callable
        Makes the absolute path of a file.

    Raises
    ------
    FlagError, InputFileError
        Options that are malformed, or contradict others.
    """
    set_spectrum(builder, own.spectrum, own.spectrum_seed, use)


#: Name -> whether its value is a text (or else a number).
OWN = {item.name: "str" in str(item.type) for item in fields(Own)}


def own_of(table: Mapping[str, Any], prefix: str) -> Own:
    """Return the options that a table holds among others.

    Raises
    ------
    FieldError
        A value of the wrong kind.
    """
    found = {name: table[name] for name in OWN if table.get(name) is not None}
    for name, value in found.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        whole = "int" not in Own.__annotations__[name] or isinstance(value, int)
        if not (isinstance(value, str) if OWN[name] else number and whole):
            kind = "a text" if OWN[name] else "a number"
            raise FieldError(f"{prefix}.{name}", value, kind)
    return Own(**found)
