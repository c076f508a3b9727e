"""Tables of the amplitude of one molecule against sin(theta)/lambda: files, and bundled ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError, InputFileError
from nbdask.experiment.background import Material
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.text import problem, read_lines, to_number

Array = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
#: Fewest points of a table.
FEWEST = 3
_WHAT = "a table: sin(theta)/lambda [1/Angstrom] and amplitude [electrons], one pair per line"
#: What the first column is divided by.
_DIVISORS = {"stol": 1.0, "4stol": 4.0, "Q": 4.0 * math.pi}


@dataclass(frozen=True, slots=True)
class Bundled:
    """A table that comes with nbdask.

    Attributes
    ----------
    density : float
        At room temperature and pressure [kg/m^3]; ice: at 0 degrees Celsius.
    molar_mass : float
        [kg/mol]
    what : str
        What it is, in a few words.
    """

    density: float
    molar_mass: float
    what: str


#: Name -> what goes with the table.
BUNDLED = {
    "water": Bundled(997.0, 0.0180153, "liquid water"),
    "air": Bundled(1.20, 0.0289647, "dry air as single molecules, 20 degrees"),
    "helium": Bundled(0.166, 0.0040026, "helium, 20 degrees"),
    "kapton": Bundled(1420.0, 0.382326, "polyimide C22 H10 N2 O5 as separate atoms"),
    "ice": Bundled(917.0, 0.0180153, "powder rings of hexagonal ice"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Amplitudes.

    Attributes
    ----------
    stol : (n,) float64 array
        sin(theta)/lambda [1/m], ascending.
    amplitude : (n,) float64 array
        [electrons]
    """

    stol: Array
    amplitude: Array


def bundled_path(name: object) -> str:
    """Return the file of a bundled table.

    Raises
    ------
    FieldError
        There is no bundled table of that name.
    """
    if not isinstance(name, str) or name not in BUNDLED:
        names = ", ".join(BUNDLED)
        raise FieldError("background.materials.table", name, f"one of {names}; a file is a path")
    return str(DATA / f"{name}.stol")


def table_path(material: Material) -> str:
    """Return the file of a material's table.

    Raises
    ------
    FieldError
        There is no bundled table of that name.
    """
    return bundled_path(material.table) if material.path is None else material.path


def load_table(material: Material) -> Table:
    """Read the table of a material.

    Raises
    ------
    InputFileError
        A file that is missing, malformed or not the one that the experiment was made with.
    FieldError
        There is no bundled table of that name.
    """
    path = table_path(material)
    if material.sha256 is not None and sha256_of(path) != material.sha256:
        what = f"the bundled table {material.table}" if material.path is None else f"{path}: it"
        raise InputFileError(f"{what} has changed since the experiment was made")
    return read_table(path, material.axis)


def read_table(path: str | Path, axis: str = "stol") -> Table:
    """Read a table; lines that do not begin with two numbers are passed over.

    Parameters
    ----------
    path : str or Path
    axis : str
        What the first column holds; see :data:`~nbdask.experiment.background.AXES`.

    Raises
    ------
    InputFileError
        A file that cannot be read, holds fewer than three points, or does not ascend.
    """
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(read_lines(path, _WHAT), 1):
        values = [to_number(word) for word in line.split()[:2]]
        if len(values) < 2 or values[0] is None or values[1] is None:
            continue
        if values[0] < 0.0:
            raise problem(path, number, f"{values[0]:g}", "sin(theta)/lambda of at least 0")
        if rows and values[0] <= rows[-1][0]:
            found = f"{values[0]:g} after {rows[-1][0]:g}"
            raise problem(path, number, found, "ascending values of sin(theta)/lambda")
        rows.append((values[0], values[1]))
    if len(rows) < FEWEST:
        raise problem(path, None, f"{len(rows)} points", f"at least {FEWEST} points of {_WHAT}")
    stol, amplitude = np.array(rows).T
    return Table(stol * (1e10 / _DIVISORS[axis]), np.ascontiguousarray(amplitude))
