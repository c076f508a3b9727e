"""Lists of mosaic domains: an orientation and a weight in each line."""

from __future__ import annotations

import math
import re
from pathlib import Path

from nbdask.inputs.text import problem, read_lines, shown, to_number
from nbdask.units import from_degrees

#: Quaternion w, x, y, z, and weight.
Domain = tuple[float, float, float, float, float]

_SEPARATORS = re.compile(r"[\s,;]+")
_WHAT = "domains, one a line: quaternion w x y z, or rotation vector x y z [degrees], and weight"
#: Lines that are still believed to be meant.
_MOST = 10**6


def read_domains(path: str | Path) -> tuple[Domain, ...]:
    """Read a list of domains.

    Lines have five numbers, a quaternion and a weight, or four, a rotation vector in degrees
    (its direction the axis, its length the angle, right-handed) and a weight; all lines alike.
    Columns are separated by blanks, tabs, commas or semicolons; blank lines and everything after
    ``#`` are ignored.

    Returns
    -------
    tuple of (w, x, y, z, weight)
        Quaternions of length 1.

    Raises
    ------
    InputFileError
        A missing file, one without domains, a quaternion of 0, a negative weight or none above 0.
    """
    rows: list[Domain] = []
    columns = 0
    for number, line in enumerate(read_lines(path, _WHAT), start=1):
        words = [word for word in _SEPARATORS.split(line.split("#", 1)[0]) if word]
        if not words:
            continue
        values = [value for value in map(to_number, words) if value is not None]
        if len(values) != len(words) or len(words) not in (4, 5) or columns not in (0, len(words)):
            raise problem(path, number, f"found {shown(line.strip())}", _WHAT + ", all lines alike")
        columns = len(words)
        weight = values.pop()
        if weight < 0.0:
            raise problem(path, number, f"a weight of {weight:g}", "a number of at least 0")
        quaternion = values if columns == 5 else _of_vector(values)
        size = math.hypot(*quaternion)
        if not 1e-30 < size < 1e30:
            raise problem(path, number, "a quaternion of 0", "one with a length")
        w, x, y, z = (value / size for value in quaternion)
        rows.append((w, x, y, z, weight))
        if len(rows) > _MOST:
            raise problem(path, number, "one domain too many", f"at most {_MOST} of them")
    if not any(row[4] > 0.0 for row in rows):
        raise problem(path, None, "no domain with a weight above 0", _WHAT)
    return tuple(rows)


def _of_vector(vector: list[float]) -> list[float]:
    """Return the quaternion of a rotation vector [degrees]."""
    angle = from_degrees(math.hypot(*vector))
    # sin(angle / 2) over the angle in degrees, without a division by 0.
    part = math.sin(angle / 2.0) / math.hypot(*vector) if angle > 0.0 else 0.0
    return [math.cos(angle / 2.0), *(part * x for x in vector)]
