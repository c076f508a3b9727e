"""Numbers with units, as headers of tables and options write them -> SI."""

from __future__ import annotations

import re
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nbdask import units
from nbdask.errors import FieldError
from nbdask.inputs.quantities import CONVERSIONS, spelled
from nbdask.inputs.text import NUMBER
from nbdask.shots.names import field_of

_Value = TypeVar("_Value", float, NDArray[np.float64])


_HEADER = re.compile(r"\s*([^\[\]]*?)\s*(?:\[([^\[\]]*)\])?\s*")
_QUANTITY = re.compile(rf"\s*({NUMBER.pattern})\s*([^\d\s].*?)?\s*")


def converted(name: str, values: _Value, unit: str) -> _Value:
    """Return values of a field in SI.

    Parameters
    ----------
    name : str
        Dotted field.
    values : float or array
    unit : str
        As the user wrote it; empty: none.

    Raises
    ------
    FieldError
        No such field, or a unit that is none of it.
    """
    known = CONVERSIONS[field_of(name).unit]
    spelt = spelled(unit)
    if spelt not in known:
        names = ", ".join(filter(None, known))
        if not spelt:
            given = f"{values:g}" if isinstance(values, float) else "numbers without a unit"
            raise FieldError(name, given, f"given with one of the units {names}")
        raise FieldError(f"unit of {name}", unit, f"one of the units {names}")
    result = known[spelt](values)
    return result  # type: ignore[return-value]


def header_parts(text: str) -> tuple[str, str | None]:
    """Return name and unit of a column's header such as ``crystal.cell.a [A]``; None: no unit."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise FieldError("column", text, "a dotted field and its unit, such as crystal.cell.a [A]")
    return found[1], found[2]


def quantity(name: str, text: str) -> tuple[float, bool]:
    """Return a number of an option in SI, and whether it is a part of another one (in percent).

    Raises
    ------
    FieldError
        The text is no number with a unit of the field.
    """
    found = _QUANTITY.fullmatch(text)
    unit = field_of(name).unit
    if found is None:
        example = "1" if unit == "1" else f"1{next(iter(CONVERSIONS[unit]))}"
        raise FieldError(name, text, f"a number with its unit, such as {example}")
    written = found[2] or ""
    if written == "%":
        return units.from_percent(float(found[1])), True
    return converted(name, float(found[1]), written), False
