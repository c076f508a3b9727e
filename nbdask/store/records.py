"""The records of tiles, read: from journals and the array ``tiles``; and the first put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import prod
from threading import RLock
from typing import Any, Protocol

import numpy as np

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.journal import is_journal, parsed
from nbdask.store.ledger import Ledger, Table
from nbdask.store.patience import outlast
from nbdask.store.place import Place, Stamp, reason

#: Looks at files that go meanwhile; journals that are read at a time.
_LOOKS, _TOGETHER = 3, 64


class Records(Protocol):
    """The records of a store."""

    def rows(self, start: int, stop: int) -> Table:
        """Return the records of tiles that follow one another, (tiles, fields).

        NaN: none, or it cannot be read.  They may be as old as the last :meth:`refresh`.
        """

    def one(self, index: int) -> Table:
        """Return the record of a tile, (fields,); it may be as old as the last refresh.

        Raises
        ------
        Exception
            Of many kinds: its file is damaged.
        """

    def refresh(self) -> None:
        """See what was written meanwhile."""

    def settle(self) -> None:
        """Write records into the array ``tiles``, then delete all journals.  May be done again.

        The caller holds the lock of the store.

        Raises
        ------
        StoreError
            They cannot be written.
        """


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

    def rows(self, start: int, stop: int) -> Table:
        """Read some; those that cannot be read count as missing."""
        each = prod(self._counts[1:])
        first, last = start // each, -(-stop // each)
        found = [self._row(row) for row in range(first, last)]
        return np.concatenate(found)[start - first * each :][: stop - start]

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

    def settle(self) -> None:
        """Do nothing: each record is where it stays."""


class JournaledRecords:
    """Records that are read when they are asked for, and again where files have changed.

    Those that are in journals are in memory, of the others few.  Threads may share it.

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
        self._ledger = Ledger(place, array)
        #: Journals, and the other files, as they were last read; None: not read yet.
        self._seen: dict[str, Stamp] = {}
        self._others: dict[str, Stamp] | None = None
        self._lock = RLock()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Let one thread read, and name what cannot be read."""
        with self._lock:
            try:
                yield
            except OSError as error:
                raise StoreError(
                    f"{self._place.name}: records cannot be read: {reason(error)}"
                ) from error

    def rows(self, start: int, stop: int) -> Table:
        """Return some records."""
        with self._reading():
            if self._others is None:
                self._refresh()
            return self._ledger.rows(start, stop)

    def one(self, index: int) -> Table:
        """Return the record of a tile."""
        with self._reading():
            if self._others is None:
                self._refresh()
            return self._ledger.one(index)

    def refresh(self) -> None:
        """Read the journals that have changed; all where the array may have changed.

        Raises
        ------
        StoreError
            The files cannot be listed or read.
        """
        with self._reading():
            self._refresh()

    def _refresh(self) -> None:
        """Look until no journal goes meanwhile, as far as that is to be had."""
        for _ in range(_LOOKS):
            if self._look():
                break

    def _look(self) -> bool:
        """Read what has changed; return whether all journals were there."""
        stamps = dict(self._place.stamps(f"{schema.TILES}/"))
        journals = {key: stamp for key, stamp in stamps.items() if is_journal(key)}
        others = {key: stamp for key, stamp in stamps.items() if f"{schema.TILES}/c/" in key}
        if others != self._others or not self._seen.keys() <= journals.keys():
            self._ledger, self._others, self._seen = Ledger(self._place, self._array), others, {}
        changed = _in_turn(key for key, stamp in journals.items() if self._seen.get(key) != stamp)
        # One that could not be read is read next time; if it went meanwhile, it is in the array,
        # which the next look finds changed.
        gone = self._apply(changed, self._ledger)
        self._seen = {key: journals[key] for key in journals if key not in gone}
        return not gone

    def _apply(self, keys: Sequence[str], ledger: Ledger) -> set[str]:
        """Take the entries of journals, some at a time; return those that could not be read."""
        gone: set[str] = set()
        for start in range(0, len(keys), _TOGETHER):
            some = {key: self._place.read(key) for key in keys[start : start + _TOGETHER]}
            there = [data for data in some.values() if data is not None]
            fields = self._array.shape[-1]
            ledger.apply([parsed(data, self._seed, fields) for data in there], self._fits)
            gone |= {key for key, data in some.items() if data is None}
        return gone

    def settle(self) -> None:
        """Write what is in journals into the array, chunk by chunk, then delete them."""
        try:
            outlast(self._settle, self._place.name)
        except OSError as error:
            raise StoreError(
                f"{self._place.name}: records cannot be written: {reason(error)}"
            ) from error

    def _settle(self) -> None:
        journals, ledger = _in_turn(_journals(self._place)), Ledger.to_write(self._place)
        gone = self._apply(journals, ledger)
        ledger.flush()
        for key in journals:
            if key not in gone:
                self._place.remove(key)


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

    def rows(self, start: int, stop: int) -> Table:
        """Return some of these records."""
        return self._records.rows(self._start + start, self._start + stop)

    def one(self, index: int) -> Table:
        """Return the record of a tile, of which the first has the number 0."""
        return self._records.one(self._start + index)

    def refresh(self) -> None:
        """See what was written meanwhile."""
        self._records.refresh()

    def settle(self) -> None:
        """Settle all records."""
        self._records.settle()


def drop_journals(place: Place) -> None:
    """Delete all journals: what they hold is in the array.

    Raises
    ------
    StoreError
        That does not work.
    """
    try:
        for key in _journals(place):
            place.remove(key)
    except OSError as error:
        raise StoreError(f"{place.name}: journals cannot be deleted: {reason(error)}") from error


def _in_turn(journals: Iterable[str]) -> list[str]:
    """Return the n-th files of all processes together: their tiles are near one another."""
    return sorted(journals, key=lambda key: int(key.rpartition(".")[2]))


def _journals(place: Place) -> list[str]:
    return [key for key in place.keys(f"{schema.TILES}/") if is_journal(key)]
