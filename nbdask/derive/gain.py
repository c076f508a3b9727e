"""The step that turns photons into the detector's own units."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.steps import Step
from nbdask.derive.work import Work
from nbdask.errors import InputFileError
from nbdask.experiment.checks import assign, number
from nbdask.inputs.checksum import sha256_of


@dataclass(frozen=True)
class Gain(Step):
    """Multiplication by a factor, and by a map with a factor for each pixel.

    Parameters
    ----------
    factor : float
        Detector units per photon.
    map : str, optional
        NumPy file (``.npy``) with an array of the image's shape, (slow, fast).
    sha256 : str, optional
        Checksum of the file; None: computed.
    """

    kind: ClassVar[str] = "gain"
    factor: float = 1.0
    map: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Check the fields; find out the file's checksum."""
        assign(self, factor=number("gain.factor", self.factor))
        if self.map is None:
            assign(self, sha256=None)
            return
        path = os.path.abspath(os.fspath(self.map))
        _open(path)
        found = sha256_of(path)
        if self.sha256 not in (None, found):
            raise InputFileError(f"gain map {path}: its content has changed since it was recorded")
        assign(self, map=path, sha256=found)

    def check(self, shape: tuple[int, int], corner: tuple[int, int]) -> None:
        """Refuse a map of another shape."""
        if self.map is None:
            return
        found = _open(self.map).shape
        # An image that begins elsewhere is a part of the detector that the map describes.
        part = any(corner)
        ends = (corner[0] + shape[0], corner[1] + shape[1])
        if (found[0] < ends[0] or found[1] < ends[1]) if part else found != shape:
            raise InputFileError(
                f"gain map {self.map}: has {found[0]} x {found[1]} pixels, the image {ends[0]} x"
                f" {ends[1]} (slow x fast); give a map of the image's shape"
            )

    def apply(self, values: NDArray[np.float64], work: Work) -> NDArray[np.float64]:
        """Multiply by factor and map."""
        if self.factor != 1.0:
            values *= self.factor
        if self.map is not None:
            (slow, fast), (n_slow, n_fast) = work.corner, values.shape
            part = _open(self.map)[slow : slow + n_slow, fast : fast + n_fast]
            values *= np.asarray(part, dtype=np.float64)
        return values


def _open(path: str) -> NDArray[Any]:
    """Map a file of numbers into memory.

    Raises
    ------
    InputFileError
        It is missing or holds something else.
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        good = isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu"
    except FileNotFoundError:
        raise InputFileError(f"gain map {path} does not exist") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputFileError(f"gain map {path}: cannot be read as a .npy file: {error}") from error
    if not good:
        raise InputFileError(f"gain map {path}: must be a .npy file with a 2-D array of numbers")
    return np.asarray(values)
