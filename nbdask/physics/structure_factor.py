"""The structure factor amplitude at fractional Miller indices: nearest or tricubic.

Formulas: specification, intensity (S-INT).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.physics.scattering import whole_indices

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Weights = tuple[Array, Array, Array, Array]


def cell_factor(
    model: Model, h: Array, k: Array, el: Array, source: int = 0
) -> tuple[Array, Bool | None]:
    """Return F_cell of one source for fractional Miller indices, float64 arrays of one shape.

    Returns
    -------
    F : float64 array
        Amplitudes [electrons].
    outside : bool array or None
        Where an interpolation's neighbourhood leaves the grid and default_F stands in; None when
        nothing is interpolated.
    """
    if model.f_grid.size == 0:
        return np.full_like(h, model.default_F), None
    grid = model.grid_of(source)
    if not model.interpolate:
        return _nearest_amplitude(model, grid, h, k, el), None
    inside = interpolates(model, h, k, el)
    result = np.full_like(h, model.default_F)
    result[inside] = _tricubic(model, grid, h[inside], k[inside], el[inside])
    return result, ~inside


def interpolates(model: Model, h: Array, k: Array, el: Array) -> Bool:
    """Return True where the 64 neighbours of an interpolation are inside the grid."""
    inside = np.ones(h.shape, dtype=np.bool_)
    for axis, index in enumerate((h, k, el)):
        inside &= (index >= model.interp_low[axis]) & (index <= model.interp_high[axis])
    return inside


def neighbours(model: Model, axis: int, index: Array) -> tuple[NDArray[np.int64], Weights]:
    """Return where in the grid the four neighbours along one axis begin, and their weights.

    Parameters
    ----------
    model : Model
    axis : int
        0, 1, 2 for h, k, l.
    index : float64 array
        Fractional indices along it, inside the grid.

    Returns
    -------
    first : int64 array
        Place of the first neighbour in the grid.
    weights : tuple of 4 float64 arrays
        They add up to 1.
    """
    below = np.floor(index)
    first = (below - 1.0 - model.f_min[axis]).astype(np.int64)
    return first, cubic_weights(index - below)


def nearest_amplitude(model: Model, h: Array, k: Array, el: Array, source: int = 0) -> Array:
    """Return the amplitude of one source at the nearest whole indices, whatever is interpolated."""
    if model.f_grid.size == 0:
        return np.full_like(h, model.default_F)
    return _nearest_amplitude(model, model.grid_of(source), h, k, el)


def _nearest_amplitude(model: Model, grid: Array, h: Array, k: Array, el: Array) -> Array:
    inside = np.ones(h.shape, dtype=np.bool_)
    offsets = []
    for axis, whole in enumerate(whole_indices(model, h, k, el)):
        last = grid.shape[axis] - 1
        offset = whole - model.f_min[axis]
        inside &= (offset >= 0) & (offset <= last)
        offsets.append(np.clip(offset, 0, last).astype(np.int64))
    return np.where(inside, grid[tuple(offsets)], model.default_F)


def cubic_weights(fraction: Array) -> Weights:
    """Return Lagrange's weights of the values at -1, 0, 1, 2 for a place between 0 and 1.

    Parameters
    ----------
    fraction : float64 array
        From 0 to below 1.

    Returns
    -------
    tuple of 4 float64 arrays
        They add up to 1.
    """
    t = fraction
    return (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )


def _tricubic(model: Model, grid: Array, h: Array, k: Array, el: Array) -> Array:
    """Interpolate through the 4 x 4 x 4 amplitudes around each place."""
    found = [neighbours(model, axis, index) for axis, index in enumerate((h, k, el))]
    bases, weights = [base for base, _ in found], [weight for _, weight in found]
    result = np.zeros_like(h)
    for i in range(4):
        for j in range(4):
            row = np.zeros_like(h)
            for m in range(4):
                row += weights[2][m] * grid[bases[0] + i, bases[1] + j, bases[2] + m]
            result += weights[0][i] * weights[1][j] * row
    return result
