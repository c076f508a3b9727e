"""Loops for round, gauss and tophat crystals: functions of the distance to the nearest spot."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.kernels.numba_amplitude import add_term, look_up, rows_of
from nbdask.kernels.numba_formulas import cosine, power_of_two, sphere_part
from nbdask.kernels.numba_jit import full_width_vectors
from nbdask.kernels.numba_work import QX, QY, QZ

#: Added to a squared radius, so that 0 / 0 becomes x^3 / x^3.
_TINY_SQUARED = 1e-60


def add_sphere(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a round crystal: (sin X - X cos X) / x^3 with X = pi x.

    With x = y + r, r whole: sin X - X cos X = +-((sin Y - Y cos Y) - pi r cos Y), and the sign
    drops out.  Within the first half turn nothing cancels.
    """
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
            h0, k0, el0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(el - 0.5)
            dh, dk, dl = (h - h0) * lattice.a, (k - k0) * lattice.b, (el - el0) * lattice.c
            radius2 = lattice.fudge * (dh * dh + dk * dk + dl * dl) + _TINY_SQUARED
            x = np.sqrt(radius2)
            r = np.rint(x)
            y = x - r
            u = y * y
            above = y * u * sphere_part(u) - np.pi * r * cosine(u)
            factor = above / (x * radius2)
            add_term(amplitude, rows, i, factor * factor, h0, k0, el0)
        look_up(amplitude, rows, count)


def add_gauss(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal with Gaussian spots."""
    full_width_vectors()
    qx, qy, qz, rows = work.wide[QX], work.wide[QY], work.wide[QZ], rows_of(work)
    aa, ab, ac, bb, bc, cc = lattice.triangle
    for o in range(first, last):
        ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
        bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
        cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
        for i in range(count):
            h = ax * qx[i] + ay * qy[i] + az * qz[i]
            k = bx * qx[i] + by * qy[i] + bz * qz[i]
            el = cx * qx[i] + cy * qy[i] + cz * qz[i]
            h0, k0, el0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(el - 0.5)
            dh, dk, dl = h - h0, k - k0, el - el0
            x = aa * dh + ab * dk + ac * dl
            y = bb * dk + bc * dl
            z = cc * dl
            term = power_of_two(-lattice.sign * (x * x + y * y + z * z))
            add_term(amplitude, rows, i, term, h0, k0, el0)
        look_up(amplitude, rows, count)


def add_tophat(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal whose spots have an edge."""
    full_width_vectors()
    qx, qy, qz, rows = work.wide[QX], work.wide[QY], work.wide[QZ], rows_of(work)
    aa, ab, ac, bb, bc, cc = lattice.triangle
    for o in range(first, last):
        ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
        bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
        cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
        for i in range(count):
            h = ax * qx[i] + ay * qy[i] + az * qz[i]
            k = bx * qx[i] + by * qy[i] + bz * qz[i]
            el = cx * qx[i] + cy * qy[i] + cz * qz[i]
            h0, k0, el0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(el - 0.5)
            dh, dk, dl = h - h0, k - k0, el - el0
            x = aa * dh + ab * dk + ac * dl
            y = bb * dk + bc * dl
            z = cc * dl
            inside = lattice.sign * (x * x + y * y + z * z) < 1.0
            add_term(amplitude, rows, i, float(int(inside)), h0, k0, el0)
        look_up(amplitude, rows, count)
