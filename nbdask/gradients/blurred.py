"""Normal equations of blurred images: spots that do not overlap yet then feel each other.

Data, model and derivatives are blurred alike, by the mean of the pixels that count around each
one, weighted by a Gaussian.  A wide Gaussian leaves nothing finer than itself, so that every n-th
pixel tells as much as all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Array
from nbdask.gradients.normal import Errors, NormalEquations, Sums, add_sums, counted, pixel_sums
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.reduce import given, given_mask, over_tiles, widened
from nbdask.gradients.work import Work, planes_of_tile

#: Standard deviations after which the Gaussian ends.
_REACH = 3.0


def blurred_equations(
    work: Work,
    parameters: Sequence[Parameter],
    data: Any,
    mask: Any,
    errors: Errors,
    blur: float,
) -> NormalEquations:
    """Return the normal equations of a blurred image and its model.

    The variance is that of a pixel that is not blurred, as if it were one of very many: losses
    can be compared with each other, but tell no standard deviations.

    Parameters
    ----------
    work : Work
    parameters : sequence of Parameter
    data, mask
        As for :func:`~.normal.normal_equations`.
    errors : Errors
    blur : float
        Standard deviation of the Gaussian [pixel].
    """
    given("data", data)
    given_mask(mask)
    margin = math.ceil(_REACH * blur)
    task = partial(_tile, errors=errors, blur=blur, margin=margin)
    sums = over_tiles(work, [data, mask], task, add_sums, margin)
    return NormalEquations.of(parameters, sums)


def _tile(
    work: Work, index: int, data: Array, mask: Any, errors: Errors, blur: float, margin: int
) -> Sums:
    """Return the sums of one tile, of which the pixels around it are known."""
    tile = work.grid[index]
    wide = widened(tile, work.grid.shape, margin)
    counts = np.isfinite(data) & counted(work, wide)
    if mask is not None:
        counts &= np.asarray(mask, dtype=np.bool_)
    step = max(1, int(0.5 * blur))
    slow = -(-tile.slow0 // step) * step, tile.slow1, wide.slow0
    fast = -(-tile.fast0 // step) * step, tile.fast1, wide.fast0
    rows, columns = (np.arange(a, b, step) - first for a, b, first in (slow, fast))
    chosen = counts[np.ix_(rows, columns)]

    def smooth(image: Array) -> Array:
        return _blurred(np.ascontiguousarray(_blurred(image, rows, blur).T), columns, blur).T

    weight = np.where(chosen, smooth(counts.astype(np.float64)), 1.0)

    def mean(image: Array) -> Array:
        held: Array = smooth(np.where(counts, image, 0.0)) / weight
        return held.reshape(-1)

    planes = np.stack([mean(plane) for plane in planes_of_tile(work, wide)])
    sums = pixel_sums(planes, mean(np.asarray(data)), chosen.reshape(-1), errors)
    # Each stands for those that are passed over.
    loss, chi2, pixels, gradient, hessian = sums
    many = step * step
    return many * loss, many * chi2, many * pixels, many * gradient, many * hessian


def _blurred(image: Array, rows: NDArray[np.int64], blur: float) -> Array:
    """Return rows of an image, each with those around it weighted by a Gaussian; 0 beyond edges.

    Parameters
    ----------
    image : (n, columns) float64 array
    rows : (m,) int64 array
        At equal distances, ascending.
    blur : float
    """
    reach = round(_REACH * blur)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / blur) ** 2)
    weights /= weights.sum()
    total = np.zeros((len(rows), image.shape[1]))
    if not len(rows):
        return total
    wide = np.pad(image, ((reach, reach), (0, 0)))
    first, last = int(rows[0]), int(rows[-1])
    step = max(1, (last - first) // max(1, len(rows) - 1))
    part = np.empty_like(total)
    for place, weight in enumerate(weights):
        np.multiply(wide[first + place : last + place + 1 : step], weight, out=part)
        total += part
    return total
