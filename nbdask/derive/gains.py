"""The step that turns photons into the detector's own units."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.block import Block
from nbdask.derive.steps import Step, set_by, single
from nbdask.errors import InputFileError
from nbdask.experiment import checks
from nbdask.experiment.checks import assign, positive
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.npy import open_npy

#: Values of a map that are checked at a time.
_STRIP = 1 << 20


@dataclass(frozen=True)
class Gain(Step):
    """Multiplication by a factor, and by a map with a factor for each pixel.

    Parameters
    ----------
    factor : float
        Detector units per photon, above 0.
    map : str, optional
        NumPy file (``.npy``) with an array of the image's shape, (slow, fast) or (panel, slow,
        fast): numbers of at least 0; a dead pixel has 0.
    sha256 : str, optional
        Checksum of the file; None: computed.
    """

    kind: ClassVar[str] = "gain"
    factor: float = set_by("--gain", "number", "X", "Detector units per photon.", default=1.0)
    map: str | None = set_by(
        "--gain-map", "file", "FILE", "NumPy file with a factor for each pixel.", default=None
    )
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Check the fields; find out the file's checksum."""
        assign(self, factor=positive("gain.factor", single("gain.factor", self.factor)))
        if self.map is None:
            assign(self, sha256=None)
            return
        path = os.path.abspath(checks.path("gain.map", self.map))
        values = _open(path)
        found = sha256_of(path)
        if self.sha256 not in (None, found):
            raise InputFileError(f"gain map {path}: its content has changed since it was recorded")
        wrong = refused_factor(values)
        if wrong is not None:
            raise InputFileError(f"gain map {path}: {wrong}")
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

    def apply(self, values: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Multiply by factor and map."""
        if self.factor != 1.0:
            values *= self.factor
        if self.map is not None:
            (slow, fast), (n_slow, n_fast) = block.corner, values.shape
            part = _open(self.map)[slow : slow + n_slow, fast : fast + n_fast]
            values *= np.asarray(part, dtype=np.float64)
        return values


def refused_factor(values: NDArray[Any]) -> str | None:
    """Return what is wrong with the first value of a map that is not finite or below 0."""
    rows = max(1, _STRIP // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        strip = np.asarray(values[start : start + rows])
        bad = ~((strip >= 0) & np.isfinite(strip))
        if bad.any():
            slow, fast = np.argwhere(bad)[0]
            return (
                f"the factor at slow {start + slow}, fast {fast} is {strip[slow, fast]:g}: must be"
                " a finite number of at least 0 (0: a dead pixel)"
            )
    return None


def _open(path: str) -> NDArray[Any]:
    """Map a file of numbers into memory.

    Raises
    ------
    InputFileError
        It is missing or holds something else.
    """
    try:
        values = open_npy(path, "a factor for each pixel, (slow, fast)", "fiu", (2, 3))
        # Panels below one another.
        return values.reshape(-1, values.shape[-1])
    except InputFileError as error:
        raise InputFileError(f"gain map {error}") from None
