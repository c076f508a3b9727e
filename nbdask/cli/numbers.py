"""Numbers of the command line: finite, in the digits of ASCII, without Python's underscores."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from nbdask.inputs.text import to_number

_WHOLE = re.compile(r"\s*[+-]?\d{1,30}\s*", re.ASCII)


def whole(text: str) -> int | None:
    """Return a text as a whole number, or None where it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None


class Whole(click.IntRange):
    """A whole number within bounds."""

    def _describe_range(self) -> str:
        return "" if self.min is self.max is None else super()._describe_range()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or say what is allowed."""
        if isinstance(value, str) and whole(value) is None:
            self.fail(f"{value!r}: must be a whole number", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A finite number within bounds; click's own lets NaN pass, and infinity where it is open."""

    def _describe_range(self) -> str:
        return "" if self.min is self.max is None else super()._describe_range()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or say what is allowed."""
        low = -math.inf if self.min is None else self.min
        high = math.inf if self.max is None else self.max
        number = to_number(str(value).strip())
        if number is None or not low <= number <= high:
            if math.isinf(low):
                allowed = ""
            else:
                allowed = (
                    f", {low:g} or more" if math.isinf(high) else f", from {low:g} to {high:g}"
                )
            self.fail(f"{str(value)!r}: must be a finite number{allowed}", param, ctx)
        return number
