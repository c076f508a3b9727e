"""Large amplitude tables as memory-mapped files, one for all processes of a run on a host.

What is mapped counts once however many workers a host has, and the system may drop its pages when
memory is short.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.files import whole_file
from nbdask.geometry.model import Model
from nbdask.leftovers import mark, sweep
from nbdask.plan.memory import MAPPED_BYTES

#: Fields of the model, and ends of the names of their files.
_FILES = {"f_grid": "amplitudes.npy", "f_more": "further-amplitudes.npy"}


def map_amplitudes(model: Model, run: str) -> Model:
    """Return the model with its amplitude table mapped from a file where it is large.

    Parameters
    ----------
    model : Model
    run : str
        Name of the run; the first process of a host that comes writes the file, the others map it.

    Returns
    -------
    Model
        The same one where the table is below 64 MiB, is mapped already, or where there is no room
        for a file in the folder of temporary files (``TMPDIR``).
    """
    found: dict[str, Any] = {}
    if model.lattices:
        shares = tuple(
            share._replace(model=map_amplitudes(share.model, f"{run}-{number}"))
            for number, share in enumerate(model.lattices)
        )
        first = shares[0].model
        return dataclasses.replace(model, lattices=shares, f_grid=first.f_grid, f_more=first.f_more)
    for name, ending in _FILES.items():
        array = getattr(model, name)
        if array.nbytes < MAPPED_BYTES or is_mapped(array):
            continue
        try:
            file = f"{run}-{ending}"
            path = next(_folder().glob(f"*/{file}"), None) or _written(array, file)
            table = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError:
            continue
        if table.shape == array.shape:
            found[name] = np.asarray(table)
    return dataclasses.replace(model, **found) if found else model


def _written(table: NDArray[np.float64], file: str) -> Path:
    """Write a table into this process's folder; those of killed processes are removed before."""
    sweep(_folder(), "")
    path = _folder() / _own() / file
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with whole_file(path, durable=False) as fresh:
        np.save(fresh, table, allow_pickle=False)
    return path


def forget_amplitudes(run: str) -> None:
    """Remove the file of a run; processes that have it mapped keep what they see."""
    with suppress(OSError):
        for path in _folder().glob(f"*/{glob.escape(run)}-*"):
            if path.name.endswith(tuple(_FILES.values())):
                path.unlink(missing_ok=True)
                with suppress(OSError):  # other runs of its process have files there
                    path.parent.rmdir()


def is_mapped(table: NDArray[np.float64]) -> bool:
    """Return whether an array is a view of a mapped file."""
    base: object = table
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


@cache
def _own() -> str:
    """Return the name of this process's folder, which says whose it is."""
    return mark()


def _folder() -> Path:
    """Return this user's own folder among the temporary files.

    Raises
    ------
    OSError
        It cannot be made, or another user made it.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"nbdask-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o022:
        raise PermissionError(f"{folder} belongs to another user")
    return folder
