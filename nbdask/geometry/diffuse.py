"""From liquid-like motion to the quadratic forms that kernels read.

Formulas: specification, diffuse scattering (S-DIF).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError
from nbdask.experiment.diffuse import Diffuse
from nbdask.geometry.model import DiffuseForms

Array = NDArray[np.float64]

#: Relative deviation of the cell from the symmetry that it is said to have.
_UNLIKE = 0.02


def diffuse_forms(given: Diffuse, star: Array, n_cells: float) -> DiffuseForms:
    """Return the forms of every rotation of the Laue group.

    Parameters
    ----------
    given : Diffuse
    star : (3, 3) float64 array
        Rows a*, b*, c* [1/Angstrom].
    n_cells : float
        Of the crystal.

    Raises
    ------
    FieldError
        An unknown group, or one that the cell cannot have.
    """
    from nbdask.amplitudes.laue import laue_rotations

    base = own_frame(star)
    metric = base.T @ base
    rotations = laue_rotations(given.laue)
    turned = np.einsum("nji,jk,nkl->nil", rotations, metric, rotations)
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    if (np.abs(turned - metric) > _UNLIKE * scale).any():
        raise FieldError("crystal.diffuse.laue", given.laue, "a group whose symmetry the cell has")
    gamma, sigma = np.array(given.gamma) * 1e10, np.array(given.sigma) * 1e10
    rows = np.zeros((len(rotations), 12))
    for row, rotation in zip(rows, rotations, strict=True):
        for first, lengths in ((0, gamma), (6, sigma)):
            seen = 2.0 * np.pi * lengths[:, None] * (base @ rotation)
            row[first : first + 6] = six(seen.T @ seen)
    cells = (2 * given.stencil + 1) ** 3
    factor = given.scale * 8.0 * np.pi * float(np.prod(gamma)) / (cells * len(rotations))
    if given.physical:
        factor *= n_cells * abs(float(np.linalg.det(base)))
    return DiffuseForms(rows, given.stencil, factor)


def own_frame(star: Array) -> Array:
    """Return a*, b*, c* as columns, in the frame whose x is along a and whose z is along c*."""
    direct = np.linalg.inv(star @ star.T)
    edges = np.linalg.cholesky(direct).T
    base: Array = np.linalg.inv(edges).T
    return base


def six(form: Array) -> Array:
    """Return xx, yy, zz, 2 xy, 2 xz, 2 yz of a symmetric matrix."""
    return np.array(
        [form[0, 0], form[1, 1], form[2, 2], 2 * form[0, 1], 2 * form[0, 2], 2 * form[1, 2]]
    )
