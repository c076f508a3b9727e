"""Checked access to JSON: errors name the place and the key."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from nbdask.errors import InputFileError
from nbdask.panels.given import Given
from nbdask.panels.vectors import Vector, unit, vector

_SHOWN = 60


def brief(value: Any) -> str:
    """Return a value as the file has it, not too long for a message."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


@dataclass(frozen=True, slots=True)
class Node:
    """An object of the file, and where it is."""

    given: Given
    where: str
    data: dict[str, Any]

    @classmethod
    def of(cls, given: Given, where: str, data: Any) -> Node:
        """Return the node of a value that must be an object."""
        if not isinstance(data, dict):
            raise given.refuse(where, brief(data), "an object { }")
        return cls(given, where, data)

    def refuse(self, key: str, found: str, allowed: str) -> InputFileError:
        """Return the error for one of the object's keys."""
        return self.given.refuse(f"{self.where}: {key}", found, allowed)

    def _value(self, key: str, allowed: str) -> Any:
        value = self.data.get(key)
        if value is None:
            raise self.refuse(key, "missing", allowed)
        return value

    def items(self, key: str) -> list[Any]:
        """Return a list; empty where the key is missing."""
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(key, brief(value), "a list [ ]")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self.data.get(key)
        if value is None and default is not None:
            return default
        return self._number(key, self._value(key, "a number"))

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
        raise self.refuse(key, brief(value), "a finite number")

    def numbers(self, key: str, count: int) -> list[float]:
        """Return a list of so many numbers."""
        allowed = f"{count} numbers"
        value = self._value(key, allowed)
        if not isinstance(value, list) or len(value) != count:
            raise self.refuse(key, brief(value), allowed)
        return [self._number(key, item) for item in value]

    def counts(self, key: str, count: int) -> list[int]:
        """Return a list of so many whole numbers."""
        values = self.numbers(key, count)
        if any(value != int(value) for value in values):
            raise self.refuse(key, brief(values), f"{count} whole numbers")
        return [int(value) for value in values]

    def triple(self, key: str) -> Vector:
        """Return a vector."""
        return vector(self.numbers(key, 3))

    def direction(self, key: str) -> Vector:
        """Return a vector of length 1."""
        values = self.numbers(key, 3)
        found = unit(values)
        if found is None:
            raise self.refuse(key, brief(values), "a vector that is not 0")
        return found

    def text(self, key: str) -> str:
        """Return a text; empty where the key is missing."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def index(self, key: str, size: int, what: str) -> int:
        """Return an index into a list of ``size``."""
        value = self._value(key, f"the index of a {what}")
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < size:
            allowed = f"0 to {size - 1}" if size else f"left out: the file holds no {what}"
            raise self.refuse(key, brief(value), allowed)
        return value
