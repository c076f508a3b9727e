"""Polynomials that the float32 loops look up: made once for a crystal, in float64."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

#: Ranges from 0 to 1/2, each with its own polynomial: as many as two vectors hold.
RANGES = 32
#: Up to so many cells polynomials of the least degree do, or of one more.
FEW_CELLS, MORE_CELLS = 6, 10
LEAST_DEGREE = 4
#: Coefficients of one degree more times this; without it those of the fifth power would be below
#: the normal numbers.
SCALE = 2.0**36
_HALF = 2.0**31
_LINE = 64


def grating_table(cells: NDArray[np.int64], degree: int, scale: float) -> NDArray[np.float32]:
    """Return polynomials for |sin(N pi x) / (N sin(pi x))| along three axes, up to the sign.

    Parameters
    ----------
    cells : (3,) int array
        N of each axis.
    degree : int
    scale : float
        Factor on all coefficients.

    Returns
    -------
    (3, 2 + degree, 32) float32 array
        For each axis and range of v = 1/2 - |x|, in units of 2^-32: where the polynomial is
        expanded, an int32 in the place of a float32, then its coefficients, the constant first.
        Where a zero is near it is expanded there, so that nothing cancels.
    """
    table = _aligned((3, degree + 2, RANGES))
    for axis, count in enumerate(cells):
        for number in range(RANGES):
            centre, coefficients = _expansion(int(count), number, degree)
            table[axis, 0, number] = np.array(centre, dtype=np.int32).view(np.float32)
            with np.errstate(under="ignore"):
                small = (scale * coefficients).astype(np.float32)
            small[np.abs(small) < np.finfo(np.float32).tiny] = 0.0
            table[axis, 1:, number] = small
    return table


def _expansion(cells: int, number: int, degree: int) -> tuple[int, NDArray[np.float64]]:
    """Return centre and coefficients of one range of one axis."""
    width = _HALF / RANGES
    start = number * width
    # Folding loses half a unit on the average.
    zeros = np.array([(0.5 - j / cells) * 2.0 * _HALF - 0.5 for j in range(1, cells // 2 + 1)])
    near = zeros[np.abs(zeros - start - width / 2.0) < width]
    centre = round(near[0]) if near.size else round(start + width / 2.0)
    nodes = start + width * (0.5 + 0.5 * np.cos(np.pi * (np.arange(64) + 0.3) / 64.0))
    value = grating(cells, 0.5 - (nodes + 0.5) / (2.0 * _HALF))
    # In units of a range from the centre; the zero is a factor of its own.
    away, zero = (nodes - centre) / width, (near - centre) / width
    factor = Polynomial([-zero[0], 1.0]) if near.size else Polynomial([1.0])
    fitted = Polynomial.fit(away, value / factor(away), degree - factor.degree())
    product = fitted.convert() * factor
    coefficients = np.zeros(degree + 1)
    coefficients[: product.coef.size] = product.coef
    return centre, coefficients / width ** np.arange(degree + 1)


def grating(cells: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sin(N pi x) / (N sin(pi x)) for 0 <= x <= 1/2."""
    return np.sinc(cells * x) / np.sinc(x)


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return zeros that begin at a cache line."""
    size = prod(shape) * 4
    raw = np.zeros(size + _LINE, dtype=np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(np.float32).reshape(shape)
