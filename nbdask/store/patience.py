"""Errors of file systems that pass by themselves: what failed is done again after a pause."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: How long what fails is repeated [s].
PATIENCE = 120.0
#: A server that was away or is busy, a quota while old files are cleared away.
_PASSING = {errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EDQUOT}
#: File systems whose errors of input and output (EIO) are most often the network's.
_NETWORK = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "orangefs", "panfs"),
    *("pvfs2", "smb3", "wekafs"),
}


def pause(attempt: int) -> float:
    """Return the seconds between two attempts, the first of which is number 0."""
    return min(5.0, 0.2 * 2.0**attempt)


def outlast(action: Callable[[], T], place: Path | str) -> T:
    """Do something again and again while it fails for a reason that passes.

    Parameters
    ----------
    action : callable
        May be done more than once.
    place : path or str
        Where it reads or writes; the address of object storage, which has a patience of its own.

    Raises
    ------
    OSError
        Another reason, or the same one after two minutes.
    """
    end, attempt = time.monotonic() + PATIENCE, 0
    while True:
        try:
            return action()
        except OSError as error:
            if not _passes(error, place) or time.monotonic() > end:
                raise
        time.sleep(pause(attempt))
        attempt += 1


def _passes(error: OSError, place: Path | str) -> bool:
    if not isinstance(place, Path):
        return False
    return error.errno in _PASSING or (error.errno == errno.EIO and on_network(place))


def on_network(path: Path) -> bool:
    """Return whether a path lies on a network file system, as far as the system tells."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        real = os.path.realpath(path)
    except OSError:
        return False
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = before.split()[4].encode().decode("unicode_escape").rstrip("/")
        if (real == mount or real.startswith(mount + "/")) and len(mount) >= best:
            best, kind = len(mount), after.split()[0]
    return kind in _NETWORK or kind.startswith("fuse.")
