"""Picture files: their kinds, and writing one as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nbdask.errors import InputError
from nbdask.files import whole_file

SUFFIXES = (".png", ".svg", ".pdf")


def check_picture(path: Path, overwrite: bool, store: str | os.PathLike[str] = "") -> None:
    """Make sure that a picture may be written.

    Parameters
    ----------
    path : Path
    overwrite : bool
    store : path or address, optional
        Store that the picture is of: a picture inside of it is refused.

    Raises
    ------
    InputError
        Another suffix than .png, .svg or .pdf, no such folder, within the store, or something is
        there already.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"-o {path}: the name must end in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"-o {path}: the folder {path.absolute().parent} does not exist")
    if path.is_dir():
        raise InputError(f"-o {path}: is a folder; name a file")
    if os.path.isdir(store) and Path(store).resolve() in path.resolve().parents:
        raise InputError(f"-o {path}: must lie outside the store {os.fspath(store)}")
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"-o {path} exists already: --overwrite replaces it")


def write_picture(path: Path, write: Callable[[Path], None]) -> None:
    """Write a picture as a whole or not at all.

    Parameters
    ----------
    path : Path
    write : callable
        Called with the temporary path, which has the same suffix.

    Raises
    ------
    InputError
        It cannot be written; nothing is left behind.
    """
    try:
        with whole_file(path) as fresh:
            write(fresh)
    except OSError as error:
        raise InputError(f"-o {path}: cannot be written ({error.strerror or error})") from error
