"""The records of tiles, read: from journals and the array ``tiles``; and the first put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from threading import RLock
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.journal import is_journal, parsed
from nbdask.store.patience import outlast
from nbdask.store.place import Place, Stamp, reason

Table = NDArray[np.float64]
#: The one field that is not the same whoever computes a tile.
_SECONDS = schema.FIELDS.index("seconds")


class Records(Protocol):
    """The records of a store."""

    def table(self) -> Table:
        """Return the records as they are now, (tiles, fields); NaN: none, or it cannot be read.

        Nobody may change it.
        """

    def one(self, index: int) -> Table:
        """Return the record of a tile, (fields,); it may be as old as the last table.

        Raises
        ------
        Exception
            Of many kinds: its file is damaged.
        """

    def refresh(self) -> None:
        """See what was written meanwhile."""


class SingleRecords:
    """Records of format versions 1 and 2: a file for each, read when it is asked for.

    Parameters
    ----------
    array : zarr.Array
        ``tiles``.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self._counts = array.shape[:-1]

    def table(self) -> Table:
        """Read all; those that cannot be read count as missing."""
        return np.concatenate([self._row(row) for row in range(self._counts[0])])

    def _row(self, row: int) -> Table:
        fields = self._array.shape[-1]
        with suppress(Exception):  # whatever zarr and its codecs raise for a damaged file
            found: Table = np.asarray(self._array[row]).reshape(-1, fields)
            return found
        values: Table = np.full(self._array.shape[1:], np.nan)
        for place in np.ndindex(values.shape[:-1]):
            with suppress(ValueError, RuntimeError, KeyError):
                values[place] = self._array[(row, *place)]
        return values.reshape(-1, fields)

    def one(self, index: int) -> Table:
        """Read one record."""
        return np.asarray(self._array[tuple(int(i) for i in np.unravel_index(index, self._counts))])

    def refresh(self) -> None:
        """Do nothing: every record is read anew."""


class JournaledRecords:
    """Records that are read once, and again where files have changed.  Threads may share it.

    Parameters
    ----------
    place : Place
    array : zarr.Array
        ``tiles``.
    seed : int
        See :func:`~.journal.seed_of`.
    fits : callable
        (tile, record) -> whether the pixels are those of the record: where journals differ.
    """

    def __init__(
        self, place: Place, array: Any, seed: int, fits: Callable[[int, Table], bool]
    ) -> None:
        self._place, self._array, self._seed, self._fits = place, array, seed, fits
        self._table: Table = np.empty((0, array.shape[-1]))
        self._journaled: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._unreadable: dict[int, str] = {}
        #: Journals, and the other files, as they were last read; None: not read yet.
        self._seen: dict[str, Stamp] = {}
        self._others: dict[str, Stamp] | None = None
        self._lock = RLock()

    def table(self) -> Table:
        """Return all records, in one piece of memory."""
        with self._lock:
            self.refresh()
            return self._table

    def one(self, index: int) -> Table:
        """Return the record of a tile."""
        with self._lock:
            if self._others is None:
                self.refresh()
            if index in self._unreadable and not self._journaled[index]:
                raise ValueError(self._unreadable[index])
            return np.array(self._table[index])

    def refresh(self) -> None:
        """Read the journals that have changed; all where the array may have changed.

        Raises
        ------
        StoreError
            The files cannot be listed or read.
        """
        with self._lock:
            try:
                self._refresh()
            except OSError as error:
                raise StoreError(
                    f"{self._place.name}: records cannot be read: {reason(error)}"
                ) from error

    def _refresh(self) -> None:
        stamps = self._place.stamps(f"{schema.TILES}/")
        journals = {key: stamp for key, stamp in stamps.items() if is_journal(key)}
        others = {key: stamp for key, stamp in stamps.items() if f"{schema.TILES}/c/" in key}
        changed = [key for key, stamp in journals.items() if self._seen.get(key) != stamp]
        found = {key: self._place.read(key) for key in changed}
        if others != self._others or not self._seen.keys() <= journals.keys():
            # Journals first: what is no longer in one by now is in the array, which is read later.
            found = {key: found.get(key) or self._place.read(key) for key in journals}
            self._read_array()
            self._others = others
        for data in found.values():
            if data is not None:
                self._apply(parsed(data, self._seed, self._array.shape[-1]))
        # One that could not be read is read next time; if it went meanwhile, it is in the array,
        # which the next look finds changed.
        self._seen = {key: journals[key] for key in journals if found.get(key, b"") is not None}

    def _read_array(self) -> None:
        """Read the array; of a damaged file each record counts as missing."""
        fields = self._array.shape[-1]
        self._unreadable = {}
        try:
            values = np.asarray(self._array[...])
        except OSError:
            raise
        except Exception:  # whatever zarr and its codecs raise for a damaged file
            values = np.full(self._array.shape, np.nan)
            numbers = np.arange(values[..., 0].size).reshape(values.shape[:-1])
            for part in _chunks(self._array):
                try:
                    values[part] = self._array[part]
                except Exception as error:  # as above
                    text = f"the file of its record is damaged: {' '.join(str(error).split())}"
                    self._unreadable |= dict.fromkeys(numbers[part[:-1]].ravel().tolist(), text)
        self._table = values.reshape(-1, fields)
        self._journaled = np.zeros(len(self._table), dtype=np.bool_)

    def _apply(self, entries: NDArray[Any]) -> None:
        """Take the entries of a journal; where another one differs, the pixels decide."""
        inside = (entries["index"] >= 0) & (entries["index"] < len(self._table))
        entries = entries[inside]
        indices, values = entries["index"], np.ascontiguousarray(entries["values"])
        bits, held = values.view(np.uint64), self._table[indices].view(np.uint64)
        other = np.delete(bits != held, _SECONDS, axis=1).any(axis=1)
        differs = self._journaled[indices] & other
        self._table[indices[~differs]] = values[~differs]
        self._journaled[indices] = True
        for index, value in zip(indices[differs].tolist(), values[differs], strict=True):
            if not self._fits(index, self._table[index]):
                self._table[index] = value if self._fits(index, value) else np.nan


