"""The brightest local maxima of two images, and how far apart they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Maxima of the other image considered for each peak, as a multiple of their number: equal
#: peaks may be sorted differently by the last digit.
_MORE = 8
#: By how much a peak stands above the mean of its neighbours; what still counts as rounding.
_MARGIN, _ROUNDING = 1e-5, 1e-6
#: Steps (slow, fast) to the eight neighbours, those before a pixel in raster order first.
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PeakMatch:
    """Peaks of a reference, each with the nearest peak of an image.

    Attributes
    ----------
    count : int
        Peaks of the reference.
    missing : int
        Those of them for which the image has no peak at all.
    distance_sum, distance_max : float
        Of the others [pixels].
    """

    count: int = 0
    missing: int = 0
    distance_sum: float = 0.0
    distance_max: float = 0.0

    @property
    def distance_mean(self) -> float:
        """Mean distance [pixels]."""
        found = self.count - self.missing
        return self.distance_sum / found if found else 0.0

    def __add__(self, other: PeakMatch) -> PeakMatch:
        """Return both sets of peaks together."""
        return PeakMatch(
            self.count + other.count,
            self.missing + other.missing,
            self.distance_sum + other.distance_sum,
            max(self.distance_max, other.distance_max),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, JSON-able."""
        return {
            "count": self.count,
            "missing": self.missing,
            "mean_distance": self.distance_mean,
            "max_distance": self.distance_max,
        }


def brightest_peaks(image: Array, count: int, slack: float = 0.0) -> NDArray[np.int64]:
    """Return the places of the brightest local maxima.

    Parameters
    ----------
    image : (n_slow, n_fast) float64 array
        Finite.
    count : int
        Most peaks to return.
    slack : float
        A maximum may be below a neighbour by this share of it.

    Returns
    -------
    (n, 2) int64 array
        Slow and fast index, the brightest first.  A maximum is above 0, not below any of its
        eight neighbours, and above their mean by more than :data:`_MARGIN`, so that the rounding
        of a smooth background makes no peaks.  Without slack it is also above those neighbours
        that come before it in raster order, so that a plateau counts once.
    """
    if count < 1 or image.size == 0:
        return np.zeros((0, 2), np.int64)
    padded = np.pad(image, 1, mode="edge")
    highest = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    highest = np.maximum(np.maximum(highest[:, :-2], highest[:, 1:-1]), highest[:, 2:])
    maxima = np.argwhere((image > 0.0) & (image * (1.0 + slack) >= highest))
    values = image[maxima[:, 0], maxima[:, 1]]
    mean, kept = np.zeros(len(maxima)), np.ones(len(maxima), dtype=np.bool_)
    for offset in _NEIGHBOURS:
        slow, fast = (maxima + offset).T
        other = padded[slow + 1, fast + 1]
        mean += other / len(_NEIGHBOURS)
        if slack == 0.0 and offset < (0, 0):
            outside = (slow < 0) | (fast < 0) | (fast >= image.shape[1])
            kept &= (values > other) | outside
    kept &= values > mean * (1.0 + (_MARGIN if slack == 0.0 else _MARGIN / 2))
    order = np.argsort(-values[kept], kind="stable")[:count]
    return maxima[kept][order]


def match_peaks(image: Array, reference: Array, count: int) -> PeakMatch:
    """Find, for each of the reference's brightest peaks, the nearest peak of the image.

    Parameters
    ----------
    image, reference : (n_slow, n_fast) float64 arrays
        Finite.
    count : int
        Peaks of the reference.  Of the image more may serve, and neighbours that differ from the
        highest pixel by rounding only: where two pixels share a spot evenly, the last digit
        decides which of them is the maximum.
    """
    wanted = brightest_peaks(reference, count)
    found = brightest_peaks(image, _MORE * count, _ROUNDING)
    if len(wanted) == 0:
        return PeakMatch()
    if len(found) == 0:
        return PeakMatch(len(wanted), len(wanted))
    steps = wanted[:, None, :] - found[None, :, :]
    nearest = np.sqrt((steps.astype(np.float64) ** 2).sum(axis=2)).min(axis=1)
    return PeakMatch(len(wanted), 0, math.fsum(nearest.tolist()), float(nearest.max()))
