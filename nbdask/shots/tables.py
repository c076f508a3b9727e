"""Tables of numbers, one row a shot, kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from nbdask.errors import FieldError
from nbdask.shots.names import field_of
from nbdask.shots.variation import Array, Columns, Shots, Variation

#: Numbers that a dict form holds itself; a larger table is named by its checksum there.
MOST_INLINE = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Table(Variation):
    """Values of fields, one row a shot: shot n has row n.

    Parameters
    ----------
    columns : mapping of str to 1-d array
        Dotted field -> values [SI], all of one length.
    """

    columns: Mapping[str, Array]
    sha256: str = field(init=False, default="")
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        """Check that columns agree, and take their checksum."""
        if not self.columns:
            raise FieldError("shots", "a table without columns", "a table with one or more")
        held = {
            str(name): np.array(column, dtype=np.float64) for name, column in self.columns.items()
        }
        lengths = {column.shape for column in held.values()}
        first = next(iter(held.values()))
        if len(lengths) > 1 or first.ndim != 1 or first.size == 0:
            raise FieldError("shots", sorted(lengths), "columns of one length, at least 1")
        for name, column in held.items():
            _check_column(name, column)
            column.setflags(write=False)
        object.__setattr__(self, "columns", held)
        object.__setattr__(self, "sha256", _checksum(held))

    def __eq__(self, other: object) -> bool:
        """Compare names and numbers."""
        return isinstance(other, Table) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        """Agree with ``==``."""
        return hash(self.sha256)

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set."""
        return tuple(self.columns)

    @property
    def rows(self) -> int:
        """Shots that it is known for."""
        return len(next(iter(self.columns.values())))

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the rows of some shots."""
        return {name: column[shots] for name, column in self.columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form, with the numbers where they are few."""
        data: dict[str, Any] = {"kind": self.kind, "columns": list(self.names)}
        if self.rows * len(self.columns) <= MOST_INLINE:
            return {**data, "data": [column.tolist() for column in self.columns.values()]}
        return {**data, "sha256": self.sha256}

    def tables(self) -> dict[str, Array]:
        """Return the numbers, (columns, rows), where the dict form does not hold them."""
        if self.rows * len(self.columns) <= MOST_INLINE:
            return {}
        return {self.sha256: np.array(list(self.columns.values()))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> Table:
        """Build from the dict form and the arrays stored beside it.

        Raises
        ------
        FieldError
            The array is missing, or is not the one that the dict form names.
        """
        if "data" in data:
            return cls(dict(zip(data["columns"], data["data"], strict=True)))
        rows = stored_array(data["sha256"], tables)
        table = cls(dict(zip(data["columns"], rows, strict=True)))
        check_stored(data["sha256"], table.sha256)
        return table


def stored_array(wanted: str, tables: Mapping[str, Array]) -> Array:
    """Return the array that a dict form names by its checksum, or refuse that there is none."""
    if wanted not in tables:
        raise FieldError("variations.sha256", wanted, "that of a table which is given as well")
    return np.asarray(tables[wanted], dtype=np.float64)


def check_stored(wanted: str, found: str) -> None:
    """Refuse an array that is not the one which a dict form names."""
    if found != wanted:
        raise FieldError("variations.sha256", wanted, f"that of the table, {found}")


def _check_column(name: str, column: Array) -> None:
    """Refuse a column of a field that may not vary, or with a value that cannot be simulated."""
    field = field_of(name)
    good = (column >= field.low) & (column <= field.high) & np.isfinite(column)
    if field.whole:
        good &= column == np.rint(column)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        kind = "a whole number" if field.whole else "a finite number"
        limits = [
            text
            for limit, text in (
                (field.low, f"at least {field.low:g}"),
                (field.high, f"at most {field.high:g}"),
            )
            if np.isfinite(limit)
        ]
        allowed = f"{kind}{' of ' if limits else ''}{' and '.join(limits)} [{field.unit}]"
        raise FieldError(f"{name} of shot {row}", float(column[row]), allowed)


def _checksum(columns: Mapping[str, Array]) -> str:
    parts = hashlib.sha256()
    for name, column in columns.items():
        parts.update(name.encode() + b"\0")
        parts.update(column.astype("<f8").tobytes())
    return parts.hexdigest()
