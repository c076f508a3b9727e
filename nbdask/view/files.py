"""Picture files: their kinds, and where they may be written."""

from __future__ import annotations

import os
from pathlib import Path

from nbdask.errors import InputError
from nbdask.files import check_outside_stores

SUFFIXES = (".png", ".svg", ".pdf")


def check_picture(path: Path, overwrite: bool) -> None:
    """Make sure that a picture may be written.

    Parameters
    ----------
    path : Path
    overwrite : bool

    Raises
    ------
    InputError
        Another suffix than .png, .svg or .pdf, no such folder, within a store, or something is
        there already.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"-o {path}: the name must end in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"-o {path}: the folder {path.absolute().parent} does not exist")
    if path.is_dir():
        raise InputError(f"-o {path}: is a folder; name a file")
    check_outside_stores(path, "-o", InputError)
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"-o {path} exists already: --overwrite replaces it")
