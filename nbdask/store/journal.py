"""Journals: the records of tiles as they finish; each process writes files of its own.

A journal is replaced as a whole for every entry, so that nothing is half there, on any kind of
storage, and nobody else writes to it.  :mod:`~.records` puts them into the array ``tiles``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from zarr.abc.store import Store

from nbdask.store import schema
from nbdask.store.chunk import put

#: After so many entries a process begins another file.
MOST = 256
_NAME = re.compile(rf"{schema.TILES}/journal\.[0-9a-f]{{16}}\.[0-9]+")


def is_journal(key: str) -> bool:
    """Return whether a file of a store is a journal."""
    return _NAME.fullmatch(key) is not None


def seed_of(attributes: Mapping[str, Any]) -> int:
    """Return what the checksums of a store's entries begin with.

    So an entry for a store that was there before, under the same name, is none of this one.
    """
    text = f"{attributes.get('fingerprint')} {attributes.get('started')}"
    return int(google_crc32c.value(text.encode()))


@cache
def entry_type(fields: int) -> np.dtype[Any]:
    """Return the type of an entry: number of the tile, its record, checksum of both."""
    return np.dtype([("index", "<i8"), ("values", "<f8", (fields,)), ("crc32c", "<u4")])


def entry(index: int, values: Sequence[float], seed: int) -> bytes:
    """Return the bytes of an entry: the record of one tile."""
    made = np.zeros((), dtype=entry_type(len(values)))
    made["index"], made["values"] = index, values
    data = made.tobytes()[:-4]
    return data + int(google_crc32c.extend(seed, data)).to_bytes(4, "little")


def parsed(data: bytes, seed: int, fields: int = len(schema.FIELDS)) -> NDArray[Any]:
    """Return the sound entries of a journal, of one tile only the last.

    Parameters
    ----------
    data : bytes
    seed : int
        See :func:`seed_of`.
    fields : int
        Of a record.

    Returns
    -------
    (entries,) array of :func:`entry_type`
    """
    kind, extend = entry_type(fields), google_crc32c.extend
    size, checked = kind.itemsize, kind.itemsize - 4
    rows = np.frombuffer(data, dtype=kind, count=len(data) // size)
    found = [extend(seed, data[at : at + checked]) for at in range(0, size * len(rows), size)]
    rows = rows[rows["crc32c"] == np.array(found, dtype=np.uint32)]
    if (np.diff(rows["index"]) > 0).all():
        return np.asarray(rows)
    _, last = np.unique(rows["index"][::-1], return_index=True)
    return np.asarray(rows[::-1][last])


class Journal:
    """Writes entries.  Threads of one process share it; processes do not.

    Parameters
    ----------
    store : Store
        zarr's store, of which a file is there as a whole when it is said to be written.
    seed : int
        See :func:`seed_of`.
    """

    def __init__(self, store: Store, seed: int) -> None:
        self._store, self._seed = store, seed
        self._name, self._number = f"{schema.TILES}/journal.{secrets.token_hex(8)}", 0
        self._entries: list[bytes] = []
        self._added = self._written = 0
        self._adding, self._writing = Lock(), Lock()

    def add(self, records: Sequence[tuple[int, Sequence[float]]]) -> None:
        """Put tiles on record.

        Parameters
        ----------
        records : sequence of tuple
            Number of a tile, and its values in the order of the store's fields.

        Raises
        ------
        OSError
            It cannot be written; it may be added again.
        """
        with self._adding:
            self._entries += [entry(index, values, self._seed) for index, values in records]
            self._added += len(records)
            mine = self._added
        with self._writing:
            if self._written >= mine:
                return  # Another thread wrote it along with its own.
            with self._adding:
                entries, added = self._entries.copy(), self._added
            put(self._store, f"{self._name}.{self._number}", b"".join(entries))
            self._written = added
            if len(entries) >= MOST:
                self._number += 1
                with self._adding:
                    del self._entries[: len(entries)]
