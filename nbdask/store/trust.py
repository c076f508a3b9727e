"""Which tiles on record are not there: what a resumed run looks at before it relies on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.place import reason
from nbdask.store.reader import StoreReader

#: Tiles written so long before the last one [s] are on the disk by now, whatever the system does.
NEWEST = 60.0
_THREADS = 4


def lost_tiles(reader: StoreReader, done: NDArray[np.bool_], *, every: bool) -> list[int]:
    """Return the tiles on record whose pixels are not those that were recorded.

    The file of each has to be there, of the size on record.  The newest, which a power cut may have
    damaged, are also read against their checksum.

    Parameters
    ----------
    reader : StoreReader
    done : (tiles,) bool array
        Tiles on record.
    every : bool
        Read all tiles, not only the newest.

    Raises
    ------
    StoreError
        The files cannot be listed or read.
    """
    wrong, times = ~done, np.zeros(len(done))
    for name in reader.arrays:
        sizes, written = _files(reader, name)
        wrong |= sizes == 0
        for start, known in _sizes(reader, name):
            here = slice(start, start + len(known))
            wrong[here] |= known != sizes[here]
        np.maximum(times, written, out=times)
    newest = times >= times.max() - NEWEST
    read = np.flatnonzero(~wrong & (newest | every)).tolist()
    wrong[read] = True
    wrong[sound_tiles(reader, read)] = False
    found: list[int] = np.flatnonzero(wrong & done).tolist()
    return found


def _files(reader: StoreReader, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the size of the file of each tile (0: there is none), and when it was written [s].

    Arrays, since an object for each of a million files would take hundreds of megabytes.
    """
    sizes, times = np.zeros(len(reader.grid), dtype=np.int64), np.zeros(len(reader.grid))
    lead = int(schema.is_deep(reader.arrays[name]))
    try:
        for key, stamp in reader.place.stamps(f"{name}/c/"):
            with suppress(ValueError):  # no tile's file
                index = reader.grid.number([int(part) for part in key.split("/")[2 + lead :]])
                if 0 <= index < len(sizes):
                    sizes[index], times[index] = stamp
    except OSError as error:
        raise StoreError(f"{reader.path}: cannot be listed: {reason(error)}") from error
    return sizes, times


def sound_tiles(reader: StoreReader, indices: Iterable[int]) -> list[int]:
    """Return those of some tiles on record whose pixels have their checksums; all are read.

    Raises
    ------
    StoreError
        A file cannot be read.
    """
    listed = list(indices)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="nbdask") as pool:
        sound = pool.map(lambda index: _is_sound(reader, index), listed)
        return [index for index, good in zip(listed, sound, strict=True) if good]


def _sizes(reader: StoreReader, name: str) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the recorded sizes of some tiles after another, behind the number of the first.

    Nothing where the format has none.
    """
    field = schema.field_of("bytes", name)
    if field in reader.fields:
        column, start = reader.fields.index(field), 0
        for block in reader.record_blocks():
            yield start, block[:, column]
            start += len(block)


def _is_sound(reader: StoreReader, index: int) -> bool:
    """Whether a tile has the checksum on record."""
    try:
        record = reader.record(index)
        return record is not None and reader.is_sound(index, record)
    except OSError as error:
        raise StoreError(f"{reader.path}: cannot read: {reason(error)}") from error
    except Exception:  # whatever zarr and its codecs raise for a damaged file
        return False
