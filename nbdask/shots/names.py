"""The numbers of an experiment that may vary from shot to shot: names, units, bounds.

Names are the experiment's dotted fields with the component of a vector, as those of derivatives
are: ``crystal.cell.a``, ``detector.distance``.  Some have no field of their own, such as
``crystal.orientation.w``; :mod:`nbdask.shots.apply` says what they do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from nbdask.errors import FieldError, nearest_dotted
from nbdask.experiment import checks
from nbdask.experiment.crystal import MOST_CELLS

#: Below this a quantity that has to be above 0 is not believed.
LEAST = checks.LEAST
#: Most values that a seed has.
SEEDS = 2**31


class Field(NamedTuple):
    """One number that may vary.

    Attributes
    ----------
    unit : str
        Of its values: SI, but eV for a photon energy.
    low, high : float
        Least and greatest value that can be simulated.
    whole : bool
        Whether it is a whole number.
    """

    unit: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False


def _all(start: str, ends: Sequence[str], field: Field) -> dict[str, Field]:
    return {f"{start}.{end}": field for end in ends}


_XYZ, _ABC, _NINE = "xyz", "abc", "012345678"
_LENGTH, _ANGLE, _NUMBER = Field("m"), Field("rad"), Field("1")
_SIZE, _SPREAD = Field("m", 0.0), Field("rad", 0.0)
_ABOVE = Field("m", LEAST)
_SHARE = Field("1", 0.0)

#: A rotation of all crystals in the laboratory, as a quaternion.
QUATERNION = tuple(f"crystal.orientation.{name}" for name in "wxyz")
#: The same as a rotation vector.
TURN = tuple(f"crystal.turn.{name}" for name in _XYZ)
#: Reciprocal axes of the first crystal.
STAR = tuple(f"crystal.{axis}_star.{name}" for axis in _ABC for name in _XYZ)
CELL = tuple(f"crystal.cell.{name}" for name in ("a", "b", "c", "alpha", "beta", "gamma"))
#: How far the detector is moved in the laboratory, and along the beam.
SHIFT = tuple(f"detector.shift.{name}" for name in (*_XYZ, "beam"))
#: Rotation vector by which all panels are turned about the sample, before they are moved.
DETECTOR_TURN = tuple(f"detector.turn.{name}" for name in _XYZ)
#: Angles by which the beam is turned, as those of divergence.
TILT = ("beam.tilt.horizontal", "beam.tilt.vertical")
SPECTRUM = "sources.spectrum"

_CRYSTAL = {
    **_all("crystal.misset", _XYZ, _ANGLE),
    **dict.fromkeys(CELL[:3], _ABOVE),
    **dict.fromkeys(CELL[3:], Field("rad", 1e-3, math.pi - 1e-3)),
    **_all("crystal.n_cells", _ABC, Field("1", 1, MOST_CELLS, whole=True)),
    **_all("crystal.cells_matrix", _NINE, _NUMBER),
    **_all("crystal.size", _XYZ, _SIZE),
    "crystal.mosaic_spread": _SPREAD,
    "crystal.mosaic_seed": Field("1", 0, SEEDS - 1, whole=True),
    "crystal.mosaic_domains": Field("1", 1, 10**6, whole=True),
    **_all("crystal.mosaic.widths", "012", _SPREAD),
    "crystal.fudge": Field("1", 0.0, 1e12),
    **_all("crystal.diffuse.gamma", "012", _ABOVE),
    **_all("crystal.diffuse.sigma", "012", _ABOVE),
    "crystal.diffuse.scale": _SHARE,
}
#: Every name but those of one of several crystals, materials and directions.
FIELDS: dict[str, Field] = {
    **dict.fromkeys(QUATERNION, _NUMBER),
    **dict.fromkeys(TURN, _ANGLE),
    **dict.fromkeys(STAR, Field("1/m")),
    **_CRYSTAL,
    "weight": _SHARE,
    "beam.wavelength": Field("m", 1e-14, 1e-8),
    "beam.energy": Field("eV", 1.0, 1e9),
    "beam.fluence": Field("photon/m^2", 0.0),
    "beam.flux": Field("photon/s", 0.0),
    "beam.exposure": Field("s", 1e-30),
    "beam.beamsize": _ABOVE,
    "beam.polarization": Field("1", -1.0, 1.0),
    **dict.fromkeys(TILT, Field("rad", -1.0, 1.0)),
    **{
        name: field
        for part in ("fast", "slow", "normal", "beam", "polarization", "spindle", "twotheta_axis")
        for name, field in _all(f"frame.{part}", _XYZ, _NUMBER).items()
    },
    "detector.distance": _LENGTH,
    "detector.close_distance": _LENGTH,
    **_all("detector", ("beam_x", "beam_y", "close_x", "close_y"), _LENGTH),
    **_all("detector", ("org_x", "org_y"), Field("pixel")),
    **_all("detector", ("rotx", "roty", "rotz", "twotheta"), _ANGLE),
    **_all("detector.pix0", _XYZ, _LENGTH),
    **dict.fromkeys(SHIFT, _LENGTH),
    **dict.fromkeys(DETECTOR_TURN, _ANGLE),
    "detector.thickness": _SIZE,
    "detector.attenuation": Field("1/m", 0.0),
    **_all("sources.horizontal", ("range", "step"), _SPREAD),
    **_all("sources.vertical", ("range", "step"), _SPREAD),
    **_all("sources.dispersion", ("range", "step"), _SHARE),
    SPECTRUM: Field("1", 0, whole=True),
    "scan.phi0": _ANGLE,
    "scan.osc": _SPREAD,
    "scan.step": _SPREAD,
    "background.water": _SIZE,
    "background.scale": _SHARE,
    **_all("background.beamstop", "012", _LENGTH),
}
_NUMBERED = {
    **{f"lattices.#.{name}": field for name, field in _CRYSTAL.items()},
    "lattices.#.weight": _SHARE,
    "background.materials.#.thickness": _ABOVE,
    "background.materials.#.density": Field("kg/m^3", LEAST),
}
_INDEX = re.compile(r"(?<=\.)[0-9]+(?=\.)")
#: Parts of an experiment of which nothing may vary, and why.
_COMMON = {
    "structure": "all shots share one table of amplitudes: vary beam.fluence or crystal.n_cells",
    "sampling": "all shots are sampled alike",
    "detector.pixel": "all images have the same pixels",
    "detector.size": "all images have the same pixels",
    "detector.panels": "panels are moved together, by detector.shift",
    "semantics": "all shots have the same semantics",
}


def field_of(name: str) -> Field:
    """Return what a name stands for.

    Raises
    ------
    FieldError
        There is no such field, or it may not vary.
    """
    found = FIELDS.get(name) or _NUMBERED.get(_INDEX.sub("#", name))
    if found is not None:
        return found
    for start, why in _COMMON.items():
        if name.startswith(start):
            raise FieldError("shots", name, f"a field that may vary from shot to shot: {why}")
    near = [found for found in nearest_dotted(name, FIELDS) if found in FIELDS]
    meant = f" (did you mean {near[0]}?)" if near else ""
    allowed = f"the dotted name of a number of the experiment, such as crystal.cell.a{meant}"
    raise FieldError("shots", name, allowed)
