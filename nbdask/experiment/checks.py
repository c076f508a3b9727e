"""Small checks that the dataclasses share; each names the field that it refuses."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nbdask.errors import FieldError, shown

Vector = tuple[float, float, float]
#: Least and greatest length [m], and length of a vector, that can be computed with: their products
#: must neither overflow nor vanish.
LEAST, GREATEST = 1e-30, 1e30
#: Greatest angle [rad]: the sine of a much greater one has lost its digits.
MOST_ANGLE = 2000.0 * math.pi
#: Reads what users write by hand.
_TOML = "nbdask.flags.toml"


def number(field: str, value: object, *, allowed: str = "a finite number") -> float:
    """Return ``value`` as a finite float, or refuse it."""
    if isinstance(value, (bool, str, bytes)):
        raise FieldError(field, value, allowed)
    try:
        result = float(value)  # type: ignore[arg-type]  # numpy scalars too
    except (TypeError, ValueError, OverflowError):
        raise FieldError(field, value, allowed) from None
    if not math.isfinite(result):
        raise FieldError(field, result, allowed)
    return result


def positive(field: str, value: object) -> float:
    """Return ``value`` as a float above zero, or refuse it."""
    result = number(field, value, allowed="a number above 0")
    if result <= 0.0:
        raise FieldError(field, value, "a number above 0")
    return result


def size(field: str, value: object) -> float:
    """Return ``value`` as a length [m] that can be computed with, or refuse it."""
    result = positive(field, value)
    if not LEAST <= result <= GREATEST:
        raise FieldError(field, value, f"between {LEAST:g} and {GREATEST:g} m")
    return result


def angle(field: str, value: object, told: float = 2.0 * math.pi) -> float:
    """Return ``value`` as an angle [rad] of at most 1000 turns, or refuse it.

    Round numbers from ``told`` on are taken for degrees, with a warning.
    """
    return angles(field, (value,), told)[0]


def angles(field: str, values: Iterable[object], told: float = 2.0 * math.pi) -> tuple[float, ...]:
    """Return ``values`` as angles [rad], as :func:`angle` does, with one warning for all."""
    results = tuple(number(field, value) for value in values)
    for result in results:
        if abs(result) > MOST_ANGLE:
            raise FieldError(field, result, "at most 1000 turns (360000 degrees)")
    tell(field, results, told, ("radians", "degrees", math.radians(1.0)))
    return results


def tell(field: str, values: Iterable[float], told: float, units: tuple[str, str, float]) -> None:
    """Warn of numbers that were most likely given in another unit.

    Parameters
    ----------
    field : str
    values : iterable of float
    told : float
        The least that is told of.  Only round numbers are: what is converted is none.
    units : tuple
        The unit of the field, the one that was taken for it, and what it is in the field's.
    """
    own, other, factor = units
    likely = [x for x in values if abs(x) >= told and round(x, 3) == x]
    level, by_hand = _outside()
    if likely and by_hand:
        given = ", ".join(f"{x:g}" for x in likely)
        meant = f"{own} are meant; {likely[0]:g} {other} are {likely[0] * factor:.5g}"
        warnings.warn(f"{field} = {given}: {meant}", stacklevel=level)


def _outside() -> tuple[int, bool]:
    """Return how far up the caller's stack an experiment's part is made, and if by a user."""
    level, frame = 1, sys._getframe(1)
    file = False
    while frame.f_back:
        # Code that is evaluated may be of no module.
        name = str(frame.f_globals.get("__name__", ""))
        if not (name.startswith("nbdask.experiment.") or name in ("dataclasses", _TOML)):
            break
        file = file or name == _TOML
        level, frame = level + 1, frame.f_back
    # Flags have units of their own, and what is copied was told of before.
    return level, file or not name.startswith("nbdask.")


def spread(field: str, value: object) -> float:
    """Return ``value`` as an angle [rad] from 0 to 1000 turns, or refuse it."""
    return angle(field, not_negative(field, value))


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


def flag(field: str, value: object) -> bool:
    """Return ``value`` if it is true or false, or refuse it."""
    if not isinstance(value, (bool, np.bool_)):
        raise FieldError(field, value, "true or false")
    return bool(value)


def text(field: str, value: object) -> str:
    """Return ``value`` if it is a text, or refuse it."""
    if not isinstance(value, str):
        raise FieldError(field, value, "a text")
    return value


def path(field: str, value: object) -> str:
    """Return the path of a file as a text, or refuse what is none.

    A whole number would be taken for an open file of this process.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value or "\0" in value:
        raise FieldError(field, value, "the path of a file, as a text")
    return value


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
    if not LEAST <= max(abs(x), abs(y), abs(z)) <= GREATEST:
        raise FieldError(field, value, f"a vector between {LEAST:g} and {GREATEST:g} long")
    return (x, y, z)


def optional(check: Any, field: str, value: object) -> Any:
    """Apply ``check`` unless ``value`` is None (= not given)."""
    return None if value is None else check(field, value)


def assign(instance: object, **values: object) -> None:
    """Set checked values on a frozen dataclass from within its ``__post_init__``."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def brief(self: Any) -> str:
    """Return a dataclass as Python writes it, without the fields that hold their defaults."""
    parts = []
    for item in dataclasses.fields(self):
        value = getattr(self, item.name)
        made = item.default_factory
        default = item.default if made is dataclasses.MISSING else made()
        if not (type(value) is type(default) and value == default):
            parts.append(f"{item.name}={shown(value)}")
    return f"{type(self).__name__}({', '.join(parts)})"


def radians_hint(values: Iterable[float]) -> str:
    """Return what to say of angles that were given in degrees, by the first of more than pi."""
    large = next((value for value in values if value > math.pi), None)
    if large is None:
        return ""
    return f" (radians are meant; {large:g} degrees are {math.radians(large):.5g})"
