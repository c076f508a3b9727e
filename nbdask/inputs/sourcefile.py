"""Lists of point sources: x y z weight wavelength, one source a line."""

from __future__ import annotations

import re
from pathlib import Path

from nbdask.inputs.text import problem, read_lines, shown, to_number

SourceRow = tuple[float | None, float | None, float | None, float | None, float | None]

_SEPARATORS = re.compile(r"[ \t,;:!\r]+")
_WHAT = "sources, one a line: x y z weight wavelength[m]"


def read_sources(path: str | Path) -> tuple[SourceRow, ...]:
    """Read a source list.

    Columns are separated by blanks, tabs or any of ``, ; : !``; those after the fifth, blank
    lines and everything after ``#`` are ignored.

    Returns
    -------
    tuple of (x, y, z, weight, wavelength)
        Position relative to the sample [any length unit], relative intensity, wavelength [m];
        None for the columns that a line does not have.

    Raises
    ------
    InputFileError
        A missing file, one without sources, a word that is not a number, a source at the sample,
        a negative weight, or a wavelength that is not above 0.
    """
    rows: list[SourceRow] = []
    for number, line in enumerate(read_lines(path, _WHAT), start=1):
        words = [word for word in _SEPARATORS.split(line.split("#", 1)[0]) if word]
        if not words:
            continue
        values: list[float | None] = []
        for word in words[:5]:
            value = to_number(word)
            if value is None:
                raise problem(path, number, f"found {shown(word)}", "numbers: " + _WHAT)
            values.append(value)
        values += [None] * (5 - len(values))
        x, y, z, weight, wavelength = values
        if x == y == z == 0.0:
            raise problem(path, number, "a source at 0 0 0", "away from the sample")
        if weight is not None and weight < 0.0:
            raise problem(path, number, f"a weight of {weight:g}", "a number of at least 0")
        if wavelength is not None and wavelength <= 0.0:
            found = f"a wavelength of {wavelength:g} m"
            raise problem(path, number, found, "a number above 0, in metres")
        rows.append((x, y, z, weight, wavelength))
    if not rows:
        raise problem(path, None, "no source found", _WHAT)
    return tuple(rows)


def comment_lines(path: str | Path) -> int:
    """Return how many lines have a ``#`` that nanoBragg, which knows no comments, reads.

    Raises
    ------
    InputFileError
        A missing file.
    """
    before = [line.split("#", 1)[0] for line in read_lines(path, _WHAT) if "#" in line]
    return sum(len([word for word in _SEPARATORS.split(text) if word]) < 5 for text in before)
