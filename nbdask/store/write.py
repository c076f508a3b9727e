"""Writing one tile: its pixels first, then its record."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import zarr
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile
from nbdask.statistics import TileSummary
from nbdask.store import schema
from nbdask.store.address import place_of, read_root
from nbdask.store.journal import Journal, seed_of
from nbdask.store.patience import outlast
from nbdask.store.place import Place, reason


def checksum(image: NDArray[np.float32]) -> int:
    """Return the CRC-32C of a tile's pixels as little-endian float32 bytes in C order."""
    return int(google_crc32c.value(np.ascontiguousarray(image, dtype="<f4").tobytes()))


class _Opened(NamedTuple):
    """The arrays of a store, and where its records go (None: into the array)."""

    pixels: Any
    records: Any
    journal: Journal | None


@dataclass(eq=False)
class TileWriter:
    """Writes tiles of one store.  Picklable; each process opens the arrays once.

    Parameters
    ----------
    out : path, address or Place
        The store, which must exist.  Endpoint and keys of object storage never travel: each
        process takes them from its own environment.
    columns : int
        Tiles along the fast axis.
    """

    out: InitVar[str | os.PathLike[str] | Place]
    columns: int
    place: Place = field(init=False)
    _opened: _Opened | None = field(default=None, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __post_init__(self, out: str | os.PathLike[str] | Place) -> None:
        """Find the place."""
        self.place = place_of(out)

    def __getstate__(self) -> tuple[Place, int]:
        """Leave the open arrays behind."""
        return (self.place, self.columns)

    def __setstate__(self, state: tuple[Place, int]) -> None:
        """Reopen the arrays when needed."""
        self.place, self.columns = state
        self._opened, self._lock = None, Lock()

    def __call__(
        self, index: int, tile: Tile, image: NDArray[np.float32], summary: TileSummary
    ) -> Sequence[float]:
        """Write a tile, then record it as done.

        Parameters
        ----------
        index : int
            Number of the tile in the grid, row by row.
        tile : Tile
        image : (n_slow, n_fast) float32 array
        summary : TileSummary

        Returns
        -------
        sequence of float
            The record, in the order of ``schema.FIELDS``.

        Raises
        ------
        StoreError
            The store is gone, the disk is full, or writing failed otherwise.
        """
        try:
            return outlast(lambda: self._write(index, tile, image, summary), self.place.name)
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{self.place.name}: cannot write tile {index} ({tile}): {reason(error)}"
            ) from error

    def _write(
        self, index: int, tile: Tile, image: NDArray[np.float32], summary: TileSummary
    ) -> Sequence[float]:
        """Write pixels, then the record; may be done again."""
        # zarr would make missing folders anew, and pixels without a store around them.
        self.place.check_alive()
        pixels, records, journal = self._open()
        row, column = divmod(index, self.columns)
        place: tuple[int, ...] = (row, column)
        if pixels.ndim > 2:
            place = (tile.panel, row % records.shape[1], column)
        self._put(pixels, schema.pixels_of(pixels, tile), image, place)
        size = self.place.size(schema.chunk_key(pixels, place))
        values = schema.record_values(checksum(image), summary, size or 0)
        if journal is not None:
            journal.add(index, values)
        else:
            self._put(records, place, np.array(values[: records.shape[-1]]), place)
        return values

    def _put(self, array: Any, part: Any, values: Any, place: tuple[int, ...]) -> None:
        """Write one chunk.  zarr reads what is there at the image's edges: drop it if damaged."""
        try:
            array[part] = values
        except OSError:
            raise
        except Exception:
            self.place.remove(schema.chunk_key(array, place))
            array[part] = values

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                # Opened array by array: what a store may hold besides is of no concern.
                # Every chunk is written, without a look whether it is all fill value.
                options: Any = {"zarr_format": 3, "config": {"write_empty_chunks": True}}
                store = self.place.zarr_store(read_only=False)
                root = read_root(self.place)
                if root is None:
                    raise OSError(errno.EIO, "the root cannot be read")
                self._opened = _Opened(
                    zarr.open_array(store, path=schema.IMAGE, mode="r+", **options),
                    zarr.open_array(store, path=schema.TILES, mode="r+", **options),
                    Journal(store, seed_of(root)) if schema.is_journaled(root) else None,
                )
            return self._opened
