"""Quicker imports for a command that has the process to itself.

dask looks for what draws its graphs, and zarr for CuPy and fsspec, whether or not they are used:
where they are installed that takes longer than a small simulation.  A command uses none of these
parts; programs that import nbdask may, so they get everything as usual.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Modules that dask and zarr look for, and do without: pictures of graphs, and another way to the
#: number of cores; addresses of stores that are not used here.
_DASK_OPTIONS = ("jinja2", "psutil") if hasattr(os, "sched_getaffinity") else ("jinja2",)
_ZARR_OPTIONS = ("cupy", "fsspec")

_process = {"own": False}


def claim_process() -> None:
    """Say that no other program's code runs in this process."""
    _process["own"] = True


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let imports of these modules fail meanwhile, as if they were not installed.

    Parameters
    ----------
    *names : str
        Modules; one that was imported before stays as it is.
    """
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            if modules.get(name, modules) is None:
                del modules[name]


def import_libraries(cluster: str | None) -> None:
    """Import dask and zarr without what a command does not use.

    Does nothing in a process that is not claimed.  A library that is not installed is reported
    where it is used.

    Parameters
    ----------
    cluster : str or None
        As given to ``--cluster``; other than threads of this process, dask gets everything.
    """
    if not _process["own"]:
        return
    unused = _DASK_OPTIONS if cluster in (None, "threads") else ()
    with suppress(ImportError), absent(*unused):
        importlib.import_module("dask")
    with suppress(ImportError), absent(*_ZARR_OPTIONS):
        importlib.import_module("zarr")
