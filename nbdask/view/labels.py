"""Positions of ring labels: on the ring, where the image is darkest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nbdask.plan.tiles import Tile
from nbdask.view.contrast import Contrast

Point = NDArray[np.float64]

#: Weight of height against darkness, so that labels keep together.
_HIGH = 0.3
#: Brightness assumed for pixels not computed yet.
_GREY = 0.5


def label_positions(
    rings: Sequence[Sequence[Point]],
    values: NDArray[np.float32],
    region: Tile,
    contrast: Contrast,
    size: tuple[float, float],
    taken: Sequence[tuple[float, float]] = (),
) -> list[Point]:
    """Choose where the names of rings stand.

    Parameters
    ----------
    rings : sequence of sequences of (points, 2) arrays
        Lines of each ring, (slow, fast) in pixels of the image; none of them is empty.
    values : (n_slow, n_fast) float32 array
        The picture.
    region : Tile
        What it covers, in pixels of the image.
    contrast : Contrast
        Ends of its logarithmic colour scale.
    size : tuple of float
        Height and width of a name, in pixels of the image.
    taken : sequence of (slow, fast)
        Points that no label may cover, such as marked spots.

    Returns
    -------
    list of (2,) arrays
        (slow, fast) for each ring: a point of its longest line, where a name does not reach beyond
        the picture and covers no other one, if there is such a point; else the middle of the line,
        moved into the picture.
    """
    sums = _sums(values, contrast)
    first = np.array([region.slow0, region.fast0]) - 0.5
    last = np.array([region.slow1, region.fast1]) - 0.5
    step = (region.shape[0] / values.shape[0], region.shape[1] / values.shape[1])
    points: list[Point] = []
    kept = [np.array(point, dtype=np.float64) for point in taken]
    for lines in rings:
        line = max(lines, key=len)
        half = np.array(size) / 2.0
        low = line - half - first
        corner = np.floor(low / step).astype(np.intp)
        span = np.maximum(1, np.ceil(np.array(size) / step)).astype(np.intp)
        inside = (corner >= 0).all(axis=1) & (corner + span < sums.shape).all(axis=1)
        for other in kept:
            inside &= (np.abs(line - other) > np.array(size) * 1.1).any(axis=1)
        if not inside.any():
            point = np.clip(line[len(line) // 2], first + half, last - half)
        else:
            (s0, f0), (s1, f1) = corner[inside].T, (corner[inside] + span).T
            bright = (sums[s1, f1] - sums[s0, f1] - sums[s1, f0] + sums[s0, f0]) / span.prod()
            height = (line[inside, 0] - region.slow0) / region.shape[0]
            point = line[inside][int(np.argmin(bright + _HIGH * height))]
        points.append(point)
        kept.append(point)
    return points


def _sums(values: NDArray[np.float32], contrast: Contrast) -> NDArray[np.float64]:
    """Return the sums of brightness, 0 to 1, over all above and left of each corner of a pixel."""
    low = max(contrast.low, contrast.high * 1e-4)
    with np.errstate(invalid="ignore"):
        bright = np.log(np.maximum(values, low) / low) / np.log(contrast.high / low)
    bright = np.clip(np.nan_to_num(bright, nan=_GREY, posinf=1.0), 0.0, 1.0)
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = bright.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    return sums
