"""Small vectors: triples of floats, and the turns between frames.

The common frame has z along the beam, y up and x = y cross z (NeXus, CrystFEL).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Matrix = NDArray[np.float64]
#: Below this length a direction is none, and two directions are parallel.
TINY = 1e-9
#: (x, y, z) of dxtbx -> (-x, y, -z): a half turn about y.
FROM_DXTBX: Matrix = np.diag([-1.0, 1.0, -1.0])

#: (x, y, z) of the common frame -> (z, y, -x): beam +x, y up, as nanoBragg's MOSFLM frame.
TO_LAB: Matrix = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


def vector(values: Sequence[float] | Matrix) -> Vector:
    """Return three numbers as plain floats; -0 becomes 0."""
    x, y, z = (float(value) + 0.0 for value in values)
    return (x, y, z)


def unit(values: Sequence[float] | Matrix) -> Vector | None:
    """Return the direction of a vector, or None where it has none."""
    array = np.asarray(values, dtype=np.float64)
    scale = float(np.max(np.abs(array)))
    if not math.isfinite(scale) or scale < 1e-150:
        return None
    array = array / scale
    return vector(array / math.sqrt(float(array @ array)))


def turned(matrix: Matrix, values: Sequence[float] | Matrix) -> Vector:
    """Return ``matrix`` times a vector."""
    return vector(matrix @ np.asarray(values, dtype=np.float64))


def rotation(axis: Sequence[float], angle: float) -> Matrix:
    """Return the right-handed rotation about a unit vector (Rodrigues); the angle in radians."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn: Matrix = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)
    return turn


def least_turn(start: Vector, end: Vector) -> Matrix:
    """Return the smallest rotation that takes one unit vector to another."""
    axis = np.cross(start, end)
    length = float(np.linalg.norm(axis))
    cosine = float(np.dot(start, end))
    if length < 1e-15:
        if cosine > 0.0:
            return np.eye(3)
        other = np.cross(start, (0.0, 1.0, 0.0) if abs(start[1]) < 0.9 else (1.0, 0.0, 0.0))
        return rotation(vector(other / np.linalg.norm(other)), math.pi)
    return rotation(vector(axis / length), math.atan2(length, cosine))
