"""Measured spectra: two columns, photon energy or wavelength, and weight."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask import units
from nbdask.errors import InputFileError, counted
from nbdask.inputs.text import problem, read_lines, shown, to_number

#: Units of the first column, as they are written behind the name of a file.
UNITS = ("eV", "keV", "A")
#: Numbers above are energies in eV, numbers below wavelengths in Angstrom.
_LEAST_EV, _MOST_ANGSTROM = 200.0, 50.0
_SEPARATORS = re.compile(r"[\s,;]+")
_WHAT = "a spectrum, one point a line: energy[eV] or wavelength[Angstrom], and weight"


def read_spectrum(
    path: str | Path, unit: str | None = None
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    """Read a spectrum of two columns.

    Columns are separated by blanks, tabs, commas or semicolons; further ones are ignored, and so
    are blank lines, everything after ``#``, lines without numbers before the first point, and
    points whose weight is 0.  Weights below 0, which noise leaves, count as 0.

    Parameters
    ----------
    path : str or Path
    unit : str, optional
        Of the first column, one of ``UNITS``; None: eV where all its numbers are above 200,
        Angstrom where all are below 50.

    Returns
    -------
    wavelengths : tuple of float
        [m]
    weights : tuple of float
    notes : tuple of str
        What was guessed.

    Raises
    ------
    InputFileError
        A missing or malformed file, or a first column that may be either.
    """
    first: list[float] = []
    weights: list[float] = []
    for number, line in enumerate(read_lines(path, _WHAT), start=1):
        words = [word for word in _SEPARATORS.split(line.split("#", 1)[0]) if word]
        values = [to_number(word) for word in words[:2]]
        if not words or (not first and values[0] is None):
            continue
        if len(values) < 2 or values[0] is None or values[1] is None:
            raise problem(path, number, f"found {shown(line.strip())}", _WHAT)
        if values[0] <= 0.0:
            raise problem(path, number, f"{values[0]:g} in the first column", "a number above 0")
        first.append(values[0])
        weights.append(values[1])
    points, heights = np.array(first), np.array(weights)
    if not (heights > 0.0).any():
        raise problem(path, None, "no point with a weight above 0", _WHAT)
    notes = []
    if unit is None:
        unit = _recognised(path, points)
        notes.append(f"{path}: its first column is taken for {unit} (:eV or :A behind the name)")
    negative = int((heights < 0.0).sum())
    if negative:
        notes.append(f"{path}: {counted(negative, 'weight')} below 0, counted as 0")
    used = heights > 0.0
    return (
        tuple(_metres(x, unit) for x in points[used]),
        tuple(heights[used].tolist()),
        tuple(notes),
    )


def _recognised(path: str | Path, points: NDArray[np.float64]) -> str:
    if points.min() > _LEAST_EV:
        return "eV"
    if points.max() < _MOST_ANGSTROM:
        return "A"
    raise InputFileError(
        f"{path}: its first column is from {points.min():g} to {points.max():g}: must be named"
        " behind the file as :eV, :keV or :A, as it may be either"
    )


def _metres(value: float, unit: str) -> float:
    if unit == "A":
        return units.from_angstrom(float(value))
    return units.from_ev(float(value) * (1000.0 if unit == "keV" else 1.0))
