"""Shadows on the detector: which share of the photons reaches each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError
from nbdask.inputs.npy import open_npy

_WHAT = "transmissions from 0 to 1, float32 or float64 (slow, fast)"
#: Rows that are checked at once.
_ROWS = 1024


@dataclass(frozen=True, slots=True)
class ShadowFile:
    """A NumPy file of transmissions, of which parts are read.

    Parameters
    ----------
    path : str
    n_slow, n_fast : int
    """

    path: str
    n_slow: int
    n_fast: int

    def read(self, slow0: int, slow1: int, fast0: int, fast1: int) -> NDArray[np.float64]:
        """Return the transmissions of a rectangle of pixels."""
        part = _open(self.path)[slow0:slow1, fast0:fast1]
        return np.ascontiguousarray(part, dtype=np.float64)


def open_shadow(path: str) -> ShadowFile:
    """Return a file of transmissions, all of which have been looked at.

    Raises
    ------
    InputFileError
        A file that cannot be read, or holds something else.
    """
    values = _open(path)
    for first in range(0, values.shape[0], _ROWS):
        part = values[first : first + _ROWS]
        wrong = np.argwhere(~((part >= 0.0) & (part <= 1.0)))
        if len(wrong):
            slow, fast = int(wrong[0, 0]) + first, int(wrong[0, 1])
            raise InputFileError(
                f"{path}: {float(values[slow, fast]):g} at slow {slow}, fast {fast}: must be a .npy"
                f" file holding {_WHAT}"
            )
    return ShadowFile(path, *values.shape)


def _open(path: str) -> NDArray[Any]:
    return open_npy(path, _WHAT, "f")
