"""Anomalous scattering: f' and f'' of elements at a photon energy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np

from nbdask.errors import InputFileError
from nbdask.inputs.text import problem, read_lines, shown, to_number

#: Element, f', f'' [electrons].
Row = tuple[str, float, float]
#: Energies of the built-in table [eV].
LOWEST, HIGHEST = 1000.0, 200000.0
TABLE = "Cromer-Liberman (gemmi)"
#: Its last element: uranium.
_LAST = 92
_WHAT = "f' and f'': lines of [element] energy[eV] f' f'', or element f' f''"
#: A comment that names the element of the lines below.
_TITLE = re.compile(r"#\s*(?:element\s*[:=]?\s*)?([A-Za-z]{1,2})\s*", re.IGNORECASE)
_NAMED = re.compile(r"([A-Za-z]{1,2})=(.+)")


def dispersion(
    elements: Sequence[gemmi.Element], energy: float, files: Sequence[str] = ()
) -> tuple[tuple[Row, ...], str, tuple[str, ...]]:
    """Return f' and f'' of elements.

    Parameters
    ----------
    elements : sequence of gemmi.Element
    energy : float
        Of the photons [eV].
    files : sequence of str
        Users' tables, each ``FILE`` or ``ELEMENT=FILE``; between their energies values are
        interpolated.  They go before the built-in table.

    Returns
    -------
    rows : tuple of (str, float, float)
        In the order of the elements.
    table : str
        Where the values come from.
    notes : tuple of str

    Raises
    ------
    InputFileError
        A table that is malformed, or does not reach the energy; or an energy beyond
        the built-in one.
    """
    own: dict[str, tuple[float, float]] = {}
    sources, notes = [], []
    for word in files:
        values, remarks = _from_file(word, elements, energy)
        own |= values
        notes += remarks
        sources.append(f"{', '.join(values)}: {Path(word.partition('=')[2] or word).name}")
    rows = []
    for element in elements:
        if element.name in own:
            rows.append((element.name, *own[element.name]))
            continue
        if not LOWEST <= energy <= HIGHEST:
            raise InputFileError(
                f"--energy {energy:g}: must be from {LOWEST:g} to {HIGHEST:g} eV, the range of f'"
                " and f'' (--fprime gives others, --energy off leaves them out)"
            )
        if element.atomic_number > _LAST:
            notes.append(f"f', f'' of {element.name} are not tabulated: 0 (--fprime gives them)")
        first, second = gemmi.cromer_liberman(z=element.atomic_number, energy=energy)
        rows.append((element.name, first, second))
    return tuple(rows), "; ".join([*sources, TABLE]), tuple(notes)


def _from_file(
    word: str, elements: Sequence[gemmi.Element], energy: float
) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Return f', f'' by element of one table, and what was guessed."""
    match = _NAMED.fullmatch(word)
    named = _symbol(match.group(1)) if match else None
    path = match.group(2) if match and named else word
    points = _points(path)
    notes = []
    if "" in points:
        if named is None:
            named, note = _guessed(path, elements)
            notes.append(note)
        points.setdefault(named, []).extend(points.pop(""))
    values = {}
    for name, rows in points.items():
        values[name] = _at(path, name, rows, energy)
    unused = [name for name in values if name not in {e.name for e in elements}]
    if unused:
        notes.append(f"{path}: {', '.join(unused)} is not in the model")
    return {name: pair for name, pair in values.items() if name not in unused}, notes


def _points(path: str) -> dict[str, list[tuple[float, float, float]]]:
    """Return (energy, f', f'') by element; "" where lines name none; energy 0: at any."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    titled = ""
    for number, line in enumerate(read_lines(path, _WHAT), 1):
        title = _TITLE.fullmatch(line.strip())
        titled = (_symbol(title.group(1)) if title else None) or titled
        words = re.split(r"[\s,;]+", line.split("#", 1)[0].strip())
        if words == [""]:
            continue
        symbol = _symbol(words[0])
        rest = words[1:] if symbol else words
        values = [to_number(w) for w in rest]
        numbers = [v for v in values if v is not None]
        if not points and not numbers and symbol is None:
            continue  # a line of titles
        if symbol and len(values) == 2:
            numbers, values = [0.0, *numbers], [0.0, *values]
        if len(values) != 3 or len(numbers) != 3 or (numbers[0] <= 0.0 and len(rest) == 3):
            raise problem(path, number, f"found {shown(line.strip())}", _WHAT)
        points.setdefault(symbol or titled, []).append((numbers[0], numbers[1], numbers[2]))
    if not points:
        raise problem(path, None, "no line of numbers", _WHAT)
    return points


def _symbol(word: str) -> str | None:
    """Return an element's symbol as gemmi spells it, or None where the word is none."""
    if not re.fullmatch(r"[A-Za-z]{1,2}", word):
        return None
    element = gemmi.Element(word.capitalize())
    return element.name if element.atomic_number else None


def _guessed(path: str, elements: Sequence[gemmi.Element]) -> tuple[str, str]:
    """Return the element that a table of energies is of, and the note that says so."""
    start = re.match(r"([A-Za-z]{1,2})(?![A-Za-z])", Path(path).name)
    symbol = _symbol(start.group(1)) if start else None
    names = {element.name for element in elements}
    if symbol in names and symbol is not None:
        return symbol, f"{path}: taken for {symbol}, which its name begins with"
    heaviest = max(elements, key=lambda element: element.atomic_number).name
    return heaviest, (
        f"{path}: names no element: taken for {heaviest}, the heaviest of the model"
        f" (--fprime ELEMENT={Path(path).name} names another)"
    )


def _at(
    path: str, name: str, rows: list[tuple[float, float, float]], energy: float
) -> tuple[float, float]:
    """Interpolate a table at an energy."""
    if all(row[0] == 0.0 for row in rows):
        return rows[-1][1:]
    table = np.array(sorted(rows))
    if (np.diff(table[:, 0]) <= 0.0).any():
        raise problem(path, None, f"an energy of {name} occurs twice", "each energy once")
    if not table[0, 0] <= energy <= table[-1, 0]:
        raise problem(
            path,
            None,
            f"{name} from {table[0, 0]:g} to {table[-1, 0]:g} eV",
            f"a table that reaches the beam's {energy:.7g} eV",
        )
    return (
        float(np.interp(energy, table[:, 0], table[:, 1])),
        float(np.interp(energy, table[:, 0], table[:, 2])),
    )
