"""Files of tables -> columns: CSV, TOML and parquet with a header, and plain rows of numbers."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nbdask.errors import FieldError, InputFileError
from nbdask.inputs.quantities import CONVERSIONS
from nbdask.inputs.text import check_regular, problem, read_lines, shown, to_number
from nbdask.inputs.toml import read_toml
from nbdask.shots.frame import NUMBER, numbers
from nbdask.shots.names import field_of
from nbdask.shots.quantities import converted, header_parts
from nbdask.shots.tables import Table
from nbdask.shots.variation import Array

#: What a table should hold, for messages.
WHAT = "a table: columns of dotted fields with units, such as crystal.cell.a [A], a row for a shot"
_PARQUET = ("parquet", "needs pandas and pyarrow: install them, or save the table as CSV")
_SEPARATORS = re.compile(r"[\s,;]+")


def read_table(path: str) -> Table:
    """Read what varies from a file.

    Parameters
    ----------
    path : str
        ``.csv`` (or other text, parted by commas, semicolons or tabs), ``.toml`` (a table
        ``[shots]`` of lists, or a list ``[[shots]]`` of tables), ``.parquet``.

    Raises
    ------
    InputFileError
        A file that cannot be read or holds something else; it is named in the message.
    """
    found: dict[str, Array] = {}
    for label, values in read_columns(path).items():
        name, unit = header_parts(label)
        if name in found:
            raise problem(path, None, f"column {name} twice", "of fields that all differ")
        found[name] = _in_si(path, label, name, unit, values)
    try:
        return Table(found)
    except FieldError as error:
        raise InputFileError(f"{path}: {error}") from None


def read_column(path: str, column: str, name: str) -> Array:
    """Read one column of a file as values of a field.

    Parameters
    ----------
    path : str
    column : str
        Its header, with or without the unit.
    name : str
        Dotted field, whose unit the header has.
    """
    columns = read_columns(path)
    for label, values in columns.items():
        if column in (label, header_parts(label)[0]):
            return _in_si(path, label, name, header_parts(label)[1], values)
    raise InputFileError(f"{path}: no column {column}: must be one of {', '.join(columns)}")


def read_columns(path: str) -> dict[str, Array]:
    """Return the columns of a table by their headers, numbers as they are written."""
    check_regular(path, WHAT)
    suffix = Path(path).suffix.lower()
    if suffix == ".toml":
        columns = _of_toml(path)
    elif suffix in (".parquet", ".pq"):
        columns = _of_parquet(path)
    else:
        columns = _of_text(path)
    count = columns.pop(NUMBER, None)
    if not columns:
        raise problem(path, None, "no columns", WHAT)
    if count is not None and not np.array_equal(count, np.arange(len(count))):
        raise problem(path, None, f"column {NUMBER} does not count from 0", "0, 1, 2, ...")
    return columns


def _in_si(path: str, label: str, name: str, unit: str | None, values: Array) -> Array:
    """Return a column in SI; what has a unit must say it."""
    try:
        known = CONVERSIONS[field_of(name).unit]
        if unit is None and "" not in known:
            allowed = f"named with its unit, such as {name} [{next(iter(known))}]"
            raise FieldError("column", label, allowed)
        return converted(name, values, unit or "")
    except FieldError as error:
        raise InputFileError(f"{path}: {error}") from None


def _of_text(path: str) -> dict[str, Array]:
    numbered = [
        (number, line)
        for number, line in enumerate(read_lines(path, WHAT), start=1)
        if line.strip() and line.lstrip()[0] != "#"
    ]
    lines = [line for _, line in numbered]
    if not lines:
        raise problem(path, None, "is empty", WHAT)
    parted = next((mark for mark in ",;\t" if mark in lines[0]), ",")
    header, *rows = csv.reader(lines, delimiter=parted, skipinitialspace=True)
    labels = [label.strip() for label in header]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise problem(path, numbered[0][0], f"column {twice} twice", "headers that all differ")
    values = np.empty((len(rows), len(labels)))
    for number, row in enumerate(rows):
        where = numbered[number + 1][0] if len(rows) == len(lines) - 1 else None
        if len(row) != len(labels):
            raise problem(path, where, f"{len(row)} values", f"{len(labels)}, one a column")
        for place, word in enumerate(row):
            value = to_number(word.strip())
            if value is None:
                raise problem(path, where, f"{shown(word)} ({labels[place]})", "a number")
            values[number, place] = value
    return dict(zip(labels, values.T, strict=True))


def _of_toml(path: str) -> dict[str, Array]:
    shots = read_toml(path, WHAT).get("shots")
    if isinstance(shots, list) and all(isinstance(row, dict) for row in shots) and shots:
        labels = list(shots[0])
        for number, row in enumerate(shots):
            if list(row) != labels:
                allowed = f"the columns of the first: {', '.join(labels)}"
                raise problem(path, None, f"shot {number} has {', '.join(row)}", allowed)
        shots = {label: [row[label] for row in shots] for label in labels}
    if not isinstance(shots, dict) or not shots:
        raise problem(path, None, "no table [shots]", WHAT)
    return {label: _list_of(path, label, values) for label, values in shots.items()}


def _list_of(path: str, label: str, values: object) -> Array:
    good = isinstance(values, list) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )
    if not good:
        allowed = "a list of numbers (a dotted name has to be in quotes)"
        raise problem(path, None, f"shots.{label}", allowed)
    return np.array(values, dtype=np.float64)


def _of_parquet(path: str) -> dict[str, Array]:
    try:
        import pandas

        frame: Mapping[str, Any] = pandas.read_parquet(path)
    except ImportError:
        raise InputFileError(f"{path}: {_PARQUET[0]} {_PARQUET[1]}") from None
    except Exception as error:  # what the readers raise is of many types
        raise problem(path, None, " ".join(str(error).split())[:200], f"parquet, {WHAT}") from None
    try:
        return {str(label): numbers(str(label), np.asarray(frame[label])) for label in frame}
    except FieldError as error:
        raise InputFileError(f"{path}: {error}") from None


def read_rows(path: str, what: str, least: int, most: int | None = None) -> Array:
    """Return rows of numbers without a header; what follows them in a line is ignored.

    Parameters
    ----------
    path : str
    what : str
        What they should be, for messages.
    least : int
        Numbers that each line must begin with.
    most : int or None
        Numbers that are read of each line; None: all of the first line, in all lines.

    Returns
    -------
    (lines, numbers) float64 array

    Raises
    ------
    InputFileError
        A line with too few numbers, or none at all.
    """
    rows: list[list[float]] = []
    count = most
    for number, line in enumerate(read_lines(path, what), start=1):
        words = [word for word in _SEPARATORS.split(line.split("#", 1)[0]) if word]
        if not words:
            continue
        values = _leading(words, count)
        if len(values) < (count or least):
            raise problem(path, number, f"found {shown(line.strip())}", what)
        count = count or len(values)
        rows.append(values)
    if not rows:
        raise problem(path, None, "no numbers", what)
    return np.array(rows)


def _leading(words: Sequence[str], most: int | None) -> list[float]:
    """Return the numbers with which a line begins."""
    found: list[float] = []
    for word in words[:most]:
        value = to_number(word)
        if value is None:
            break
        found.append(value)
    return found
