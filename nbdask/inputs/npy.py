"""NumPy files, mapped into memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError
from nbdask.inputs.text import check_regular


def open_npy(
    path: str | Path, what: str, kinds: str, dimensions: tuple[int, ...] = (2,)
) -> NDArray[Any]:
    """Return the array of a ``.npy`` file without reading its values.

    Parameters
    ----------
    path : str or Path
    what : str
        What it should hold, for the message.
    kinds : str
        Kinds of numbers that are allowed, as in ``numpy.dtype.kind``.
    dimensions : tuple of int
        Numbers of dimensions that are allowed.

    Returns
    -------
    (slow, fast) array
        Read-only.

    Raises
    ------
    InputFileError
        A file that cannot be read, or holds something else.
    """
    check_regular(path, what)
    allowed = f"must be a .npy file (numpy.save) holding {what}"
    try:
        # numpy.load would take the file for an archive if it begins like one.
        with np.errstate(over="ignore"):  # a size beyond all files is refused below
            values = np.lib.format.open_memmap(os.fspath(path), mode="r")
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}: {allowed}") from None
    except Exception:  # the header is Python's notation: its errors are of many types
        raise InputFileError(
            f"{path}: another kind of file, or cut short, or damaged: {allowed}"
        ) from None
    if values.ndim in dimensions and values.dtype.kind in kinds and values.size > 0:
        return np.asarray(values)
    found = f"holds {values.dtype} of shape {values.shape}"
    del values  # whoever keeps the error keeps what this function holds, an open file too
    raise InputFileError(f"{path}: {found}: {allowed}")
