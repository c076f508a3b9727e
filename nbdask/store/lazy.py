"""The image of a store as a dask array whose tiles are checked as they are read."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.plan.planes import GRADIENT
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.checked import CheckedImage
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.store.schema import IMAGE, slopes_of


class _Pixels:
    """What dask slices: opens the store once in each process."""

    def __init__(self, place: Place, grid: TileGrid, name: str = IMAGE, slopes: int = 0) -> None:
        self._place, self._grid, self._name, self._slopes = place, grid, name, slopes
        self.shape = (*([slopes] if slopes else []), *grid.image_shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(np.float64 if slopes else np.float32)
        self._reader: StoreReader | None = None

    def __getstate__(self) -> tuple[Place, TileGrid, str, int]:
        """Leave the open store behind."""
        return self._place, self._grid, self._name, self._slopes

    def __setstate__(self, state: tuple[Place, TileGrid, str, int]) -> None:
        """Reopen it when needed."""
        self.__init__(*state)  # type: ignore[misc]

    def __getitem__(self, part: tuple[slice | int, ...]) -> NDArray[Any]:
        """Return pixels as NumPy would for slices or whole numbers, one for each dimension."""
        if self._reader is None:
            self._reader = StoreReader(self._place)
        sides = [_indices(one, side) for one, side in zip(part, self.shape, strict=True)]
        pixels = np.empty([len(side) for side in sides], dtype=self.dtype)
        lead = [list(sides.pop(0))] if self._slopes else []
        *before, rows, columns = sides
        if pixels.size:
            # A new one, since it checks a tile once: files can be damaged while a program runs.
            checked = CheckedImage(self._reader, missing=True, name=self._name)
            for place in np.ndindex(*map(len, before)):
                chosen = [side[number] for side, number in zip(before, place, strict=True)]
                at = dict(zip(self._grid.dims[: len(before)], chosen, strict=True))
                read = Tile(min(rows), max(rows) + 1, min(columns), max(columns) + 1, **at)
                found = checked.read(read)[..., _order(rows), _order(columns)]
                every = (slice(None),) * len(lead)
                pixels[(*every, *place)] = found[lead[0]] if lead else found
        return pixels[tuple(slice(None) if isinstance(one, slice) else 0 for one in part)]


def _indices(one: slice | int, side: int) -> range:
    """Return the indices that a slice or a whole number selects."""
    return range(side)[one] if isinstance(one, slice) else range(one, one + 1)


def _order(places: range) -> slice:
    """Return which rows of those from the first to the last are wanted, and in which order."""
    return slice(None, None, places.step)


def checked_pixels(reader: StoreReader, name: str = IMAGE) -> Any:
    """Return the image or planes of a store, of which each tile is compared with its CRC-32C.

    Returns
    -------
    dask.array.Array
        ([shot,] [panel,] slow, fast) float32, one chunk for each tile; NaN where a tile is not
        computed yet; of derivatives (parameter, ...) float64.  Computing it raises StoreError for
        a damaged tile.
    """
    import dask.array as da

    grid = reader.grid
    slopes = len(slopes_of(reader.attributes)) if name == GRADIENT else 0
    pixels, lead = _Pixels(reader.place, grid, name, slopes), [slopes] if slopes else []
    return da.from_array(
        pixels,
        chunks=(*lead, *[1] * len(grid.before), *grid.tile),
        # A store may have changed since it was opened last: no two arrays are the same to dask.
        name=f"nbdask-checked-{secrets.token_hex(8)}",
        fancy=False,
        meta=np.empty((0,) * pixels.ndim, pixels.dtype),
    )
