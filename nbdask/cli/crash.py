"""What a command says of an error that nobody foresaw: one line, and a file for the report."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence

from nbdask.version import __version__

#: Exit code of such an error (``EX_SOFTWARE``).
EXIT_CODE = 70


def report_crash(error: BaseException, words: Sequence[str]) -> int:
    """Write the traceback to a file of its own, readable by this user alone; say where it is.

    Parameters
    ----------
    error : BaseException
    words : sequence of str
        The command line.

    Returns
    -------
    int
        The exit code.
    """
    text = "".join(traceback.format_exception(error))
    head = f"nbdask {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    what = " ".join("".join(traceback.format_exception_only(error)).split())[:300]
    line = f"nbdask: error: an error of nbdask itself ({what})"
    try:
        place = os.getcwd()
    except OSError:
        place = "a folder that is gone"
    try:
        handle, path = tempfile.mkstemp(prefix="nbdask-crash-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{head}{list(words)!r}\nin {place!r}\n\n{text}")
    except OSError:
        print(f"{line}; no file can be written, so here is all of it:\n{text}", file=sys.stderr)
    else:
        print(f"{line}; please report it with the file {path}", file=sys.stderr)
    return EXIT_CODE
