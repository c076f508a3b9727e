"""What a TOML table asks of a model or a reflection file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nbdask.amplitudes.request import Request
from nbdask.errors import FieldError

_ASKED = {item.name for item in fields(Request)}
_KINDS = {"dmin": "a number [Angstrom]", "energy": "a number [eV] or off", "fprime": "a list"}


def request_of(table: Any, name: str) -> Request | None:
    """Return what is asked for.

    Parameters
    ----------
    table : mapping or None
    name : str
        Of the table, for messages.

    Raises
    ------
    FieldError
        A key that is unknown, or a value of the wrong kind.
    """
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise FieldError(name, table, "a table such as {model = FILE, dmin = 2.0}")
    values = dict(table)
    for key, value in values.items():
        if key not in _ASKED:
            raise FieldError(f"{name}.{key}", value, "one of " + ", ".join(sorted(_ASKED)))
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key == "fprime":
            good = isinstance(value, list) and all(isinstance(word, str) for word in value)
        else:
            good = (
                number if key == "dmin" else isinstance(value, str) or (key == "energy" and number)
            )
        if not good:
            raise FieldError(f"{name}.{key}", value, _KINDS.get(key, "a text"))
    return Request(**{**values, "fprime": tuple(values.get("fprime", ()))})
