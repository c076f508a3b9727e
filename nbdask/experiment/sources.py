"""Where the photons come from: a grid of divergence and dispersion, or an explicit list."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.spectrum import Spectrum

WEIGHTS = ("ignore", "apply")


@dataclass(frozen=True, slots=True)
class Spread:
    """One sampled range: its width, the step between samples, how many.  None: not given.

    Units are the owner's: radians for divergence, fraction of the wavelength for dispersion.
    Which of the three prevails when several are given is fixed in the specification (S-SRC).
    """

    range: float | None = None
    step: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class SourcePoint:
    """One source: position relative to the sample (only its direction counts).  None: default.

    Parameters
    ----------
    x, y, z : float or None
        Position [any length unit]; a missing component is that of ``-10 * beam``.
    weight : float or None
        Relative intensity; 1 where missing.  Ignored unless ``Sources.weights`` is ``"apply"``.
    wavelength : float or None
        [m]; the beam's where missing.
    """

    x: float | None = None
    y: float | None = None
    z: float | None = None
    weight: float | None = None
    wavelength: float | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The set of point sources that are summed incoherently.

    Parameters
    ----------
    horizontal, vertical : Spread
        Beam divergence [rad], "horizontal" about the axis beam x polarization, "vertical" about
        the polarization vector.
    dispersion : Spread
        Spectral width as a fraction of the wavelength.
    spectrum : Spectrum or None
        Wavelengths of every direction of the generated grid, with weights that always count; in
        place of ``dispersion``.
    round : bool
        Cut the divergence grid to an ellipse.
    points : tuple of SourcePoint
        An explicit list; when not empty, the generated grid (dispersion too) is not used.
    weights : str
        ``"ignore"`` (as nanoBragg C does) or ``"apply"`` (normalised to a mean of 1).
    file : str or None
        Where ``points`` were read from, for the record.
    """

    horizontal: Spread = field(default_factory=Spread)
    vertical: Spread = field(default_factory=Spread)
    dispersion: Spread = field(default_factory=Spread)
    spectrum: Spectrum | None = None
    round: bool = True
    points: tuple[SourcePoint, ...] = ()
    weights: str = "ignore"
    file: str | None = None

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check ranges, counts and the explicit list."""
        for name in ("horizontal", "vertical", "dispersion"):
            spread = getattr(self, name)
            if not isinstance(spread, Spread):
                raise FieldError(f"sources.{name}", spread, "a Spread")
            checks.optional(checks.not_negative, f"sources.{name}.range", spread.range)
            checks.optional(checks.not_negative, f"sources.{name}.step", spread.step)
            if spread.count is not None:
                checks.integer(f"sources.{name}.count", spread.count, low=1)
        checks.one_of("sources.weights", self.weights, WEIGHTS)
        if self.spectrum is not None:
            if not isinstance(self.spectrum, Spectrum):
                raise FieldError("sources.spectrum", self.spectrum, "a Spectrum")
            if self.points:
                given = f"{len(self.spectrum.wavelengths)} wavelengths beside listed sources"
                raise FieldError("sources.spectrum", given, "left out where sources are listed")
        checks.assign(
            self,
            round=checks.flag("sources.round", self.round),
            file=checks.optional(checks.path, "sources.file", self.file),
        )
        if not isinstance(self.points, (tuple, list)):
            raise FieldError("sources.points", self.points, "a sequence of SourcePoint")
        checks.assign(self, points=tuple(self.points))
        for index, point in enumerate(self.points):
            _check_point(f"sources.points[{index}]", point)
        if self.points and self.weights == "apply":
            total = sum(1.0 if p.weight is None else p.weight for p in self.points)
            if total <= 0.0:
                raise FieldError("sources.points", total, "weights with a sum above 0")


def _check_point(name: str, point: SourcePoint) -> None:
    if not isinstance(point, SourcePoint):
        raise FieldError(name, point, "a SourcePoint")
    for axis in ("x", "y", "z"):
        checks.optional(checks.number, f"{name}.{axis}", getattr(point, axis))
    checks.optional(checks.not_negative, f"{name}.weight", point.weight)
    checks.optional(checks.positive, f"{name}.wavelength", point.wavelength)
    if point.x == point.y == point.z == 0.0:
        raise FieldError(name, (0.0, 0.0, 0.0), "a position that is not the sample itself")
