"""A command's own process leaves CuPy out when it imports zarr.

Where CuPy is installed zarr imports it, for arrays on GPUs, which no command hands to zarr.  A
simulation of 1024 x 1024 pixels and one step takes 0.62 s of processor time without it and 0.73 s
with it (best of ten in turn).  Other programs that import nbdask may need it, so they get zarr as
usual.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_process = {"own": False}


def claim_process() -> None:
    """Say that no other program's code runs in this process.

    Pictures are drawn into files, so whichever screen matplotlib is told to use does not matter.
    """
    _process["own"] = True
    os.environ.pop("MPLBACKEND", None)


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
