"""New files: complete under their name or absent, and space for them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbdask.errors import StoreError
from nbdask.files import check_target, whole_file
from nbdask.plan.memory import format_bytes


def check_room(path: Path, size: int) -> None:
    """Make sure that more bytes can be written next to ``path``.

    For libraries that fail badly when the disk is full: HDF5 keeps what it could not write and
    raises again when it is closed.

    Raises
    ------
    OSError
        Not enough space.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def fresh_file(
    path: str | os.PathLike[str], what: str, *, overwrite: bool, size: int = 0
) -> Iterator[Path]:
    """Give the path of a temporary file next to ``path`` that takes its name in the end.

    After an error, or an interruption, neither is there (an older file stays as it was).

    Parameters
    ----------
    path, what, overwrite
        As for :func:`nbdask.files.check_target`.
    size : int
        Bytes that will be written, where that is known.

    Raises
    ------
    StoreError
        As there; too little room; or writing failed.
    """
    check_target(path, what, StoreError, overwrite=overwrite)
    target = Path(path).absolute()
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise StoreError(
            f"{what} {path} needs {format_bytes(size)}, but only {format_bytes(free)} are free in"
            f" {target.parent}: free some space or name a file elsewhere"
        )
    with whole_file(path, what, StoreError) as fresh:
        yield fresh
        check_target(path, what, StoreError, overwrite=overwrite)
