"""Normal equations of blurred images: spots that do not overlap yet then feel each other.

Data, model and derivatives are blurred alike, by the mean of the pixels that count around each
one, weighted by a Gaussian.
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
    slow, fast = tile.slow0 - wide.slow0, tile.fast0 - wide.fast0
    inner = (slice(slow, slow + tile.shape[0]), slice(fast, fast + tile.shape[1]))
    weight = _smooth(counts.astype(np.float64), blur)[inner]
    weight = np.where(counts[inner], weight, 1.0)

    def mean(image: Array) -> Array:
        held: Array = _smooth(np.where(counts, image, 0.0), blur)[inner] / weight
        return held.reshape(-1)

    planes = np.stack([mean(plane) for plane in planes_of_tile(work, wide)])
    return pixel_sums(planes, mean(np.asarray(data)), counts[inner].reshape(-1), errors)


def _smooth(image: NDArray[np.float64], blur: float) -> Array:
    """Return an image weighted by a Gaussian around each pixel; 0 beyond its edges."""
    reach = round(_REACH * blur)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / blur) ** 2)
    weights /= weights.sum()
    for axis, side in enumerate(image.shape):
        around = [(0, 0), (0, 0)]
        around[axis] = (reach, reach)
        wide = np.moveaxis(np.pad(image, around), axis, 0)
        total = sum(weight * wide[k : k + side] for k, weight in enumerate(weights))
        image = np.moveaxis(np.asarray(total), 0, axis)
    return image
