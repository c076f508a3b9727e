"""Means over the evaluations of each pixel, weighted by what each adds to the pixel's sum.

A kernel sums moments (:meth:`~.interface.Kernel.moments`); those of step ranges and of crystals
merge as the sums of an image do, and their quotients are the means.  Formulas: specification,
planes (S-PLANE).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.kernels.carry_over import (
    FirstEvaluation,
    carry_over_parts,
    find_first_evaluation,
    holds,
)
from nbdask.kernels.interface import MOMENTS, Kernel, Mask, Moments, merge_moments
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]

#: Below this sum of weights, in squared electrons, a pixel has no intensity: what is left are the
#: smallest numbers, of which quotients have no digits.
LEAST = 1e-250
_PER_ANGSTROM = 1e-10


class Planes(NamedTuple):
    """Means of a tile's pixels, (n_slow, n_fast) float64 arrays; NaN where there is no intensity.

    Attributes
    ----------
    weight : array
        Sum of the weights: that of the terms of the crystal's reflections, without the factors that
        a pixel takes once, background and diffuse scattering; 0 where nothing is evaluated.
    wavelength : array
        Mean wavelength [m].
    h, k, l : arrays
        Means of the whole indices nearest to each evaluation.
    """

    weight: Array
    wavelength: Array
    h: Array
    k: Array
    l: Array  # noqa: E741  (the name of the index)


def planes_of(
    kernel: Kernel,
    model: Model,
    tile: Tile,
    mask: Mask | None = None,
    steps: StepRange | None = None,
) -> Planes:
    """Return the weighted means of a tile, here and now.

    Parameters
    ----------
    kernel : Kernel
        ``get_kernel("cpu")`` or ``get_kernel("numpy")``.
    model : Model
    tile : Tile
        Of any panel; inside the region of interest.
    mask : (n_slow, n_fast) bool array or None
        True where a pixel is evaluated; None: everywhere.
    steps : StepRange or None
        Some of the flat steps; None: all of them.

    Raises
    ------
    BackendError
        The kernel computes no planes.
    """
    asked = StepRange(0, model.n_steps) if steps is None else steps
    found = moments_of(kernel, model, tile, asked, mask)
    if steps is None:
        patch_first(model, kernel, tile, found)
    return means(found)


def moments_of(
    kernel: Kernel, model: Model, tile: Tile, steps: StepRange, mask: Mask | None
) -> Moments:
    """Return the moments of a range of steps, of whichever crystals they are.

    Parameters
    ----------
    kernel, model, tile, mask
        As for :func:`planes_of`.
    steps : StepRange

    Returns
    -------
    Moments
        ``sums``: (5, n_slow, n_fast) float64, see :func:`means`.
    """
    if not model.lattices:
        return kernel.moments(model, tile, steps, mask)
    total = np.zeros((MOMENTS, *tile.shape))
    start = 0
    for factor, own in model.lattices:
        low, high = max(steps.start - start, 0), min(steps.stop - start, own.n_steps)
        start += own.n_steps
        if low < high:
            total += factor * kernel.moments(own, tile, StepRange(low, high), mask).sums
    return Moments(total, None)


def means(moments: Moments) -> Planes:
    """Return quotients of moments.

    Parameters
    ----------
    moments : Moments
        Of all steps: the sum of the weights, the same times the wavelength [Angstrom] and times
        whole h, k and l.
    """
    weight = moments.sums[0]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        wavelength, h, k, el = np.where(weight >= LEAST, moments.sums[1:] / weight, np.nan)
    return Planes(weight, wavelength * _PER_ANGSTROM, h, k, el)


def patch_first(model: Model, kernel: Kernel, tile: Tile, moments: Moments) -> None:
    """Put right the one pixel whose first evaluation has no rotation to carry over (S-SEM-01).

    Parameters
    ----------
    model : Model
    kernel : Kernel
    tile : Tile
    moments : Moments
        Of all steps of the tile; changed in place.
    """
    if model.first_axes is None:
        return
    first = find_first_evaluation(model.at(tile.panel))
    if first is None or not holds(tile, first):
        return
    first = first._replace(panel=tile.panel)
    place = (slice(None), first.slow - tile.slow0, first.fast - tile.fast0)
    moments.sums[place] = _first_pixel(kernel, model, first).sums[:, 0, 0]


def _first_pixel(kernel: Kernel, model: Model, first: FirstEvaluation) -> Moments:
    parts = [
        kernel.moments(part, first.pixel, steps, None)
        for part, steps in carry_over_parts(model, first)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = merge_moments(total, part)
    return total
