"""Units that users write behind numbers, and what they are in SI."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nbdask import units

_Value = TypeVar("_Value", float, NDArray[np.float64])


def _times(factor: float) -> Callable[[_Value], _Value]:
    return lambda value: value * factor


def _same(value: _Value) -> _Value:
    return value


#: Unit of a field -> what a user may write -> conversion, to the bits that nanoBragg's flags give.
CONVERSIONS: dict[str, dict[str, Callable[..., object]]] = {
    "m": {
        "m": _same,
        "cm": _times(1e-2),
        "mm": units.from_mm,
        "um": units.from_um,
        "nm": _times(1e-9),
        "A": units.from_angstrom,
    },
    "rad": {"rad": _same, "mrad": units.from_mrad, "deg": units.from_degrees},
    "eV": {"eV": _same, "keV": _times(1e3)},
    "s": {"s": _same, "ms": _times(1e-3), "us": _times(1e-6), "fs": _times(1e-15)},
    "1/m": {"1/m": _same, "1/mm": _times(1e3), "1/nm": _times(1e9), "1/A": _times(1e10)},
    "photon/m^2": {
        "photon/m^2": _same,
        "photon/mm^2": _times(1e6),
        "photon/um^2": _times(1e12),
    },
    "photon/s": {"photon/s": _same},
    "pixel": {"pixel": _same},
    "kg/m^3": {"kg/m^3": _same, "g/cm^3": _times(1e3)},
    "1": {"": _same, "1": _same, "%": units.from_percent},
}
#: Other spellings.
_SPELT = {
    "angstrom": "A",
    "Angstrom": "A",
    "å": "A",
    "Å": "A",
    "µm": "um",
    "μm": "um",
    "micron": "um",
    "degree": "deg",
    "degrees": "deg",
    "°": "deg",
    "photons/m^2": "photon/m^2",
    "photons/mm^2": "photon/mm^2",
    "photons/um^2": "photon/um^2",
    "photons/s": "photon/s",
    "pixels": "pixel",
    "px": "pixel",
}


def spelled(unit: str) -> str:
    """Return a unit as ``CONVERSIONS`` spells it; one that it lacks as it is."""
    return _SPELT.get(unit.strip(), unit.strip())
