"""Orientations and weights of mosaic domains: cap or Gaussian, random or quasi-random, listed."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from nbdask.experiment.crystal import Crystal
from nbdask.geometry.lcg import MinimalStandard
from nbdask.geometry.mosaic import mosaic_rotations
from nbdask.geometry.sobol import sobol
from nbdask.geometry.vectors import Array, cross, unit

#: Domains where a spread is given without their number.
USUAL = 10


class Domains(NamedTuple):
    """All domains of a crystal.

    Attributes
    ----------
    rotations : (n, 3, 3) array or None
        rotated vector = matrix @ vector; None: one domain, not rotated.
    weights : (n,) array
        With a mean of 1.
    fixed : bool
        Whether the rotations turn the crystal at phi 0, before the spindle does; else after it.
    """

    rotations: Array | None
    weights: Array
    fixed: bool


def is_mosaic(crystal: Crystal) -> bool:
    """Return whether there is any spread."""
    widths = crystal.mosaic.widths
    return bool(crystal.mosaic_spread) or (widths is not None and any(widths))


def settle_count(crystal: Crystal) -> int:
    """Return the number of domains, where it does not have to be estimated."""
    if crystal.mosaic.domains:
        return len(crystal.mosaic.domains)
    if not is_mosaic(crystal):
        return 1
    return USUAL if crystal.mosaic_domains is None else crystal.mosaic_domains


def make_domains(crystal: Crystal, axes: Array, count: int) -> Domains:
    """Return the domains of a crystal.

    Parameters
    ----------
    crystal : Crystal
    axes : (3, 3) float64 array
        Rows a, b, c at phi = 0.
    count : int
        Their number.
    """
    mosaic = crystal.mosaic
    if mosaic.domains:
        rows = np.array(mosaic.domains)
        weights = rows[:, 4] / rows[:, 4].mean()
        return Domains(np.array([_of_quaternion(row[:4]) for row in rows]), weights, True)
    even = np.ones(count)
    if not is_mosaic(crystal):
        return Domains(None, even, False)
    if mosaic.model == "gauss":
        return Domains(_gaussian(crystal, axes, count), even, True)
    spread = crystal.mosaic_spread or 0.0
    if mosaic.sampling == "sobol":
        return Domains(_cap(spread, sobol(count, seed=crystal.mosaic_seed)), even, True)
    misset_seed = crystal.misset_seed if crystal.misset == "random" else None
    rotations = mosaic_rotations(spread, count, crystal.mosaic_seed, misset_seed)
    return Domains(rotations, even, False)


def _of_quaternion(row: Array) -> Array:
    w, x, y, z = row / np.linalg.norm(row)
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


def _of_vectors(vectors: Array) -> Array:
    """Return the matrices of rotation vectors (n, 3) [rad], by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.where(angle == 0.0, 1.0, angle)[:, None]).T
    s, c = np.sin(angle), np.cos(angle)
    t = 1.0 - c
    rows = [
        [c + t * x * x, t * x * y - s * z, t * x * z + s * y],
        [t * x * y + s * z, c + t * y * y, t * y * z - s * x],
        [t * x * z - s * y, t * y * z + s * x, c + t * z * z],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _cap(spread: float, uniform: Array) -> Array:
    """Return rotations of the distribution of nanoBragg's cap from points of the unit cube."""
    r1, r2, r3 = (2.0 * uniform - 1.0).T
    angles = spread * np.cbrt(1.0 - r3 * r3)
    side = np.sqrt(1.0 - r2 * r2)
    vectors = angles[:, None] * np.stack(
        [side * np.sin(np.pi * r1), side * np.cos(np.pi * r1), r2], axis=1
    )
    return _of_vectors(vectors)


def crystal_basis(axes: Array) -> Array:
    """Return unit vectors along a, c* x a and c*, rows, from those of a, b, c."""
    first = unit(axes[0])
    third = unit(cross(axes[0], axes[1]))
    return np.array([first, cross(third, first), third])


def _gaussian(crystal: Crystal, axes: Array, count: int) -> Array:
    """Return rotations with normally distributed vectors.

    Random ones come in pairs of opposite vectors, of an odd number the last one is 0.
    """
    widths = crystal.mosaic.widths
    sigma = np.array(widths) if widths is not None else np.full(3, crystal.mosaic_spread or 0.0)
    if crystal.mosaic.sampling == "sobol":
        uniform = sobol(count, seed=crystal.mosaic_seed)
    else:
        stream = MinimalStandard(crystal.mosaic_seed)
        halves = [[float(stream.uniform()) for _ in range(3)] for _ in range(count // 2)]
        uniform = np.array(halves).reshape(-1, 3)
    normal = np.vectorize(NormalDist().inv_cdf, otypes=[float])
    deviates = normal(uniform) if len(uniform) else np.zeros((0, 3))
    if crystal.mosaic.sampling != "sobol":
        deviates = np.stack([deviates, -deviates], axis=1).reshape(-1, 3)
        deviates = np.concatenate([deviates, np.zeros((count % 2, 3))])
    return _of_vectors((deviates * sigma) @ crystal_basis(axes))
