"""What this machine offers: cores, memory, its name as far as cost figures depend on it."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
#: glibc's number of the option, and the bytes from which a block is the system's at once.
_M_MMAP_THRESHOLD, _LARGE_BLOCK = -3, 1 << 20


def available_cores() -> int:
    """Return the cores that this process may use (affinity and container quota respected)."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        cores = os.cpu_count() or 1
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, cores)


def total_memory() -> int:
    """Return the bytes of memory that this process may use (container limit respected)."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = 8 << 30
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            total = min(total, int((_CGROUP / name).read_text()))
        except (OSError, ValueError):
            continue
    return total


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
