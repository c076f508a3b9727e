"""Small checks that the dataclasses share; each names the field that it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from nbdask.errors import FieldError

Vector = tuple[float, float, float]


def number(field: str, value: object, *, allowed: str = "a finite number") -> float:
    """Return ``value`` as a finite float, or refuse it."""
    if isinstance(value, (bool, str, bytes)):
        raise FieldError(field, value, allowed)
    if not isinstance(value, (int, float)):
        try:
            value = float(value)  # type: ignore[arg-type]  # numpy scalars
        except (TypeError, ValueError):
            raise FieldError(field, value, allowed) from None
    if not math.isfinite(value):
        raise FieldError(field, value, allowed)
    return float(value)


def positive(field: str, value: object) -> float:
    """Return ``value`` as a float above zero, or refuse it."""
    result = number(field, value, allowed="a number above 0")
    if result <= 0.0:
        raise FieldError(field, value, "a number above 0")
    return result


def not_negative(field: str, value: object) -> float:
    """Return ``value`` as a float of at least zero, or refuse it."""
    result = number(field, value, allowed="a number of at least 0")
    if result < 0.0:
        raise FieldError(field, value, "a number of at least 0")
    return result


def integer(field: str, value: object, *, low: int | None = None, high: int | None = None) -> int:
    """Return ``value`` as an int between ``low`` and ``high`` (inclusive), or refuse it."""
    allowed = "a whole number"
    if low is not None:
        allowed += f" of at least {low}"
    if high is not None:
        allowed += f" and at most {high}"
    if isinstance(value, bool):
        raise FieldError(field, value, allowed)
    try:
        result: int = int(value)  # type: ignore[call-overload]
        if result != value:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise FieldError(field, value, allowed) from None
    if (low is not None and result < low) or (high is not None and result > high):
        raise FieldError(field, value, allowed)
    return result


def one_of(field: str, value: object, allowed: Sequence[str]) -> str:
    """Return ``value`` if it is among ``allowed``, or refuse it."""
    if not isinstance(value, str) or value not in allowed:
        raise FieldError(field, value, "one of " + ", ".join(allowed))
    return value


def vector(field: str, value: object, *, length: int = 3) -> tuple[float, ...]:
    """Return ``value`` as a tuple of ``length`` finite floats, or refuse it."""
    allowed = f"{length} finite numbers"
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise FieldError(field, value, allowed)
    items = tuple(value)
    if len(items) != length:
        raise FieldError(field, items, allowed)
    return tuple(number(field, item, allowed=allowed) for item in items)


def direction(field: str, value: object) -> Vector:
    """Return ``value`` as three finite floats that are not all zero, or refuse it."""
    x, y, z = vector(field, value)
    if x == y == z == 0.0:
        raise FieldError(field, value, "three numbers that are not all 0")
    return (x, y, z)


def optional(check: Any, field: str, value: object) -> Any:
    """Apply ``check`` unless ``value`` is None (= not given)."""
    return None if value is None else check(field, value)


def assign(instance: object, **values: object) -> None:
    """Set checked values on a frozen dataclass from within its ``__post_init__``."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
