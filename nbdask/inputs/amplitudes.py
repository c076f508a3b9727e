"""Structure factor amplitudes as a dense grid over the indices of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError

#: Values that a grid may hold (4 GiB of float64); more means a stray index.
MAX_VALUES = 2**29
#: Indices beyond this are refused before they are turned into integers.
MAX_INDEX = 10**6


@dataclass(frozen=True, slots=True, eq=False)
class AmplitudeGrid:
    """Amplitudes of all reflections between the smallest and the largest indices.

    Attributes
    ----------
    values : (n_h, n_k, n_l) float64 array
        Amplitudes [electrons].
    minimum : tuple of 3 ints
        h, k, l of ``values[0, 0, 0]``.
    """

    values: NDArray[np.float64]
    minimum: tuple[int, int, int]

    @property
    def maximum(self) -> tuple[int, int, int]:
        """h, k, l of the last value along each axis."""
        h, k, el = (m + n - 1 for m, n in zip(self.minimum, self.values.shape, strict=True))
        return (h, k, el)


def check_size(
    minimum: Sequence[int], maximum: Sequence[int], source: str, tables: int = 1
) -> None:
    """Refuse a grid, or one for each energy of a spectrum, that is too large to be meant.

    Raises
    ------
    InputFileError
        More than ``MAX_VALUES`` values between the given indices.
    """
    ranges = [high - low + 1 for low, high in zip(minimum, maximum, strict=True)]
    total = ranges[0] * ranges[1] * ranges[2]
    if total <= MAX_VALUES < total * tables:
        raise InputFileError(
            f"{source}: {tables} tables of {total} values, one for each energy of the spectrum:"
            f" must be at most {MAX_VALUES} values: give --spectrum fewer points, raise --dmin, or"
            " give --energy E to take f' and f'' at one energy"
        )
    if total > MAX_VALUES:
        spans = ", ".join(
            f"{name} {low} to {high}"
            for name, low, high in zip("hkl", minimum, maximum, strict=True)
        )
        raise InputFileError(
            f"{source}: the indices span {spans}, a grid of {total} values: must be at most"
            f" {MAX_VALUES} (look for a stray index)"
        )


def from_reflections(
    reflections: NDArray[np.float64] | Sequence[Sequence[float]],
    default_F: float,
    source: str = "reflections",
) -> AmplitudeGrid:
    """Put a list of reflections on a grid.

    Parameters
    ----------
    reflections : (n, 4) array or sequence
        h, k, l (whole numbers) and amplitude F [electrons] of each; of duplicates the last counts.
    default_F : float
        Amplitude of the grid's points that the list does not hold.
    source : str
        Where the list came from, for messages.

    Raises
    ------
    InputFileError
        An empty list, indices that are not whole numbers, or a grid that is absurdly large.
    """
    table = np.asarray(reflections, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] != 4:
        raise InputFileError(
            f"{source}: an array of shape {table.shape}: must be one reflection (h k l F) or more"
        )
    whole = np.rint(table[:, :3])
    good = np.isfinite(table).all(axis=1)
    good &= (whole == table[:, :3]).all(axis=1) & (np.abs(whole) <= MAX_INDEX).all(axis=1)
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        row = ", ".join(f"{value:g}" for value in table[bad])
        raise InputFileError(
            f"{source}: reflection {bad + 1} is ({row}): must be three whole numbers of at most"
            f" {MAX_INDEX} in size and an amplitude"
        )
    indices = whole.astype(np.int64)
    low, high = indices.min(axis=0), indices.max(axis=0)
    check_size(low.tolist(), high.tolist(), source)
    shape = tuple((high - low + 1).tolist())
    flat = np.full(int(np.prod(shape)), float(default_F))
    flat_indices = np.ravel_multi_index(tuple((indices - low).T), shape)
    # numpy does not promise which of several values for one place remains: keep the last ones.
    reversed_indices, first = np.unique(flat_indices[::-1], return_index=True)
    flat[reversed_indices] = table[::-1, 3][first]
    h, k, el = low.tolist()
    return AmplitudeGrid(flat.reshape(shape), (h, k, el))
