"""SHELX hkl files, and plain lists of h k l F."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.columns import Column
from nbdask.inputs.text import problem, shown, to_number

_WHAT = "a line of SHELX (h k l in 4 columns each, F^2 and sigma in 8) or h k l F"
_FIELDS = ((0, 4), (4, 8), (8, 12), (12, 20), (20, 28))
_CENTRING = {
    1: "", 2: "x+1/2,y+1/2,z+1/2", 3: "x+2/3,y+1/3,z+1/3;x+1/3,y+2/3,z+2/3",
    4: "x,y+1/2,z+1/2;x+1/2,y,z+1/2;x+1/2,y+1/2,z", 5: "x,y+1/2,z+1/2", 6: "x+1/2,y,z+1/2",
    7: "x+1/2,y+1/2,z",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """A list and what is known of its crystal.

    Attributes
    ----------
    hkl : (n, 3) float64 array
    columns : tuple of Column
    cell : list of 6 floats or None
        [Angstrom, degrees]
    space_group : str or None
    plain : bool
        A list of h k l F of the P1 cell, as nanoBragg reads it.
    """

    hkl: NDArray[np.float64]
    columns: tuple[Column, ...]
    cell: list[float] | None
    space_group: str | None
    plain: bool


def parse(path: str | Path, text: str) -> Parsed:
    """Read a list; cell and symmetry from instructions behind it, or in an .ins or .res beside it.

    Friedel mates are kept apart where the list has both.

    Parameters
    ----------
    path : str or Path
    text : str
        Its content.

    Raises
    ------
    InputFileError
        A line that is neither, or no reflection at all.
    """
    lines = text.splitlines()
    first = next((line for line in lines if line.split("#")[0].strip()), "")
    first = first.split("#")[0]
    plain = len(first.split()) == 4 and _free(first, 4) is not None
    rows, rest = [], []
    for number, line in enumerate(lines, 1):
        line = line.split("#", 1)[0].rstrip()
        if not line.strip():
            continue
        row = _free(line, 4) if plain else _fixed(line) or _free(line, 5)
        if row is None:
            raise problem(path, number, f"found {shown(line)}", _WHAT)
        if not plain and row[:3] == [0.0, 0.0, 0.0]:
            rest = lines[number:]
            break
        rows.append(row)
    if not rows:
        raise problem(path, None, "no reflection found", _WHAT)
    table = np.array(rows)
    if plain:
        column = Column("F", "G", table[:, 3], None, "")
        return Parsed(table[:, :3], (column,), None, None, True)
    cell, group = _instructions(path, rest)
    # Without a word, the numbers are F^2 (HKLF 4).
    columns = tuple(
        Column(name, kind, table[:, 3], table[:, 4], "") for name, kind in (("F2", "K"), ("F", "H"))
    )
    return Parsed(table[:, :3], columns, cell, group, False)


def _fixed(line: str) -> list[float] | None:
    if len(line) < 28:
        return None
    values = [to_number(line[a:b].strip()) for a, b in _FIELDS]
    return None if any(value is None for value in values) else [float(v or 0.0) for v in values]


def _free(line: str, count: int) -> list[float] | None:
    values = [to_number(word) for word in line.split()[:count]]
    if len(values) < count or any(value is None for value in values):
        return None
    return [float(v or 0.0) for v in values]


def _instructions(path: str | Path, rest: list[str]) -> tuple[list[float] | None, str | None]:
    """Return cell and space group of SHELX instructions."""
    name = re.sub(r"\.gz$", "", str(path))
    beside = [Path(name).with_suffix(suffix) for suffix in (".ins", ".res")]
    found = [_read(rest), *(_read(_lines(p)) for p in beside if p.is_file())]
    cell = next((c for c, _ in found if c), None)
    group = next((g for c, g in found if c and g), None)
    return cell, group


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="latin-1").splitlines()


def _read(lines: list[str]) -> tuple[list[float] | None, str | None]:
    cell: list[float] | None = None
    lattice, triplets = 1, ["x,y,z"]
    for line in lines:
        words = line.split()
        if not words:
            continue
        key = words[0].upper()
        numbers = [v for v in map(to_number, words[1:]) if v is not None]
        if key == "CELL" and len(numbers) >= 7:
            cell = numbers[1:7]
        elif key == "LATT" and numbers:
            lattice = int(numbers[0])
        elif key == "SYMM":
            triplets.append("".join(words[1:]).lower())
    if cell is None or abs(lattice) not in _CENTRING:
        return cell, None
    if lattice > 0:
        triplets.append("-x,-y,-z")
    triplets += [t for t in _CENTRING[abs(lattice)].split(";") if t]
    try:
        ops = gemmi.GroupOps([gemmi.Op(t) for t in triplets])
        ops.add_missing_elements()
        group = gemmi.find_spacegroup_by_ops(ops)
    except (RuntimeError, ValueError):
        return cell, None
    return cell, None if group is None else group.xhm()
