"""Amplitudes of all reflections of the P1 cell, and how they follow from a part of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.symmetry import Indices, Symmetry, codes, decoded


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Amplitudes of the P1 cell, both Friedel mates, sorted by h, k, l, without 000.

    Attributes
    ----------
    hkl : (n, 3) int64 array
    F : (n,) float64 array
        Amplitudes, at least 0 [electrons, or the scale of the file].
    symmetry : Symmetry
        Of the file.
    anomalous : bool
        Whether Friedel mates differ.
    """

    hkl: Indices
    F: NDArray[np.float64]
    symmetry: Symmetry
    anomalous: bool

    def __len__(self) -> int:
        """Return the number of reflections."""
        return len(self.F)

    def rows(self) -> NDArray[np.float64]:
        """Return h, k, l, F as (n, 4) float64 array."""
        return np.column_stack([self.hkl.astype(np.float64), self.F])

    def within(self, d_min: float | None) -> Table:
        """Return the reflections with d >= ``d_min`` [Angstrom]; None: all."""
        if d_min is None:
            return self
        # A spacing exactly on the limit is inside.
        keep = self.symmetry.inverse_d_squared(self.hkl) <= d_min**-2.0 * (1.0 + 2e-9)
        return Table(self.hkl[keep], self.F[keep], self.symmetry, self.anomalous)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the merging of a list met.

    Attributes
    ----------
    merged : int
        Sets of equivalent reflections whose value is the mean of several.
    absent : int
        Sets that the space group extinguishes.
    filled : int
        Reflections of P1 that took the value of their Friedel mate.
    """

    merged: int
    absent: int
    filled: int


def expanded(
    symmetry: Symmetry, hkl: NDArray[np.integer], values: NDArray[np.float64], *, mates: bool
) -> tuple[Table, Counts]:
    """Merge observations by mean and expand them to P1: h' = h R for every operator (R, t).

    Parameters
    ----------
    symmetry : Symmetry
    hkl : (n, 3) int array
    values : (n,) float64 array
        Amplitude of each; equivalent ones may occur several times.
    mates : bool
        Whether h and -h are different reflections; a missing one takes the value of the other.

    Returns
    -------
    Table, Counts
    """
    spread = Expansion(symmetry, hkl, mates=mates)
    return Table(spread.hkl, spread.values(values), symmetry, mates), spread.counts


def has_mates(symmetry: Symmetry, hkl: NDArray[np.integer]) -> bool:
    """Return whether both h and -h are among indices (n, 3), not counting equivalent ones."""
    images = np.einsum("ni,oij->onj", np.asarray(hkl, dtype=np.int64), symmetry.rotations)
    most = int(np.abs(images).max(initial=1))
    own, opposite = codes(images, most).max(axis=0), codes(-images, most).max(axis=0)
    return bool(np.isin(opposite[own != opposite], own).any())


class Expansion:
    """How values of observations become those of all reflections of the P1 cell.

    Parameters
    ----------
    symmetry, hkl, mates
        As for :func:`expanded`.

    Attributes
    ----------
    hkl : (m, 3) int64 array
        All of the P1 cell, sorted.
    counts : Counts
    """

    def __init__(self, symmetry: Symmetry, hkl: NDArray[np.integer], *, mates: bool) -> None:
        self._keep = np.any(hkl != 0, axis=1)
        hkl = np.asarray(hkl[self._keep], dtype=np.int64)
        turns = symmetry.rotations
        images = np.einsum("ni,oij->onj", hkl, turns)
        most = int(np.abs(images).max(initial=1))
        keys = codes(images, most)
        if not mates:
            keys = np.concatenate([keys, codes(-images, most)])
        own, self._index, self._times = np.unique(
            keys.max(axis=0), return_inverse=True, return_counts=True
        )
        # Now one value for each set; its members, each once.
        sets = decoded(own, most)
        members = codes(np.einsum("ni,oij->onj", sets, turns), most).ravel()
        places, first = np.unique(members, return_index=True)
        whole, order, filled = _with_mates(places, most)
        self._from = (first % len(sets))[order]
        self.hkl = decoded(whole, most)
        merged, absent = int((self._times > 1).sum()), int(symmetry.absent(sets).sum())
        self.counts = Counts(merged, absent, filled if mates else 0)

    def values(self, observed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of all of ``hkl`` from those of the observations."""
        means = np.bincount(self._index, weights=observed[self._keep]) / self._times
        found: NDArray[np.float64] = means[self._from]
        return found


def _with_mates(places: Indices, most: int) -> tuple[Indices, Indices, int]:
    """Add -h where it is missing; return places, which of those given each is, how many came."""
    opposite = codes(-decoded(places, most), most)
    lacking = ~np.isin(opposite, places)
    whole = np.concatenate([places, opposite[lacking]])
    of = np.concatenate([np.arange(len(places)), np.flatnonzero(lacking)])
    order = np.argsort(whole, kind="stable")
    return whole[order], of[order], int(lacking.sum())
