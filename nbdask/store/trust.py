"""Which tiles on record are not there: what a resumed run looks at before it relies on them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.place import reason
from nbdask.store.reader import StoreReader
from nbdask.store.write import checksum

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
    try:
        stamps = reader.place.stamps(f"{schema.IMAGE}/")
    except OSError as error:
        raise StoreError(f"{reader.path}: cannot be listed: {reason(error)}") from error
    last = max((stamp.time for stamp in stamps.values()), default=0.0)
    sizes = _sizes(reader)
    lost: list[int] = []
    read: list[int] = []
    for index in np.flatnonzero(done).tolist():
        stamp = stamps.get(schema.chunk_key(reader.image, reader.grid.place(index)))
        if stamp is None or stamp.size == 0 or (sizes is not None and stamp.size != sizes[index]):
            lost.append(index)
        elif every or stamp.time >= last - NEWEST:
            read.append(index)
    return sorted({*lost, *read} - set(sound_tiles(reader, read)))


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


def _sizes(reader: StoreReader) -> NDArray[np.float64] | None:
    """Return the recorded sizes of all tiles; None where the format has none."""
    if "bytes" not in reader.fields:
        return None
    column = reader.fields.index("bytes")
    return np.concatenate([row[:, column] for row in reader.record_rows()])


def _is_sound(reader: StoreReader, index: int) -> bool:
    """Whether a tile has the checksum on record."""
    try:
        record = reader.record(index)
        return record is not None and checksum(reader.tile(index)) == record["crc32c"]
    except OSError as error:
        raise StoreError(f"{reader.path}: cannot read: {reason(error)}") from error
    except Exception:  # whatever zarr and its codecs raise for a damaged file
        return False
