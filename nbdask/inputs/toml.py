"""TOML files -> tables, with one-line errors."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from nbdask.errors import InputFileError
from nbdask.inputs.text import read_text

#: Largest file that is read [bytes]: a long list of sources or reflections has a few.
_MOST = 64 << 20


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Parameters
    ----------
    path : str or Path
    what : str
        What it should hold, for the message.

    Raises
    ------
    InputFileError
        A file that cannot be read, or is not TOML.
    """
    text = read_text(path, what, _MOST)
    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = "brackets within brackets, too deep to be read"
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    except (ValueError, OverflowError):  # Python's own of a number of thousands of digits
        reason = "a number of too many digits"
    raise InputFileError(f"{path}: {reason}: must be a TOML file holding {what}")
