"""Chains of transformations of NeXus: fields that depend on fields."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbdask.errors import InputFileError
from nbdask.inputs.text import shown
from nbdask.panels.given import Given
from nbdask.panels.quantities import ANGLES, ENERGIES, LENGTHS
from nbdask.panels.vectors import Matrix, Vector, rotation, unit, vector

#: Fields of a chain.
_LONGEST = 100
#: How far from 1 the length of a vector may be before it is reported.
_UNIT = 1e-6


def text_of(value: Any) -> str:
    """Return an attribute or text field as a string."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip("\0")
    return str(value)


@dataclass(frozen=True, slots=True)
class Link:
    """One transformation: x -> rotation x + shift [m]."""

    path: str
    turn: Matrix
    shift: Matrix


@dataclass(slots=True)
class Fields:
    """Fields of the file; errors name their paths.

    Parameters
    ----------
    given : Given
    file : h5py.File
    shot : int
        Which value of fields with one value a frame.
    """

    given: Given
    file: Any
    shot: int = 0

    def refuse(self, path: str, found: str, allowed: str) -> InputFileError:
        """Return the error for a field."""
        return self.given.refuse(path, found, allowed)

    def get(self, path: str) -> Any:
        """Return the object at a path, or None where there is none (or its file is missing)."""
        try:
            return self.file.get(path)
        except (KeyError, OSError, ValueError):
            return None

    def field(self, path: str) -> Any:
        """Return the dataset at a path."""
        found = self.get(path)
        if not hasattr(found, "shape"):
            raise self.refuse(path, "missing", "a field of the file")
        return found

    def values(self, path: str) -> Matrix:
        """Return all numbers of a small field."""
        field = self.field(path)
        if (field.size or 0) > 10**7:
            raise self.refuse(path, f"{field.size} values", "10000000 or less")
        try:
            if field.size is None:
                raise ValueError
            values = np.asarray(field[()], dtype=np.float64)
        except (ValueError, TypeError, OSError):
            raise self.refuse(path, f"a field of {field.dtype}", "numbers") from None
        if values.size == 0 or not np.all(np.isfinite(values)):
            raise self.refuse(path, "empty or not finite", "finite numbers")
        return values

    def value(self, path: str) -> float:
        """Return the number of a field, of this shot where there are several."""
        values = self.values(path).reshape(-1)
        if len(values) > 1 and self.shot >= len(values):
            raise self.refuse(path, f"{len(values)} values", f"one or {self.shot + 1} at least")
        return float(values[self.shot if len(values) > 1 else 0])

    def units(self, path: str, attribute: str = "units") -> str:
        """Return the unit that stands at a field; empty where none does."""
        attributes = self.field(path).attrs
        return text_of(attributes[attribute]).strip() if attribute in attributes else ""

    def scale(self, path: str, table: dict[str, float], name: str) -> float:
        """Return what one unit of a field is."""
        factor = table.get(name.lower())
        if factor is None:
            kinds = "deg, rad" if table is ANGLES else "eV, keV" if table is ENERGIES else "m, mm"
            raise self.refuse(path, f"unit {name!r}", f"a unit such as {kinds}")
        return factor

    def length(self, path: str) -> float:
        """Return a length [m]."""
        return self.value(path) * self.scale(path, LENGTHS, self.units(path))

    def attribute(self, path: str, name: str) -> Vector | None:
        """Return a vector attribute, or None."""
        attributes = self.field(path).attrs
        if name not in attributes:
            return None
        try:
            values = np.asarray(attributes[name], dtype=np.float64).reshape(-1)
        except (ValueError, TypeError):
            values = np.zeros(0)
        if len(values) != 3 or not np.all(np.isfinite(values)):
            raise self.refuse(path, f"{name} = {shown(str(attributes[name]))}", "3 numbers")
        return vector(values)

    def direction(self, path: str) -> Vector:
        """Return the attribute ``vector``, made unit."""
        values = self.attribute(path, "vector")
        found = None if values is None else unit(values)
        if values is None or found is None:
            given = "missing" if values is None else "0 0 0"
            raise self.refuse(path, f"vector {given}", "a direction")
        if abs(float(np.linalg.norm(values)) - 1.0) > _UNIT:
            self.given.notes.append(f"{path}: vector has length {np.linalg.norm(values):.7g}")
        return found

    def depends_on(self, path: str) -> str:
        """Return the absolute path of the next field of a chain; "." at its end."""
        attributes = self.field(path).attrs
        return self.absolute(path, text_of(attributes.get("depends_on", ".")))

    def absolute(self, path: str, name: str) -> str:
        """Return a path as written at a field, from the root."""
        name = name.strip()
        if name in ("", "."):
            return "."
        folder = posixpath.dirname(path)
        first = posixpath.normpath(posixpath.join(folder, name))
        # Some writers mean a group further out than the one that holds the field.
        while folder != "/" and self.get(posixpath.normpath(posixpath.join(folder, name))) is None:
            folder = posixpath.dirname(folder)
        found = posixpath.normpath(posixpath.join(folder, name))
        return found if self.get(found) is not None else first

    def link(self, path: str) -> Link:
        """Return one transformation."""
        kind = text_of(self.field(path).attrs.get("transformation_type", "")).strip().lower()
        unit_name = self.units(path)
        if kind not in ("rotation", "translation"):
            # Without a type the unit decides.
            kind = "rotation" if unit_name.lower() in ANGLES else "translation"
        value = self.value(path)
        turn, shift = np.eye(3), np.zeros(3)
        if value != 0.0:
            direction = self.direction(path)
            table = ANGLES if kind == "rotation" else LENGTHS
            amount = value * self.scale(path, table, unit_name)
            if kind == "rotation":
                turn = rotation(direction, amount)
            else:
                shift = shift + amount * np.array(direction)
        return Link(path, turn, shift + self.offset(path))

    def offset(self, path: str) -> Matrix:
        """Return the attribute ``offset`` [m]; 0 where it is missing."""
        values = self.attribute(path, "offset")
        if values is None or not any(values):
            return np.zeros(3)
        name = self.units(path, "offset_units") or self.units(path)
        return np.array(values) * self.scale(path, LENGTHS, name)

    def chain(self, start: str) -> list[Link]:
        """Return the transformations from a field to the laboratory, the first applied first."""
        found: list[Link] = []
        path = start
        while path != ".":
            if any(link.path == path for link in found) or len(found) >= _LONGEST:
                raise self.refuse(start, f"depends on itself through {path}", "a chain with an end")
            found.append(self.link(path))
            path = self.depends_on(path)
        return found


def combined(chain: list[Link]) -> tuple[Matrix, Matrix]:
    """Return rotation and shift [m] of a whole chain."""
    turn, shift = np.eye(3), np.zeros(3)
    for link in chain:
        turn, shift = link.turn @ turn, link.turn @ shift + link.shift
    return turn, shift
