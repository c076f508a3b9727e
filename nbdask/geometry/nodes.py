"""Reciprocal lattice nodes that a centring leaves: a short basis of theirs."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from nbdask.geometry.vectors import Array

#: Centring -> basis of the indices h, k, l that it allows, as rows.
_BASES = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "A": ((1, 0, 0), (0, 1, 1), (0, -1, 1)),
    "B": ((0, 1, 0), (1, 0, 1), (-1, 0, 1)),
    "C": ((0, 0, 1), (1, 1, 0), (-1, 1, 0)),
    "I": ((0, 1, 1), (1, 0, 1), (1, 1, 0)),
    "F": ((-1, 1, 1), (1, -1, 1), (1, 1, -1)),
    # Obverse: -h + k + l = 3 n.
    "R": ((1, 1, 0), (1, 0, 1), (-1, 1, 1)),
}
CENTRINGS = tuple(_BASES)
#: Steps of the reduction, of which a cell that can be simulated needs a few.
_MOST = 10_000


def node_basis(star: Array, centring: str) -> Array:
    """Return a basis of the allowed indices that Selling's reduction made short.

    With the vector that makes the sum 0 no two of them are at an acute angle.  The node nearest to
    a point is then a corner of the basis' parallelepiped around it, but for about one point in
    2000, where the nearest corner is up to 1.2 times as far away; all of these are far from nodes.

    Parameters
    ----------
    star : (3, 3) float64 array
        Rows a*, b*, c*.
    centring : str
        One of ``CENTRINGS``.

    Returns
    -------
    (3, 3) float64 array
        Whole numbers, the columns h, k, l of each basis vector.
    """
    rows = [np.array(row, dtype=np.int64) for row in _BASES[centring]]
    rows.append(-(rows[0] + rows[1] + rows[2]))
    metric = star @ star.T
    slack = 1e-9 * float(np.trace(metric))
    for _ in range(_MOST):
        for i, j in combinations(range(4), 2):
            if float(rows[i] @ metric @ rows[j]) > slack:
                others = [k for k in range(4) if k not in (i, j)]
                for k in others:
                    rows[k] = rows[k] + rows[i]
                rows[i] = -rows[i]
                break
        else:
            break
    return np.array(rows[:3], dtype=np.float64).T
