"""Picture files: their kinds, and where they may be written."""

from __future__ import annotations

import os
from pathlib import Path

from nbdask.errors import InputError
from nbdask.files import inside

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
        Another suffix than .png, .svg or .pdf, a missing folder, within the store, or an
        existing file.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"-o {path}: the name must end in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"-o {path}: the folder {path.absolute().parent} does not exist")
    if path.is_dir():
        raise InputError(f"-o {path}: is a folder; name a file")
    if os.path.isdir(store) and inside(path, Path(store)):
        raise InputError(f"-o {path}: must lie outside the store {os.fspath(store)}")
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"-o {path} exists already: --overwrite replaces it")
