"""The squared lattice factor of a crystal of finite size and given shape.

Formulas: specification, intensity (S-INT).  ``h``, ``k`` and ``el`` are the fractional indices,
float64 arrays of one shape; so are all results.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import GAUSS, ROUND, SPHERICAL, SQUARE, Model
from nbdask.physics.scattering import nearest, nearest_nodes

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

    Parameters
    ----------
    index : float64 array
        Fractional index h.
    cells : float
        Number of cells N along the axis.

    Returns
    -------
    float64 array
        From -N to N, dimensionless.
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

    Parameters
    ----------
    x : float64 array
        [rad]

    Returns
    -------
    float64 array
        At most 1, dimensionless.
    """
    squared = x * x
    series = 1.0 - squared / 10.0 * (1.0 - squared / 28.0 * (1.0 - squared / 54.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        direct = 3.0 * (np.sin(x) / x - np.cos(x)) / squared
    return np.where(np.abs(x) < 0.05, series, direct)


def grating_factors(model: Model, h: Array, k: Array, el: Array) -> tuple[Array, Array, Array]:
    """Return the factors of a square crystal along a, b and c; 1 along an axis of one cell."""
    along_a, along_b, along_c = (
        grating(index, float(count)) if count > 1.0 else np.ones_like(index)
        for index, count in zip((h, k, el), model.n_cells, strict=True)
    )
    return along_a, along_b, along_c


def sphere_argument(model: Model, h: Array, k: Array, el: Array) -> Array:
    """Return x of a round crystal's factor [rad]: pi times the distance to the spot, in fringes."""
    dh, dk, dl = h - nearest(h), k - nearest(k), el - nearest(el)
    cells = model.n_cells
    radius = dh * dh * cells[0] ** 2 + dk * dk * cells[1] ** 2 + dl * dl * cells[2] ** 2
    argument: Array = np.pi * np.sqrt(radius * model.fudge)
    return argument


def spot_radius_squared(model: Model, h: Array, k: Array, el: Array) -> Array:
    """Return rho^2 of gauss, tophat and spherical spots.

    It is the squared distance to the spot [1/Angstrom^2] times the squared number of cells; with a
    matrix of cells N it is |N (dh, dk, dl)|^2, of spherical spots D^2 |q - q0|^2.
    """
    if model.nodes is not None:
        dh, dk, dl = nearest_nodes(model, h, k, el)[1]
    else:
        dh, dk, dl = h - nearest(h), k - nearest(k), el - nearest(el)
    x, y, z = (dh * a + dk * b + dl * c for a, b, c in model.spot_form)
    squared: Array = x * x + y * y + z * z
    return squared


def lattice_factor(model: Model, h: Array, k: Array, el: Array) -> Array:
    """Return the lattice factor F_latt; its sign is not that of the complex transform.

    Of the model it reads shape, cells and fudge; gauss and tophat also the unrotated reciprocal
    vectors.
    """
    if model.shape == SQUARE:
        along_a, along_b, along_c = grating_factors(model, h, k, el)
        return along_a * along_b * along_c
    total = model.n_cells_total
    if model.shape == ROUND:
        return total * ROUND_SCALE * sphere(sphere_argument(model, h, k, el))
    squared = spot_radius_squared(model, h, k, el)
    if model.shape == SPHERICAL:
        ball: Array = total * np.exp(-(0.5 * np.pi * model.fudge * squared))
        return ball
    if model.shape == GAUSS:
        spot: Array = total * np.exp(-(squared / GAUSS_WIDTH * model.fudge))
        return spot
    inside: Array = np.where(squared * model.fudge < TOPHAT_LIMIT, total, 0.0)
    return inside
