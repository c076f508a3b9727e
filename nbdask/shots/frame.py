"""Tables in memory: mappings, pandas.DataFrame, xarray.Dataset -> the values of each shot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nbdask.errors import FieldError
from nbdask.shots.quantities import converted, header_parts
from nbdask.shots.tables import Table
from nbdask.shots.variation import Array

#: Name of a column that only counts the rows.
NUMBER = "shot"
_WHAT = "a mapping, a pandas.DataFrame or an xarray.Dataset of columns"


def table_of_frame(shots: object) -> Table:
    """Return the table of what is given in Python.

    Parameters
    ----------
    shots : Table, mapping of str to array, pandas.DataFrame or xarray.Dataset
        A column's unit stands in brackets behind its name, or is its attribute ``units``; without
        one it is in SI.  A column, index or coordinate ``shot`` has to count the rows from 0.

    Raises
    ------
    FieldError
        No table, a column that is no field's, or a unit that is none of it.
    """
    if isinstance(shots, Table):
        return shots
    # By what they have: neither package is needed by who uses the other, or none.
    columns = getattr(shots, "data_vars", shots)
    if not isinstance(columns, Mapping) and not hasattr(columns, "keys"):
        raise FieldError("shots", type(shots).__name__, _WHAT)
    # Iterating a DataFrame is not promised to give labels.
    labels = list(columns.keys())
    held: dict[str, Any] = {str(label): columns[label] for label in labels}  # type: ignore[index]
    if len({column.dims for column in held.values() if hasattr(column, "dims")}) > 1:
        raise FieldError("shots", "columns along several dimensions", "columns along one")
    for counts in (held.pop(NUMBER, None), *_numbered(shots)):
        if counts is not None and not np.array_equal(counts, np.arange(np.size(counts))):
            raise FieldError(NUMBER, np.asarray(counts).tolist()[:5], "0, 1, 2, ...")
    found: dict[str, Array] = {}
    for label, column in held.items():
        name, unit = header_parts(label)
        if unit is None:
            unit = getattr(column, "attrs", {}).get("units")
        values = numbers(name, np.asarray(column))
        if name in found:
            raise FieldError("shots", f"{name} twice", "columns that all differ")
        found[name] = values if unit is None else converted(name, values, str(unit))
    return Table(found)


def _numbered(shots: object) -> list[Any]:
    """Return the index of a DataFrame and the coordinate of a Dataset that number shots."""
    index = getattr(shots, "index", None)
    named = index if getattr(index, "name", None) == NUMBER else None
    coordinates = getattr(shots, "coords", {})
    return [named, coordinates[NUMBER].values if NUMBER in coordinates else None]


def numbers(name: str, values: np.ndarray[Any, Any]) -> Array:
    """Return a column as float64, or refuse what is no list of numbers."""
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        given = f"{values.dtype} of shape {values.shape}"
        raise FieldError(f"column {name}", given, "a number for each shot")
    return values.astype(np.float64)
