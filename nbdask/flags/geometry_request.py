"""What is asked of a geometry file that places the detector."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

#: Parts of a geometry file that may be taken; the first one always is.
PARTS = ("detector", "beam", "crystal", "scan")


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
    use : tuple of str
        What is taken: ``detector`` (with wavelength, direction and polarization of the beam), and
        beside it any of the other ``PARTS``.
    shot : int
        Which experiment of an ``.expt``, or frame of an NXmx file, from 0.

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
    use: tuple[str, ...] = PARTS[:1]
    shot: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        checks.assign(
            self,
            path=checks.path("geometry", self.path),
            energy=checks.optional(checks.positive, "energy", self.energy),
            clen=checks.optional(checks.number, "clen", self.clen),
            distance_shift=checks.number("distance_shift", self.distance_shift),
            shot=checks.integer("geometry_shot", self.shot, low=0),
        )
        checks.flag("geometry_mask", self.mask)
        checks.assign(self, use=parts_of(self.use))


def parts_of(given: object) -> tuple[str, ...]:
    """Return the parts that are asked for, of a list or a text with commas."""
    words = given.split(",") if isinstance(given, str) else given
    if isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words):
        parts = tuple(word.strip() for word in words)
        if parts.count(PARTS[0]) == 1 and set(parts) <= set(PARTS):
            return tuple(part for part in PARTS if part in parts)
    allowed = f"{PARTS[0]}, and beside it any of {', '.join(PARTS[1:])}"
    raise FieldError("geometry_use", given, allowed)
