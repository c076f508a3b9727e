"""Sums of photons by reflection: how they are kept, merged and taken apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Array

#: Columns of a row: the code of h, k, l; photons; photons times slow index, fast index, spindle
#: angle [rad] and 1 / wavelength [1/m].
CODE, PHOTONS, SLOW, FAST, PHI, PER_WAVELENGTH = range(6)
COLUMNS = 6
#: Whole indices are below this in size.
MOST_INDEX = 2**16
_K, _H = 2.0**17, 2.0**34


class Reflections(NamedTuple):
    """The reflections of one crystal on one panel, in the order of h, k, l.

    Attributes
    ----------
    hkl : (n, 3) int64 array
    photons : (n,) float64 array
    slow, fast : (n,) float64 arrays
        Centroid; whole numbers are the centres of pixels.
    phi : (n,) float64 array
        Mean spindle angle of the photons [rad].
    per_wavelength : (n,) float64 array
        Mean 1 / wavelength of the photons [1/m].
    """

    hkl: NDArray[np.int64]
    photons: Array
    slow: Array
    fast: Array
    phi: Array
    per_wavelength: Array


def codes(h: Array, k: Array, el: Array) -> Array:
    """Return whole indices as one number each, exact, in the order of h, k, l."""
    return np.asarray(h * _H + k * _K + el)


def indices(code: Array) -> NDArray[np.int64]:
    """Return h, k, l of codes, (n, 3)."""
    h = np.rint(code / _H)
    rest = code - h * _H
    k = np.rint(rest / _K)
    return np.stack([h, k, rest - k * _K], axis=-1).astype(np.int64)


def merged(parts: Iterable[Array]) -> Array:
    """Return sums of parts: rows of the same reflection are added in the order of the parts.

    Parameters
    ----------
    parts : iterable of (n, COLUMNS) float64 arrays

    Returns
    -------
    (n, COLUMNS) float64 array
        Sorted by code, each once.
    """
    rows = np.concatenate([np.zeros((0, COLUMNS)), *parts])
    if not len(rows):
        return rows
    rows = rows[np.argsort(rows[:, CODE], kind="stable")]
    first = np.flatnonzero(np.diff(rows[:, CODE], prepend=-np.inf))
    total = np.add.reduceat(rows, first, axis=0)
    total[:, CODE] = rows[first, CODE]
    return total


def taken_apart(rows: Array) -> Reflections:
    """Return the reflections of merged sums."""
    photons = rows[:, PHOTONS]
    means = (rows[:, column] / photons for column in (SLOW, FAST, PHI, PER_WAVELENGTH))
    slow, fast, phi, per_wavelength = means
    return Reflections(indices(rows[:, CODE]), photons, slow, fast, phi, per_wavelength)
