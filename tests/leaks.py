"""What a test leaves behind: processes, threads, open files and temporary files.

Other threads and processes need a moment to end, on a busy machine a long one, so what is left is
waited for; only what stays is a leak.
"""

from __future__ import annotations

import gc
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds that whatever still runs may take to end.
PATIENCE = 120.0
#: Threads that libraries start once and keep.
KEPT_THREADS = re.compile(
    r"asyncio_\d+|Dask-.*|IO loop|Profile|TCP-Executor.*|ThreadPoolExecutor-.*|zarr_.*"
    r"|pymp-|QueueManagerThread|QueueFeederThread|ExecutorManagerThread|tqdm.*|AsyncProcess .*"
    r"|fsspecIO|execnet.*|Dummy-\d+"
)
#: Processes that Python's multiprocessing starts once and keeps.
KEPT_PROCESSES = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
#: Folders that nbdask and dask keep for temporary files of their own.
KEPT_FOLDERS = (f"nbdask-{os.getuid()}", "dask-scratch-space")
#: Where libraries have files that they may leave open: fonts, say.
LIBRARIES = (sys.prefix, sys.base_prefix, "/usr/", "/dev/", "/proc/")
#: Processes that outlive the test that starts them because a fixture of its module ends them.
owned_by_module: set[int] = set()


@dataclass(frozen=True)
class State:
    """What there is at one moment."""

    children: frozenset[int]
    threads: frozenset[threading.Thread]
    #: Number of an open file -> its path, or what else it is.
    opened: dict[int, str] = field(hash=False)
    temporary: frozenset[str]
    #: Changes whenever a child process has ended.
    ended: int


def state() -> State:
    """Return what there is now."""
    return State(
        children=frozenset(_children()),
        threads=frozenset(threading.enumerate()),
        opened=_opened(),
        temporary=frozenset(os.listdir(tempfile.gettempdir())),
        ended=resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt,
    )


def _children() -> set[int]:
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(int(word) for word in path.read_text().split())
    return found


def _opened() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _marked(test: str) -> set[int]:
    """Return the processes that were started while a test ran, by its children too."""
    mark, found = f"PYTEST_CURRENT_TEST={test} (".encode(), set[int]()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with suppress(OSError):
                if mark in Path(f"/proc/{name}/environ").read_bytes():
                    found.add(int(name))
    return found


def _runs(pid: int) -> bool:
    """Return whether a process still runs, and is none that is meant to."""
    try:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return not any(name in command for name in KEPT_PROCESSES)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    except OSError:
        return "ended"


class Watch:
    """Notes what there is, and says later what has come and stayed.

    Parameters
    ----------
    test : str, optional
        The test whose processes are looked for all over the machine.
    keep : bool
        Whether what a fixture of the module ends may stay.
    """

    #: Of the last time that somebody looked.
    _ended = 0

    def __init__(self, test: str | None = None, keep: bool = True) -> None:
        self._test, self._keep, self._before = test, keep, state()
        # What the module's fixtures have started bears the name of its first test.
        since = self._before.ended != Watch._ended or self._before.children
        self._others = _marked(test) if test and since else set[int]()

    def left(self) -> list[str]:
        """Return what stays, in words, after waiting for it to go; processes are ended."""
        now, before = state(), self._before
        Watch._ended = now.ended
        if now == before and now.opened == before.opened:
            return []
        if now.opened != before.opened or now.temporary != before.temporary:
            # Closes what only waits for the garbage collection, with a warning that is an error.
            gc.collect()
        end, pause = time.monotonic() + PATIENCE, 0.001
        while found := self._found():
            if time.monotonic() > end:
                break
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        for pid in self._processes():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return found

    def _processes(self) -> set[int]:
        pids = _children() - self._before.children
        ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt != self._before.ended
        if self._test and (pids or ended):
            pids |= _marked(self._test) - self._others - self._before.children
        if self._keep:
            pids -= owned_by_module
        return {pid for pid in pids if _runs(pid)}

    def _found(self) -> list[str]:
        now, before = state(), self._before
        found = [f"process {pid}: {_name(pid)}" for pid in self._processes()]
        found += [
            f"thread {thread.name}"
            for thread in now.threads - before.threads
            if thread.is_alive() and not KEPT_THREADS.match(thread.name)
        ]
        found += [
            f"open file {path}"
            for number, path in now.opened.items()
            if path.startswith("/")
            and not path.startswith(LIBRARIES)
            # A kernel keeps what it has prepared for the last few models.
            and not path.endswith("-amplitudes.npy (deleted)")
            and path != before.opened.get(number)
        ]
        folder = tempfile.gettempdir()
        new = now.temporary - before.temporary - set(KEPT_FOLDERS)
        return found + [f"{folder}/{name}" for name in new]
