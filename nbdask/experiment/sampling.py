"""How finely, where and with which shortcuts the image is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

Roi = tuple[int, int, int, int]
#: A cutoff that follows from the background.
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling of pixels and structure factors, and which pixels are evaluated at all.

    Parameters
    ----------
    oversample : int or None
        Sub-pixels along each pixel edge; None: as many as the crystal's size asks for.
    oversample_thick, oversample_polar, oversample_omega : bool
        Evaluate capture fraction, polarization factor or solid angle for every term instead of
        once per pixel.
    dmin : float
        Finest resolution [m]; terms beyond it are skipped.  0: none.
    interpolate : bool or None
        Tricubic interpolation of amplitudes between Bragg peaks; None: when the crystal has two
        cells or fewer along any axis.
    roi : tuple of 4 ints or None
        Region of interest, slow_min, slow_max, fast_min, fast_max, inclusive; None: everything.
        Pixels outside are 0.
    mask : str or None
        SMV image; pixels where it is 0 are not evaluated and are 0.
    mask_sha256 : str or None
        Checksum of that file when the experiment was made.
    cutoff : float, "auto" or None
        Photons that each pixel may lack; ``"auto"``: a thousandth of the Poisson noise of its
        background, at least 1e-4.  None: nothing is left out.
    """

    oversample: int | None = None
    oversample_thick: bool = False
    oversample_polar: bool = False
    oversample_omega: bool = False
    dmin: float = 0.0
    interpolate: bool | None = None
    roi: Roi | None = None
    mask: str | None = None
    mask_sha256: str | None = None
    cutoff: float | str | None = None

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check every field."""
        if self.oversample is not None:
            number = checks.integer("sampling.oversample", self.oversample, low=1, high=1000)
            checks.assign(self, oversample=number)
        checks.assign(
            self,
            dmin=checks.not_negative("sampling.dmin", self.dmin),
            interpolate=checks.optional(checks.flag, "sampling.interpolate", self.interpolate),
            mask=checks.optional(checks.path, "sampling.mask", self.mask),
            mask_sha256=checks.optional(checks.text, "sampling.mask_sha256", self.mask_sha256),
        )
        if self.cutoff is not None and self.cutoff != AUTO:
            allowed = 'a number of photons above 0, or "auto"'
            photons = checks.number("sampling.cutoff", self.cutoff, allowed=allowed)
            if photons <= 0.0:
                raise FieldError("sampling.cutoff", self.cutoff, allowed)
            checks.assign(self, cutoff=photons)
        for name in ("oversample_thick", "oversample_polar", "oversample_omega"):
            checks.assign(self, **{name: checks.flag(f"sampling.{name}", getattr(self, name))})
        if self.roi is not None:
            values = checks.vector("sampling.roi", self.roi, length=4)
            roi = tuple(checks.integer("sampling.roi", v, low=0) for v in values)
            if roi[0] > roi[1] or roi[2] > roi[3]:
                raise FieldError(
                    "sampling.roi", roi, "minimum and maximum, in this order, per axis"
                )
            checks.assign(self, roi=roi)
