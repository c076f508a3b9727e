"""Choose and load the compiled library for this processor."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

from nbdask.errors import BackendError
from nbdask.native import sources

#: Forces a level, for tests.
VARIABLE = "NBDASK_PROCESSOR"
_MEND = (
    "install g++ (11 or newer) or clang++ (14 or newer), then install nbdask again: "
    "pip install --force-reinstall --no-deps with the same source"
)
_SLOWER = "the numpy kernel serves, about 30 times slower"


def library() -> ctypes.CDLL:
    """Return the compiled library for this processor, or the one that NBDASK_PROCESSOR names.

    Returns
    -------
    ctypes.CDLL
        Loaded once in each process.  A call into it lets other threads run.

    Raises
    ------
    nbdask.errors.BackendError
        Where there is none, or it was built from other sources than those beside it.
    """
    return load(level())


def recipe() -> str:
    """Return the compiler and the flags that the library was built with."""
    told = library().nb_recipe
    told.restype = ctypes.c_char_p
    return str(told().decode())


def level() -> str:
    """Return the level of the library that is used: this processor's best one that is there."""
    runnable = levels()
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return runnable[0]
    if wanted not in runnable:
        raise BackendError(f"{VARIABLE}={wanted}: must be one of {', '.join(runnable)} here")
    return wanted


def levels() -> tuple[str, ...]:
    """Return the levels that this processor can run and whose library is there, best first."""
    known = sources.LEVELS.get(sources.machine_name(platform.machine()), ())
    if not known or not sources.library_path(known[-1]).is_file():
        raise BackendError(_missing(f"it has no compiled library for {platform.machine()}"))
    ask = load(known[-1]).nb_level
    ask.restype = ctypes.c_char_p
    best = known.index(ask().decode())
    return tuple(name for name in known[best:] if sources.library_path(name).is_file())


@cache
def load(name: str) -> ctypes.CDLL:
    """Load the library of one level, whether or not this processor can run its loops."""
    path = sources.library_path(name)
    try:
        loaded = ctypes.CDLL(str(path))
        built_from = loaded.nb_sources
    except (OSError, AttributeError) as error:
        raise BackendError(_missing(f"its compiled library cannot be loaded ({error})")) from error
    built_from.restype = ctypes.c_char_p
    if built_from().decode() != sources.digest():
        raise BackendError(
            "the compiled library is older than its sources: run pip install (or python "
            "hatch_build.py) again"
        )
    return loaded


def available() -> bool:
    """Whether there is a library that can be used."""
    return missing_note() is None


def missing_note() -> str | None:
    """Return what is missing, what it costs and how to mend it in one line; None if all is there."""
    try:
        library()
    except BackendError as error:
        return str(error)
    return None


def _missing(what: str) -> str:
    return f"nbdask was installed without a compiler: {what}; {_SLOWER}; {_MEND}"
