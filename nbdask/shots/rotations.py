"""Rotations as quaternions, matrices and the crystal's misset angles.

Every rotation is active and right-handed, in the laboratory: a matrix R turns a column vector v
into R v.  Quaternions are (w, x, y, z), of length 1; q and -q are the same rotation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def matrices(quaternions: Array) -> Array:
    """Return the matrices of quaternions.

    Parameters
    ----------
    quaternions : (..., 4) float64 array
        w, x, y, z; of any length above 0.

    Returns
    -------
    (..., 3, 3) float64 array
    """
    q = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternions(rotations: Array) -> Array:
    """Return the quaternions of matrices, w at least 0 (Bar-Itzhack 2000).

    Parameters
    ----------
    rotations : (n, 3, 3) float64 array
        Small errors are levelled out: the result is that of the nearest rotation.

    Returns
    -------
    (n, 4) float64 array
        w, x, y, z, of length 1.
    """
    m = np.moveaxis(rotations, 0, -1)
    zero = np.zeros(len(rotations))
    quarter = np.array(
        [
            [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [zero, m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
            [zero, zero, m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2]],
            [zero, zero, zero, m[2, 2] - m[0, 0] - m[1, 1]],
        ]
    )
    # The eigenvector of the greatest eigenvalue; only the upper triangle is read.
    q = np.linalg.eigh(np.moveaxis(quarter, -1, 0), UPLO="U").eigenvectors[:, :, -1]
    return np.where(q[:, :1] < 0.0, -q, q)


def turn_matrix(turn: Array) -> Array:
    """Return the matrix of a rotation vector: its direction the axis, its length the angle [rad].

    Parameters
    ----------
    turn : (3,) float64 array

    Returns
    -------
    (3, 3) float64 array
    """
    angle = float(np.linalg.norm(turn))
    half = 0.5 * angle
    # sin(half)/angle is 1/2 where there is no turn.
    part = 0.5 * np.sinc(half / np.pi)
    return matrices(np.array([np.cos(half), *(part * turn)]))


def misset_matrix(angles: tuple[float, float, float]) -> Array:
    """Return the matrix that turns about lab x, then y, then z, (3, 3); angles [rad]."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


def misset_angles(rotation: Array) -> tuple[float, float, float]:
    """Return the angles about lab x, then y, then z that make a rotation [rad].

    Parameters
    ----------
    rotation : (3, 3) float64 array

    Returns
    -------
    tuple of 3 floats
        The one about y lies from -pi/2 to pi/2.
    """
    m = rotation
    about_y = np.arctan2(-m[2, 0], np.hypot(m[2, 1], m[2, 2]))
    about_z = np.arctan2(m[1, 0], m[0, 0])
    # With the turn about z undone, what is left of the second row is the turn about x; so written
    # it holds where the turn about y is a right angle, and x and z turn about the same axis.
    c, s = np.cos(about_z), np.sin(about_z)
    about_x = np.arctan2(s * m[0, 2] - c * m[1, 2], c * m[1, 1] - s * m[0, 1])
    return (float(about_x), float(about_y), float(about_z))
