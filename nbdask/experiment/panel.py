"""One panel of a detector that a geometry file describes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.checks import Vector

#: Pixels along one axis that are still believed to be meant.
MAX_PIXELS = 2**31 - 1
#: Least sine of the angle between fast and slow.
_LEAST_SINE = 1e-6
_RECTANGLE = "fast from and to, slow from and to (exclusive), within the panel"


@dataclass(frozen=True, slots=True)
class DetectorPanel:
    """A flat rectangle of pixels, anywhere and at any angle.  Lengths in metres, the lab frame.

    Parameters
    ----------
    name : str
    n_fast, n_slow : int
    pitch_fast, pitch_slow : float
        Distance of pixels along each axis [m].
    origin : tuple of 3 floats
        Outer corner of the first pixel [m].
    fast, slow : tuple of 3 floats
        Directions of increasing pixel index; they need not be at right angles.
    thickness, attenuation : float
        Sensor [m] and inverse absorption depth mu [1/m]; thickness 0: not modelled.
    bad : tuple of (int, int, int, int)
        Rectangles of pixels that are not evaluated and are 0: fast from and to, slow from and to,
        the last ones excluded.
    bad_areas : tuple of (float, float, float, float)
        Pixels are bad too whose centres have lab coordinates inside: y from and to, z from and to
        [m], limits included.
    material : str
        For the record; empty: not said.
    gain : float or None
        Units of the data (ADU) per photon, for the record.
    trusted_low, trusted_high : float or None
        Least and greatest value that is trusted, for the record.
    """

    name: str
    n_fast: int
    n_slow: int
    pitch_fast: float
    pitch_slow: float
    origin: Vector
    fast: Vector
    slow: Vector
    thickness: float = 0.0
    attenuation: float = 0.0
    bad: tuple[tuple[int, int, int, int], ...] = ()
    bad_areas: tuple[tuple[float, float, float, float], ...] = ()
    material: str = ""
    gain: float | None = None
    trusted_low: float | None = None
    trusted_high: float | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        name = checks.text("detector.panels.name", self.name)
        where = f"detector.panels ({name})"
        for key in ("n_fast", "n_slow"):
            count = checks.integer(f"{where}.{key}", getattr(self, key), low=1, high=MAX_PIXELS)
            checks.assign(self, **{key: count})
        for key in ("pitch_fast", "pitch_slow"):
            checks.assign(self, **{key: checks.size(f"{where}.{key}", getattr(self, key))})
        checks.assign(self, origin=checks.vector(f"{where}.origin", self.origin))
        for key in ("fast", "slow"):
            checks.assign(self, **{key: checks.direction(f"{where}.{key}", getattr(self, key))})
        for key in ("thickness", "attenuation"):
            checks.assign(self, **{key: checks.not_negative(f"{where}.{key}", getattr(self, key))})
        checks.assign(self, bad=tuple(self._rectangle(where, item) for item in self.bad))
        areas = (checks.vector(f"{where}.bad_areas", item, length=4) for item in self.bad_areas)
        checks.assign(self, bad_areas=tuple(areas))
        checks.text(f"{where}.material", self.material)
        for key in ("gain", "trusted_low", "trusted_high"):
            value = checks.optional(checks.number, f"{where}.{key}", getattr(self, key))
            checks.assign(self, **{key: value})
        self._check_plane(where)

    def _rectangle(self, where: str, item: object) -> tuple[int, int, int, int]:
        edges = checks.vector(f"{where}.bad", item, length=4)
        f0, f1, s0, s1 = (checks.integer(f"{where}.bad", edge, low=0) for edge in edges)
        if not (f0 < f1 <= self.n_fast and s0 < s1 <= self.n_slow):
            raise FieldError(f"{where}.bad", (f0, f1, s0, s1), _RECTANGLE)
        return (f0, f1, s0, s1)

    def _check_plane(self, where: str) -> None:
        fast, slow = (np.array(v) / np.linalg.norm(v) for v in (self.fast, self.slow))
        cross = np.cross(fast, slow)
        sine = float(np.linalg.norm(cross))
        if sine < _LEAST_SINE:
            raise FieldError(f"{where}.slow", self.slow, "at an angle to fast")
        if abs(float(cross @ np.array(self.origin))) < checks.LEAST * sine:
            raise FieldError(
                f"{where}.origin", self.origin, "such that the plane misses the sample"
            )
