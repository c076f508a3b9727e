"""Cell and space group of a file: settings, equivalent indices, spacings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.inputs.text import problem, shown

Indices = NDArray[np.int64]
#: Relative slack of a limit of resolution: a reflection exactly on it is inside.
EDGE = 1e-9
#: Most reflections of one sphere.
MOST = 5 * 10**7
#: How far a cell may be from what its space group demands (of a length squared).
_SLACK = 0.02
_CELL = "six numbers: three lengths above 0 [Angstrom], three angles that make a cell [degrees]"
_GROUP = "a known symbol, such as 'P 21 21 21'"
#: How a list, which need not have them, is given a cell and a space group.
_LIST = (" (-cell or --cell gives them)", " (--space-group)")


@dataclass(frozen=True, slots=True, eq=False)
class Symmetry:
    """Cell and space group.

    Attributes
    ----------
    cell : gemmi.UnitCell
        Lengths and angles only: matrices that a file states are not used.
    group : gemmi.SpaceGroup
    """

    cell: gemmi.UnitCell
    group: gemmi.SpaceGroup

    @property
    def numbers(self) -> tuple[float, ...]:
        """a, b, c [Angstrom], alpha, beta, gamma [degrees]."""
        return tuple(float(x) for x in self.cell.parameters)

    @property
    def rotations(self) -> Indices:
        """Rotation matrices of the operators without centring, (n, 3, 3)."""
        ops = self.group.operations().sym_ops
        return np.array([op.rot for op in ops], dtype=np.int64) // gemmi.Op.DEN

    def translations(self) -> NDArray[np.float64]:
        """Return the translations that go with the rotations, (n, 3), in parts of the cell."""
        ops = self.group.operations().sym_ops
        return np.array([op.tran for op in ops], dtype=np.float64) / gemmi.Op.DEN

    def inverse_d_squared(self, hkl: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return 1/d^2 [1/Angstrom^2] of indices (n, 3)."""
        vectors = hkl @ np.array(self.cell.frac.mat.tolist())
        squares: NDArray[np.float64] = (vectors * vectors).sum(axis=1)
        return squares

    def absent(self, hkl: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return True for the indices (n, 3) that the space group extinguishes."""
        found = self.group.operations().systematic_absences(np.asarray(hkl, dtype=np.int32))
        return np.asarray(found, dtype=np.bool_)


def settle(
    path: str | Path,
    numbers: Sequence[float],
    name: str | None,
    number: int | None = None,
    *,
    model: bool = False,
) -> Symmetry:
    """Return cell and space group of a file; of R groups the setting that its cell asks for.

    Parameters
    ----------
    path : str or Path
        For messages.
    numbers : sequence of 6 floats
        [Angstrom, degrees].
    name : str or None
        Hermann-Mauguin symbol as the file has it.
    number : int, optional
        Of the space group, where there is no usable name.
    model : bool
        Whether it is that of a model, which must state both itself.

    Raises
    ------
    InputFileError
        No cell, or no known space group, or both do not go together.
    """
    ways = (" (of CRYST1 or _cell)", " (of CRYST1 or _symmetry)") if model else _LIST
    cell = _cell(path, numbers, ways[0])
    group = None
    if name and name.strip():
        group = gemmi.find_spacegroup_by_name(name.strip(), cell.alpha, cell.gamma)
    if group is None and number:
        group = gemmi.find_spacegroup_by_number(number)
    if group is None:
        found = f"space group {shown(name)}" if name and name.strip() else "no space group"
        raise problem(path, None, found, _GROUP + ways[1])
    if not _fits(cell, group):
        others = [s for s in gemmi.spacegroup_table() if s.number == group.number]
        fitting = [s for s in others if group.ext in ("H", "R") and _fits(cell, s)]
        if not fitting:
            text = " ".join(f"{x:g}" for x in cell.parameters)
            raise problem(path, None, f"cell {text} in {group.xhm()}", "a cell with that symmetry")
        group = fitting[0]
    return Symmetry(cell, group)


def symbol_of(triplets: Sequence[str]) -> str | None:
    """Return the symbol of the space group of operators such as ``-x,y+1/2,-z``; None: unknown."""
    try:
        ops = gemmi.GroupOps([gemmi.Op(triplet) for triplet in triplets])
        ops.add_missing_elements()
        group = gemmi.find_spacegroup_by_ops(ops)
    except (RuntimeError, ValueError):
        return None
    return None if group is None else group.xhm()


def _cell(path: str | Path, numbers: Sequence[float], way: str) -> gemmi.UnitCell:
    values = np.array(numbers, dtype=np.float64)
    good = values.shape == (6,) and np.isfinite(values).all() and (values > 0.0).all()
    cell = gemmi.UnitCell(*values) if good and (values[3:] < 180.0).all() else None
    # A cell of 1 A stands for "no crystal" in PDB files.
    if cell is None or not cell.volume > 1e-3 * values[:3].prod() or max(values[:3]) <= 1.0:
        found = "no cell" if not good else "cell " + " ".join(f"{x:g}" for x in values)
        raise problem(path, None, found, _CELL + way)
    return cell


def _fits(cell: gemmi.UnitCell, group: gemmi.SpaceGroup) -> bool:
    orth = np.array(cell.orth.mat.tolist())
    metric = orth.T @ orth
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    for op in group.operations().sym_ops:
        turn = np.array(op.rot) / gemmi.Op.DEN
        if (np.abs(turn.T @ metric @ turn - metric) > _SLACK * scale).any():
            return False
    return True


def unique_indices(path: str | Path, symmetry: Symmetry, d_min: float) -> NDArray[np.int32]:
    """Return one index of each set of equivalent reflections, absent ones and 000 left out.

    Parameters
    ----------
    path : str or Path
        For messages.
    symmetry : Symmetry
    d_min : float
        Finest spacing [Angstrom], inclusive.

    Returns
    -------
    (n, 3) int32 array

    Raises
    ------
    InputFileError
        No reflection at all, or far too many.
    """
    count = 4.19 * symmetry.cell.volume / d_min**3
    if count > MOST:
        found = f"about {count:.3g} reflections to {d_min:g} Angstrom"
        raise problem(path, None, found, f"at most {MOST:.0g}: raise --dmin")
    hkl = gemmi.make_miller_array(symmetry.cell, symmetry.group, d_min * (1.0 - EDGE))
    if len(hkl) == 0:
        raise problem(
            path, None, f"no reflection to {d_min:g} Angstrom", "one or more: lower --dmin"
        )
    return np.asarray(hkl, dtype=np.int32)


def possible(symmetry: Symmetry, d_min: float) -> float:
    """Return the number of reflections of the P1 cell to ``d_min`` [Angstrom] but absent ones.

    Of more than a million the volume of the sphere tells about how many there are.
    """
    count = 4.19 * symmetry.cell.volume / d_min**3
    if count > 1e6:
        return count / len(symmetry.group.operations().cen_ops)
    d_min *= 1.0 - EDGE
    return float(gemmi.count_reflections(symmetry.cell, symmetry.group, d_min, unique=False))


def codes(hkl: NDArray[np.integer], most: int) -> Indices:
    """Return one whole number for each index of (..., 3), ascending with h, k, l.

    ``most`` is the largest index that occurs, in size.
    """
    width = 2 * most + 1
    h, k, el = np.moveaxis(np.asarray(hkl, dtype=np.int64) + most, -1, 0)
    result: Indices = (h * width + k) * width + el
    return result


def decoded(values: Indices, most: int) -> Indices:
    """Return the indices (n, 3) of :func:`codes`."""
    width = 2 * most + 1
    rest, el = np.divmod(values, width)
    h, k = np.divmod(rest, width)
    return np.stack([h, k, el], axis=1) - most
