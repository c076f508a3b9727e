"""Rotations of a Laue group, from gemmi's symmetry operations."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError


def laue_rotations(name: str) -> NDArray[np.int64]:
    """Return what turns indices into those of equivalent reflections, Friedel mates left out.

    Parameters
    ----------
    name : str
        Of a point group such as ``4/mmm``, ``222`` or ``-31m``, or of a space group.

    Returns
    -------
    (n, 3, 3) int64 array
        L of h' = L h, h a column; the identity is the first.

    Raises
    ------
    FieldError
        gemmi knows no such group.
    """
    # A number that is a point group's name, such as 222, is not that of a space group.
    group = _of_point_group(name) or gemmi.find_spacegroup_by_name(name)
    group = group or gemmi.find_spacegroup_by_name("P" + name)
    if group is None:
        raise FieldError("crystal.diffuse.laue", name, "a space group such as P 43 21 2, or 4/mmm")
    found: dict[bytes, NDArray[np.int64]] = {}
    for op in [gemmi.Op(), *group.operations().sym_ops]:
        # A reflection's indices are a row that the rotation of a place multiplies from the right.
        turn = (np.array(op.rot) // op.DEN).T.astype(np.int64)
        if np.linalg.det(turn) < 0.0:
            turn = -turn
        found.setdefault(turn.tobytes(), turn)
    return np.array(list(found.values()))


def _of_point_group(name: str) -> gemmi.SpaceGroup | None:
    """Return the first group of a point group."""
    wanted = name.replace(" ", "")
    for group in gemmi.spacegroup_table_itb():
        if wanted in (group.point_group_hm(), group.laue_str()):
            return group
    return None
