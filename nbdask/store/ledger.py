"""The array ``tiles`` chunk by chunk: few of its chunks are in memory, however many tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.patience import outlast
from nbdask.store.place import Place, reason

Table = NDArray[np.float64]
#: Chunks in memory; of those that have changed as many again.
MOST = 128
#: The one field that is not the same whoever computes a tile.
_SECONDS = schema.FIELDS.index("seconds")


class Ledger:
    """Records of tiles, read from the array ``tiles`` when they are asked for, and changed.

    Parameters
    ----------
    place : Place
    array : zarr.Array
        ``tiles``.
    writes : bool
        Whether chunks that have changed are written: once all their tiles are on record, when too
        many are in memory, and by :meth:`flush`.  The caller holds the lock of the store.
        Otherwise they stay in memory.
    """

    def __init__(self, place: Place, array: Any, *, writes: bool = False) -> None:
        self._place, self._array, self._writes = place, array, writes
        counts, chunk = array.shape[:-1], array.chunks[:-1]
        # Chunks hold tiles that follow one another: part of one axis, the later ones as a whole.
        axis = next((at for at, size in enumerate(chunk) if size > 1), len(chunk) - 1)
        inner: int = math.prod(counts[axis + 1 :])
        self._step, self._period = int(chunk[axis]) * inner, int(counts[axis]) * inner
        #: First tile -> records; what was used last is last.
        self._same: dict[int, Table] = {}
        self._changed: dict[int, Table] = {}
        self._damaged: dict[int, str] = {}
        self._applied = np.zeros(math.prod(counts), dtype=np.bool_)

    @classmethod
    def to_write(cls, place: Place) -> Ledger:
        """Return the records of a store whose lock the caller holds."""
        store = place.zarr_store(read_only=False)
        array: Any = zarr.open_array(store, path=schema.TILES, mode="r+", zarr_format=3)
        return cls(place, array, writes=True)

    def rows(self, start: int, stop: int) -> Table:
        """Return the records of tiles that follow one another, (tiles, fields); NaN: none."""
        found: Table = np.empty((stop - start, self._array.shape[-1]))
        while start < stop:
            first = self._first(start)
            end = min(self._end(first), stop)
            held = self._chunk(first)[start - first : end - first]
            found[len(found) - (stop - start) :][: len(held)] = held
            start = end
        return found

    def one(self, index: int) -> Table:
        """Return the record of a tile, (fields,).

        Raises
        ------
        ValueError
            The file that it is in is damaged.
        """
        first = self._first(index)
        record = self._chunk(first)[index - first]
        if first in self._damaged and np.isnan(record).all():
            raise ValueError(self._damaged[first])
        return np.array(record)

    def put(self, index: int, record: Sequence[float]) -> None:
        """Take the record of a tile.

        Raises
        ------
        StoreError
            A chunk cannot be written.
        """
        first = self._first(index)
        table = self._to_change(first)
        table[index - first] = record
        if self._writes and not np.isnan(table[:, 0]).any():
            self._write(first)

    def drop(self, indices: Iterable[int]) -> None:
        """Forget the records of some tiles."""
        for index in indices:
            first = self._first(index)
            self._to_change(first)[index - first] = np.nan

    def apply(self, journals: Sequence[NDArray[Any]], fits: Callable[[int, Table], bool]) -> None:
        """Take the entries of journals; where two of them differ, the pixels decide.

        Parameters
        ----------
        journals : sequence of arrays of :func:`~.journal.entry_type`
            Each has one entry of a tile.
        fits : callable
            (tile, record) -> whether the pixels are those of the record.
        """
        if not journals:
            return
        joined = np.concatenate(journals)
        # At once, which is quick, where no tile is in two of them.
        alone = len(np.unique(joined["index"])) == len(joined)
        for entries in [joined] if alone else journals:
            inside = (entries["index"] >= 0) & (entries["index"] < len(self._applied))
            ordered = entries[inside][np.argsort(entries["index"][inside], kind="stable")]
            firsts = self._first(ordered["index"])
            for part in np.split(ordered, np.flatnonzero(np.diff(firsts)) + 1):
                if len(part):
                    values = np.ascontiguousarray(part["values"])
                    self._apply(int(self._first(part["index"][0])), part["index"], values, fits)

    def _apply(
        self,
        first: int,
        indices: NDArray[np.int64],
        values: Table,
        fits: Callable[[int, Table], bool],
    ) -> None:
        """Take entries of one chunk."""
        differ = values.view(np.uint64) != self._chunk(first)[indices - first].view(np.uint64)
        if differ.any():
            table = self._to_change(first)
            contested = self._applied[indices] & np.delete(differ, _SECONDS, axis=1).any(axis=1)
            table[indices[~contested] - first] = values[~contested]
            for index, value in zip(indices[contested], values[contested], strict=True):
                row = index - first
                if not fits(int(index), table[row]):
                    table[row] = value if fits(int(index), value) else np.nan
        self._applied[indices] = True

    def flush(self) -> None:
        """Write all chunks that have changed.

        Raises
        ------
        StoreError
            One cannot be written.
        """
        for first in list(self._changed):
            self._write(first)

    def _first(self, index: Any) -> Any:
        """Return the first tile of the chunk that holds a tile, or of those that hold several."""
        start = index // self._period * self._period
        return start + (index - start) // self._step * self._step

    def _end(self, first: int) -> int:
        """Return the tile behind the last one of a chunk."""
        return min(first + self._step, (first // self._period + 1) * self._period)

    def _part(self, first: int) -> tuple[slice, ...]:
        """Return what a chunk covers of the array."""
        corner = np.unravel_index(first, self._array.shape[:-1])
        chunks = zip(corner, self._array.chunks, strict=False)
        return tuple(slice(int(at), int(at) + size) for at, size in chunks)

    def _chunk(self, first: int) -> Table:
        """Return a chunk, (tiles, fields); NaN where it cannot be read."""
        for held in (self._changed, self._same):
            if first in held:
                found = held[first] = held.pop(first)
                return found
        if len(self._same) >= MOST:
            del self._same[next(iter(self._same))]
        found = self._same[first] = self._read(first)
        return found

    def _to_change(self, first: int) -> Table:
        """Return a chunk that is going to be changed."""
        table = self._changed[first] = self._chunk(first)
        self._same.pop(first, None)
        if self._writes and len(self._changed) > MOST:
            self._write(next(iter(self._changed)))
        return table

    def _read(self, first: int) -> Table:
        part, shape = self._part(first), (self._end(first) - first, self._array.shape[-1])
        self._damaged.pop(first, None)
        try:
            return np.array(self._array[part], dtype=np.float64).reshape(shape)
        except OSError:
            raise
        except Exception as error:  # whatever zarr and its codecs raise for a damaged file
            text = " ".join(str(error).split())
            self._damaged[first] = f"the file of its record is damaged: {text}"
            return np.full(shape, np.nan)

    def _write(self, first: int) -> None:
        """Write a chunk unless it is there, and forget it."""
        part, table = self._part(first), self._changed[first]
        shape = tuple(
            min(at.stop, side) - at.start for at, side in zip(part, self._array.shape, strict=False)
        )
        values = table.reshape(*shape, -1)

        def write() -> None:
            """Do so; may be done again."""
            # zarr would make missing folders anew, and records without a store around them.
            self._place.check_alive()
            try:
                same = np.asarray(self._array[part]).tobytes() == values.tobytes()
            except OSError:
                raise
            except Exception:  # whatever zarr and its codecs raise for a damaged file
                same = False
            if not same:
                self._put(part, values)

        try:
            outlast(write, self._place.name)
        except OSError as error:
            name = self._place.name
            raise StoreError(f"{name}: records cannot be written: {reason(error)}") from error
        del self._changed[first]

    def _put(self, part: tuple[slice, ...], values: Table) -> None:
        """Write a chunk.  zarr reads what is there at the array's edges: drop it if damaged."""
        try:
            self._array[part] = values
        except OSError:
            raise
        except Exception:
            corner = [at.start // s for at, s in zip(part, self._array.chunks, strict=False)]
            key = self._array.metadata.encode_chunk_key((*corner, 0))
            self._place.remove(f"{schema.TILES}/{key}")
            self._array[part] = values


def record_chunks(counts: tuple[int, ...], fields: int = len(schema.FIELDS)) -> tuple[int, ...]:
    """Return the chunk of records: as many whole rows of tiles as hold 1024, or part of one."""
    chunks: list[int] = []
    room = schema.RECORDS
    for count in reversed(counts):
        chunks.insert(0, min(count, room))
        room = max(1, room // count)
    return (*chunks, fields)
