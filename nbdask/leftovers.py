"""What killed processes left: names that tell whose they were, removed once those are gone."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Process namespace and number, and a token.
_MARK = "([0-9a-f]{8})-([0-9]+)-[0-9a-f]{12}"


def mark() -> str:
    """Return a fresh part of a name that says which process made it."""
    return f"{_namespace()}-{os.getpid()}-{secrets.token_hex(6)}"


def sweep(folder: Path, before: str, after: str = "") -> int:
    """Delete this user's files and folders whose process is provably gone.

    Parameters
    ----------
    folder : Path
    before, after : str
        What stands around the mark in their names.

    Returns
    -------
    int
        How many there were.
    """
    name = re.compile(re.escape(before) + _MARK + re.escape(after))
    count = 0
    if not sys.platform.startswith("linux"):  # elsewhere nobody says which process a number is
        return count
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = name.fullmatch(entry.name)
            if found is None or found[1] != _namespace() or _alive(int(found[2])):
                continue
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
                count += 1
    return count


@cache
def _namespace() -> str:
    """Return 8 digits for the set of processes in which a number means the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        text = boot + os.readlink("/proc/self/ns/pid")
    except OSError:
        text = secrets.token_hex(16)
    return hashlib.blake2s(text.encode(), digest_size=4).hexdigest()


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
