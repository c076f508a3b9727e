"""What this machine offers: cores, memory, its name as far as cost figures depend on it."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: The control groups of the machine, and which of them this process is in.
_CGROUP, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
#: glibc's number of the option, and the bytes from which a block is the system's at once.
_M_MMAP_THRESHOLD, _LARGE_BLOCK = -3, 1 << 20


def available_cores() -> int:
    """Return the cores that this process may use, by its affinity and its control groups."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        cores = os.cpu_count() or 1
    for group in _groups("cpu"):
        with suppress(OSError, ValueError):  # where nothing is limited, there is no number
            quota, period = map(int, (group / "cpu.max").read_text().split())
            cores = min(cores, quota // period)
    return max(1, cores)


def total_memory() -> int:
    """Return the bytes of memory that this process may use, by the machine and its groups."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = 8 << 30
    for group in _groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):
                total = min(total, int((group / name).read_text()))
    return total


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups whose limits hold for this process.

    A container sees its own as that of the machine; a job or a service is in one below, and the
    limits of all above it hold too.
    """
    yield _CGROUP
    yield _CGROUP / controller
    with suppress(OSError, ValueError):
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            folder = _CGROUP / controller if controllers else _CGROUP
            for part in Path(path.lstrip("/")).parts:
                folder /= part
                yield folder


def cpu_name() -> str:
    """Return the processor's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def resident_bytes() -> int:
    """Return the resident bytes of this process or of its largest child; 0 where unknown."""
    own = os.getpid()
    family = [own]
    for children in Path(f"/proc/{own}/task").glob("*/children"):
        try:
            family += [int(word) for word in children.read_text().split()]
        except OSError:
            continue
    return max(_resident(pid) for pid in family)


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def release_large_blocks() -> bool:
    """Let every block of 1 MiB or more go back to the system as soon as it is freed.

    By default glibc raises that size up to 32 MiB as a program goes on, and keeps smaller blocks
    in an arena per thread: with tiles of 2048 pixels a process that needs 190 MiB then grows to
    280 MiB within some hundred tiles.  The speed is the same.

    Returns
    -------
    bool
        Whether it was done: not where the C library is another one, nor where the user chose a size
        with ``MALLOC_MMAP_THRESHOLD_``.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK))
    except (AttributeError, OSError, TypeError):
        return False
