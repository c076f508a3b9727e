"""Fields of an experiment while flags and headers fill them, each with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbdask.errors import FieldError, FlagError


class Builder:
    """A flat table of dotted fields.

    Attributes
    ----------
    values : dict
        Dotted field -> value in SI.
    origins : dict
        Dotted field -> the arguments that set it, for messages.
    notes : list of str
        What the user should be told.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.notes: list[str] = []

    def set(self, field: str, value: object, origin: str) -> None:
        """Set a field; the last setting counts."""
        self.values[field] = value
        self.origins[field] = origin

    def drop(self, *fields: str) -> None:
        """Forget fields."""
        for field in fields:
            self.values.pop(field, None)
            self.origins.pop(field, None)

    def note(self, text: str) -> None:
        """Add a note for the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def get(self, field: str, default: Any = None) -> Any:
        """Return a field's value."""
        return self.values.get(field, default)

    def part(self, prefix: str) -> dict[str, Any]:
        """Return the fields directly below ``prefix``, without it."""
        start = prefix + "."
        return {
            name[len(start) :]: value
            for name, value in self.values.items()
            if name.startswith(start) and "." not in name[len(start) :]
        }

    def origin(self, field: str) -> str | None:
        """Return the arguments that set ``field``, or the field above or below it."""
        if field in self.origins:
            return self.origins[field]
        for name, argv in self.origins.items():
            if name.startswith(field + "."):
                return argv
        trimmed = field
        while trimmed:
            cut = max(trimmed.rfind("."), trimmed.rfind("["))
            trimmed = trimmed[: max(cut, 0)]
            if trimmed in self.origins:
                return self.origins[trimmed]
        return None

    def in_users_spelling(self, error: FieldError, defaults: Mapping[str, str]) -> FlagError:
        """Turn the refusal of a field into one of the flag that set it, in the user's units.

        Parameters
        ----------
        error : FieldError
        defaults : mapping
            Dotted field -> flag that would have set it.
        """
        origin = self.origin(error.field)
        if origin is not None:
            return FlagError(f"{origin}: must be {error.allowed}")
        flag = defaults.get(error.field)
        if flag is not None:
            return FlagError(f"{flag} (not given): must be {error.allowed}")
        return FlagError(str(error))
