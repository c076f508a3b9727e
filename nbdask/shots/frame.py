"""Tables in memory: mappings, pandas.DataFrame, xarray.Dataset -> the values of each shot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nbdask.errors import FieldError
from nbdask.shots.quantities import converted, header_parts
from nbdask.shots.tables import Table
from nbdask.shots.variation import Array

_WHAT = "a mapping, a pandas.DataFrame or an xarray.Dataset of columns"


def table_of_frame(shots: object) -> Table:
    """Return the table of what is given in Python.

    Parameters
    ----------
    shots : Table, mapping of str to array, pandas.DataFrame or xarray.Dataset
        A column's unit stands in brackets behind its name, or is its attribute ``units``; without
        one it is in SI.

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
    found: dict[str, Array] = {}
    for label in columns.keys():  # noqa: SIM118  # iterating a DataFrame is not promised to do it
        name, unit = header_parts(str(label))
        column: Any = columns[label]  # type: ignore[index]
        if unit is None:
            unit = getattr(column, "attrs", {}).get("units")
        values = numbers(name, np.asarray(column))
        if name in found:
            raise FieldError("shots", f"{name} twice", "columns that all differ")
        found[name] = values if unit is None else converted(name, values, str(unit))
    return Table(found)


def numbers(name: str, values: np.ndarray[Any, Any]) -> Array:
    """Return a column as float64, or refuse what is no list of numbers."""
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        given = f"{values.dtype} of shape {values.shape}"
        raise FieldError(f"column {name}", given, "a number for each shot")
    return values.astype(np.float64)
