"""How fast a store's place takes files, for the estimated time of a run."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from nbdask.plan.estimate import Storage
from nbdask.store.place import Place

#: Bytes of a small file, of a large one, and of a larger one where the storage is fast.
_SMALL, _LARGE, _LARGER = 1 << 12, 1 << 22, 1 << 25
#: Seconds that the large file may take for a larger one to be tried.
_FAST = 0.05
#: Object storage, of which a request costs money, is not measured: seconds of a request, bytes per
#: second of one connection.
OBJECTS = Storage(latency=0.01, bandwidth=1e8)


def measured_storage(place: Place) -> Storage:
    """Write a file without a name where a store is to be, and return how long that takes.

    Parameters
    ----------
    place : Place

    Returns
    -------
    Storage
        What is usual where nothing can be written, and for object storage.
    """
    if not isinstance(place.name, Path):
        return OBJECTS
    durable = bool(getattr(place, "durable", True))
    try:
        folder = next(folder for folder in place.name.parents if folder.is_dir())
        latency = min(_seconds(folder, _SMALL, durable) for _ in range(3))
        size = _LARGE
        seconds = _seconds(folder, size, durable)
        if seconds < _FAST:
            size = _LARGER
            seconds = _seconds(folder, size, durable)
    except (OSError, StopIteration):
        return Storage(latency=Storage().latency if durable else 0.0)
    return Storage(latency if durable else 0.0, size / max(seconds - latency, 1e-9), measured=True)


def _seconds(folder: Path, size: int, durable: bool) -> float:
    """Return the seconds of writing a file of so many random bytes, and of syncing it."""
    data = os.urandom(size)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        start = time.perf_counter()
        file.write(data)
        if durable:
            os.fsync(file.fileno())
        return time.perf_counter() - start
