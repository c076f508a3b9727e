"""How wide what is printed may be."""

from __future__ import annotations

import shutil
import sys

#: Columns where standard output is no terminal: programs and files get lines that never change.
_PIPE = 96


def width() -> int:
    """Return the columns of the terminal, or of what is written elsewhere."""
    return shutil.get_terminal_size((_PIPE, 24)).columns if sys.stdout.isatty() else _PIPE
