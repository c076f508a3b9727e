"""Choose and load the compiled library for this processor."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path

from nbdask.errors import BackendError, InputError
from nbdask.native import sources

#: Names the level to use, for tests and comparisons.
VARIABLE = "NBDASK_PROCESSOR"
_AGAIN = "pip install --force-reinstall --no-deps --no-cache-dir . in nbdask's sources"


def library() -> ctypes.CDLL:
    """Return the compiled library for this processor, or the one that NBDASK_PROCESSOR names.

    Returns
    -------
    ctypes.CDLL
        Loaded once in each process.  A call into it lets other threads run.

    Raises
    ------
    nbdask.errors.BackendError
        Where there is none, or it was built from other sources than those next to it.
    nbdask.errors.InputError
        Where NBDASK_PROCESSOR names none that runs here.
    """
    return load(level())


def level() -> str:
    """Return the level of the library in use: the best one for this processor that is there."""
    runnable = levels()
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return runnable[0]
    if wanted not in runnable:
        raise InputError(f"{VARIABLE}={wanted}: must be one of {', '.join(runnable)} here")
    return wanted


def levels() -> tuple[str, ...]:
    """Return the levels that this processor can run and whose library is there, best first."""
    machine = platform.machine()
    known = sources.LEVELS.get(sources.machine_name(machine), ())
    if not known:
        raise _missing(f"there is none for {machine}", "")
    if not sources.library_path(known[-1]).is_file():
        raise _missing(
            "none was built (no C++ compiler, or NBDASK_NO_NATIVE was set)",
            f"install g++ (11 or newer) or clang++ (14 or newer), then {_AGAIN}",
        )
    # The lowest one knows; a higher one may hold instructions that the processor lacks.
    best = known.index(_text(_opened(known[-1]), "nb_level"))
    return tuple(name for name in known[best:] if sources.library_path(name).is_file())


@cache
def load(name: str) -> ctypes.CDLL:
    """Return the library of one level of :func:`levels`; refuse one that is not of its sources."""
    opened = _opened(name)
    if _text(opened, "nb_sources") != sources.digest():
        raise _missing("it is older than its C++ sources", _AGAIN)
    return opened


def recipe() -> str:
    """Return the compiler and the flags that made the library in use."""
    return _text(library(), "nb_recipe")


def available() -> bool:
    """Whether there is a library that can be used."""
    return missing_note() is None


def missing_note() -> str | None:
    """Return one line: what is missing, what that costs, how to fix it; None if all is there."""
    try:
        library()
    except (BackendError, InputError) as error:
        return str(error)
    return None


def check_choice() -> None:
    """Raise InputError where NBDASK_PROCESSOR names no library that runs here."""
    with suppress(BackendError):
        level()


@cache
def _opened(name: str) -> ctypes.CDLL:
    path = sources.library_path(name)
    try:
        if _cut_short(path):
            raise OSError(f"{path}: file too short")
        opened = ctypes.CDLL(str(path))
        _text(opened, "nb_level")
    except (OSError, AttributeError) as error:
        raise _missing(f"it cannot be loaded ({error})", _AGAIN) from error
    return opened


def _cut_short(path: Path) -> bool:
    """Whether an ELF file ends before its section headers do: to load it would end the process."""
    with path.open("rb") as file:
        head = file.read(64)
        size = file.seek(0, os.SEEK_END)
    if len(head) < 64 or not head.startswith(b"\x7fELF"):
        return False
    start, entry, count = *struct.unpack_from("<Q", head, 40), *struct.unpack_from("<HH", head, 58)
    return bool(start + entry * count > size)


def _text(opened: ctypes.CDLL, function: str) -> str:
    entry = getattr(opened, function)
    entry.restype = ctypes.c_char_p
    value: bytes = entry()
    return value.decode()


def _missing(what: str, remedy: str) -> BackendError:
    line = f"no compiled kernel: {what}; numpy takes about 30 times as long"
    return BackendError(f"{line}; to fix it: {remedy}" if remedy else line)
