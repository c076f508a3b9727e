"""Writing one tile: its pixels first, then its record."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store

from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile
from nbdask.statistics import TileSummary
from nbdask.store import schema
from nbdask.store.address import place_of, read_root
from nbdask.store.chunk import Encoder, put
from nbdask.store.journal import Journal, seed_of
from nbdask.store.patience import outlast
from nbdask.store.pixels import as_stored
from nbdask.store.place import Place, reason

#: Pixels of which the checksum is taken at a time.
_PIECE = 1 << 14


def checksum(image: NDArray[Any]) -> int:
    """Return the CRC-32C of a tile's pixels as little-endian float32 bytes in C order.

    Derivatives are float64.
    """
    kind = "<f8" if image.dtype == np.float64 else "<f4"
    rows = max(1, _PIECE // max(1, image.shape[-1]))
    pixels, crc = np.ascontiguousarray(image, dtype=kind), 0
    # In pieces: copies of a whole tile would be given back to the system, and be had anew.
    for row in range(0, len(pixels), rows):
        crc = int(google_crc32c.extend(crc, pixels[row : row + rows].tobytes()))
    return crc


class _Pixels(NamedTuple):
    """An array of pixels, and what makes its files (None: zarr does)."""

    array: Any
    encoder: Encoder | None

    @classmethod
    def of(cls, array: Any) -> _Pixels:
        """Return an array with its encoder."""
        return cls(array, None if schema.is_deep(array) else Encoder.of(array))


class _Opened(NamedTuple):
    """The arrays of a store, and where its records go (None: into the array)."""

    store: Store
    pixels: _Pixels
    records: Any
    journal: Journal | None
    planes: Mapping[str, _Pixels]


@dataclass(eq=False)
class TileWriter:
    """Writes tiles of one store.  Picklable; each process opens the arrays once.

    Parameters
    ----------
    out : path, address or Place
        The store, which must exist.  Endpoint and keys of object storage never travel: each
        process takes them from its own environment.
    """

    out: InitVar[str | os.PathLike[str] | Place]
    place: Place = field(init=False)
    _opened: _Opened | None = field(default=None, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __post_init__(self, out: str | os.PathLike[str] | Place) -> None:
        """Find the place."""
        self.place = place_of(out)

    def __getstate__(self) -> Place:
        """Leave the open arrays behind."""
        return self.place

    def __setstate__(self, state: Place) -> None:
        """Reopen the arrays when needed."""
        self.place = state
        self._opened, self._lock = None, Lock()

    def __call__(
        self,
        index: int,
        tile: Tile,
        image: NDArray[np.float32],
        summary: TileSummary,
        planes: Mapping[str, NDArray[Any]] = MappingProxyType({}),
    ) -> Sequence[float]:
        """Write a tile, then record it as done.

        Parameters
        ----------
        index : int
            Number of the tile in the grid.
        tile : Tile
        image : (n_slow, n_fast) float32 array
        summary : TileSummary
        planes : mapping
            Further planes by name, as large as the image: all that the store has; derivatives
            (parameter, n_slow, n_fast) float64.

        Returns
        -------
        sequence of float
            The record, in the order of the store's fields.

        Raises
        ------
        StoreError
            The store is gone, the disk is full, or writing failed otherwise.
        """
        record = self.pixels(index, tile, image, summary, planes)
        self.record([(index, record)])
        return record

    def pixels(
        self,
        index: int,
        tile: Tile,
        image: NDArray[np.float32],
        summary: TileSummary,
        planes: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
    ) -> Sequence[float]:
        """Write the pixels of a tile alone; return what :meth:`record` takes.

        Parameters and errors are those of a call.
        """
        with self._named(f"tile {index} ({tile})"):
            return outlast(
                lambda: self._write(index, tile, image, summary, planes), self.place.name
            )

    def record(self, records: Sequence[tuple[int, Sequence[float]]]) -> None:
        """Record tiles as done whose pixels are written.

        Parameters
        ----------
        records : sequence of tuple
            Number of a tile, and what :meth:`pixels` gave.

        Raises
        ------
        StoreError
            As of a call.
        """
        with self._named(f"the record of tile {records[0][0]}"):
            outlast(lambda: self._record(records), self.place.name)

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """Say in errors what could not be written."""
        try:
            yield
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{self.place.name}: cannot write {what}: {reason(error)}") from error

    def _write(
        self,
        index: int,
        tile: Tile,
        image: NDArray[np.float32],
        summary: TileSummary,
        planes: Mapping[str, NDArray[Any]],
    ) -> Sequence[float]:
        """Write pixels; may be done again."""
        # zarr would make missing folders anew, and pixels without a store around them.
        self.place.check_alive()
        opened = self._open()
        place = _place(opened, index)
        crc, size = self._pixels(opened.pixels, tile, image, place)
        arrays = opened.planes
        more = [self._pixels(arrays[name], tile, planes[name], place) for name in arrays]
        return schema.record_values(crc, summary, size, more)

    def _record(self, records: Sequence[tuple[int, Sequence[float]]]) -> None:
        """Put tiles on record; may be done again."""
        self.place.check_alive()
        opened = self._open()
        if opened.journal is not None:
            opened.journal.add(records)
            return
        for index, record in records:
            values = np.array(record[: opened.records.shape[-1]])
            self._put(opened.records, _place(opened, index), values, _place(opened, index))

    def _pixels(
        self, held: _Pixels, tile: Tile, pixels: NDArray[Any], place: tuple[int, ...]
    ) -> tuple[int, int]:
        """Write a tile of the image or a plane; return its checksum and the bytes of its file."""
        array, encoder = held
        values, key = as_stored(pixels, array.dtype), schema.chunk_key(array, place)
        if encoder is None:
            self._put(array, schema.pixels_of(array, tile), values, place)
            return checksum(pixels), self.place.size(key) or 0
        data = encoder(values)
        put(self._open().store, key, data)
        return checksum(pixels), len(data)

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
                planes = schema.planes_of(root)
                arrays = {
                    name: zarr.open_array(store, path=name, mode="r+", **options)
                    for name in (schema.IMAGE, schema.TILES, *planes)
                }
                self._opened = _Opened(
                    store,
                    _Pixels.of(arrays[schema.IMAGE]),
                    arrays[schema.TILES],
                    Journal(store, seed_of(root)) if schema.is_journaled(root) else None,
                    {name: _Pixels.of(arrays[name]) for name in planes},
                )
            return self._opened


def _place(opened: _Opened, index: int) -> tuple[int, ...]:
    """Return the place of a tile in the arrays."""
    return tuple(int(at) for at in np.unravel_index(index, opened.records.shape[:-1]))
