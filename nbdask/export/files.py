"""New files: whole under their name or not there at all, and room for them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbdask.errors import StoreError
from nbdask.files import check_outside_stores, whole_file
from nbdask.plan.memory import format_bytes


def check_target(path: str | os.PathLike[str], what: str, *, overwrite: bool) -> None:
    """Make sure that a file can be written.

    Parameters
    ----------
    path : path
    what : str
        Flag or option that names it, for messages.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    StoreError
        The folder is missing or not writable; or the path is a folder, a device, or a file that
        must not be replaced.
    """
    if "://" in str(path):
        raise StoreError(f"{what} {path}: files are written to local paths only; give a path")
    check_outside_stores(path, what, StoreError)
    target = Path(path)
    parent = target.absolute().parent
    if target.exists() and not target.is_dir() and not target.is_file():
        raise StoreError(
            f"{what} {path} is a device, pipe or socket: give the path of a regular file"
        )
    if target.is_dir():
        raise StoreError(f"{what} {path} is a folder: give the path of a file")
    if not parent.is_dir():
        raise StoreError(f"{what} {path}: the folder {parent} does not exist")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StoreError(f"{what} {path}: no permission to write in the folder {parent}")
    if target.exists() and not overwrite:
        raise StoreError(f"{what} {path} exists: add --overwrite to replace it, or name another")


def check_room(path: Path, size: int) -> None:
    """Make sure that more bytes can be written beside ``path``.

    For libraries that do not end well when the disk is full: HDF5 keeps what it could not write and
    complains once more when it is closed.

    Raises
    ------
    OSError
        There is no room for them.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def fresh_file(
    path: str | os.PathLike[str], what: str, *, overwrite: bool, size: int = 0
) -> Iterator[Path]:
    """Give the path of a temporary file beside ``path`` that takes its name in the end.

    After an error, or an interruption, neither is there (an older file stays as it was).

    Parameters
    ----------
    path, what, overwrite
        As for :func:`check_target`.
    size : int
        Bytes that will be written, where that is known.

    Yields
    ------
    Path

    Raises
    ------
    StoreError
        As :func:`check_target`; too little room; or writing failed.
    """
    check_target(path, what, overwrite=overwrite)
    target = Path(path).absolute()
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise StoreError(
            f"{what} {path} needs {format_bytes(size)}, but only {format_bytes(free)} are free in"
            f" {target.parent}: free some space or name a file elsewhere"
        )
    with whole_file(path, what, StoreError) as fresh:
        yield fresh
        check_target(path, what, overwrite=overwrite)
