"""Quicker imports for a command that has the process to itself.

Numba looks for SciPy's linear algebra and for cffi, and zarr for CuPy, whether or not they are
used: where they are installed that takes longer than a small simulation.  A command uses none of
these parts; programs that import nbdask may, so they get everything as usual.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Modules that Numba and zarr look for, and do without.
_NUMBA_OPTIONS = ("scipy.linalg.cython_blas", "cffi")
_ZARR_OPTIONS = ("cupy",)
_NUMBA_BACKENDS = (None, "auto", "numba")

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


def import_libraries(backend: str | None) -> None:
    """Import zarr, and Numba if it is wanted, without what no command uses.

    Does nothing in a process that is not claimed.  A library that is not installed is reported
    where it is used.

    Parameters
    ----------
    backend : str
        As given to ``--backend``.
    """
    if not _process["own"]:
        return
    with suppress(ImportError), absent(*_ZARR_OPTIONS):
        importlib.import_module("zarr")
    if backend not in _NUMBA_BACKENDS:
        return
    with suppress(ImportError), absent(*_NUMBA_OPTIONS):
        target = importlib.import_module("numba.core.registry").cpu_target
        # What Numba imports when it first compiles or loads a function.
        target.typing_context.refresh()
        target.target_context.refresh()
