"""nanoBragg's float image: raw little-endian float32, slow-major, without a header."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from nbdask.export.flagfile import FlagFile
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.values import scaled


class FloatFile(FlagFile):
    """The file that ``-floatfile`` names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__("-floatfile", path, write_raw)


def file_bytes(picture: Picture) -> int:
    """Return the size of the file."""
    return 4 * picture.shape[0] * picture.shape[1]


def write_raw(picture: Picture, path: Path, options: Options) -> list[str]:
    """Write the float image; pixels that are not computed yet are NaN.

    ``scale`` and ``adc``: 1 and 0 unless given.
    """
    with open(path, "wb") as handle:
        for _, pixels in picture.bands():
            rows = scaled(pixels, options.factor, options.offset)
            handle.write(np.ascontiguousarray(rows, dtype="<f4").data)
    return []
