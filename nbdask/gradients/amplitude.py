"""Derivatives of structure factor amplitudes: by the indices, and by each amplitude of the list.

Formulas: specification, gradients (S-GRAD).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.physics.structure_factor import Weights, cell_factor, interpolates, neighbours

Array = NDArray[np.float64]


def cubic_slopes(fraction: Array) -> Weights:
    """Return the derivatives of Lagrange's weights by the place between 0 and 1 (S-GRAD-09).

    Returns
    -------
    tuple of 4 float64 arrays
        They add up to 0.
    """
    t = fraction
    square = 3.0 * t * t
    return (
        -(square - 6.0 * t + 2.0) / 6.0,
        (square - 4.0 * t - 1.0) / 2.0,
        -(square - 2.0 * t - 2.0) / 2.0,
        (square - 1.0) / 6.0,
    )


def amplitude_slopes(
    model: Model, h: Array, k: Array, el: Array, source: int = 0
) -> tuple[Array, tuple[Array, Array, Array] | None]:
    """Return F_cell and its derivatives by h, k, l; None where nothing is interpolated.

    Between half-integers an amplitude that is looked up is constant; the jumps do not count.
    """
    amplitude, outside = cell_factor(model, h, k, el, source)
    if outside is None:
        return amplitude, None
    inside = interpolates(model, h, k, el)
    indices = (h[inside], k[inside], el[inside])
    bases, weights, steep = [], [], []
    for axis, index in enumerate(indices):
        first, weight = neighbours(model, axis, index)
        bases.append(first)
        weights.append(weight)
        steep.append(cubic_slopes(index - np.floor(index)))
    result = []
    for axis in range(3):
        used = [steep[i] if i == axis else weights[i] for i in range(3)]
        plane = np.zeros_like(h)
        plane[inside] = _sum_of_64(model.grid_of(source), bases, used)
        result.append(plane)
    return amplitude, (result[0], result[1], result[2])


def _sum_of_64(grid: Array, bases: list[NDArray[np.int64]], used: list[Weights]) -> Array:
    total = np.zeros(bases[0].shape)
    for i in range(4):
        for j in range(4):
            for m in range(4):
                values = grid[bases[0] + i, bases[1] + j, bases[2] + m]
                total += used[0][i] * used[1][j] * used[2][m] * values
    return total