class PartOfRecords:
    """The records of some tiles that follow one another, such as those of a shot.

    Parameters
    ----------
    records : Records
        Of all tiles.
    start, count : int
        Number of the first tile, and how many there are.
    """

    def __init__(self, records: Records, start: int, count: int) -> None:
        self._records, self._start, self._count = records, start, count

    def table(self) -> Table:
        """Return these records."""
        return self._records.table()[self._start : self._start + self._count]

    def one(self, index: int) -> Table:
        """Return the record of a tile, of which the first has the number 0."""
        return self._records.one(self._start + index)

    def refresh(self) -> None:
        """See what was written meanwhile."""
        self._records.refresh()


def record_chunks(counts: tuple[int, ...], fields: int = len(schema.FIELDS)) -> tuple[int, ...]:
    """Return the chunk of records: as many whole rows of tiles as hold 1024, or part of one."""
    chunks: list[int] = []
    room = schema.RECORDS
    for count in reversed(counts):
        chunks.insert(0, min(count, room))
        room = max(1, room // count)
    return (*chunks, fields)


def settle(place: Place, table: Table, done: NDArray[np.bool_] | None = None) -> None:
    """Write records into the array ``tiles``, then delete all journals.  May be done again.

    Parameters
    ----------
    place : Place
        The caller holds its lock.
    table : (tiles, fields) float64 array
        With all that is in journals.
    done : (tiles,) bool array, optional
        Tiles that have a record; None: all that are not NaN in the table.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    try:
        outlast(lambda: _settle(place, table, done), place.name)
    except OSError as error:
        raise StoreError(f"{place.name}: records cannot be written: {reason(error)}") from error


def _settle(place: Place, table: Table, done: NDArray[np.bool_] | None) -> None:
    journals = [key for key in place.keys(f"{schema.TILES}/") if is_journal(key)]
    store = place.zarr_store(read_only=False)
    array: Any = zarr.open_array(store, path=schema.TILES, mode="r+", zarr_format=3)
    values = table.reshape(array.shape)
    there = None if done is None else done.reshape(array.shape[:-1])
    for part in _chunks(array):
        rows = values[part]
        if there is not None:
            rows = np.where(there[part[:-1]][..., None], rows, np.nan)
        if not _holds(array, part, rows):
            _put(place, array, part, rows)
    for key in journals:
        place.remove(key)


def _chunks(array: Any) -> Iterator[tuple[slice, ...]]:
    """Yield what each chunk of an array covers."""
    starts = (range(0, side, chunk) for side, chunk in zip(array.shape, array.chunks, strict=True))
    for corner in product(*starts):
        yield tuple(slice(at, at + size) for at, size in zip(corner, array.chunks, strict=True))


def _holds(array: Any, part: tuple[slice, ...], values: Table) -> bool:
    with suppress(Exception):  # whatever zarr and its codecs raise for a damaged file
        return np.asarray(array[part]).tobytes() == values.tobytes()
    return False


def _put(place: Place, array: Any, part: tuple[slice, ...], values: Table) -> None:
    """Write a chunk.  zarr reads what is there at the array's edges: drop it if damaged."""
    try:
        array[part] = values
    except OSError:
        raise
    except Exception:
        corner = [at.start // size for at, size in zip(part, array.chunks, strict=True)]
        place.remove(f"{schema.TILES}/{array.metadata.encode_chunk_key(tuple(corner))}")
        array[part] = values
