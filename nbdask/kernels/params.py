"""The structure that the compiled loops are called with, read from its C++ text.

``native/src/params.h`` is the only definition of its fields and codes: whatever compiles the
loops, and NumPy here, lay it out from there.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nbdask.native.sources import SOURCES

_FIELD = re.compile(r"^\s*(double|int) (\w+)((?:\[\d+\])*);$", re.MULTILINE)
_TYPES = {"double": "<f8", "int": "<i4"}


def _text(header: str) -> str:
    return re.sub(r"//[^\n]*", "", (SOURCES / header).read_text())


def read_codes(header: str) -> dict[str, int]:
    """Return the numbers of a header's enumerations by name."""
    codes = {}
    for names in re.findall(r"^enum \{([^}]*)\};", _text(header), re.MULTILINE):
        for number, entry in enumerate(names.split(",")):
            name, _, value = (part.strip() for part in entry.partition("="))
            codes[name] = int(value or number)
    return codes


def read_struct(header: str, name: str) -> np.dtype[Any]:
    """Return the layout of one of a header's structures, that of C."""
    found = re.search(rf"^struct {name} \{{(.*?)^\}};", _text(header), re.MULTILINE | re.DOTALL)
    assert found is not None, name
    fields = []
    for kind, field, sizes in _FIELD.findall(found[1]):
        shape = tuple(int(n) for n in re.findall(r"\d+", sizes))
        fields.append((field, _TYPES[kind], shape))
    return np.dtype(fields, align=True)


#: Name -> number: versions of the loops by lattice factor, by amplitudes, by the factors that go
#: with every term; lengths of the rows of tables.
CODES = read_codes("params.h")
#: Layout of the structure ``Params``, that of the C structure.
PARAMS = read_struct("params.h", "Params")
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
