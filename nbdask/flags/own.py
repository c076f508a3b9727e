"""What nbdask's own options say of beam and crystal, which no flag of nanoBragg can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nbdask.errors import FieldError
from nbdask.flags.builder import Builder
from nbdask.flags.diffuse import DIFFUSE, set_diffuse
from nbdask.flags.spectrum import set_spectrum
from nbdask.flags.surroundings import set_materials, set_shadows


@dataclass(frozen=True, slots=True)
class Own:
    """Options as they were given; None: not given.

    Parameters
    ----------
    spectrum : str or None
        The beam's spectrum: a file, or a formula such as ``"gauss:20eV"``.
    spectrum_seed : int or None
        Of the random numbers of a SASE spectrum.
    background : tuple of str
        Amorphous materials, such as ``"water:0.1mm"``.
    beamstop : str or None
        Radius of a beam stop's shadow, and its place beside the beam [mm].
    shadow : str or None
        NumPy file of transmissions.
    diffuse_gamma, diffuse_sigma : str or None
        Lengths of liquid-like motion [Angstrom]: one, or three along the axes of the cell's frame.
    diffuse_stencil : int or None
        Reciprocal cells that halos reach.
    diffuse_laue : str or None
        Group whose Laue symmetry diffuse scattering has.
    diffuse_scale : str or None
        A factor, or ``"physical"``.
    """

    spectrum: str | None = None
    spectrum_seed: int | None = None
    background: tuple[str, ...] = ()
    beamstop: str | None = None
    shadow: str | None = None
    diffuse_gamma: str | None = None
    diffuse_sigma: str | None = None
    diffuse_stencil: int | None = None
    diffuse_laue: str | None = None
    diffuse_scale: str | None = None


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
    set_materials(builder, own.background, use)
    set_shadows(builder, own.beamstop, own.shadow, use)
    asked = {item.name: getattr(own, item.name) for item in fields(own)}
    set_diffuse(builder, {name: asked[name] for name in DIFFUSE})


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
    if "background" in found:
        found["background"] = _texts(found["background"], prefix)
    for name, value in found.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        whole = "int" not in Own.__annotations__[name] or isinstance(value, int)
        if name == "background":
            continue
        if not (isinstance(value, str) if OWN[name] else number and whole):
            kind = "a text" if OWN[name] else "a number"
            raise FieldError(f"{prefix}.{name}", value, kind)
    return Own(**found)


def _texts(given: object, prefix: str) -> tuple[str, ...]:
    """Return the texts that describe amorphous materials."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) for text in given):
        raise FieldError(f"{prefix}.background", given, 'a list such as ["water:0.1mm"]')
    return tuple(given)
