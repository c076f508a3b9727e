"""Cell and space group of CIF files."""

from __future__ import annotations

from collections.abc import Sequence

import gemmi
import numpy as np

from nbdask.amplitudes.symmetry import symbol_of

#: Items as mmCIF spells them; older dictionaries have an underscore in place of the point.
_CELL = tuple(
    f"_cell.{kind}_{name}"
    for kind, names in (("length", "abc"), ("angle", ("alpha", "beta", "gamma")))
    for name in names
)
_NAMES = ("_symmetry.space_group_name_H-M", "_space_group.name_H-M_alt")
_NUMBERS = ("_symmetry.Int_Tables_number", "_space_group.IT_number")
_OPERATORS = ("_space_group_symop.operation_xyz", "_symmetry_equiv.pos_as_xyz")


def crystal_of(
    blocks: Sequence[gemmi.cif.Block],
) -> tuple[list[float], str | None, int | None]:
    """Return cell, symbol of the space group and its number, each of the first block that has it.

    Where no block has a symbol, it follows from the operators that one lists.

    Returns
    -------
    numbers : list of 6 floats
        [Angstrom, degrees]; empty where there are none.
    name : str or None
    number : int or None
    """
    numbers: list[float] = []
    name, number = None, None
    for block in blocks:
        for tags in (_CELL, [_older(tag) for tag in _CELL]):
            values = [gemmi.cif.as_number(block.find_value(tag) or "?") for tag in tags]
            if not numbers and np.isfinite(values).all():
                numbers = values
        name = name or _text(block, _NAMES)
        digits = _text(block, _NUMBERS)
        if number is None and digits is not None and digits.isdigit():
            number = int(digits)
    if name is None and number is None:
        name = next(filter(None, map(_by_operators, blocks)), None)
    return numbers, name, number


def _older(tag: str) -> str:
    return tag.replace(".", "_")


def _text(block: gemmi.cif.Block, tags: Sequence[str]) -> str | None:
    """Return the first of some items that has a value."""
    for tag in tags:
        for spelled in (tag, _older(tag)):
            word = block.find_value(spelled)
            if word and word not in ("?", "."):
                return gemmi.cif.as_string(word).strip() or None
    return None


def _by_operators(block: gemmi.cif.Block) -> str | None:
    """Return the symbol of the space group whose operators a block lists."""
    for tag in _OPERATORS:
        for spelled in (tag, _older(tag)):
            words = [gemmi.cif.as_string(word) for word in block.find_values(spelled)]
            if words:
                return symbol_of(words)
    return None
