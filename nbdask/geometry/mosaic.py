"""Rotations of mosaic domains and random crystal orientations."""

from __future__ import annotations

import math

import numpy as np

from nbdask.geometry.lcg import MinimalStandard
from nbdask.geometry.numbers import cos, sin, single_product
from nbdask.geometry.vectors import Array

_THIRD = float(np.float32(1.0 / 3.0))


def cap_rotation(spread: float, random: MinimalStandard) -> Array:
    """Return a random rotation by up to ``spread`` about a random axis.

    Parameters
    ----------
    spread : float
        Largest angle [rad]; used in single precision.
    random : MinimalStandard
        Three deviates are taken from it.

    Returns
    -------
    (3, 3) float64 array
        Rotation matrix; rotated vector = matrix @ vector.
    """
    r1, r2, r3 = (2.0 * float(random.uniform()) - 1.0 for _ in range(3))
    # The angle is single precision in nanoBragg: both factors and their product.
    power = np.float32(math.pow(float(np.float32(1.0 - r3 * r3)), _THIRD))
    angle = single_product(spread, power)
    xy = math.sqrt(1.0 - r2 * r2)
    x, y, z = xy * math.sin(math.pi * r1), xy * math.cos(math.pi * r1), r2
    c, s = cos(angle), sin(angle)
    t = 1.0 - c
    return np.array(
        [
            [c + t * x * x, t * x * y - s * z, t * x * z + s * y],
            [t * x * y + s * z, c + t * y * y, t * y * z - s * x],
            [t * x * z - s * y, t * y * z + s * x, c + t * z * z],
        ]
    )


def mosaic_rotations(
    spread: float, domains: int, seed: int, misset_seed: int | None = None
) -> Array:
    """Return the rotation of every mosaic domain.

    Domain 0 is the identity (its deviates are consumed too).

    Parameters
    ----------
    spread : float
        Mosaic spread [rad].
    domains : int
    seed : int
    misset_seed : int or None
        Seed of a random misset, whose stream a negative ``seed`` goes on with.

    Returns
    -------
    (domains, 3, 3) float64 array
    """
    random = MinimalStandard(seed)
    if misset_seed is not None:
        random = MinimalStandard(misset_seed)
        cap_rotation(90.0, random)
        random.restart(seed)
    matrices = np.array([cap_rotation(spread, random) for _ in range(domains)])
    matrices[0] = np.eye(3)
    return matrices


def random_misset(seed: int) -> tuple[float, float, float]:
    """Return a random orientation as rotations about lab x, y, z [rad].

    The rotation is that of a mosaic domain with a spread of 90 *radians*, as nanoBragg has it.
    """
    u = cap_rotation(90.0, MinimalStandard(seed))
    # Rows of a matrix made from the axis-angle formula are unit vectors to rounding; nanoBragg
    # normalises them before taking the angles.
    u = u / np.sqrt((u * u).sum(axis=1))[:, None]
    if u[2, 0] * u[2, 0] < 1.0:
        rotx = math.atan2(u[2, 1], u[2, 2])
        roty = math.atan2(-u[2, 0], math.hypot(u[2, 1], u[2, 2]))
        rotz = math.atan2(u[1, 0], u[0, 0])
        return (rotx, roty, rotz)
    return (math.pi, math.pi / 2.0, math.atan2(u[0, 1], -u[1, 1]))
