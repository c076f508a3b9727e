"""Statistics of an image: per tile while it is in memory, and of the whole from the tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Pixels whose float64 copies are in memory at once.
_BLOCK = 1 << 16


class TileSummary(NamedTuple):
    """What is remembered of one tile's pixels.

    Attributes
    ----------
    n_evaluated : int
        Pixels inside the region of interest that were evaluated.
    n_masked : int
        Pixels inside the region of interest that the mask switched off (0 in the image).
    max : float
        Greatest evaluated pixel [photons]; NaN pixels do not count; 0 where nothing is above 0.
    max_slow, max_fast : int
        Its detector indices (the first one in raster order); -1 where nothing is above 0.
    mean : float
        Mean of the evaluated pixels [photons]; 0 without any.
    m2 : float
        Sum of the squared deviations of the evaluated pixels from ``mean``.
    outside : int
        Evaluations whose interpolation neighbourhood left the amplitude grid.
    seconds : float
        Time spent on the evaluation.
    """

    n_evaluated: int
    n_masked: int
    max: float
    max_slow: int
    max_fast: int
    mean: float
    m2: float
    outside: int
    seconds: float


class Statistics(NamedTuple):
    """Statistics of an image over its region of interest, as nanoBragg C defines them.

    Attributes
    ----------
    max : float
        Greatest pixel [photons].
    max_slow, max_fast : int
        Where it is: zero-based pixel indices; -1 when no pixel is above 0.
    mean : float
        Sum of the evaluated pixels divided by their number.
    rms : float
        Square root of (sum of the squares of the evaluated pixels / (their number - 1)).
    rmsd : float
        Square root of (sum of the squared deviations from ``mean`` / (number - 1)), where, unlike
        above, masked pixels inside the region of interest take part, as zeros.
    pixels : int
        Evaluated pixels.
    max_panel : int or None
        Panel of the greatest pixel, -1 when no pixel is above 0; None where there is one panel.
    max_shot : int or None
        The same of the shot; None where the image is none of a series.
    """

    max: float
    max_slow: int
    max_fast: int
    mean: float
    rms: float
    rmsd: float
    pixels: int
    max_panel: int | None = None
    max_shot: int | None = None

    @property
    def place(self) -> str:
        """Where the greatest pixel is, as text."""
        return place_text(self.max_slow, self.max_fast, self.max_panel, self.max_shot)

    def to_dict(self) -> dict[str, float]:
        """Return the values by name, without panel and shot where there are none to tell apart."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def place_text(slow: int, fast: int, panel: int | None = None, shot: int | None = None) -> str:
    """Return the place of a pixel as text; ``panel`` None: there is one, ``shot`` alike."""
    before = {"shot": shot, "panel": panel}
    named = [f"{name} {number}, " for name, number in before.items() if number is not None]
    return f"{''.join(named)}slow {slow}, fast {fast}"


def peak_text(
    value: float | None, slow: int, fast: int, panel: int | None = None, shot: int | None = None
) -> str:
    """Return the brightest pixel and where it is, or that there is none."""
    place = place_text(slow, fast, panel, shot)
    if slow < 0:
        return "no pixel above 0"
    if value is None or math.isinf(value):
        return f"max infinite at {place}: pixels exceed single precision"
    return f"max {value:.7g} at {place}"


