"""Physical constants and every conversion between users' units and SI.

Users multiply by the factors: ``distance=60 * units.mm``, ``misset=(0, 0, 30 * units.degree)``.

The operations follow nanoBragg C bit for bit (division by 1000 rather than multiplication by
0.001, degrees through ``180 * (1/pi)``), because whether a rotation step is *exactly* zero, or a
size an exact multiple of a cell edge, is decided by the last bit.
"""

from __future__ import annotations

import math

#: Thomson cross-section, classical electron radius squared [m^2].
R_E_SQR = 7.94079248018965e-30
#: Avogadro's number [1/mol], the value that the water background uses.
AVOGADRO = 6.02214179e23
#: Forward structure factor [electrons] and molar mass [g/mol] of water.
WATER_F = 2.57
WATER_MW = 18.0
#: Incident fluence when nothing is given [photons/m^2]: one electron's cross-section times it is 1.
DEFAULT_FLUENCE = 125932015286227086360700780544.0
#: Photon energy times wavelength [eV Angstrom].
EV_ANGSTROM = 12398.42
#: Degrees in a radian, built as the C program builds it.
DEGREES_PER_RADIAN = 180.0 * (1.0 / math.pi)

#: What one of a user's unit is in SI.
metre, mm, um, nm, angstrom = 1.0, 1e-3, 1e-6, 1e-9, 1e-10
radian, degree, mrad = 1.0, math.pi / 180.0, 1e-3
#: Photon energies, in eV.
eV, keV = 1.0, 1e3
percent = 0.01


def from_mm(value: float) -> float:
    """Millimetres to metres."""
    return value / 1000.0


def from_um(value: float) -> float:
    """Micrometres to metres."""
    return value * 1e-6


def from_microns_water(value: float) -> float:
    """Micrometres of water to metres (divided, as C does for this one flag)."""
    return value / 1e6


def from_angstrom(value: float) -> float:
    """Angstrom to metres."""
    return value / 1.0e10


def from_degrees(value: float) -> float:
    """Degrees to radians."""
    return value / DEGREES_PER_RADIAN


def from_mrad(value: float) -> float:
    """Milliradians to radians."""
    return value / 1000.0


def from_percent(value: float) -> float:
    """Percent to a fraction."""
    return value / 100.0


def from_ev(value: float) -> float:
    """Photon energy in eV to wavelength in metres."""
    return (EV_ANGSTROM / value) / 1.0e10


def to_angstrom(value: float) -> float:
    """Metres to Angstrom, giving back exactly the number that was typed (up to 15 digits)."""
    return float(f"{value * 1e10:.15g}")


def to_degrees(value: float) -> float:
    """Radians to degrees."""
    return value * DEGREES_PER_RADIAN
