"""Loops of the mixed precision: Miller indices in float64, lattice factors in float32.

A first loop keeps, of each index, the distance to its nearest whole number in units of 2^-32; a
second one reads twice as many of these numbers with each vector.  Sums of a few orientations are
float32, everything beyond float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.kernels.numba_amplitude import keep_place, scale_terms
from nbdask.kernels.numba_formulas import TINY32, fraction_bits, power_of_two32, sine_ratio32
from nbdask.kernels.numba_jit import block, full_width_vectors
from nbdask.kernels.numba_rows import fill
from nbdask.kernels.numba_work import (
    BITS_H,
    BITS_K,
    BITS_L,
    PLACE,
    QX,
    QY,
    QZ,
    SUM,
    SUM32,
    TERM32,
)

#: Orientations that are summed in float32 before their sum goes to float64.
_FEW = 8
_UNIT = np.float32(2.0**-32)


@block
def _split(amplitude: Any, axes: Any, o: int, work: Any, count: int) -> None:
    """Store the fractions of one orientation's indices, and the squared amplitudes."""
    full_width_vectors()
    qx, qy, qz = work.wide[QX], work.wide[QY], work.wide[QZ]
    bits_h, bits_k, bits_l = work.bits[BITS_H], work.bits[BITS_K], work.bits[BITS_L]
    places = work.bits[PLACE]
    ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
    bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
    cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
    for i in range(count):
        h = ax * qx[i] + ay * qy[i] + az * qz[i]
        k = bx * qx[i] + by * qy[i] + bz * qz[i]
        el = cx * qx[i] + cy * qy[i] + cz * qz[i]
        bits_h[i] = fraction_bits(h)
        bits_k[i] = fraction_bits(k)
        bits_l[i] = fraction_bits(el)
        keep_place(amplitude, places, i, h, k, el)


@block
def _gather(amplitude: Any, work: Any, flush: bool, count: int) -> None:
    """Add an orientation's terms to their float32 sums, and now and then those to the total."""
    full_width_vectors()
    few, terms, total = work.narrow[SUM32], work.narrow[TERM32], work.wide[SUM]
    scale_terms(amplitude, terms, work.bits[PLACE], count)
    if not flush:
        for i in range(count):
            few[i] += terms[i]
        return
    for i in range(count):
        total[i] += np.float64(few[i] + terms[i])
        few[i] = np.float32(0.0)


def add_grating(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a parallelepiped of cells, each term divided by N^2."""
    full_width_vectors()
    bits_h, bits_k, bits_l = work.bits[BITS_H], work.bits[BITS_K], work.bits[BITS_L]
    terms = work.narrow[TERM32]
    na, nb, nc = np.int32(lattice.a), np.int32(lattice.b), np.int32(lattice.c)
    tiny_a = np.float32(lattice.a) * TINY32
    tiny_b = np.float32(lattice.b) * TINY32
    tiny_c = np.float32(lattice.c) * TINY32
    per_cell = np.float32(lattice.per_cell)
    fill(work.narrow[SUM32], np.float32(0.0), count)
    for o in range(first, last):
        _split(amplitude, axes, o, work, count)
        for i in range(count):
            x = np.float32(bits_h[i]) * _UNIT + TINY32
            y = np.float32(bits_k[i]) * _UNIT + TINY32
            z = np.float32(bits_l[i]) * _UNIT + TINY32
            # The product wraps around at whole numbers: what is left is N x less the nearest one.
            nx = np.float32(np.int32(bits_h[i] * na)) * _UNIT + tiny_a
            ny = np.float32(np.int32(bits_k[i] * nb)) * _UNIT + tiny_b
            nz = np.float32(np.int32(bits_l[i] * nc)) * _UNIT + tiny_c
            above = (
                (nx * sine_ratio32(nx * nx))
                * (ny * sine_ratio32(ny * ny))
                * (nz * sine_ratio32(nz * nz))
            )
            below = (
                (x * sine_ratio32(x * x)) * (y * sine_ratio32(y * y)) * (z * sine_ratio32(z * z))
            )
            factor = above / below * per_cell
            terms[i] = factor * factor
        _gather(amplitude, work, o == last - 1 or (o - first) % _FEW == _FEW - 1, count)


def add_gauss(
    lattice: Any, amplitude: Any, axes: Any, first: int, last: int, work: Any, count: int
) -> None:
    """Add orientations of a crystal with Gaussian spots."""
    full_width_vectors()
    bits_h, bits_k, bits_l = work.bits[BITS_H], work.bits[BITS_K], work.bits[BITS_L]
    terms = work.narrow[TERM32]
    r = lattice.triangle
    aa, ab, ac = np.float32(r[0]), np.float32(r[1]), np.float32(r[2])
    bb, bc, cc = np.float32(r[3]), np.float32(r[4]), np.float32(r[5])
    sign = np.float32(-lattice.sign)
    fill(work.narrow[SUM32], np.float32(0.0), count)
    for o in range(first, last):
        _split(amplitude, axes, o, work, count)
        for i in range(count):
            dh = np.float32(bits_h[i]) * _UNIT
            dk = np.float32(bits_k[i]) * _UNIT
            dl = np.float32(bits_l[i]) * _UNIT
            x = aa * dh + ab * dk + ac * dl
            y = bb * dk + bc * dl
            z = cc * dl
            terms[i] = power_of_two32(sign * (x * x + y * y + z * z))
        _gather(amplitude, work, o == last - 1 or (o - first) % _FEW == _FEW - 1, count)
