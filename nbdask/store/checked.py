"""Reading pixels against the records of their tiles, so that damage is reported."""

from __future__ import annotations

import errno
from threading import Lock

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store import schema
from nbdask.store.check import FormatError
from nbdask.store.reader import StoreReader
from nbdask.store.write import checksum

#: Bytes that are read at a time where a tile is read for its checksum alone, and bytes that are
#: copied at a time.
_STRIP_BYTES, _PIECE_BYTES = 16 << 20, 1 << 20


class DamageError(StoreError):
    """A part of the image, or of a coarser level of it, that is not what was written.

    Attributes
    ----------
    level : int
        0: the image itself.
    index : int
        Number of the tile, or of the level's chunk, in its grid.
    """

    level: int = 0
    index: int = -1


class CheckedImage:
    """The image of a store, of which every tile is compared with its CRC-32C once.

    Parameters
    ----------
    reader : StoreReader
    missing : bool
        Whether tiles without a record are passed on (NaN where nothing is written yet).
    name : str
        Another array than the image: a further plane.

    Notes
    -----
    Threads may share it.
    """

    def __init__(
        self, reader: StoreReader, *, missing: bool = False, name: str = schema.IMAGE
    ) -> None:
        self._reader, self._missing = reader, missing
        self._array, self._field = reader.arrays[name], schema.field_of("crc32c", name)
        #: Derivatives, whose checksum needs a tile as a whole.
        self._deep = schema.is_deep(self._array)
        self._sound = np.zeros(len(reader.grid), dtype=np.bool_)
        #: Tiles whose first rows were read in order: next row, CRC-32C so far, the recorded one.
        self._begun: dict[int, tuple[int, int, int]] = {}
        self._lock = Lock()

    def read(self, part: Tile) -> NDArray[np.float32]:
        """Return pixels of the part's panel and shot, of tiles that are sound.

        A tile that the part does not cover is read once more as a whole, in strips.

        Returns
        -------
        (n_slow, n_fast) float32 array; of derivatives (parameter, n_slow, n_fast) float64

        Raises
        ------
        StoreError
            A tile is damaged, has no record, or cannot be read; it is named.
        """
        return self._read(part, in_order=False)

    def read_next(self, part: Tile) -> NDArray[np.float32]:
        """Return pixels as :meth:`read` does, for parts from the first row to the last.

        Tiles that are read row by row, in their whole width, are compared when their last row is:
        what was returned before is to be trusted after :meth:`finish` only.
        """
        return self._read(part, in_order=True)

    def finish(self) -> None:
        """Compare the tiles of which :meth:`read_next` has returned the first rows only.

        Raises
        ------
        StoreError
            As :meth:`read`.
        """
        for index in list(self._begun):
            self._rest(index, *self._begun.pop(index))

    def _read(self, part: Tile, *, in_order: bool) -> NDArray[np.float32]:
        """Read a part, and compare the tiles that were not compared yet."""
        pixels = self._pixels(part)
        for index in self._overlapping(part):
            if self._sound[index]:
                continue
            tile = self._reader.grid[index]
            row, crc, recorded = self._begun.get(index, (tile.slow0, 0, -1))
            wide = part.fast0 <= tile.fast0 and tile.fast1 <= part.fast1 and not self._deep
            stop = min(part.slow1, tile.slow1)
            if in_order and stop <= row:
                continue
            usable = wide and part.slow0 <= row and (stop == tile.slow1 or in_order)
            if recorded < 0:
                found = self._record(index)
                if found is None:
                    self._sound[index] = True
                    continue
                recorded = found
            if not usable:
                self._begun.pop(index, None)
                self._rest(index, tile.slow0, 0, recorded)
                continue
            rows = slice(row - part.slow0, stop - part.slow0)
            columns = slice(tile.fast0 - part.fast0, tile.fast1 - part.fast0)
            crc = extended(crc, pixels[rows, columns])
            if stop < tile.slow1:
                self._begun[index] = (stop, crc, recorded)
            else:
                self._begun.pop(index, None)
                self._compare(index, crc, recorded)
        return pixels

    def _overlapping(self, part: Tile) -> list[int]:
        """Return the numbers of the tiles that hold pixels of a part."""
        return overlapping(self._reader.grid, part)

    def _rest(self, index: int, row: int, crc: int, recorded: int) -> None:
        """Read a tile from a row on for its checksum."""
        tile = self._reader.grid[index]
        if self._deep:
            self._compare(index, checksum(self._pixels(tile)), recorded)
            return
        height = int(self._array.chunks[-2])
        height *= max(1, _STRIP_BYTES // (4 * tile.shape[1] * height))
        for start in range(row, tile.slow1, height):
            stop = min(start + height, tile.slow1)
            crc = extended(crc, self._pixels(tile._replace(slow0=start, slow1=stop)))
        self._compare(index, crc, recorded)

    def _compare(self, index: int, crc: int, recorded: int) -> None:
        """Raise an error unless a tile's checksum is the recorded one."""
        if crc != recorded and crc != self._record(index, anew=True):
            text = f"CRC-32C {crc:08x} instead of the recorded {recorded:08x}"
            raise damaged(self._reader, index, text)
        self._sound[index] = True

    def _record(self, index: int, *, anew: bool = False) -> int | None:
        """Return the CRC-32C on record, None where a tile without one is to be passed on."""
        try:
            with self._lock:
                record = None if anew else self._reader.record(index)
                if record is None:  # It may have been written meanwhile.
                    self._reader.records.refresh()
                    record = self._reader.record(index)
        except Exception as error:  # zarr and its codecs raise many kinds for a damaged file
            raise _told(self._reader, index, "its record", error) from error
        if record is None:
            if self._missing:
                return None
            raise damaged(self._reader, index, "it has no record")
        return int(record[self._field])

    def _pixels(self, part: Tile) -> NDArray[np.float32]:
        """Read pixels; where that fails, find out which tile it is."""
        try:
            return self._plain(part)
        except Exception:  # zarr and its codecs raise many kinds for a damaged file
            for index in self._overlapping(part):
                try:
                    self._plain(common(part, self._reader.grid[index]))
                except Exception as error:
                    raise _told(self._reader, index, "its pixels", error) from error
            # Each can be read by now: a file was replaced meanwhile.
            return self._plain(part)

    def _plain(self, part: Tile) -> NDArray[np.float32]:
        """Read pixels as zarr gives them."""
        return np.asarray(self._array[schema.pixels_of(self._array, part)])


def extended(crc: int, pixels: NDArray[np.float32]) -> int:
    """Return a tile's CRC-32C with further rows, as little-endian float32 bytes in C order."""
    rows = max(1, _PIECE_BYTES // (4 * pixels.shape[1]))
    for start in range(0, len(pixels), rows):
        band = np.ascontiguousarray(pixels[start : start + rows], dtype="<f4")
        crc = int(google_crc32c.extend(crc, band.tobytes()))
    return crc


def overlapping(grid: TileGrid, part: Tile) -> list[int]:
    """Return the numbers of the tiles that hold pixels of a part."""
    if part.slow1 <= part.slow0 or part.fast1 <= part.fast0:
        return []
    rows = range(part.slow0 // grid.tile[0], (part.slow1 - 1) // grid.tile[0] + 1)
    columns = range(part.fast0 // grid.tile[1], (part.fast1 - 1) // grid.tile[1] + 1)
    first = part.shot * grid.per_shot + part.panel * grid.per_panel
    return [first + row * grid.counts[1] + column for row in rows for column in columns]


def damaged(reader: StoreReader, index: int, why: str) -> DamageError:
    """Return the error of a tile that is not as its record says.

    Parameters
    ----------
    reader : StoreReader
    index : int
    why : str
        What is wrong with it.
    """
    tile = reader.grid[index]
    shot = "" if reader.shot is None else f"shot {reader.shot}, "
    error = DamageError(
        f"{reader.path}: {shot}tile {index} ({tile}) is damaged: {why}; nbdask verify"
        f" {reader.path} names all such tiles, nbdask repair {reader.path} computes them again"
    )
    error.index = index
    return error


def _told(reader: StoreReader, index: int, what: str, error: Exception) -> StoreError:
    """Return the error of what cannot be read: a damaged file, or no connection, no permission."""
    if isinstance(error, StoreError) and not isinstance(error, FormatError):
        return error
    if isinstance(error, OSError) and error.errno != errno.EIO:
        return StoreError(f"{reader.path}: tile {index} cannot be read: {error.strerror or error}")
    return damaged(reader, index, f"{what} cannot be read ({' '.join(str(error).split())})")


def common(part: Tile, tile: Tile) -> Tile:
    """Return the pixels that two overlapping rectangles share."""
    return Tile(
        max(part.slow0, tile.slow0),
        min(part.slow1, tile.slow1),
        max(part.fast0, tile.fast0),
        min(part.fast1, tile.fast1),
        part.panel,
        part.shot,
    )
