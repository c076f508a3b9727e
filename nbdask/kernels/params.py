"""The structure that the compiled loops are called with, read from its C++ text.

``native/src/params.h`` is the only definition of its fields and codes: whatever compiles the
loops, and NumPy here, lay it out from there.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nbdask.native.sources import SOURCES

_TEXT = re.sub(r"//[^\n]*", "", (SOURCES / "params.h").read_text())
_FIELD = re.compile(r"^\s*(double|int) (\w+)((?:\[\d+\])*);$", re.MULTILINE)
_TYPES = {"double": "<f8", "int": "<i4"}


def _read_codes() -> dict[str, int]:
    codes = {}
    for names in re.findall(r"^enum \{([^}]*)\};", _TEXT, re.MULTILINE):
        for number, entry in enumerate(names.split(",")):
            name, _, value = (part.strip() for part in entry.partition("="))
            codes[name] = int(value or number)
    return codes


def _read_fields() -> np.dtype[Any]:
    fields = []
    for kind, name, sizes in _FIELD.findall(_TEXT):
        shape = tuple(int(n) for n in re.findall(r"\d+", sizes))
        fields.append((name, _TYPES[kind], shape))
    return np.dtype(fields, align=True)


#: Name -> number: versions of the loops by lattice factor, by amplitudes, by the factors that go
#: with every term; lengths of the rows of tables.
CODES = _read_codes()
#: Layout of the structure ``Params``, that of the C structure.
PARAMS = _read_fields()
AXES_ROW, SOURCE_ROW = CODES["AXES_ROW"], CODES["SOURCE_ROW"]


def struct_of(values: dict[str, Any]) -> Any:
    """Return the structure with these values.

    Parameters
    ----------
    values : dict
        A value for every field of :data:`PARAMS`.
    """
    made = np.zeros((), PARAMS)
    if set(PARAMS.names or ()) != set(values):
        raise ValueError("the structure needs a value for each of its fields")
    for name, value in values.items():
        made[name] = value
    return made[()]
