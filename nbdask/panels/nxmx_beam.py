"""Beam and goniometer of NeXus NXmx files."""

from __future__ import annotations

import posixpath
from typing import Any

import numpy as np

from nbdask.errors import InputFileError
from nbdask.panels.model import PanelBeam, Spindle, Sweep
from nbdask.panels.nxmx_chain import Fields, text_of
from nbdask.panels.quantities import ANGLES, ENERGIES, LENGTHS, of_energy
from nbdask.panels.vectors import Matrix, vector

WAVELENGTH = "incident_wavelength"
_Spectrum = tuple[tuple[float, float], ...]


def read_beam(fields: Fields, places: list[str]) -> PanelBeam:
    """Return the beam along z.

    Parameters
    ----------
    fields : Fields
    places : list of str
        Groups of class NXbeam, the best first.
    """
    wave: float | None = None
    spectrum: _Spectrum = ()
    where = f"{places[0]}/{WAVELENGTH}" if places else WAVELENGTH
    for place in places:
        if fields.get(f"{place}/{WAVELENGTH}") is not None:
            where = f"{place}/{WAVELENGTH}"
            wave, spectrum = _with_variant(fields, where)
            break
        if fields.get(f"{place}/incident_energy") is not None:
            where = f"{place}/incident_energy"
            energy = fields.value(where) * fields.scale(where, ENERGIES, fields.units(where))
            if energy <= 0.0:
                raise fields.refuse(where, f"{energy:g} eV", "greater than 0")
            wave = of_energy(energy)
            break
    settled = fields.given.settle_wavelength(wave, where, needed=True)
    normal = fraction = None
    for place in places:
        for word in ("polarization", "polarisation"):
            path = f"{place}/incident_{word}_stokes"
            if fraction is None and fields.get(path) is not None:
                fraction = _fraction(fields, path)
                normal = None if fraction is None else (0.0, 1.0, 0.0)
    return PanelBeam(
        wavelength=settled,
        spectrum=spectrum,
        polarization_normal=normal,
        polarization_fraction=fraction,
    )


def _with_variant(fields: Fields, path: str) -> tuple[float, _Spectrum]:
    """Return wavelength and spectrum of a field, and of the one that its ``variant`` names."""
    wave, spectrum = _waves(fields, path)
    other = fields.absolute(path, text_of(fields.field(path).attrs.get("variant", ".")))
    if other != "." and other != path and fields.get(other) is not None:
        wave2, spectrum2 = _waves(fields, other)
        if spectrum and not spectrum2:
            return wave2, spectrum
        if spectrum2 and not spectrum:
            return wave, spectrum2
    if spectrum:
        mean = sum(a * b for a, b in spectrum) / sum(b for _, b in spectrum)
        fields.given.notes.append(
            f"{len(spectrum)} wavelengths, their mean by weight {mean * 1e10:.10g} A:"
            f" d is of the first, {wave * 1e10:.10g} A"
        )
    return wave, spectrum


def _waves(fields: Fields, path: str) -> tuple[float, _Spectrum]:
    """Return the first wavelength [m] of this shot, and the spectrum where there is one."""
    waves = fields.values(path) * fields.scale(path, LENGTHS, fields.units(path))
    weights = None
    for ending in ("_weights", "_weight"):
        if weights is None and fields.get(path + ending) is not None:
            weights = fields.values(path + ending)
    if waves.ndim == 0 or waves.size == 1:
        return float(waves.reshape(-1)[0]), ()
    if waves.ndim == 1 and weights is None:
        _has_shot(fields, path, waves)
        return float(waves[fields.shot]), ()
    if waves.ndim == 2:
        _has_shot(fields, path, waves)
        waves = waves[fields.shot]
    if weights is None:
        weights = np.ones(waves.shape)
    if weights.ndim == 2:
        _has_shot(fields, path, weights)
        weights = weights[fields.shot]
    if waves.shape != weights.shape or waves.ndim != 1:
        found = f"{waves.size} wavelengths, {weights.size} weights"
        raise fields.refuse(path, found, "as many of both")
    if np.any(weights < 0.0) or not np.sum(weights) > 0.0:
        raise fields.refuse(path, "weights below 0, or all 0", "0 or more, and not all 0")
    pairs = zip(waves.tolist(), weights.tolist(), strict=True)
    return float(waves[0]), tuple(pairs)


def _has_shot(fields: Fields, path: str, values: Matrix) -> None:
    if fields.shot >= len(values):
        raise fields.refuse("--shot", str(fields.shot), f"0 to {len(values) - 1} ({path})")


def _fraction(fields: Fields, path: str) -> float | None:
    """Return the share of light polarized along x, of the Stokes vector I, Q, U, V."""
    values = fields.values(path).reshape(-1)
    if len(values) < 4 or values[0] <= 0.0 or abs(values[2]) > 1e-6 * values[0]:
        return None
    return float(np.clip(0.5 * (1.0 + values[1] / values[0]), 0.0, 1.0))


def read_goniometer(fields: Fields, sample: str | None) -> tuple[Spindle | None, Sweep | None]:
    """Return rotation axis and sweep, where the sample has them and they are sound.

    Parameters
    ----------
    fields : Fields
    sample : str or None
        Group of class NXsample.
    """
    if sample is None or fields.get(f"{sample}/depends_on") is None:
        return None, None
    try:
        start = text_of(fields.field(f"{sample}/depends_on")[()])
        return _goniometer(fields, fields.absolute(f"{sample}/depends_on", start))
    except InputFileError as error:
        text = str(error).removeprefix(f"{fields.given.path}: ")
        fields.given.notes.append(f"the sample's axes are not taken: {text}")
        return None, None


def _goniometer(fields: Fields, start: str) -> tuple[Spindle | None, Sweep | None]:
    first = Fields(fields.given, fields.file, 0)
    chain = [link for link in first.chain(start) if _kind(first, link.path) == "rotation"]
    if not chain:
        return None, None
    moving = [n for n, link in enumerate(chain) if _width(first, link.path)]
    scan = moving[0] if moving else len(chain) - 1
    fixed, setting = np.eye(3), np.eye(3)
    for number, link in enumerate(chain):
        if number < scan:
            fixed = link.turn @ fixed
        elif number > scan:
            setting = link.turn @ setting
    path = chain[scan].path
    factor = first.scale(path, ANGLES, first.units(path))
    values = first.values(path).reshape(-1)
    parts = (tuple(v for row in part for v in vector(row)) for part in (fixed, setting))
    spindle = Spindle(first.direction(path), *parts)
    width = _width(first, path) * factor
    return spindle, Sweep(1, len(values), float(values[0]) * factor, width)


def _kind(fields: Fields, path: str) -> str:
    return text_of(fields.field(path).attrs.get("transformation_type", "")).strip().lower()


def _width(fields: Fields, path: str) -> float:
    """Return the rotation of one image, in the field's own unit; 0 where it does not move."""
    values = fields.values(path).reshape(-1)
    folder, name = posixpath.split(path)
    found: Any = fields.get(f"{folder}/{name}_increment_set")
    if found is not None:
        return float(fields.values(f"{folder}/{name}_increment_set").reshape(-1)[0])
    if len(values) > 1:
        return float(values[1] - values[0])
    if fields.get(f"{folder}/{name}_end") is not None:
        return float(fields.values(f"{folder}/{name}_end").reshape(-1)[0] - values[0])
    return 0.0
