"""The laboratory frame: which convention, and the vectors of a custom one."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.checks import Vector

#: What stays in place when the detector is tilted, by convention; CUSTOM: nanoBragg's start value.
PIVOTS = {
    "ADXV": "beam",
    "MOSFLM": "beam",
    "DENZO": "beam",
    "XDS": "sample",
    "DIALS": "sample",
    "CUSTOM": "beam",
}
CONVENTIONS = tuple(PIVOTS)
VECTOR_NAMES = ("fast", "slow", "normal", "beam", "polarization", "spindle", "twotheta_axis")


@dataclass(frozen=True, slots=True)
class LabFrame:
    """Directions of detector, beam, polarization and spindle in the laboratory.

    A named convention fixes all of them.  Only ``CUSTOM`` takes other vectors; those not
    given keep the values that nanoBragg starts from (beam +x, fast +z, slow -y, normal +x,
    polarization +z, spindle +z, 2theta axis +y).  Vectors need not have unit length.

    Parameters
    ----------
    convention : str
        One of ``CONVENTIONS``.
    fast, slow, normal : tuple of float or None
        Directions of increasing fast and slow pixel index, and from the sample to the detector.
    beam : tuple of float or None
        Direction in which the photons travel.
    polarization : tuple of float or None
        Direction of the electric field.
    spindle : tuple of float or None
        Rotation axis; positive phi turns the crystal right-handed about it.
    twotheta_axis : tuple of float or None
        Axis of the detector's 2theta swing, right-handed.
    """

    convention: str = "MOSFLM"
    fast: Vector | None = None
    slow: Vector | None = None
    normal: Vector | None = None
    beam: Vector | None = None
    polarization: Vector | None = None
    spindle: Vector | None = None
    twotheta_axis: Vector | None = None

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check the convention and that vectors come only with CUSTOM."""
        checks.one_of("frame.convention", self.convention, CONVENTIONS)
        for name in VECTOR_NAMES:
            value = checks.optional(checks.direction, f"frame.{name}", getattr(self, name))
            if value is not None and self.convention != "CUSTOM":
                raise FieldError(
                    f"frame.{name}", value, "left out unless frame.convention is CUSTOM"
                )
            checks.assign(self, **{name: value})
