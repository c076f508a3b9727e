"""What is asked of a geometry file that places the detector."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.experiment import checks


@dataclass(frozen=True, slots=True)
class GeometryRequest:
    """A geometry file that places the detector, and what completes it.

    Parameters
    ----------
    path : str
    energy : float or None
        Photon energy [eV], where neither file nor flags give a wavelength.
    clen : float or None
        Camera length [m], where a CrystFEL file gives a place in the data for it.
    distance_shift : float
        Moves all panels along +z of the common frame [m].
    mask : bool
        Whether the file's bad pixels are left out.

    Raises
    ------
    FieldError
        A field of another type.
    """

    path: str
    energy: float | None = None
    clen: float | None = None
    distance_shift: float = 0.0
    mask: bool = True

    def __post_init__(self) -> None:
        """Check every field."""
        checks.assign(
            self,
            path=checks.path("geometry", self.path),
            energy=checks.optional(checks.positive, "energy", self.energy),
            clen=checks.optional(checks.number, "clen", self.clen),
            distance_shift=checks.number("distance_shift", self.distance_shift),
        )
        checks.flag("geometry_mask", self.mask)
