"""Numbers with units, as files and options write them."""

from __future__ import annotations

import math
import re

from nbdask.inputs.text import NUMBER

#: Photon energy times wavelength [eV m].
EV_METRES = 12398.419843e-10
#: Electron: rest energy [eV]; Planck's constant times the speed of light [eV m] is EV_METRES.
_REST = 510998.95
#: Metres in a unit, by its name in small letters.
LENGTHS = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("cm", "centimetre", "centimeter", "centimetres", "centimeters"), 1e-2),
    **dict.fromkeys(("mm", "millimetre", "millimeter", "millimetres", "millimeters"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometre", "micrometer"), 1e-6),
    **dict.fromkeys(("nm", "nanometre", "nanometer", "nanometres", "nanometers"), 1e-9),
    **dict.fromkeys(("a", "å", "angstrom", "angstroms", "ångström", "ang"), 1e-10),
    **dict.fromkeys(("pm", "picometre", "picometer"), 1e-12),
}
#: Radians in a unit.
ANGLES = {
    **dict.fromkeys(("deg", "degree", "degrees", "°"), math.pi / 180.0),
    **dict.fromkeys(("rad", "radian", "radians"), 1.0),
    **dict.fromkeys(("mrad", "milliradian", "milliradians"), 1e-3),
}
#: Electronvolts in a unit.
ENERGIES = {"ev": 1.0, "kev": 1e3, "mev": 1e6}
VOLTAGES = {"v": 1.0, "kv": 1e3, "mv": 1e6}
#: Wavelengths that are believed [m].
WAVELENGTHS = (1e-14, 1e-8)
WAVELENGTHS_TEXT = "a wavelength of 1e-4 to 100 A"
#: Lengths that are believed [m].
LONGEST = 1e4
_QUANTITY = re.compile(rf"\s*({NUMBER.pattern})\s*([^\d\s].*?)?\s*", re.DOTALL)


def quantity(text: str, units: dict[str, float], default: str | None) -> float | None:
    """Return a number with a unit in SI (or eV), or None where the text is none.

    Parameters
    ----------
    text : str
        Such as ``"100 mm"`` or ``"9.3keV"``.
    units : dict of str to float
    default : str or None
        The unit where none is written; None: one must be.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    name = found[2] or default
    factor = None if name is None else units.get(name.lower())
    if factor is None:
        return None
    # 100 mm is 0.1 m to the last bit, which 100 * 1e-3 is not always.
    value = float(found[1])
    value = value / round(1.0 / factor) if factor < 1.0 and units is LENGTHS else value * factor
    return value if math.isfinite(value) else None


def of_energy(energy: float) -> float:
    """Return the wavelength [m] of a photon energy [eV]."""
    return EV_METRES / energy


def to_energy(wavelength: float) -> float:
    """Return the photon energy [eV] of a wavelength [m]."""
    return EV_METRES / wavelength


def of_voltage(voltage: float) -> float:
    """Return the relativistic de Broglie wavelength [m] of electrons [V]."""
    return EV_METRES / math.sqrt(voltage * (voltage + 2.0 * _REST))


def believed(wavelength: float) -> bool:
    """Whether a wavelength [m] lies in the range that is accepted."""
    return WAVELENGTHS[0] <= wavelength <= WAVELENGTHS[1]
