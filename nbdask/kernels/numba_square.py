"""Loops for a parallelepiped of cells: the grating function along each axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.kernels.numba_amplitude import add_term, look_up, nearest, rows_of
from nbdask.kernels.numba_formulas import TINY, sine_ratio
from nbdask.kernels.numba_jit import chosen_by_type, formula, full_width_vectors
from nbdask.kernels.numba_work import QX, QY, QZ


def polynomial(coefficients: Any, x: float) -> float:
    """Return a polynomial whose degree is known when compiling."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(polynomial)
def _choose_polynomial(coefficients: Any, x: Any) -> Any:
    if coefficients.count == 3:
        return _degree_2
    return _degree_4


def _degree_2(coefficients: Any, x: float) -> Any:
    return coefficients[0] + x * (coefficients[1] + x * coefficients[2])


def _degree_4(coefficients: Any, x: float) -> Any:
    upper = coefficients[2] + x * (coefficients[3] + x * coefficients[4])
    return coefficients[0] + x * (coefficients[1] + x * upper)


@formula
def sine_squared(x: float) -> float:
    """Return sin^2(pi x) for x from -1/2 to 1/2."""
    u = x * x
    ratio = sine_ratio(u)
    return u * (ratio * ratio)


def add_few_odd(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal of few cells, odd numbers of them."""
    full_width_vectors()
    qx, qy, qz, rows = work.wide[QX], work.wide[QY], work.wide[QZ], rows_of(work)
    for o in range(first, last):
        ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
        bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
        cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
        for i in range(count):
            h = ax * qx[i] + ay * qy[i] + az * qz[i]
            k = bx * qx[i] + by * qy[i] + bz * qz[i]
            el = cx * qx[i] + cy * qy[i] + cz * qz[i]
            h0, k0, el0 = nearest(amplitude, h), nearest(amplitude, k), nearest(amplitude, el)
            factor = (
                polynomial(lattice.a, sine_squared(h - h0))
                * polynomial(lattice.b, sine_squared(k - k0))
                * polynomial(lattice.c, sine_squared(el - el0))
            )
            add_term(amplitude, rows, i, factor * factor, h0, k0, el0)
        look_up(amplitude, rows, count)


def add_few(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal of few cells."""
    full_width_vectors()
    qx, qy, qz, rows = work.wide[QX], work.wide[QY], work.wide[QZ], rows_of(work)
    for o in range(first, last):
        ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
        bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
        cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
        for i in range(count):
            h = ax * qx[i] + ay * qy[i] + az * qz[i]
            k = bx * qx[i] + by * qy[i] + bz * qz[i]
            el = cx * qx[i] + cy * qy[i] + cz * qz[i]
            h0, k0, el0 = nearest(amplitude, h), nearest(amplitude, k), nearest(amplitude, el)
            sh, sk, sl = sine_squared(h - h0), sine_squared(k - k0), sine_squared(el - el0)
            factor = (
                polynomial(lattice.a, sh) * polynomial(lattice.b, sk) * polynomial(lattice.c, sl)
            )
            cosines = (
                (1.0 - lattice.even[0] * sh)
                * (1.0 - lattice.even[1] * sk)
                * (1.0 - lattice.even[2] * sl)
            )
            add_term(amplitude, rows, i, factor * factor * cosines, h0, k0, el0)
        look_up(amplitude, rows, count)


def add_grating(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal of any number of cells: sin(N pi x) / sin(pi x) per axis."""
    full_width_vectors()
    qx, qy, qz, rows = work.wide[QX], work.wide[QY], work.wide[QZ], rows_of(work)
    for o in range(first, last):
        ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
        bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
        cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
        for i in range(count):
            h = ax * qx[i] + ay * qy[i] + az * qz[i]
            k = bx * qx[i] + by * qy[i] + bz * qz[i]
            el = cx * qx[i] + cy * qy[i] + cz * qz[i]
            h0, k0, el0 = nearest(amplitude, h), nearest(amplitude, k), nearest(amplitude, el)
            # Both differences are exact, so the sines keep their relative accuracy at every zero.
            x, y, z = h - h0 + TINY, k - k0 + TINY, el - el0 + TINY
            nx, ny, nz = lattice.a * x, lattice.b * y, lattice.c * z
            nx, ny, nz = nx - np.rint(nx), ny - np.rint(ny), nz - np.rint(nz)
            above = (
                (nx * sine_ratio(nx * nx)) * (ny * sine_ratio(ny * ny)) * (nz * sine_ratio(nz * nz))
            )
            below = (x * sine_ratio(x * x)) * (y * sine_ratio(y * y)) * (z * sine_ratio(z * z))
            factor = above / below
            add_term(amplitude, rows, i, factor * factor, h0, k0, el0)
        look_up(amplitude, rows, count)
