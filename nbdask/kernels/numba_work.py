"""Scratch memory of one call: rows of a few hundred pixels that stay in the first cache."""

from __future__ import annotations

from math import prod
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Pixels that are evaluated together: a multiple of ``MULTIPLE``, but not such a power of two that
#: all rows begin at the same place of the cache.
BLOCK = 480
#: The last block of a tile is filled up to a multiple of this with copies of its last pixel, so
#: that vector loops have no remainder.
MULTIPLE = 32

# Rows of the float64 scratch.
ROW, COLUMN, DX, DY, DZ, PATH, QX, QY, QZ, WEIGHT, COUNTED, SUM, TOTAL, PLANE, H, K, L, CUBIC = (
    range(18)
)
TERM = PLANE
#: First of the rows that interpolation fills: four weights along each axis, then places.
CUBIC = 17
_ROWS = CUBIC + 13
# Row of the 32-bit scratch.
PLACE = 0

_LINE = 64
_Number = TypeVar("_Number", np.float64, np.float32, np.int32)


class Work(NamedTuple):
    """Rows of a block: float64 and int32, each starting at a cache line."""

    wide: NDArray[np.float64]
    bits: NDArray[np.int32]


def new_work() -> Work:
    """Return fresh scratch memory."""
    return Work(
        aligned((_ROWS, BLOCK), np.float64),
        aligned((1, BLOCK), np.int32),
    )


def work_bytes() -> int:
    """Return the bytes of one call's scratch memory."""
    return sum(array.nbytes for array in new_work())


def aligned(shape: tuple[int, ...], kind: type[_Number]) -> NDArray[_Number]:
    """Return zeros that begin at a cache line."""
    size = prod(shape) * np.dtype(kind).itemsize
    raw = np.zeros(size + _LINE, dtype=np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(kind).reshape(shape)
