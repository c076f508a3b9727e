"""A command's own process: SIGTERM ends it in order, and CuPy is left out when it imports zarr.

Where CuPy is installed zarr imports it, for arrays on GPUs, which no command hands to zarr.  A
simulation of 1024 x 1024 pixels and one step takes 0.62 s of processor time without it and 0.73 s
with it (best of ten in turn).  Other programs that import nbdask may need it, so they get zarr as
usual.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_process = {"own": False}


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which batch systems and containers end a process: it ends as by Ctrl-C."""


def claim_process() -> None:
    """Say that no other program's code runs in this process.

    Pictures are drawn into files, so whichever screen matplotlib is told to use does not matter.
    """
    _process["own"] = True
    os.environ.pop("MPLBACKEND", None)
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> None:
    # Sent twice, as to a step of a job and to all of it, it must not break the end in order.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def how_ended(error: BaseException) -> tuple[str, int]:
    """Return how a process was stopped, in a word, and its exit code."""
    # click raises Abort from what stopped it.
    if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated):
        return "terminated", 143
    return "interrupted", 130


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Let imports of a module fail meanwhile, as if it were not installed.

    One that was imported before stays as it is.
    """
    modules: dict[str, Any] = sys.modules
    hidden = name not in modules
    if hidden:
        modules[name] = None
    try:
        yield
    finally:
        if hidden and modules.get(name, modules) is None:
            del modules[name]


def import_zarr() -> None:
    """Import zarr without CuPy, in a process that is claimed.

    Where zarr is not installed that is reported where it is used.
    """
    if _process["own"]:
        with suppress(ImportError), absent("cupy"):
            importlib.import_module("zarr")
