"""The range of photons shown: from the faint background to just below the brightest spots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Percentiles of the pixels above 0 that set the upper ends of the scales.
LOG_PERCENTILE, LINEAR_PERCENTILE = 99.9, 99.0
#: Widest automatic logarithmic scale [powers of ten], and narrowest.
_WIDEST, _NARROWEST = 4.0, 1.5


class Contrast(NamedTuple):
    """Photons at the two ends of a colour scale; ``low`` is above 0 on a logarithmic one."""

    low: float
    high: float


def choose(
    values: NDArray[np.float32], *, log: bool = True, percentile: float | None = None
) -> Contrast:
    """Choose the ends of the colour scale for an image.

    Parameters
    ----------
    values : float32 array
        Photons; what is not finite does not count.
    log : bool
        Logarithmic scale: from the faint tenth of the pixels, at most four powers of ten below the
        upper end, to halfway (in powers of ten) between the percentile 99.9 and the maximum.
        Linear: from 0 to the percentile 99.
    percentile : float, optional
        Percentile of the pixels above 0 that becomes the upper end instead.

    Returns
    -------
    Contrast
        (0.1, 1) where nothing is above 0.
    """
    bright = values[np.isfinite(values) & (values > 0.0)].astype(np.float64)
    if bright.size == 0:
        return Contrast(0.1 if log else 0.0, 1.0)
    upper = percentile if percentile is not None else (LOG_PERCENTILE if log else LINEAR_PERCENTILE)
    faint, high = (float(x) for x in np.percentile(bright, [10.0, upper]))
    if log and percentile is None:
        # Few spots on a background: the percentile alone could lie within the background.
        high = float(np.sqrt(high * bright.max()))
    if not log:
        return Contrast(0.0, high)
    low = min(max(faint, high * 10.0**-_WIDEST), high * 10.0**-_NARROWEST)
    return Contrast(low, high)
