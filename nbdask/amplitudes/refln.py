"""Structure factors in mmCIF files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.cif_crystal import crystal_of
from nbdask.amplitudes.columns import Column, Raw, chosen, whole_indices
from nbdask.amplitudes.content import Content
from nbdask.amplitudes.symmetry import settle
from nbdask.errors import InputFileError
from nbdask.inputs.text import problem, shown

#: Names of mmCIF items -> type of column, and the item with its sigma or its mate.
_ITEMS = {
    "pdbx_F_plus": ("G", "pdbx_F_plus_sigma", "pdbx_F_minus"),
    "pdbx_F_minus": ("G", "pdbx_F_minus_sigma", ""),
    "pdbx_I_plus": ("K", "pdbx_I_plus_sigma", "pdbx_I_minus"),
    "pdbx_I_minus": ("K", "pdbx_I_minus_sigma", ""),
    "F_meas_au": ("F", "F_meas_sigma_au", ""),
    "F_meas": ("F", "F_meas_sigma", ""),
    "intensity_meas": ("J", "intensity_sigma", ""),
    "F_squared_meas": ("J", "F_squared_sigma", ""),
    "F_calc_au": ("C", "", ""),
    "F_calc": ("C", "", ""),
    "F_squared_calc": ("D", "", ""),
    "pdbx_FWT": ("W", "", ""),
    "pdbx_DELFWT": ("W", "", ""),
}

#: Items that tell the data sets of one loop apart.
_SETS = ("wavelength_id", "crystal_id", "scale_group_code")


def from_cif(
    path: str | Path,
    content: Content,
    column: str | None,
    cell: Sequence[float] | None,
    space_group: str | None,
    what: str,
) -> Raw:
    """Return the first block that has the column, or any column."""
    first: InputFileError | None = None
    for block in content.blocks:
        prefix = "_refln." if block.find_values("_refln.index_h") else "_refln_"
        if not block.find_values(prefix + "index_h"):
            continue
        columns = _cif_columns(path, block, prefix)
        try:
            chosen(path, columns, column, what)
        except InputFileError as error:
            first = first or error
            continue
        indices = [_numbers(path, block, f"{prefix}index_{x}") for x in "hkl"]
        if len({*map(len, indices), *(len(c.values) for c in columns)}) > 1:
            raise problem(path, None, "columns of different lengths", "one loop of reflections")
        hkl = np.stack(indices, axis=1)
        numbers, name, number = crystal_of((block, *content.blocks))
        symmetry = settle(path, cell or numbers, space_group or name, number)
        found = block.find_values(prefix + "status") or block.find_values(
            prefix + "observed_status"
        )
        status = None
        if len(found) == len(hkl):
            status = np.array([gemmi.cif.as_string(v) for v in found])
        many = sum(bool(b.find_values(prefix + "index_h")) for b in content.blocks) > 1
        name = block.name if many else ""
        whole = Raw(symmetry, whole_indices(path, hkl), columns, status, name, apart=True)
        return _of_first(path, block, prefix, whole)
    raise first or problem(path, None, "no _refln.index_h", what)


def _of_first(path: str | Path, block: gemmi.cif.Block, prefix: str, raw: Raw) -> Raw:
    """Return the rows of the first crystal and wavelength, where a loop holds several."""
    kept, notes = np.ones(len(raw.hkl), dtype=np.bool_), []
    for item in _SETS:
        values = np.array(list(block.find_values(prefix + item)))
        if len(values) != len(kept) or (values == values[0]).all():
            continue
        others = int((values != values[0]).sum())
        notes.append(f"{path}: rows of {item} {values[0]} are used, {others} others are not")
        kept &= values == values[0]
    if not notes:
        return raw
    return replace(
        raw,
        hkl=raw.hkl[kept],
        columns=tuple(column.rows(kept) for column in raw.columns),
        status=None if raw.status is None else raw.status[kept],
        notes=(*raw.notes, *notes),
    )


def _cif_columns(path: str | Path, block: gemmi.cif.Block, prefix: str) -> tuple[Column, ...]:
    found = []
    for name, (kind, sigma, mate) in _ITEMS.items():
        if not block.find_values(prefix + name):
            continue
        errors = (
            _numbers(path, block, prefix + sigma)
            if (sigma and block.find_values(prefix + sigma))
            else None
        )
        pair = mate if mate and block.find_values(prefix + mate) else ""
        values = _numbers(path, block, prefix + name)
        if errors is not None and len(errors) != len(values):
            errors = None
        found.append(Column(name, kind, values, errors, pair))
    return tuple(found)


def _numbers(path: str | Path, block: gemmi.cif.Block, tag: str) -> NDArray[np.float64]:
    """Return a column of numbers; ``?`` and ``.`` are NaN, anything else is refused."""
    words = list(block.find_values(tag))
    values = np.array([gemmi.cif.as_number(word) for word in words], dtype=np.float64)
    for place in np.flatnonzero(~np.isfinite(values)):
        word = gemmi.cif.as_string(words[place]) if words[place] not in ("?", ".") else ""
        if word and word.lower() != "nan":
            raise problem(
                path, None, f"{tag} of reflection {place + 1} is {shown(word)}", "a number, ? or ."
            )
    return values
