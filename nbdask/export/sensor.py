"""The sensor that a file names: material and thickness, as DIALS wants them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from nbdask.errors import InputError
from nbdask.experiment import Detector

#: Materials that DIALS knows, by their names in small letters.
_MATERIALS = {"si": "Si", "silicon": "Si", "cdte": "CdTe", "gaas": "GaAs"}
_UNITS = {"m": 1.0, "mm": 1e-3, "um": 1e-6}
_GIVEN = re.compile(r"([A-Za-z]+)(?::([0-9.eE+-]+)(m|mm|um))?")
_ALLOWED = "must be MATERIAL:THICKNESS with Si, CdTe or GaAs, such as Si:0.32mm or CdTe:750um"
#: What stands for a sensor without depth: DIALS refuses a thickness of 0.
_THIN = 1e-6
_LONGEST = 0.1


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a file says of the sensor.

    Parameters
    ----------
    material : str
        ``"Si"``, ``"CdTe"`` or ``"GaAs"``.
    thickness : float
        [m]
    attenuation : float
        Inverse absorption depth mu of the simulation [1/m]; 0: no depth was simulated.
    notes : tuple of str
        What was assumed.
    """

    material: str
    thickness: float
    attenuation: float = 0.0
    notes: tuple[str, ...] = ()


def parse_sensor(text: str) -> tuple[str, float | None]:
    """Return the material and the thickness [m] (None: not given) of ``--sensor``.

    Raises
    ------
    InputError
        Another material, or no length.
    """
    found = _GIVEN.fullmatch(text.strip()) if isinstance(text, str) else None
    material = None if found is None else _MATERIALS.get(found[1].lower())
    if found is None or material is None:
        raise InputError(f"--sensor {text}: {_ALLOWED}")
    if found[2] is None:
        return material, None
    try:
        thickness = float(found[2]) * _UNITS[found[3]]
    except ValueError:
        raise InputError(f"--sensor {text}: {_ALLOWED}") from None
    if not (math.isfinite(thickness) and 0.0 < thickness <= _LONGEST):
        raise InputError(f"--sensor {text}: the thickness must be above 0 and at most 100 mm")
    return material, thickness


def settle_sensor(detector: Detector, given: str | None) -> Sensor:
    """Return the sensor of an exported file.

    Parameters
    ----------
    detector : Detector
        As simulated; its own thickness and attenuation prevail.
    given : str or None
        ``--sensor``.

    Raises
    ------
    InputError
        A thickness that is not the simulated one.
    """
    material, thickness = (None, None) if given is None else parse_sensor(given)
    own, mu = detector.thickness, detector.attenuation
    if detector.panels:
        first = detector.panels[0]
        own, mu = first.thickness, first.attenuation
        material = material or _MATERIALS.get(first.material.lower())
    if own <= 0.0:
        if thickness is None:
            note = (
                f"sensor {material or 'Si'}, 1 um, as the simulated one has no depth"
                " (--sensor names another)"
            )
            return Sensor(material or "Si", _THIN, notes=(note,))
        note = "no depth was simulated: programs correct for a parallax that is not there"
        return Sensor(material or "Si", thickness, notes=(note,))
    if thickness is not None and abs(thickness / own - 1.0) > 1e-6:
        raise InputError(
            f"--sensor {given}: the simulated sensor is {own * 1e3:.6g} mm thick: must be the"
            f" same, or the material alone (--sensor {material})"
        )
    notes = () if material else ("sensor material Si (--sensor names another)",)
    return Sensor(material or "Si", own, mu or 1.0 / own, notes)
