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
        stamps = {
            key: stamp
            for name in reader.arrays
            for key, stamp in reader.place.stamps(f"{name}/").items()
        }
    except OSError as error:
        raise StoreError(f"{reader.path}: cannot be listed: {reason(error)}") from error
    last = max((stamp.time for stamp in stamps.values()), default=0.0)
    sizes = {name: _sizes(reader, name) for name in reader.arrays}
    lost: list[int] = []
    read: list[int] = []
    for index in np.flatnonzero(done).tolist():
        place, newest = reader.grid.place(index), 0.0
        for name, array in reader.arrays.items():
            stamp, known = stamps.get(schema.chunk_key(array, place)), sizes[name]
            if (
                stamp is None
                or stamp.size == 0
                or (known is not None and stamp.size != known[index])
            ):
                lost.append(index)
                break
            newest = max(newest, stamp.time)
        else:
            if every or newest >= last - NEWEST:
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


def _sizes(reader: StoreReader, name: str) -> NDArray[np.float64] | None:
    """Return the recorded sizes of all tiles of an array; None where the format has none."""
    field = schema.field_of("bytes", name)
    if field not in reader.fields:
        return None
    column = reader.fields.index(field)
    return np.concatenate([block[:, column] for block in reader.record_blocks()])


def _is_sound(reader: StoreReader, index: int) -> bool:
    """Whether a tile has the checksum on record."""
    try:
        record = reader.record(index)
        return record is not None and reader.is_sound(index, record)
    except OSError as error:
        raise StoreError(f"{reader.path}: cannot read: {reason(error)}") from error
    except Exception:  # whatever zarr and its codecs raise for a damaged file
        return False
