"""The image of a store as a dask array whose tiles are checked as they are read."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.plan.tiles import Tile
from nbdask.store.checked import CheckedImage
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader


class _Pixels:
    """What dask slices: opens the store once in each process."""

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, place: Place, shape: tuple[int, int], panel: int = 0) -> None:
        self.shape = shape
        self._place, self._panel = place, panel
        self._reader: StoreReader | None = None

    def __getstate__(self) -> tuple[Place, tuple[int, int], int]:
        """Leave the open store behind."""
        return self._place, self.shape, self._panel

    def __setstate__(self, state: tuple[Place, tuple[int, int], int]) -> None:
        """Reopen it when needed."""
        self._place, self.shape, self._panel = state
        self._reader = None

    def __getitem__(self, part: tuple[slice | int, slice | int]) -> NDArray[np.float32]:
        """Return pixels as NumPy would for two slices or whole numbers."""
        if self._reader is None:
            self._reader = StoreReader(self._place)
        rows, columns = (_indices(one, side) for one, side in zip(part, self.shape, strict=True))
        if not rows or not columns:
            return np.empty((len(rows), len(columns)), dtype=np.float32)
        read = Tile(min(rows), max(rows) + 1, min(columns), max(columns) + 1, self._panel)
        # A new one, since it checks a tile once: files can be damaged while a program runs.
        checked = CheckedImage(self._reader, missing=True)
        pixels = checked.read(read)[_order(rows), _order(columns)]
        return pixels[tuple(slice(None) if isinstance(one, slice) else 0 for one in part)]


def _indices(one: slice | int, side: int) -> range:
    """Return the indices that a slice or a whole number selects."""
    return range(side)[one] if isinstance(one, slice) else range(one, one + 1)


def _order(places: range) -> slice:
    """Return which rows of those from the first to the last are wanted, and in which order."""
    return slice(None, None, places.step)


def checked_pixels(reader: StoreReader) -> Any:
    """Return the image of a store, of which each tile is compared with its CRC-32C.

    Returns
    -------
    dask.array.Array
        (slow, fast) or (panel, slow, fast) float32, one chunk for each tile; NaN where a
        tile is not computed yet.  Computing it raises StoreError for a damaged tile.
    """
    import dask.array as da

    grid = reader.grid

    def one(panel: int) -> Any:
        # A store may have changed since it was opened last: no two arrays are the same to dask.
        return da.from_array(
            _Pixels(reader.place, grid.shape, panel),
            chunks=grid.tile,
            name=f"nbdask-checked-{secrets.token_hex(8)}",
            fancy=False,
            meta=np.empty((0, 0), np.float32),
        )

    if grid.panels == 1:
        return one(0)
    return da.stack([one(panel) for panel in range(grid.panels)])
