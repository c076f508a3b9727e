"""SHELX hkl files, and plain lists of h k l F."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.columns import Column
from nbdask.amplitudes.symmetry import symbol_of
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
    odd : str
        What is stated of a space group that is not known.
    """

    hkl: NDArray[np.float64]
    columns: tuple[Column, ...]
    cell: list[float] | None
    space_group: str | None
    plain: bool
    odd: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Instructions:
    """What SHELX instructions say of a list.

    Attributes
    ----------
    cell : list of 6 floats or None
        [Angstrom, degrees]
    space_group : str or None
    odd : str
        What is stated of a space group that is not known.
    amplitudes : bool
        Whether it holds F (HKLF 3), not F^2 (HKLF 4).
    scale : float
        Factor on the values.
    matrix : (3, 3) float64 array or None
        New indices = matrix @ those of the list.
    """

    cell: list[float] | None = None
    space_group: str | None = None
    odd: str = ""
    amplitudes: bool = False
    scale: float = 1.0
    matrix: NDArray[np.float64] | None = None


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
    said = _instructions(path, rest)
    hkl = table[:, :3] if said.matrix is None else np.round(table[:, :3] @ said.matrix.T, 4)
    kinds = (("F", "G"), ("F2", "K")) if said.amplitudes else (("F2", "K"), ("F", "H"))
    columns = tuple(
        Column(name, kind, said.scale * table[:, 3], said.scale * table[:, 4], "")
        for name, kind in kinds
    )
    return Parsed(hkl, columns, said.cell, said.space_group, False, said.odd)


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


def _instructions(path: str | Path, rest: list[str]) -> Instructions:
    """Return what SHELX instructions behind the list or in a file beside it say."""
    name = re.sub(r"\.gz$", "", str(path))
    beside = [Path(name).with_suffix(suffix) for suffix in (".ins", ".res")]
    texts = [(path, rest), *((p, _lines(p)) for p in beside if p.is_file())]
    found = [_read(of, lines) for of, lines in texts]
    return next((one for one in found if one.cell), Instructions())


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="latin-1").splitlines()


def _read(path: str | Path, lines: list[str]) -> Instructions:
    cell: list[float] | None = None
    lattice, triplets, form = 1, ["x,y,z"], [4.0]
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
        elif key == "HKLF" and numbers:
            form = numbers
    if cell is None:
        return Instructions()
    triplets += ["-x,-y,-z"] if lattice > 0 else []
    centring = _CENTRING.get(abs(lattice))
    triplets += [t for t in (centring or "").split(";") if t]
    group = symbol_of(triplets) if centring is not None else None
    odd = "" if group else f"LATT {lattice} with {len(triplets)} operators"
    return Instructions(cell, group, odd, *_form(path, form))


def _form(path: str | Path, numbers: list[float]) -> tuple[bool, float, NDArray[np.float64] | None]:
    """Return what HKLF says: whether the list holds F, its scale, and the matrix of its indices."""
    kind = abs(numbers[0])
    matrix = np.array(numbers[2:11]).reshape(3, 3) if len(numbers) >= 11 else None
    if kind not in (3.0, 4.0):
        raise problem(
            path, None, f"HKLF {numbers[0]:g}", "HKLF 3 (F) or 4 (F^2), of single crystals"
        )
    if matrix is not None and not np.linalg.det(matrix) > 0.0:
        raise problem(path, None, "a matrix behind HKLF", "one with a determinant above 0")
    return kind == 3.0, numbers[1] if len(numbers) > 1 else 1.0, matrix
