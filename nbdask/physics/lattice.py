"""The squared lattice factor of a crystal of finite size and given shape.

Formulas: specification, intensity (S-INT).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import GAUSS, ROUND, SQUARE, Model
from nbdask.physics.scattering import nearest

Array = NDArray[np.float64]

#: Square root of the volume ratio of a cube to the sphere that shares its width's scale.
ROUND_SCALE = 0.723601254558268
#: Widths of the gauss and tophat spots, in squared reciprocal radius.
GAUSS_WIDTH = 0.63
TOPHAT_LIMIT = 0.3969


def grating(index: Array, cells: float) -> Array:
    """Return sin(N pi h) / sin(pi h) up to its sign; N at whole h.

    Only the distance to the nearest whole number matters (the sign drops out on squaring);
    subtracting it before multiplying by pi is exact.
    """
    away = index - np.rint(index)
    below = np.sin(np.pi * away)
    many = cells * away
    above = np.sin(np.pi * (many - np.rint(many)))
    sign = np.where(np.rint(many) % 2.0 == 0.0, 1.0, -1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Products of the smallest numbers are too coarse for a quotient.
        return np.where(np.abs(away) < 1e-150, cells, sign * above / below)


def sphere(x: Array) -> Array:
    """Return 3 (sin x / x - cos x) / x^2, the transform of a sphere; 1 at 0.

    Below 0.05 the difference cancels, and its Taylor series is exact to rounding.
    """
    squared = x * x
    series = 1.0 - squared / 10.0 * (1.0 - squared / 28.0 * (1.0 - squared / 54.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        direct = 3.0 * (np.sin(x) / x - np.cos(x)) / squared
    return np.where(np.abs(x) < 0.05, series, direct)


def lattice_factor(model: Model, h: Array, k: Array, el: Array) -> Array:
    """Return the lattice factor F_latt for fractional Miller indices.

    Parameters
    ----------
    model : Model
        Shape, cells, fudge; gauss and tophat also read the unrotated reciprocal vectors.
    h, k, el : float64 arrays of one shape
        Fractional indices.

    Returns
    -------
    float64 array
        Dimensionless; its sign is not that of the complex transform.
    """
    cells = model.n_cells
    if model.shape == SQUARE:
        factor = np.ones_like(h)
        for index, count in ((h, cells[0]), (k, cells[1]), (el, cells[2])):
            if count > 1.0:
                factor = factor * grating(index, float(count))
        return factor
    dh, dk, dl = h - nearest(h), k - nearest(k), el - nearest(el)
    total = model.n_cells_total
    if model.shape == ROUND:
        radius = dh * dh * cells[0] ** 2 + dk * dk * cells[1] ** 2 + dl * dl * cells[2] ** 2
        return total * ROUND_SCALE * sphere(np.pi * np.sqrt(radius * model.fudge))
    a, b, c = model.star
    x, y, z = (dh * a[i] + dk * b[i] + dl * c[i] for i in range(3))
    squared = (x * x + y * y + z * z) * (cells[0] ** 2 * cells[1] ** 2 * cells[2] ** 2)
    if model.shape == GAUSS:
        spot: Array = total * np.exp(-(squared / GAUSS_WIDTH * model.fudge))
        return spot
    inside: Array = np.where(squared * model.fudge < TOPHAT_LIMIT, total, 0.0)
    return inside
