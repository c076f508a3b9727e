"""What the readers of text files share: opening with one-line errors, and what a number is."""

from __future__ import annotations

import math
import os
import re
import stat
from pathlib import Path

from nbdask.errors import InputFileError

#: A decimal number as C's scanf reads it, so digits are those of ASCII; nan, inf and hexadecimal
#: forms are left out.  No two parts can take the same digits: a long run of them is read once.
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SHOWN = 60


def shown(text: str) -> str:
    """Return ``text`` quoted, on one line and not too long for a message."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def problem(path: str | Path, line: int | None, found: str, allowed: str) -> InputFileError:
    """Return the error that names file, line, what was found and what is allowed."""
    where = f"{path}" if line is None else f"{path}: line {line}"
    return InputFileError(f"{where}: {found}: must be {allowed}")


def unreadable(path: str | Path, error: OSError, what: str) -> InputFileError:
    """Return the error for a file that the system does not give."""
    reason = (error.strerror or str(error)).lower()
    return InputFileError(f"{path}: {reason}: must be a readable file holding {what}")


def check_regular(path: str | Path, what: str) -> None:
    """Refuse anything but a regular file: reading a device or a pipe may never end.

    Raises
    ------
    InputFileError
        The path is missing, unreadable, or a folder, device, pipe or socket.
    """
    # The system takes a number for an open file.
    if not isinstance(path, (str, os.PathLike)):
        raise problem(shown(str(path)), None, "is no path", f"that of a file holding {what}")
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise unreadable(path, error, what) from None
    except ValueError as error:  # a zero in the name, or what the file system cannot spell
        raise problem(shown(str(path)), None, f"is no path ({error})", "that of a file") from None
    if stat.S_ISDIR(mode):
        raise problem(path, None, "is a directory", f"a readable file holding {what}")
    if not stat.S_ISREG(mode):
        raise problem(path, None, "is a device, pipe or socket", f"a regular file holding {what}")


def read_text(path: str | Path, what: str, most: int | None = None) -> str:
    """Return a text file as it is; a mark of the encoding at its start is left out.

    Parameters
    ----------
    path : str or Path
    what : str
        What the file should hold, for the message.
    most : int, optional
        Bytes beyond which it is refused.

    Raises
    ------
    InputFileError
        The file is missing, unreadable, no regular file, too large, or not text.
    """
    check_regular(path, what)
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            size = os.fstat(handle.fileno()).st_size
            if most is not None and size > most:
                raise problem(path, None, f"has {size} bytes", f"at most {most} bytes of {what}")
            return handle.read()
    except OSError as error:
        raise unreadable(path, error, what) from None
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} at offset {error.start} is not text"
        raise problem(path, None, found, f"a text file holding {what}") from None


def read_lines(path: str | Path, what: str) -> list[str]:
    """Return the lines of a text file, whose ends may be those of any system.

    Raises
    ------
    InputFileError
        As :func:`read_text`.
    """
    return read_text(path, what).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def to_number(word: str) -> float | None:
    """Return ``word`` as a finite float, or None where it is none."""
    if NUMBER.fullmatch(word) is None:
        return None
    value = float(word)
    return value if math.isfinite(value) else None
