"""The deviation of two images of the same pixels, in a few numbers that can be added up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.parity.errors import ShapeError
from nbdask.parity.peaks import PeakMatch, match_peaks

#: Relative deviations count from this share of the reference's maximum; below it they are
#: relative to the floor.
FLOOR = 1e-6
#: Smallest normal single-precision number: below it float32 loses digits.
_TINY = float(np.finfo(np.float32).tiny)
#: Brightest local maxima whose places are compared.
PEAKS = 20

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sums:
    """What correlations and means are made of; sums over pixels that are finite in both images.

    Attributes
    ----------
    n : int
    mean_a, mean_b : float
    m2_a, m2_b, m2_ab : float
        Sums of products of deviations from the means.
    square : float
        Sum of squared differences.
    relative : float
        Sum of relative deviations.
    """

    n: int = 0
    mean_a: float = 0.0
    mean_b: float = 0.0
    m2_a: float = 0.0
    m2_b: float = 0.0
    m2_ab: float = 0.0
    square: float = 0.0
    relative: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over both sets of pixels (Chan's formula)."""
        n = self.n + other.n
        if n == 0:
            return self
        share = other.n / n
        a, b = other.mean_a - self.mean_a, other.mean_b - self.mean_b
        weight = self.n * share
        return Sums(
            n,
            self.mean_a + a * share,
            self.mean_b + b * share,
            self.m2_a + other.m2_a + a * a * weight,
            self.m2_b + other.m2_b + b * b * weight,
            self.m2_ab + other.m2_ab + a * b * weight,
            self.square + other.square,
            self.relative + other.relative,
        )


