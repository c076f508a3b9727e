"""Tricubic interpolation of amplitudes: sixteen rows of four neighbours, a row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from nbdask.kernels.numba_jit import block, formula, full_width_vectors, kinds
from nbdask.kernels.numba_work import COUNTED, CUBIC, MULTIPLE, PLANE, QX, QY, QZ, SUM, H, K, L

_ALONG_H, _ALONG_K, _ALONG_L, _PLACES = (CUBIC + 4 * axis for axis in range(4))


@block
def find_indices(axes: Any, o: int, work: Any, count: int) -> None:
    """Store the fractional indices of one orientation."""
    full_width_vectors()
    qx, qy, qz = work.wide[QX], work.wide[QY], work.wide[QZ]
    hs, ks, ls = work.wide[H], work.wide[K], work.wide[L]
    ax, ay, az = axes[o, 0, 0], axes[o, 0, 1], axes[o, 0, 2]
    bx, by, bz = axes[o, 1, 0], axes[o, 1, 1], axes[o, 1, 2]
    cx, cy, cz = axes[o, 2, 0], axes[o, 2, 1], axes[o, 2, 2]
    for i in range(count):
        hs[i] = ax * qx[i] + ay * qy[i] + az * qz[i]
        ks[i] = bx * qx[i] + by * qy[i] + bz * qz[i]
        ls[i] = cx * qx[i] + cy * qy[i] + cz * qz[i]


@formula
def cubic_weights(t: float) -> tuple[float, float, float, float]:
    """Return Lagrange's weights of the values at -1, 0, 1, 2 for a place between 0 and 1."""
    below, above, far = t + 1.0, t - 1.0, t - 2.0
    return (
        t * above * far * (-1.0 / 6.0),
        below * above * far * 0.5,
        below * t * far * -0.5,
        below * t * above * (1.0 / 6.0),
    )


