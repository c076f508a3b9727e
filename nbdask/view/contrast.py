"""The range of photons shown: from the background to where spots stand out."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.plan.tiles import Tile

#: Percentiles of the pixels above 0 that set the upper ends of the scales.
LOG_PERCENTILE, LINEAR_PERCENTILE = 99.9, 99.0
#: Widest automatic logarithmic scale [powers of ten], and narrowest without a background.
_WIDEST, _NARROWEST = 4.0, 1.5
#: Greatest spread of a background in units of its level; what spreads more is a pattern.
_EVEN = 0.8
#: Standard deviation of a normal distribution in units of its median absolute deviation.
_SIGMA = 1.4826
#: Least spread that is assumed, in units of the level: smooth backgrounds have hardly any.
_LEAST_SPREAD = 0.02
#: Spreads above the background from which on a pixel counts as one of a spot, and where the scale
#: ends at the lowest, so that noise stays dark.
_SPOT, _DARK = 5.0, 8.0
#: Rings in which the background is looked at, and the least pixels of one.
_RINGS, _FEWEST = 40, 50
#: Of photons without a background most pixels have none, and most others hardly more than one.
_FEW = 3.0
#: Percentiles of the spots' pixels that the upper ends of the scales go by.
_LOG_SPOTS, _LINEAR_SPOTS = 90.0, 50.0

Pixels = NDArray[np.float64]


class Contrast(NamedTuple):
    """Photons at the two ends of a colour scale; ``low`` is above 0 on a logarithmic one."""

    low: float
    high: float


def choose(
    values: NDArray[np.float32],
    *,
    log: bool = True,
    percentile: float | None = None,
    centre: tuple[float, float] | None = None,
) -> Contrast:
    """Choose the ends of the colour scale for an image.

    Parameters
    ----------
    values : float32 array
        Photons; what is not finite, or not above 0, does not count.
    log : bool
        Logarithmic scale; else linear.
    percentile : float, optional
        Percentile of the pixels above 0 that becomes the upper end.
    centre : (slow, fast), optional
        Of the beam, in pixels of ``values``, which then has two dimensions: the background may
        change with the distance from it.

    Returns
    -------
    Contrast
        With a background (in most pixels its standard deviation is at most 0.8 of its median,
        ring by ring): from one standard deviation above its median level to halfway (in
        powers of ten) to the percentile 90 of the spots' pixels, which exceed it by five, or
        linear to their median; but not below eight standard deviations above its brightest ring.
        Single photons in less than half of the pixels are no background.
        Without one, or in fewer than 50 pixels, logarithmic: from
        the faint tenth of the pixels, at most four powers of ten below the upper end, to halfway
        between the percentile 99.9 and the maximum; linear: from 0 to the percentile 99, where
        there are single photons to the median of what has at least eight.
        (0.1, 1), linear (0, 1), where nothing is above 0.
    """
    counts = np.isfinite(values) & (values > 0.0)
    bright = values[counts].astype(np.float64)
    if bright.size == 0:
        return Contrast(0.1 if log else 0.0, 1.0)
    even = None
    if bright.size >= _FEWEST:
        even = _even(bright, _rings(values, counts, centre))
    if even is None:
        return _of_pattern(bright, log, percentile)
    level, spread = even
    if 2 * bright.size < np.isfinite(values).sum() and np.median(level) <= _FEW * bright.min():
        return _of_single_photons(bright, log, percentile)
    low = float(np.median(level + spread))
    if percentile is None:
        high = _end(bright, level, spread, low, log)
    else:
        high = float(np.percentile(bright, percentile))
    if high > low * (1.0 + 1e-3):
        return Contrast(low, high)
    return Contrast(high / 10.0**_NARROWEST if log else 0.0, high)


def centre_of(region: Tile, factor: int, beam: tuple[float, float]) -> tuple[float, float]:
    """Return where the beam is in pixels of a reduced region.

    Parameters
    ----------
    region : Tile
        What is shown, in pixels of the image.
    factor : int
        Pixels of the image along each side of a pixel of the picture.
    beam : (slow, fast)
        In pixels of the image; 0 is the centre of the first.
    """
    slow, fast = beam
    return (slow + 0.5 - region.slow0) / factor - 0.5, (fast + 0.5 - region.fast0) / factor - 0.5


def _rings(
    values: NDArray[np.float32],
    counts: NDArray[np.bool_],
    centre: tuple[float, float] | None,
) -> NDArray[np.intp]:
    """Return the ring about the beam that each pixel that counts is in, as many in each."""
    if centre is None or values.ndim != 2 or not all(map(math.isfinite, centre)):
        return np.zeros(int(counts.sum()), dtype=np.intp)
    slow, fast = np.nonzero(counts)
    radius = np.hypot(slow - centre[0], fast - centre[1])
    rings = max(1, min(_RINGS, radius.size // _FEWEST))
    edges = np.quantile(radius, np.linspace(0.0, 1.0, rings + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, radius), dtype=np.intp)


def _even(bright: Pixels, ring: NDArray[np.intp]) -> tuple[Pixels, Pixels] | None:
    """Return level and standard deviation of the background under each pixel; None: there is none.

    Spots are few, so the median of a ring and the median distance from it do not see them.
    """
    order = np.argsort(ring, kind="stable")
    ends = np.searchsorted(ring[order], np.arange(ring.max() + 2))
    level, spread = np.zeros(ring.max() + 1), np.zeros(ring.max() + 1)
    for number, (start, end) in enumerate(pairwise(ends)):
        if end > start:
            inside = bright[order[start:end]]
            level[number] = np.median(inside)
            spread[number] = _SIGMA * np.median(np.abs(inside - level[number]))
    share = np.bincount(ring, minlength=len(level))
    if share[spread <= _EVEN * level].sum() < 0.5 * share.sum():
        return None
    spread = np.maximum(spread, _LEAST_SPREAD * level)
    return level[ring], spread[ring]


def _end(bright: Pixels, level: Pixels, spread: Pixels, low: float, log: bool) -> float:
    """Return the upper end of the scale of an image with a background."""
    dark = float(np.percentile(level + _DARK * spread, LINEAR_PERCENTILE))
    spots = bright[bright > level + _SPOT * spread]
    if spots.size == 0:
        return dark
    typical = float(np.percentile(spots, _LOG_SPOTS if log else _LINEAR_SPOTS))
    return max(dark, math.sqrt(low * typical) if log else typical)


def _of_pattern(bright: Pixels, log: bool, percentile: float | None) -> Contrast:
    """Return the ends of the scale of an image without a background."""
    upper = percentile if percentile is not None else (LOG_PERCENTILE if log else LINEAR_PERCENTILE)
    faint, high = (float(x) for x in np.percentile(bright, [10.0, upper]))
    if log and percentile is None:
        # Few spots on a background: the percentile alone could lie within the background.
        high = float(np.sqrt(high * bright.max()))
    if not log:
        return Contrast(0.0, high)
    low = min(max(faint, high * 10.0**-_WIDEST), high * 10.0**-_NARROWEST)
    return Contrast(low, high)


def _of_single_photons(bright: Pixels, log: bool, percentile: float | None) -> Contrast:
    """Return the ends of the scale where most pixels have no photon and many of the others one.

    One photon is dark, as it says nothing; spots decide.
    """
    one = float(np.percentile(bright, 10.0))
    if percentile is not None or log:
        high = _of_pattern(bright, log, percentile).high
    else:
        spots = bright[bright >= _DARK * one]
        high = float(np.percentile(spots, _LINEAR_SPOTS)) if spots.size else _DARK * one
    if not log:
        return Contrast(0.0, high)
    if percentile is None:
        high = max(high, one * 10.0**_NARROWEST)
    low = max(one, high * 10.0**-_WIDEST)
    return Contrast(low if high > low * (1.0 + 1e-3) else high * 10.0**-_NARROWEST, high)
