"""One level of a pyramid from the one below it: 2 x 2 pixels become one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nbdask.store.levels import MAX

Image = NDArray[np.float32]
Weights = tuple[NDArray[np.float64], NDArray[np.float64]]
#: Rows that are halved at a time; even.
_ROWS = 128


def halved(values: Image, kind: str, weights: Weights) -> Image:
    """Return an image with half the pixels along each side, rounded up.

    Parameters
    ----------
    values : (n_slow, n_fast) float32 array
        Its corner is at even pixels.  NaN pixels do not count.
    kind : str
        ``"max"`` or ``"mean"``.
    weights : pair of float64 arrays, (n_slow,) and (n_fast,)
        What rows and columns count in a mean: the pixels of the image that each stands for, fewer
        at the far edges.

    Returns
    -------
    float32 array
        NaN where all four pixels are.
    """
    shape = (-(-values.shape[0] // 2), -(-values.shape[1] // 2))
    result = np.empty(shape, dtype=np.float32)
    if kind == MAX:
        for rows, half in _strips(values):
            result[half] = _greater(_greater(values[rows]).T).T
        return result
    if all(len(w) % 2 == 0 and bool((w == w[0]).all()) for w in weights):
        for rows, half in _strips(values):
            # A quarter first: the sum of four could exceed single precision.
            quarter = values[rows] * np.float32(0.25)
            two = quarter[0::2] + quarter[1::2]
            result[half] = two[:, 0::2] + two[:, 1::2]
        if not np.isnan(result).any():
            return result
    for rows, half in _strips(values):
        result[half] = _weighted(values[rows], (weights[0][rows], weights[1]))
    return result


def _strips(values: Image) -> Iterator[tuple[slice, slice]]:
    """Yield the rows of one strip after another, and those of the result.

    What is needed on the way, in double precision too, has the size of a strip.
    """
    for start in range(0, values.shape[0], _ROWS):
        stop = min(start + _ROWS, values.shape[0])
        yield slice(start, stop), slice(start // 2, -(-stop // 2))


def _greater(values: Image) -> Image:
    """Return the greater of each two rows; a last one that is alone as it is."""
    if values.shape[0] % 2 == 0:
        return np.fmax(values[0::2], values[1::2])
    return np.concatenate((np.fmax(values[0:-1:2], values[1::2]), values[-1:]))


def _weighted(values: Image, weights: Weights) -> Image:
    """Return the weighted mean of the pixels that are numbers."""
    slow, fast = (side + side % 2 for side in values.shape)
    numbers, counts = np.zeros((slow, fast)), np.zeros((slow, fast))
    inside = (slice(values.shape[0]), slice(values.shape[1]))
    missing = np.isnan(values)
    counts[inside] = np.where(missing, 0.0, np.outer(*weights))
    numbers[inside] = np.where(missing, 0.0, values) * counts[inside]
    four = (slow // 2, 2, fast // 2, 2)
    total, count = (part.reshape(four).sum(axis=(1, 3)) for part in (numbers, counts))
    result = np.full(total.shape, np.nan, dtype=np.float32)
    known = count > 0.0
    result[known] = total[known] / count[known]
    return result
