"""What nbdask's own options say of beam and crystal, which no flag of nanoBragg can."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nbdask.errors import FieldError, FlagError
from nbdask.experiment.sampling import AUTO
from nbdask.flags.builder import Builder
from nbdask.flags.diffuse import DIFFUSE, set_diffuse
from nbdask.flags.mosaic import set_mosaic
from nbdask.flags.spectrum import set_spectrum
from nbdask.flags.surroundings import set_materials, set_shadows
from nbdask.units import from_angstrom, from_degrees


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
    mosaic : float or None
        Spread of mosaic domains [degrees], as nanoBragg's -mosaic.
    mosaic_model : str or None
        ``"cap"``, ``"gauss"`` or ``"gauss:A,B,C"`` [degrees].
    domains : str or None
        ``"N"``, ``"sobol:N"``, ``"auto:ERROR"`` or a file.
    cells_matrix : tuple of 9 floats or None
        Cells of a gauss crystal, row by row.
    shape : str or None
        Of the crystal, nanoBragg's or ``"spherical"``.
    centring : str or None
        Of the cell, for spherical spots; None: that of a model's or list's space group, else P.
    b_factor : float or None
        B [Angstrom^2] of a factor on amplitudes.
    scale : float or None
        Factor on amplitudes.
    diffuse_gamma, diffuse_sigma : str or None
        Lengths of liquid-like motion [Angstrom]: one, or three along the axes of the cell's frame.
    diffuse_stencil : int or None
        Reciprocal cells that halos reach.
    diffuse_laue : str or None
        Group whose Laue symmetry diffuse scattering has.
    diffuse_scale : str or None
        A factor, or ``"physical"``.
    crystals : str or None
        File of several crystals.
    cutoff : str or None
        Photons that a pixel may lack, or ``"auto"``; a TOML file may hold a number.
    """

    spectrum: str | None = None
    spectrum_seed: int | None = None
    background: tuple[str, ...] = ()
    beamstop: str | None = None
    shadow: str | None = None
    mosaic: float | None = None
    mosaic_model: str | None = None
    domains: str | None = None
    cells_matrix: tuple[float, ...] | None = None
    shape: str | None = None
    centring: str | None = None
    b_factor: float | None = None
    scale: float | None = None
    diffuse_gamma: str | None = None
    diffuse_sigma: str | None = None
    diffuse_stencil: int | None = None
    diffuse_laue: str | None = None
    diffuse_scale: str | None = None
    crystals: str | None = None
    cutoff: str | None = None


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
    if own.mosaic is not None:
        origin = f"--mosaic {own.mosaic:g}"
        if builder.get("crystal.mosaic_spread") is not None:
            raise FlagError(
                f"{origin}: leave out beside {builder.origins['crystal.mosaic_spread']}"
            )
        builder.set("crystal.mosaic_spread", from_degrees(own.mosaic), origin)
    set_mosaic(builder, own.mosaic_model, own.domains, use)
    if own.shape is not None:
        builder.set("crystal.shape", own.shape, f"--shape {own.shape}")
    if own.centring is not None:
        origin = f"--centring {own.centring}"
        if builder.get("crystal.shape") != "spherical":
            raise FlagError(f"{origin}: needs --shape spherical")
        builder.set("crystal.centring", own.centring, origin)
    if own.b_factor is not None:
        value = from_angstrom(from_angstrom(own.b_factor))
        builder.set("structure.b_factor", value, f"--b-factor {own.b_factor:g}")
    if own.scale is not None:
        builder.set("structure.scale", own.scale, f"--scale {own.scale:g}")
    if own.cutoff is not None:
        set_cutoff(builder, own.cutoff)
    if own.cells_matrix is not None:
        text = " ".join(f"{x:g}" for x in own.cells_matrix)
        for field in ("n_cells.0", "n_cells.1", "n_cells.2", "size.0", "size.1", "size.2"):
            if builder.get(f"crystal.{field}") is not None:
                given = builder.origins[f"crystal.{field}"]
                raise FlagError(f"{given}: leave out beside --cells-matrix")
        builder.set("crystal.cells_matrix", own.cells_matrix, f"--cells-matrix {text}")


def set_cutoff(builder: Builder, text: str) -> None:
    """Set what each pixel may lack: photons, or what follows from the background."""
    origin = f"--cutoff {text}"
    if text == AUTO:
        builder.set("sampling.cutoff", AUTO, origin)
        return
    try:
        photons = float(text)
    except ValueError:
        raise FlagError(f'{origin}: must be a number of photons above 0, or "auto"') from None
    builder.set("sampling.cutoff", photons, origin)


#: Names of the options.
OWN = tuple(item.name for item in fields(Own))
_KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "tuple": "a list of numbers",
}


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
    cutoff = found.get("cutoff")
    if isinstance(cutoff, int | float) and not isinstance(cutoff, bool):
        found["cutoff"] = repr(cutoff)
    for name, value in found.items():
        kind = re.split(r"[\[ ]", Own.__annotations__[name])[0]
        if name != "background" and not _is(value, kind):
            raise FieldError(f"{prefix}.{name}", value, _KINDS[kind])
        found[name] = tuple(value) if kind == "tuple" else value
    return Own(**found)


def _texts(given: object, prefix: str) -> tuple[str, ...]:
    """Return the texts that describe amorphous materials."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) for text in given):
        raise FieldError(f"{prefix}.background", given, 'a list such as ["water:0.1mm"]')
    return tuple(given)


def _is(value: object, kind: str) -> bool:
    """Return whether a value of a TOML file is of a kind."""
    if kind == "tuple":
        return isinstance(value, list) and all(_is(x, "float") for x in value)
    if kind == "str" or isinstance(value, bool):
        return kind == "str" and isinstance(value, str)
    return isinstance(value, int) or (kind == "float" and isinstance(value, float))