@dataclass(frozen=True, slots=True)
class Measures:
    """The comparison of some pixels of an image with a reference.

    Attributes
    ----------
    pixels : int
    max_rel : float
        Worst relative deviation |a - b| / max(|b|, floor); infinite where only one is finite.
    max_rel_at : (int, int)
        Its place (slow, fast) on the detector; (-1, -1) where there is no pixel.
    max_abs : float
        Largest difference [photons].
    max_a, max_b : float
        Brightest pixels; 0 where none is above 0.
    nan_a, nan_b : int
        Pixels that are NaN.
    inf_a, inf_b : int
        Pixels that are infinite.
    one_sided : int
        Pixels that are finite (or NaN, or infinite) in one image only.
    differing : int
        Pixels that are not equal in every bit.
    sums : Sums
    peaks : PeakMatch
    """

    pixels: int = 0
    max_rel: float = 0.0
    max_rel_at: tuple[int, int] = (-1, -1)
    max_abs: float = 0.0
    max_a: float = 0.0
    max_b: float = 0.0
    nan_a: int = 0
    nan_b: int = 0
    inf_a: int = 0
    inf_b: int = 0
    one_sided: int = 0
    differing: int = 0
    sums: Sums = field(default_factory=Sums)
    peaks: PeakMatch = field(default_factory=PeakMatch)

    @property
    def mean_rel(self) -> float:
        """Mean relative deviation."""
        return self.sums.relative / self.sums.n if self.sums.n else 0.0

    @property
    def rmse(self) -> float:
        """Root mean square difference [photons]."""
        return math.sqrt(self.sums.square / self.sums.n) if self.sums.n else 0.0

    @property
    def correlation(self) -> float:
        """Pearson correlation; of constant images 1 where they are equal, else 0."""
        s = self.sums
        scale = math.sqrt(s.m2_a) * math.sqrt(s.m2_b)
        if scale == 0.0:
            return 1.0 if s.square == 0.0 else 0.0
        return min(1.0, s.m2_ab / scale)

    @property
    def sum_ratio(self) -> float:
        """Sum of the image over that of the reference; 1 where both are 0."""
        a, b = self.sums.mean_a, self.sums.mean_b
        if b == 0.0:
            return 1.0 if a == 0.0 else math.inf
        return a / b

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, JSON-able (infinite values as null)."""
        values: dict[str, Any] = {
            "pixels": self.pixels,
            "max_rel": self.max_rel,
            "max_rel_at": list(self.max_rel_at),
            "mean_rel": self.mean_rel,
            "rmse": self.rmse,
            "max_abs": self.max_abs,
            "correlation": self.correlation,
            "sum_ratio": self.sum_ratio,
            "max": self.max_a,
            "max_reference": self.max_b,
            "nan": self.nan_a,
            "nan_reference": self.nan_b,
            "infinite": self.inf_a,
            "infinite_reference": self.inf_b,
            "one_sided": self.one_sided,
            "differing_pixels": self.differing,
            "peaks": self.peaks.to_dict(),
        }
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()
        }


def measure(
    image: Image, reference: Image, corner: tuple[int, int], peaks: int = PEAKS
) -> Measures:
    """Compare two images of the same pixels.

    Parameters
    ----------
    image, reference : (n_slow, n_fast) float32 arrays
    corner : tuple of int
        Place (slow, fast) of their first pixel.
    peaks : int
        Brightest local maxima to match.

    Raises
    ------
    ShapeError
        Their shapes differ.
    """
    if image.shape != reference.shape:
        raise ShapeError(f"shapes differ: {image.shape} and {reference.shape} (slow, fast)")
    finite = np.isfinite(image) & np.isfinite(reference)
    same = (image == reference) | (np.isnan(image) & np.isnan(reference))
    one_sided = int((~finite & ~same).sum())
    all_finite = bool(finite.all())
    a = image.astype(np.float64) if all_finite else np.where(finite, image, 0.0).astype(np.float64)
    b = reference.astype(np.float64)
    if not all_finite:
        b = np.where(finite, b, 0.0)
    top = float(np.abs(b).max(initial=0.0))
    difference = np.abs(a - b)
    relative = difference / np.maximum(np.abs(b), max(FLOOR * top, _TINY))
    worst, worst_at = _worst(relative, ~finite & ~same, corner)
    return Measures(
        pixels=int(image.size),
        max_rel=worst,
        max_rel_at=worst_at,
        max_abs=float(difference.max(initial=0.0)),
        max_a=float(a.max(initial=0.0)),
        max_b=float(b.max(initial=0.0)),
        nan_a=int(np.isnan(image).sum()),
        nan_b=int(np.isnan(reference).sum()),
        inf_a=int(np.isinf(image).sum()),
        inf_b=int(np.isinf(reference).sum()),
        one_sided=one_sided,
        differing=int((~same).sum()),
        sums=_sums(a, b, finite, float(relative[finite].sum()), float((difference**2).sum())),
        peaks=match_peaks(a, b, peaks),
    )


def _worst(
    relative: NDArray[np.float64], lost: NDArray[np.bool_], corner: tuple[int, int]
) -> tuple[float, tuple[int, int]]:
    """Return the worst deviation and its place on the detector."""
    if relative.size == 0:
        return 0.0, (-1, -1)
    index = int(np.argmax(lost)) if lost.any() else int(np.argmax(relative))
    slow, fast = divmod(index, relative.shape[1])
    value = math.inf if lost.any() else float(relative[slow, fast])
    return value, (corner[0] + slow, corner[1] + fast)


def _sums(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    finite: NDArray[np.bool_],
    relative: float,
    square: float,
) -> Sums:
    n = int(finite.sum())
    if n == 0:
        return Sums()
    a, b = a[finite], b[finite]
    mean_a, mean_b = float(a.mean()), float(b.mean())
    a, b = a - mean_a, b - mean_b
    return Sums(
        n,
        mean_a,
        mean_b,
        float((a * a).sum()),
        float((b * b).sum()),
        float((a * b).sum()),
        square,
        relative,
    )


def total(parts: Iterable[Measures]) -> Measures:
    """Return the comparison of all pixels together.

    Relative deviations keep the floor of their own part.
    """
    result = Measures()
    for part in parts:
        worse = part.max_rel > result.max_rel or result.pixels == 0
        result = Measures(
            pixels=result.pixels + part.pixels,
            max_rel=max(result.max_rel, part.max_rel),
            max_rel_at=part.max_rel_at if worse else result.max_rel_at,
            max_abs=max(result.max_abs, part.max_abs),
            max_a=max(result.max_a, part.max_a),
            max_b=max(result.max_b, part.max_b),
            nan_a=result.nan_a + part.nan_a,
            nan_b=result.nan_b + part.nan_b,
            inf_a=result.inf_a + part.inf_a,
            inf_b=result.inf_b + part.inf_b,
            one_sided=result.one_sided + part.one_sided,
            differing=result.differing + part.differing,
            sums=result.sums + part.sums,
            peaks=result.peaks + part.peaks,
        )
    return result
