"""Columns of reflection files, and which of them is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.symmetry import Symmetry
from nbdask.inputs.amplitudes import MAX_INDEX
from nbdask.inputs.text import problem, shown

#: Order in which columns are taken unasked: F(+)/F(-), I(+)/I(-), F, I, calculated F.
_RANKS = "GKFJC"
#: Kinds that hold intensities.
_INTENSITIES = "KJD"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of amplitudes or intensities.

    Attributes
    ----------
    name : str
    kind : str
        As types of MTZ: F, J amplitude, intensity; G, K those of one Friedel mate; besides
        C, D calculated amplitude, intensity; W coefficient of a map; H as G, by name only.
    values : (n,) float64 array
        NaN where missing.
    sigma : (n,) float64 array or None
    mate : str
        Column of the other Friedel mate; "": none.
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    mate: str

    def rows(self, kept: NDArray[np.bool_]) -> Column:
        """Return the column with some of its rows."""
        sigma = None if self.sigma is None else self.sigma[kept]
        return replace(self, values=self.values[kept], sigma=sigma)

    def missing(self) -> NDArray[np.bool_]:
        """Return True where there is no value: not a number, or 0 with a sigma of 0."""
        lacking = ~np.isfinite(self.values)
        if self.sigma is not None:
            lacking |= (self.values == 0.0) & (self.sigma == 0.0)
        return lacking


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The column or pair of columns that is used.

    Attributes
    ----------
    parts : tuple of (Column, int)
        Each with the sign of the indices that it is of.
    intensity, anomalous, calculated : bool
    others : tuple of str
        Further columns that could have been chosen.
    """

    parts: tuple[tuple[Column, int], ...]
    intensity: bool
    anomalous: bool
    calculated: bool
    others: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column, _ in self.parts)


def chosen(path: str | Path, columns: Sequence[Column], asked: str | None, what: str) -> Choice:
    """Choose a column by name, or by kind in the order of ``_RANKS``.

    Parameters
    ----------
    path : str or Path
    columns : sequence of Column
    asked : str or None
        A name; several, separated by commas, are those of a pair (or a column and its sigma).
    what : str
        What the file should hold, for the message.

    Raises
    ------
    InputFileError
        No such column, or none with any value.
    """
    known = {column.name: column for column in columns}
    names = ", ".join(known)
    if not known:
        raise problem(path, None, "no column of amplitudes or intensities", what)
    if asked is not None:
        name = _named(asked, known)
        if name is None:
            raise problem(path, None, f"no column {shown(asked)}", f"one of: {names} (--column)")
        first = known[name]
    else:
        usable = [c for c in columns if c.kind in _RANKS and not c.missing().all()]
        if not usable:
            found = f"columns: {names} (of maps, or without values)"
            raise problem(path, None, found, what + " (--column names one)")
        first = min(usable, key=lambda c: _RANKS.index(c.kind))
    before = [c for c in columns if c.mate == first.name]
    if before:
        first = before[0]  # the minus column was named: its pair
    parts = [(first, 1)]
    if first.mate:
        parts.append((known[first.mate], -1))
    used = {column.name for column, _ in parts}
    others = tuple(n for n in known if n not in used and not any(c.mate == n for c in columns))
    return Choice(
        tuple(parts),
        first.kind in _INTENSITIES,
        first.kind in "GKH",
        first.kind in "CDW",
        others,
    )


def _named(asked: str, known: dict[str, Column]) -> str | None:
    """Return the column that a user names, with or without its category, sigma or mate."""
    for word in (asked, asked.split(",")[0]):
        name = word.strip().removeprefix("_refln.").removeprefix("_refln_")
        if name in known:
            return name
        same = [n for n in known if n.casefold() == name.casefold()]
        if len(same) == 1:
            return same[0]
        pairs = [n for n, c in known.items() if c.mate and n.casefold() == f"{name}(+)".casefold()]
        if pairs:
            return pairs[0]
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """What a reflection file holds.

    Attributes
    ----------
    symmetry : Symmetry
    hkl : (n, 3) int64 array
    columns : tuple of Column
    status : (n,) str array or None
        Of mmCIF.
    block : str
        Name of the mmCIF block, where there are several.
    notes : tuple of str
    apart : bool
        Whether rows of h and -h are of different reflections, as in CIF files; in MTZ files types
        of columns tell.
    """

    symmetry: Symmetry
    hkl: NDArray[np.int64]
    columns: tuple[Column, ...]
    status: NDArray[np.str_] | None = None
    block: str = ""
    notes: tuple[str, ...] = ()
    apart: bool = False


def whole_indices(path: str | Path, hkl: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return indices as whole numbers."""
    good = np.isfinite(hkl).all(axis=1)
    good &= (hkl == np.rint(hkl)).all(axis=1) & (np.abs(hkl) <= MAX_INDEX).all(axis=1)
    if not good.all():
        bad = int(np.argmin(good))
        text = " ".join(f"{x:g}" for x in hkl[bad])
        raise problem(
            path,
            None,
            f"indices of reflection {bad + 1} are {text}",
            f"whole numbers of at most {MAX_INDEX} in size",
        )
    return hkl.astype(np.int64)
