"""Text lists of structure factor amplitudes: one reflection a line, h k l F."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.inputs import amplitudes
from nbdask.inputs.amplitudes import AmplitudeGrid
from nbdask.inputs.text import check_regular, problem, read_lines, shown, to_number

_WHAT = "reflections, one a line: h k l F"
_BARE = re.compile(rb"(?:[ \t]*(?:[+-]?[0-9]+[ \t]+){3}[0-9eE.+-]+[ \t]*\r?\n)*")


def read_hkl(path: str | Path, default_F: float) -> AmplitudeGrid:
    """Read a list of amplitudes of the P1 cell.

    Columns are separated by blanks or tabs; those after the fourth, blank lines and everything
    after ``#`` are ignored.  Indices may be written like ``2.0``.  Of duplicates the last counts.

    Parameters
    ----------
    path : str or Path
    default_F : float
        Amplitude of the grid's points that the list does not hold [electrons].

    Raises
    ------
    InputFileError
        A missing or empty file, a line that is not h k l F, an index that is not a whole number,
        or indices that span an absurdly large grid.
    """
    return amplitudes.from_reflections(read_rows(path), default_F, source=str(path))


def read_rows(path: str | Path) -> NDArray[np.float64]:
    """Read the lines of a list; see :func:`read_hkl`.

    Returns
    -------
    (n, 4) float64 array
        h, k, l and F [electrons], in the order of the file.
    """
    check_regular(path, _WHAT)
    table = _read_fast(path)
    return _read_slowly(path) if table is None else table


def is_bare(path: str | Path) -> bool:
    """Whether a list holds h k l F and nothing else: C reads on from there up to what is else.

    Raises
    ------
    OSError
    """
    return _BARE.fullmatch(Path(path).read_bytes()) is not None


def _read_fast(path: str | Path) -> NDArray[np.float64] | None:
    """Return the table, or None where anything at all is not as it should be."""
    try:
        # Given a name instead, numpy would also fetch an address, and unpack NAME.gz next to it.
        with open(path, encoding="utf-8-sig") as handle, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns about a file without data
            table = np.loadtxt(handle, usecols=(0, 1, 2, 3), comments="#", ndmin=2)
    except (OSError, ValueError, IndexError):
        return None
    indices = table[:, :3]
    if table.shape[0] == 0 or not np.isfinite(table).all():
        return None
    if (indices != np.rint(indices)).any() or np.abs(indices).max() > amplitudes.MAX_INDEX:
        return None
    return table


def _read_slowly(path: str | Path) -> NDArray[np.float64]:
    """Read line by line, so that the first bad line can be named."""
    rows = []
    for number, line in enumerate(read_lines(path, _WHAT), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        values = [to_number(word) for word in words[:4]]
        numbers = [value for value in values if value is not None]
        if len(numbers) < 4:
            raise problem(path, number, f"found {shown(line.strip())}", "four numbers: h k l F")
        for name, index in zip("hkl", numbers, strict=False):
            if index != round(index) or abs(index) > amplitudes.MAX_INDEX:
                allowed = f"a whole number between -{amplitudes.MAX_INDEX} and"
                allowed += f" {amplitudes.MAX_INDEX}"
                raise problem(path, number, f"{name} is {index:g}", allowed)
        rows.append(numbers)
    if not rows:
        raise problem(path, None, "no reflection found", _WHAT)
    return np.array(rows)
