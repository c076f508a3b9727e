"""How the mosaic domains of a crystal are oriented, beyond nanoBragg's cap."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

MODELS = ("cap", "gauss")
SAMPLINGS = ("random", "sobol")
#: Tightest error of an image that a number of domains is chosen for.
LEAST_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Orientations of mosaic domains; their spread and number are those of the crystal.

    Parameters
    ----------
    model : str
        ``"cap"``: nanoBragg's rotations by up to the spread; ``"gauss"``: rotation vectors that are
        normally distributed, with the spread as standard deviation about every axis.
    widths : tuple of 3 floats or None
        Of ``"gauss"``, instead of one spread: standard deviations [rad] of the rotation about a,
        about c* x a, and about c*.
    sampling : str
        ``"random"``, or ``"sobol"``: a quasi-random sequence, which needs fewer domains.
    tolerance : float or None
        Chooses the number of domains (of ``"sobol"``) for this error of an image.
    domains : tuple of tuples of 5 floats
        Instead of a model: a unit quaternion w, x, y, z in the lab frame, which turns the crystal
        at phi 0, and a weight, for each domain.
    file : str or None
        Where ``domains`` were read from, for the record.
    """

    model: str = "cap"
    widths: tuple[float, ...] | None = None
    sampling: str = "random"
    tolerance: float | None = None
    domains: tuple[tuple[float, ...], ...] = ()
    file: str | None = None

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check every field."""
        name = "crystal.mosaic."
        checks.one_of(name + "model", self.model, MODELS)
        checks.one_of(name + "sampling", self.sampling, SAMPLINGS)
        checks.assign(
            self,
            tolerance=checks.optional(checks.positive, name + "tolerance", self.tolerance),
            file=checks.optional(checks.path, name + "file", self.file),
            domains=tuple(
                checks.vector(f"{name}domains[{i}]", row, length=5)
                for i, row in enumerate(self.domains)
            ),
        )
        if self.widths is not None:
            widths = checks.vector(name + "widths", self.widths)
            for width in widths:
                checks.spread(name + "widths", width)
            checks.assign(self, widths=widths)
            if self.model != "gauss":
                raise FieldError(name + "widths", widths, 'given only with the model "gauss"')
        fits = self.tolerance is None or LEAST_TOLERANCE <= self.tolerance < 1.0
        if not fits or (self.tolerance is not None and self.sampling != "sobol"):
            allowed = f'from {LEAST_TOLERANCE:g} to below 1, with the sampling "sobol"'
            raise FieldError(name + "tolerance", self.tolerance, allowed)
        for i, row in enumerate(self.domains):
            if abs(math.hypot(*row[:4]) - 1.0) > 1e-9:
                raise FieldError(f"{name}domains[{i}]", row[:4], "a quaternion of length 1")
            checks.not_negative(f"{name}domains[{i}]", row[4])
        total = sum(row[4] for row in self.domains)
        if self.domains and not 0.0 < total < math.inf:
            raise FieldError(name + "domains", total, "weights with a finite sum above 0")
        if self.domains and (self.model, self.sampling) != ("cap", "random"):
            raise FieldError(name + "domains", self.model, "left out beside a model or a sampling")
