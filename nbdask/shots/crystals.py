"""Crystals that are turned, or have another cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment import Beam, Crystal, Experiment
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.mosaic import random_misset
from nbdask.shots.rotations import Array, misset_angles, misset_matrix


def each_crystal(experiment: Experiment, change: Callable[[Crystal, str], Crystal]) -> Experiment:
    """Return an experiment with every crystal changed; ``change`` gets it and its dotted name."""
    others = tuple(
        dataclasses.replace(other, crystal=change(other.crystal, f"lattices.{number}.crystal"))
        for number, other in enumerate(experiment.lattices)
    )
    return experiment.replace(crystal=change(experiment.crystal, "crystal"), lattices=others)


def turned(experiment: Experiment, rotation: Array) -> Experiment:
    """Return an experiment whose crystals are all turned in the laboratory, before the spindle.

    Listed mosaic domains, which are rotations in the laboratory, stay as they are.

    Parameters
    ----------
    experiment : Experiment
    rotation : (3, 3) float64 array
    """
    if np.array_equal(rotation, np.eye(3)):
        return experiment

    def change(crystal: Crystal, name: str) -> Crystal:
        """Return a crystal whose misset is the rotation after its own."""
        angles = misset_angles(rotation @ _misset(crystal))
        return dataclasses.replace(crystal, misset=angles, misset_seed=None)

    return each_crystal(experiment, change)


def _misset(crystal: Crystal) -> Array:
    """Return the rotation that a crystal's misset is, (3, 3)."""
    angles = crystal.misset
    if angles is None:
        return np.eye(3)
    if isinstance(angles, str):
        assert crystal.misset_seed is not None
        return misset_matrix(random_misset(crystal.misset_seed))
    x, y, z = angles
    return misset_matrix((x, y, z))


def reoriented(crystal: Crystal, star: Sequence[float], beam: Beam) -> Crystal:
    """Return a crystal with other reciprocal axes, in place of its cell, matrix and misset.

    Parameters
    ----------
    crystal : Crystal
    star : sequence of 9 floats
        a*, b*, c* in the laboratory [1/m].
    beam : Beam
        Of the shot.
    """
    rows = np.array(star).reshape(3, 3) * beam.wavelength
    matrix = tuple(float(number) for number in rows.T.reshape(-1))
    return dataclasses.replace(crystal, cell=None, matrix=matrix, misset=None, misset_seed=None)


def cell_of(crystal: Crystal, beam: Beam) -> tuple[float, ...]:
    """Return the cell that a crystal has, given or from its matrix [m, rad]."""
    if crystal.matrix is None:
        assert crystal.cell is not None
        return crystal.cell
    axes = orient_crystal(crystal, beam).axes
    lengths = np.linalg.norm(axes, axis=1)
    units = axes / lengths[:, None]
    cosines = (units[1] @ units[2], units[0] @ units[2], units[0] @ units[1])
    angles = np.arccos(np.clip(cosines, -1.0, 1.0))
    return tuple(float(number) for number in (*lengths, *angles))


def with_cell(crystal: Crystal, given: Mapping[int, float], beam: Beam) -> Crystal:
    """Return a crystal, given by a matrix, with another cell.

    a* keeps its direction, and b* stays in the plane that a* and b* have.

    Parameters
    ----------
    crystal : Crystal
    given : mapping of int to float
        Place in the cell (0 to 5: a, b, c, alpha, beta, gamma) -> new value [m, rad].
    beam : Beam
        Whose wavelength the matrix is in units of.
    """
    bare = dataclasses.replace(crystal, misset=None, misset_seed=None)
    cell = list(cell_of(bare, beam))
    for place, value in given.items():
        cell[place] = value
    # The checks of a cell are those of the crystal.
    wanted = dataclasses.replace(crystal, matrix=None, cell=tuple(cell)).cell
    assert wanted is not None
    star = orient_crystal(bare, beam).star
    turn = np.linalg.solve(np.linalg.cholesky(star @ star.T), star)
    new = np.linalg.cholesky(np.linalg.inv(_metric(wanted))) @ turn
    matrix = tuple(float(number) for number in (new * beam.wavelength).T.reshape(-1))
    return dataclasses.replace(crystal, cell=None, matrix=matrix)


def _metric(cell: tuple[float, ...]) -> Array:
    """Return the products of the axes [m^2], (3, 3)."""
    lengths, (alpha, beta, gamma) = np.array(cell[:3]), np.cos(cell[3:])
    cosines = np.array([[1.0, gamma, beta], [gamma, 1.0, alpha], [beta, alpha, 1.0]])
    metric: Array = np.outer(lengths, lengths) * cosines
    if np.linalg.eigvalsh(cosines)[0] < 1e-9:
        raise FieldError("crystal.cell", cell, "a possible cell")
    return metric
