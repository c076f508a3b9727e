"""The rotation series."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.experiment import checks


@dataclass(frozen=True, slots=True)
class Scan:
    """Rotation of the crystal about the spindle while the image is exposed.

    Parameters
    ----------
    phi0 : float
        Start angle [rad], right-handed about the frame's spindle.
    osc : float or None
        Range [rad]; None: not given.
    step : float or None
        Step [rad]; None: not given.
    count : int or None
        Number of steps; None: not given.
    """

    phi0: float = 0.0
    osc: float | None = None
    step: float | None = None
    count: int | None = None

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check every field."""
        checks.assign(self, phi0=checks.angle("scan.phi0", self.phi0))
        for name in ("osc", "step"):
            value = checks.optional(checks.not_negative, f"scan.{name}", getattr(self, name))
            if value is not None:
                checks.angle(f"scan.{name}", value, told=1.0)
        if self.count is not None:
            checks.assign(self, count=checks.integer("scan.count", self.count, low=0))
