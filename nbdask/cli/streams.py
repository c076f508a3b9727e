"""Standard streams of a command: always there, and free of what would steer a terminal.

What is printed may come from a store, a file name or another program.  Its control characters are
escaped here, in one place, so that no line that prints has to think of it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TextIO

#: Control characters, but tab and newline; marks that turn the direction of writing; halves of
#: pairs, by which Python spells the bytes of file names that are no text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    r"""Return a text whose control characters are spelled out: ``\x1b`` for escape."""
    return _UNSAFE.sub(_spelt, text)


def _spelt(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(value: object) -> str:
    r"""Return a value as one line: newlines are spelled out too, as ``\n``."""
    return escaped(str(value)).replace("\n", "\\n")


class _Plain(io.TextIOWrapper):
    """A stream that escapes control characters."""

    def write(self, text: str) -> int:
        """Write a text without them."""
        return super().write(escaped(text))


def terminal() -> TextIO:
    """Return standard error for what is meant to steer the terminal."""
    original = sys.__stderr__
    return original if isinstance(sys.stderr, _Plain) and original is not None else sys.stderr


def claim_streams() -> None:
    """Give this process standard streams that are open, and that escape control characters.

    Where one was closed, the next file opened would be in its place, and be written to by whatever
    prints.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # kept, or its buffer would be closed
        if number and isinstance(stream, io.TextIOWrapper):
            plain = _Plain(
                stream.buffer,
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=number == 2 or stream.line_buffering,
            )
            setattr(sys, name, plain)
