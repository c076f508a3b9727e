"""Derivatives of the squared lattice factor: by the indices, the numbers of cells, the width.

Formulas: specification, gradients (S-GRAD).  ``h``, ``k`` and ``el`` are fractional indices,
float64 arrays of one shape; so are all results.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import GAUSS, ROUND, SQUARE, Model
from nbdask.geometry.slopes import Slopes
from nbdask.physics.lattice import GAUSS_WIDTH, ROUND_SCALE, grating, sphere
from nbdask.physics.scattering import nearest, nearest_nodes

Array = NDArray[np.float64]

#: N x below which the slope of a grating is a series: the difference of two large numbers else.
_SERIES = 0.02
#: Relative size of what rounding leaves of sums that are 0.
_ROUNDING = 1e-14


class LatticeSlopes(NamedTuple):
    """A squared lattice factor S and its derivatives.

    Attributes
    ----------
    squared : float64 array
        S.
    by_index : tuple of 3 float64 arrays
        dS/dh, dS/dk, dS/dl.
    by_cells : tuple of 3 float64 arrays
        dS/dN along a, b, c, with N taken as a real number.
    by_fudge : float64 array
    by_form : float64 array
        dS/d(rho^2) of a gauss or spherical crystal, where rho^2 = sum of Q_ij d_i d_j; 0 of other
        shapes.
    away : tuple of 3 float64 arrays
        d: indices less the nearest whole ones; of spherical spots in the basis of nodes.
    """

    squared: Array
    by_index: tuple[Array, Array, Array]
    by_cells: tuple[Array, Array, Array]
    by_fudge: Array
    by_form: Array
    away: tuple[Array, Array, Array]


def lattice_slopes(model: Model, h: Array, k: Array, el: Array) -> LatticeSlopes:
    """Return the squared lattice factor and its derivatives (S-GRAD-05 to S-GRAD-08)."""
    if model.shape == SQUARE:
        return _square(model, h, k, el)
    if model.nodes is not None:
        return _spots(model, nearest_nodes(model, h, k, el)[1], _inverse(model.nodes))
    away = (h - nearest(h), k - nearest(k), el - nearest(el))
    if model.shape == ROUND:
        return _round(model, away)
    if model.shape == GAUSS:
        return _spots(model, away, np.eye(3))
    raise ValueError("a tophat crystal has no slopes")


def grating_slopes(x: Array, cells: float) -> tuple[Array, Array, Array]:
    """Return S = (sin N pi x / sin pi x)^2, dS/dx and dS/dN.

    Parameters
    ----------
    x : float64 array
        Distance to the nearest whole index, -1/2 to 1/2.
    cells : float
        N.
    """
    many = cells * x
    turns = np.rint(many)
    sign = np.where(turns % 2.0 == 0.0, 1.0, -1.0)
    wave = sign * np.cos(np.pi * (many - turns))
    factor = grating(x, cells)
    below = np.sin(np.pi * x)
    with np.errstate(invalid="ignore", divide="ignore"):
        direct = np.pi * (cells * wave - factor * np.cos(np.pi * x)) / below
        ratio = np.where(x == 0.0, 1.0, np.pi * x / below)
    slope = np.where(np.abs(many) < _SERIES, _grating_series(x, cells) * factor, direct)
    return factor * factor, 2.0 * factor * slope, 2.0 * factor * ratio * wave


def _grating_series(x: Array, cells: float) -> Array:
    """Return the slope of ln(sin N pi x / sin pi x) near 0, where its direct form cancels."""
    u, n2 = np.pi * x, cells * cells
    u2 = u * u
    terms = (
        (n2 - 1.0) / 3.0
        + (n2**2 - 1.0) / 45.0 * u2
        + 2.0 * (n2**3 - 1.0) / 945.0 * u2**2
        + (n2**4 - 1.0) / 4725.0 * u2**3
    )
    series: Array = -np.pi * u * terms
    return series


def _square(model: Model, h: Array, k: Array, el: Array) -> LatticeSlopes:
    away = (h - np.rint(h), k - np.rint(k), el - np.rint(el))
    found = [grating_slopes(x, float(n)) for x, n in zip(away, model.n_cells, strict=True)]
    (a, a_x, a_n), (b, b_x, b_n), (c, c_x, c_n) = found
    # Products, never quotients by a factor that may be 0.
    by_index = (a_x * b * c, a * b_x * c, a * b * c_x)
    by_cells = (a_n * b * c, a * b_n * c, a * b * c_n)
    nothing = np.zeros_like(h)
    return LatticeSlopes(a * b * c, by_index, by_cells, nothing, nothing, away)


def sphere_slope(x: Array) -> Array:
    """Return f'(x)/x of f = 3 (sin x - x cos x)/x^3; -1/5 at 0.

    Up to 1 the direct form cancels, and the series is exact to rounding.
    """
    squared = x * x
    series, odd = np.zeros_like(x), 3.0
    coefficients = []
    for n in range(1, 11):
        odd *= 2 * n + 3
        coefficients.append(3.0 * (-1) ** n * 2 * n / (factorial(n) * 2.0**n * odd))
    for coefficient in reversed(coefficients):
        series = series * squared + coefficient
    with np.errstate(invalid="ignore", divide="ignore"):
        direct = 3.0 * ((squared - 3.0) * np.sin(x) + 3.0 * x * np.cos(x)) / (squared * squared * x)
    return np.where(np.abs(x) < 1.0, series, direct)


def _round(model: Model, away: tuple[Array, Array, Array]) -> LatticeSlopes:
    cells, fudge = model.n_cells, model.fudge
    radius = sum(n * n * d * d for n, d in zip(cells, away, strict=True))
    x = np.pi * np.sqrt(radius * fudge)
    height = (model.n_cells_total * ROUND_SCALE) ** 2
    f = sphere(x)
    squared = height * f * f
    # dS/d(x^2) = height f f'/x, and x^2 = pi^2 fudge radius.
    per_radius = height * f * sphere_slope(x) * np.pi**2
    steep = 2.0 * per_radius * fudge
    by_index = _three(steep * n * n * d for n, d in zip(cells, away, strict=True))
    by_cells = _three(
        steep * n * d * d + 2.0 * squared / n for n, d in zip(cells, away, strict=True)
    )
    return LatticeSlopes(squared, by_index, by_cells, per_radius * radius, np.zeros_like(x), away)


def _inverse(matrix: Array) -> Array:
    inverse: Array = np.linalg.inv(matrix).astype(np.float64)
    return inverse


def spot_width(model: Model) -> tuple[float, float]:
    """Return how wide gauss and spherical spots are.

    Returns
    -------
    width : float
        w of S = N^2 exp(-w fudge rho^2).
    power : float
        Of the number of cells, with which rho^2 grows.
    """
    return (np.pi, 2.0 / 3.0) if model.nodes is not None else (2.0 / GAUSS_WIDTH, 2.0)


def _spots(model: Model, away: tuple[Array, Array, Array], to_nodes: Array) -> LatticeSlopes:
    width, power = spot_width(model)
    form = model.spot_form.T @ model.spot_form
    metric = [sum(form[i, j] * away[j] for j in range(3)) for i in range(3)]
    radius = sum(d * m for d, m in zip(away, metric, strict=True))
    squared = model.n_cells_total**2 * np.exp(-width * radius * model.fudge)
    by_form = -width * model.fudge * squared
    by_node = [2.0 * by_form * m for m in metric]
    by_index = _three(sum(by_node[j] * to_nodes[j, i] for j in range(3)) for i in range(3))
    # The number of all cells is in the height and in the width.
    both = 2.0 * squared + power * by_form * radius
    by_cells = _three(both / n for n in model.n_cells)
    by_fudge = -width * radius * squared
    return LatticeSlopes(squared, by_index, by_cells, by_fudge, by_form, away)


def _three(values: Iterable[Array]) -> tuple[Array, Array, Array]:
    a, b, c = values
    return a, b, c


def form_slope(model: Model, slopes: Slopes) -> Array | None:
    """Return dQ of rho^2 = sum of Q_ij d_i d_j for the reciprocal vectors; None: 0.

    Returns
    -------
    (3, 3) float64 array or None
        Symmetric.
    """
    spots = model.nodes is not None or (model.shape == GAUSS and model.cells_matrix is None)
    if not spots or slopes.star is None:
        return None
    star = model.star
    turned, most = slopes.star @ star.T, (np.abs(slopes.star) @ np.abs(star).T).max()
    both: Array = turned + turned.T
    # A turn leaves lengths and angles as they are: nothing is left but rounding.
    if np.abs(both).max() <= _ROUNDING * most:
        return None
    if model.nodes is None:
        return both * model.n_cells_total**2
    edge = np.cbrt(model.n_cells_total / abs(np.linalg.det(star)))
    shrunk = -2.0 / 3.0 * float(np.trace(np.linalg.solve(star.T, slopes.star.T)))
    own: Array = edge**2 * (model.nodes.T @ both @ model.nodes)
    result: Array = own + shrunk * (model.spot_form.T @ model.spot_form)
    return result
