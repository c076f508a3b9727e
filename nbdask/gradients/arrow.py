"""Normal equations of many shots: a block for each, beside one for what they have in common.

The matrix has the shape of an arrow, so each shot's own block is eliminated by itself (Schur's
complement); the work grows with the number of shots, not with its cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Array
from nbdask.gradients.columns import Columns
from nbdask.gradients.normal import NormalEquations

#: Least eigenvalue that rounding leaves of a matrix whose diagonal was 1.
_LEAST = 1e-13


class Room(NamedTuple):
    """How far parameters may change: down (0 or less) and up (0 or more).

    Attributes
    ----------
    own : list of two (n,) float64 arrays
        For each shot.
    common : two (m,) float64 arrays
    """

    own: list[tuple[Array, Array]]
    common: tuple[Array, Array]


class Step(NamedTuple):
    """Changes of all parameters.

    Attributes
    ----------
    own : list of (n,) float64 arrays
        One for each shot.
    common : (m,) float64 array
    promised : float
        By how much they lower the loss, halved, were it a parabola without damping.
    """

    own: list[Array]
    common: Array
    promised: float


@dataclass(frozen=True, slots=True, eq=False)
class Arrow:
    """The sums of all shots, in units in which each diagonal element is 1.

    Attributes
    ----------
    size : (m,) float64 array
        Those units of the common columns: roots of the diagonal.
    common : (m, m) float64 array
    slope : (m,) float64 array
    blocks : list of tuples
        Of each shot: units, matrix (n, n), (n, m) with the common columns, slope (n,).
    """

    size: Array
    common: Array
    slope: Array
    blocks: list[tuple[Array, Array, Array, Array]]

    @classmethod
    def of(cls, columns: Columns, equations: Sequence[NormalEquations]) -> Arrow:
        """Put together the sums of the shots, in their order."""
        count = len(columns.names)
        common, slope = np.zeros((count, count)), np.zeros(count)
        for part, found in zip(columns.parts, equations, strict=True):
            common[np.ix_(part.column, part.column)] += found.hessian[
                np.ix_(part.common, part.common)
            ]
            slope[part.column] += found.gradient[part.common]
        size = np.sqrt(np.diag(common))
        blocks = []
        for part, found in zip(columns.parts, equations, strict=True):
            own = found.hessian[np.ix_(part.own, part.own)]
            units = np.sqrt(np.diag(own))
            cross = np.zeros((len(units), count))
            cross[:, part.column] = found.hessian[np.ix_(part.own, part.common)]
            blocks.append(
                (
                    units,
                    own / np.outer(units, units),
                    cross / np.outer(units, size),
                    found.gradient[part.own] / units,
                )
            )
        return cls(size, common / np.outer(size, size), slope / size, blocks)

    def step(self, damping: float, room: Room | None = None) -> Step:
        """Return the step with the diagonal made longer by a fraction of itself.

        Parameters
        ----------
        damping : float
        room : Room or None
            Parameters that stand at a bound and would go beyond stay; others end at theirs.
        """
        arrow = self if room is None else self._holding(room)
        more = np.eye(len(arrow.size)) * damping
        matrix, slope = arrow.common + more, arrow.slope.copy()
        solved = []
        for units, own, cross, towards in arrow.blocks:
            inner = own + damping * np.eye(len(units))
            both = np.linalg.solve(inner, np.column_stack([cross, towards]))
            matrix -= cross.T @ both[:, :-1]
            slope -= cross.T @ both[:, -1]
            solved.append(both)
        common = np.linalg.solve(matrix, slope)
        changes = [both[:, -1] - both[:, :-1] @ common for both in solved]
        if room is not None:
            common = np.clip(common, *(way * self.size for way in room.common))
            changes = [
                np.clip(change, *(way * block[0] for way in ways))
                for change, block, ways in zip(changes, self.blocks, room.own, strict=True)
            ]
        promised = float(common @ arrow.slope) + sum(
            float(change @ block[3]) for change, block in zip(changes, arrow.blocks, strict=True)
        )
        scaled = [change / block[0] for change, block in zip(changes, self.blocks, strict=True)]
        return Step(scaled, common / self.size, promised)

    def _holding(self, room: Room) -> Arrow:
        """Return the sums in which what stands at a bound and would go beyond does not move."""
        held = _stuck(self.slope, room.common)
        blocks = []
        for (units, own, cross, towards), ways in zip(self.blocks, room.own, strict=True):
            stuck = _stuck(towards, ways)
            cross = np.where(stuck[:, None] | held, 0.0, cross)
            blocks.append((units, _alone(own, stuck), cross, np.where(stuck, 0.0, towards)))
        slope = np.where(held, 0.0, self.slope)
        return Arrow(self.size, _alone(self.common, held), slope, blocks)

    def covariance(self) -> Array:
        """Return the covariance of the common columns, (m, m)."""
        found: Array = self._common() / np.outer(self.size, self.size)
        return found

    def _common(self) -> Array:
        matrix = self.common.copy()
        for _, own, cross, _ in self.blocks:
            matrix -= cross.T @ _inverse(own) @ cross
        return _inverse(matrix)

    def covariances(self, columns: Columns) -> list[Array]:
        """Return the covariance of each shot's parameters, (parameters, parameters)."""
        common = self._common()
        found = []
        for part, (units, own, cross, _) in zip(columns.parts, self.blocks, strict=True):
            inverse = _inverse(own)
            pull = inverse @ cross
            count = len(columns.parameters)
            whole, size = np.empty((count, count)), np.empty(count)
            size[part.own], size[part.common] = units, self.size[part.column]
            whole[np.ix_(part.own, part.own)] = inverse + pull @ common @ pull.T
            mixed = -(pull @ common)[:, part.column]
            whole[np.ix_(part.own, part.common)] = mixed
            whole[np.ix_(part.common, part.own)] = mixed.T
            whole[np.ix_(part.common, part.common)] = common[np.ix_(part.column, part.column)]
            found.append(whole / np.outer(size, size))
        return found


def _stuck(slope: Array, ways: tuple[Array, Array]) -> NDArray[np.bool_]:
    """Return what would go where there is no way."""
    low, high = ways
    found: NDArray[np.bool_] = ((slope > 0.0) & (high == 0.0)) | ((slope < 0.0) & (low == 0.0))
    return found


def _alone(matrix: Array, some: NDArray[np.bool_]) -> Array:
    """Return a matrix in which some columns have nothing to do with the others."""
    return np.where(some[:, None] | some, np.eye(len(some)), matrix)


def _inverse(matrix: Array) -> Array:
    """Return the inverse; columns that cannot be told apart get a very large variance."""
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    found: Array = (vectors / np.maximum(values, _LEAST)) @ vectors.T
    return found