class Apart(NamedTuple):
    """How the tiles of an image follow one another: shot by shot, panel by panel.

    Attributes
    ----------
    per_panel : int
        Tiles of a panel.
    panels : int
    shots : int
        0: the image is none of a series.
    """

    per_panel: int
    panels: int = 1
    shots: int = 0

    def place(self, number: int) -> tuple[int, int]:
        """Return shot and panel of a tile."""
        return divmod(number // self.per_panel, self.panels)


EMPTY = TileSummary(0, 0, 0.0, -1, -1, 0.0, 0.0, 0, 0.0)


def summarise(
    image: NDArray[np.float32],
    corner: tuple[int, int],
    mask: NDArray[np.bool_] | None,
    outside: int = 0,
    seconds: float = 0.0,
) -> TileSummary:
    """Summarise the evaluated part of one tile.

    Parameters
    ----------
    image : (n_slow, n_fast) float32 array
        Photons; only pixels inside the region of interest.  Masked pixels are 0.
    corner : tuple of int
        Detector indices (slow, fast) of ``image[0, 0]``.
    mask : (n_slow, n_fast) bool array or None
        True where the pixel was evaluated; None: everywhere.
    outside : int
        Evaluations outside the amplitude grid.
    seconds : float
        Time spent.
    """
    count, mean, m2 = 0, 0.0, 0.0
    peak, peak_at = 0.0, (-1, -1)
    rows = max(1, _BLOCK // max(1, image.shape[1]))
    for row in range(0, image.shape[0], rows):
        block = image[row : row + rows]
        # Masked pixels are 0 and only what is above 0 can be a peak.
        top = _peak(block)
        if top is not None and top[0] > peak:
            peak = top[0]
            peak_at = (corner[0] + row + top[1], corner[1] + top[2])
        if mask is not None:
            block = block[mask[row : row + rows]]
        count, mean, m2 = _join(count, mean, m2, *_moments(block))
    return TileSummary(
        count, image.size - count, peak, peak_at[0], peak_at[1], mean, m2, outside, seconds
    )


def _peak(block: NDArray[np.float32]) -> tuple[float, int, int] | None:
    """Return the greatest number of a block and its place, passing over NaN."""
    where = int(np.argmax(block))
    if np.isnan(block.flat[where]):
        if np.isnan(block).all():
            return None
        where = int(np.nanargmax(block))
    row, column = divmod(where, block.shape[1])
    return float(block.flat[where]), row, column


def _moments(block: NDArray[np.float32]) -> tuple[int, float, float]:
    """Return number, mean and sum of squared deviations of a block."""
    if not block.any():
        return block.size, 0.0, 0.0
    values = block.astype(np.float64)
    # Pixels beyond float32 are infinite: their statistics are too, without a complaint here.
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(values.mean())
        values -= mean
        return block.size, mean, float(np.square(values).sum())


def _join(
    n1: int, mean1: float, m1: float, n2: int, mean2: float, m2: float
) -> tuple[int, float, float]:
    """Join number, mean and squared deviations of two sets (Chan, Golub and LeVeque 1983)."""
    if n1 == 0:
        return n2, mean2, m2
    if n2 == 0:
        return n1, mean1, m1
    n = n1 + n2
    delta = mean2 - mean1
    return n, mean1 + delta * n2 / n, m1 + m2 + delta * delta * n1 * n2 / n


def combine(tiles: Iterable[TileSummary], apart: Apart | None = None) -> Statistics:
    """Combine the tiles' summaries, in the order given, into the statistics of the image.

    Parameters
    ----------
    tiles : iterable of TileSummary
        In a fixed order: another order changes the last bits.
    apart : Apart, optional
        Where there are several panels or shots: all tiles come.
    """
    count, masked, mean, m2 = 0, 0, 0.0, 0.0
    peak, peak_at = 0.0, (-1, -1, -1, -1)
    for number, tile in enumerate(tiles):
        plane = (0, 0) if apart is None else apart.place(number)
        here = (*plane, tile.max_slow, tile.max_fast)
        # Among equal maxima the first in raster order counts, whatever the tiles' size.
        if tile.max > peak or (tile.max == peak > 0.0 and here < peak_at):
            peak, peak_at = tile.max, here
        masked += tile.n_masked
        count, mean, m2 = _join(count, mean, m2, tile.n_evaluated, tile.mean, tile.m2)
    squares = m2 + count * mean * mean
    deviations = m2 + masked * mean * mean
    return Statistics(
        max=peak,
        max_slow=peak_at[2],
        max_fast=peak_at[3],
        mean=mean,
        rms=math.sqrt(squares / max(1, count - 1)),
        rmsd=math.sqrt(deviations / max(1, count + masked - 1)),
        pixels=count,
        max_panel=peak_at[1] if apart is not None and apart.panels > 1 else None,
        max_shot=peak_at[0] if apart is not None and apart.shots else None,
    )
