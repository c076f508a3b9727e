"""Orientation matrices in MOSFLM's form."""

from __future__ import annotations

from pathlib import Path

from nbdask.inputs.text import NUMBER, problem, read_lines, shown

_WHAT = "nine numbers: rows x, y, z, columns a*, b*, c*"


def read_matrix(path: str | Path) -> tuple[float, ...]:
    """Return the first nine numbers of a matrix file; whatever follows them is ignored.

    As with C's scanf, numbers may touch where a sign parts them (``-0.028-0.003``).

    Returns
    -------
    tuple of 9 floats
        Row by row (x, y, z), columns a*, b*, c*, in units of 1/wavelength.

    Raises
    ------
    InputFileError
        A missing file, or one that does not begin with nine numbers.
    """
    numbers: list[float] = []
    for line_number, line in enumerate(read_lines(path, _WHAT), start=1):
        rest = line.strip()
        while rest and len(numbers) < 9:
            match = NUMBER.match(rest)
            if match is None:
                found = f"found {shown(rest)} after {len(numbers)} numbers"
                raise problem(path, line_number, found, _WHAT)
            numbers.append(float(match.group()))
            rest = rest[match.end() :].lstrip()
        if len(numbers) == 9:
            return tuple(numbers)
    raise problem(path, None, f"only {len(numbers)} numbers found", _WHAT)
