"""Conversions of flag values to SI, by name."""

from __future__ import annotations

from collections.abc import Callable

from nbdask import units

Number = float | int


def _plain(value: Number) -> Number:
    return value


def _angstrom_product(value: Number) -> float:
    """Angstrom to metres by a product: nanoBragg's -dmin, unlike -lambda, is not divided."""
    return value * 1e-10


def _phisteps(value: Number) -> Number:
    """Zero rotation steps count as one."""
    return 1 if value == 0 else value


CONVERSIONS: dict[str, Callable[[Number], Number]] = {
    "plain": _plain,
    "mm": units.from_mm,
    "um": units.from_um,
    "microns_water": units.from_microns_water,
    "angstrom": units.from_angstrom,
    "angstrom_product": _angstrom_product,
    "degrees": units.from_degrees,
    "mrad": units.from_mrad,
    "percent": units.from_percent,
    "ev": units.from_ev,
    "phisteps": _phisteps,
}