@intrinsic
def weighted_rows(
    _context: Any, table: Any, _start: Any, _strides: Any, _h: Any, _k: Any, _l: Any
) -> Any:
    """Return the sum over 4 x 4 x 4 neighbours of weight_h * weight_k * weight_l * amplitude.

    Parameters
    ----------
    table : (n,) float64 array
    start : int
        Index of the first neighbour.
    strides : (int, int)
        Steps along h and k.
    h, k, l : tuples of four floats
        Weights along each axis.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return _sum_rows(builder, array.data, *arguments[1:])

    number, index = kinds.float64, kinds.int64
    four = kinds.UniTuple(number, 4)
    return number(table, index, kinds.UniTuple(index, 2), four, four, four), generate


def _sum_rows(
    builder: Any, data: Any, start: Any, strides: Any, along_h: Any, along_k: Any, along_l: Any
) -> Any:
    """Emit the sixteen loads of four numbers and the multiply-adds between them."""
    row_type = ir.VectorType(ir.DoubleType(), 4)
    zero = ir.Constant(row_type, [0.0] * 4)

    def spread(number: Any) -> Any:
        vector = builder.insert_element(zero, number, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
        return builder.shuffle_vector(vector, zero, mask)

    def multiply_add(sum_: Any, a: Any, b: Any) -> Any:
        product = builder.fmul(a, b, flags=("contract",))
        return product if sum_ is None else builder.fadd(sum_, product, flags=("contract",))

    weights_h = [spread(builder.extract_value(along_h, i)) for i in range(4)]
    weights_k = [spread(builder.extract_value(along_k, i)) for i in range(4)]
    stride_h, stride_k = (builder.extract_value(strides, i) for i in range(2))
    total = None
    for i in range(4):
        plane = None
        for j in range(4):
            place = builder.add(start, builder.mul(stride_h, stride_h.type(i)))
            place = builder.add(place, builder.mul(stride_k, stride_k.type(j)))
            pointer = builder.bitcast(builder.gep(data, [place]), row_type.as_pointer())
            row = builder.load(pointer, align=8)
            plane = multiply_add(plane, row, weights_k[j])
        total = multiply_add(total, plane, weights_h[i])
    result = None
    for i in range(4):
        element = builder.extract_element(total, ir.Constant(ir.IntType(32), i))
        result = multiply_add(result, element, builder.extract_value(along_l, i))
    return result


@formula
def interpolated_squared(amplitude: Any, h: float, k: float, el: float) -> float:
    """Return the squared interpolated amplitude; -1 where neighbours are outside the list."""
    inside = (
        (h >= amplitude.low[0])
        & (h <= amplitude.high[0])
        & (k >= amplitude.low[1])
        & (k <= amplitude.high[1])
        & (el >= amplitude.low[2])
        & (el <= amplitude.high[2])
    )
    if not inside:
        return -1.0
    h0, k0, l0 = np.floor(h), np.floor(k), np.floor(el)
    value = weighted_rows(
        amplitude.table,
        np.int64(first_neighbour(amplitude, h0, k0, l0)),
        (amplitude.stride_h, amplitude.stride_k),
        cubic_weights(h - h0),
        cubic_weights(k - k0),
        cubic_weights(el - l0),
    )
    return value * value


@formula
def first_neighbour(amplitude: Any, h0: float, k0: float, l0: float) -> float:
    """Return where the table holds the first of the 4 x 4 x 4 neighbours."""
    return (
        (h0 - amplitude.minimum[0] - 1.0) * amplitude.stride_h
        + (k0 - amplitude.minimum[1] - 1.0) * amplitude.stride_k
        + (l0 - amplitude.minimum[2] - 1.0)
    )


@block
def _find_weights(work: Any, axis: int, first: int, begin: int) -> None:
    """Store the four weights along an axis for a few pixels, in four rows."""
    full_width_vectors()
    indices = work.wide[axis]
    w0, w1 = work.wide[first], work.wide[first + 1]
    w2, w3 = work.wide[first + 2], work.wide[first + 3]
    for step in range(MULTIPLE):
        # Unsigned: a place that could be below 0 would be counted from the end.
        i: Any = np.uint64(begin) + np.uint64(step)
        x = indices[i]
        w0[i], w1[i], w2[i], w3[i] = cubic_weights(x - np.floor(x))


@block
def _find_places(amplitude: Any, work: Any, begin: int) -> None:
    """Store where the neighbours of a few pixels are in the table; below 0: not in the list."""
    full_width_vectors()
    hs, ks, ls, places = work.wide[H], work.wide[K], work.wide[L], work.wide[_PLACES]
    for step in range(MULTIPLE):
        i: Any = np.uint64(begin) + np.uint64(step)
        h, k, el = hs[i], ks[i], ls[i]
        place = first_neighbour(amplitude, np.floor(h), np.floor(k), np.floor(el))
        outside = (
            (h < amplitude.low[0])
            | (h > amplitude.high[0])
            | (k < amplitude.low[1])
            | (k > amplitude.high[1])
            | (el < amplitude.low[2])
            | (el > amplitude.high[2])
        )
        places[i] = -1.0 if outside else place


@formula
def _four(wide: Any, first: int, i: int) -> tuple[float, float, float, float]:
    return wide[first, i], wide[first + 1, i], wide[first + 2, i], wide[first + 3, i]


@block
def add_interpolated(amplitude: Any, limited: bool, work: Any, pixels: int) -> int:
    """Add row SUM times the squared interpolated amplitude to row PLANE.

    Parameters
    ----------
    amplitude : TricubicAmplitude
    limited : bool
        Whether row COUNTED says which pixels count.
    work : Work
        Row SUM holds squared lattice factors, H, K, L the indices.
    pixels : int

    Returns
    -------
    int
        How many pixels with a lattice factor other than 0 have neighbours outside the list.
    """
    full_width_vectors()
    wide = work.wide
    lattice, plane, counted, places = wide[SUM], wide[PLANE], wide[COUNTED], wide[_PLACES]
    strides = (amplitude.stride_h, amplitude.stride_k)
    outside = 0
    for begin in range(0, pixels, MULTIPLE):
        # As loops of their own these become vector code.
        _find_weights(work, H, _ALONG_H, begin)
        _find_weights(work, K, _ALONG_K, begin)
        _find_weights(work, L, _ALONG_L, begin)
        _find_places(amplitude, work, begin)
        for step in range(min(MULTIPLE, pixels - begin)):
            i: Any = np.uint64(begin) + np.uint64(step)
            factor = lattice[i]
            if factor == 0.0:
                continue
            strength = amplitude.default_squared
            if places[i] >= 0.0:
                value = weighted_rows(
                    amplitude.table,
                    np.int64(places[i]),
                    strides,
                    _four(wide, _ALONG_H, i),
                    _four(wide, _ALONG_K, i),
                    _four(wide, _ALONG_L, i),
                )
                strength = value * value
            elif not limited or counted[i] != 0.0:
                outside += 1
            plane[i] += factor * strength
    return outside
