"""Products and rotations of single vectors, in the order in which nanoBragg applies them.

Vectors are float64 arrays of shape (3,), but where another shape is given.  Every rotation is
right-handed: a positive angle [rad] turns x towards y when seen with the axis (z) pointing at the
viewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.numbers import cos, kind, number, sin, sqrt

Array = NDArray[np.float64]


def array(values: Sequence[float] | Array) -> Array:
    """Return three numbers as a new float64 array of shape (3,)."""
    return np.array(values, dtype=kind(values))


def length(v: Array) -> float:
    """Return the Euclidean length, summed in the order x, y, z; in the unit of ``v``."""
    return sqrt(number(v[0]) ** 2 + number(v[1]) ** 2 + number(v[2]) ** 2)


def unit(v: Array) -> Array:
    """Return ``v`` with length 1; the zero vector stays zero."""
    size = length(v)
    return v / size if size != 0.0 else np.zeros(3)


def dot(a: Array, b: Array) -> float:
    """Return the scalar product, summed in the order x, y, z."""
    return number(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def cross(a: Array, b: Array) -> Array:
    """Return the vector product a x b."""
    return np.array(
        [
            a[1] * b[2] - a[2] * b[1],
            a[2] * b[0] - a[0] * b[2],
            a[0] * b[1] - a[1] * b[0],
        ]
    )


def rotate_xyz(v: Array, rotx: float, roty: float, rotz: float) -> Array:
    """Rotate ``v`` about lab x, then y, then z."""
    x, y, z = (number(c) for c in v)
    if rotx != 0.0:
        c, s = cos(rotx), sin(rotx)
        y, z = y * c - z * s, y * s + z * c
    if roty != 0.0:
        c, s = cos(roty), sin(roty)
        x, z = x * c + z * s, -x * s + z * c
    if rotz != 0.0:
        c, s = cos(rotz), sin(rotz)
        x, y = x * c - y * s, x * s + y * c
    return np.array([x, y, z])


def rotate_about(v: Array, axis: Array, angle: float) -> Array:
    """Rotate ``v``, (..., 3), about the unit vector ``axis`` by ``angle`` (Rodrigues' formula)."""
    s, c = sin(angle), cos(angle)
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return np.stack(
        [
            axis[0] * along + x * c + (-axis[2] * y + axis[1] * z) * s,
            axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s,
            axis[2] * along + z * c + (-axis[1] * x + axis[0] * y) * s,
        ],
        axis=-1,
    )
