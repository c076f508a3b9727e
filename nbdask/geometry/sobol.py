"""Sobol's quasi-random sequence in up to three dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 32
#: Of each dimension beyond the first: degree and inner coefficients of the primitive polynomial,
#: and the first direction numbers, as Joe and Kuo (2008), SIAM J. Sci. Comput. 30, 2635 have them.
_DIMENSIONS = ((1, 0, (1,)), (2, 1, (1, 3)))


def _directions(dimension: int) -> list[int]:
    """Return the direction numbers of a dimension as fractions of 2^32."""
    if dimension == 0:
        return [1 << (_BITS - 1 - i) for i in range(_BITS)]
    degree, inner, numbers = _DIMENSIONS[dimension - 1]
    found = [m << (_BITS - 1 - i) for i, m in enumerate(numbers)]
    for i in range(degree, _BITS):
        value = found[i - degree] ^ (found[i - degree] >> degree)
        for k in range(1, degree):
            if (inner >> (degree - 1 - k)) & 1:
                value ^= found[i - k]
        found.append(value)
    return found


def sobol(count: int, dimensions: int = 3, seed: int | None = None) -> NDArray[np.float64]:
    """Return the first points of the sequence.

    Parameters
    ----------
    count : int
        At most 2^32; best a power of two.
    dimensions : int
        1 to 3.
    seed : int or None
        Of a digital shift, the same for all points; None: none.

    Returns
    -------
    (count, dimensions) float64 array
        Above 0 and below 1, as the middle of the cells of a grid of 2^-32.
    """
    number = np.arange(count, dtype=np.uint64)
    points = np.zeros((count, dimensions), dtype=np.uint64)
    for dimension in range(dimensions):
        for bit, direction in enumerate(_directions(dimension)):
            if count >> bit:
                chosen = (number >> np.uint64(bit)) & np.uint64(1)
                points[:, dimension] ^= chosen * np.uint64(direction)
    if seed is not None:
        shift = np.random.Philox(key=np.array([seed % 2**64, 0], dtype=np.uint64)).random_raw(
            dimensions
        )
        points ^= shift >> np.uint64(64 - _BITS)
    return (points.astype(np.float64) + 0.5) * 2.0**-_BITS
