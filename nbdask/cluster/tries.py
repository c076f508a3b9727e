"""Tiles that fail: tried again elsewhere, set aside in the end, while all others go on."""

from __future__ import annotations

import errno
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pickle import dumps
from typing import Any

from nbdask.cluster.executor import Graph
from nbdask.cluster.news import News
from nbdask.errors import BackendError, ClusterError, NbdaskError, UnfinishedError

#: Times that a tile is tried, and seconds before the second; three times as long before the next.
MOST_TRIES, PAUSE = 3, 0.3
#: Tiles that fail for good one after another, none done meanwhile, that end a run; of a cluster
#: with more threads, so many for each of them.
MOST_IN_ROW, MOST_PER_THREAD = 8, 2
#: Tiles failed by a worker, and done by others, after which it gets no more.
MOST_BLAMED = 3
#: What is to be done where memory lacks.
NEED_LESS = (
    "fewer --threads need less, and so do smaller tiles of a new store (--tile, or --memory-limit,"
    " by which they are chosen); jobs get more by --memory"
)
#: What no other try mends: no space, a read-only file system, a quota that did not clear.
_LASTING = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}


class OutOfMemoryError(ClusterError):
    """A tile for which a process had no memory; another one may have it."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """What a task gives in place of a result; the tasks that need the result pass it on.

    Parameters
    ----------
    error : Exception
    final : bool
        Whether another try would end the same way.
    worker : str
        Address of the worker; empty: this process.
    deaths : bool
        Whether workers died of it, each of which is another try.
    """

    error: Exception
    final: bool = False
    worker: str = ""
    deaths: bool = False


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a task returns, or the :class:`Failure` that it is or was given."""
    for argument in arguments:
        if isinstance(argument, Failure):
            return argument
    try:
        return function(*arguments)
    except Exception as raised:
        error = _with_advice(raised)
        final = is_final(error)
        if not (final or hasattr(error, "__notes__")):
            error.add_note("".join(traceback.format_exception(error)))
        _let_go(error)
        return Failure(_portable(error), final)


def _with_advice(error: Exception) -> Exception:
    """Return the error of a tile that lacked memory with what to do, any other as it is."""
    if not isinstance(error, MemoryError) and not isinstance(error.__cause__, MemoryError):
        return error
    _let_go(error)
    return OutOfMemoryError(f"{error or 'out of memory'}: {NEED_LESS}")


def is_final(error: Exception) -> bool:
    """Return whether an error is of what the user gave, or of a disk that stays as it is."""
    # A kernel or a device may be missing in one place only.
    if not isinstance(error, NbdaskError) or isinstance(error, BackendError | ClusterError):
        return False
    cause = error.__cause__
    passing = isinstance(cause, OSError) and cause.errno not in _LASTING
    return error.exit_code == 2 and not passing


def _let_go(error: BaseException | None) -> None:
    """Free what the frames of an error hold, such as a tile's sums."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent to another process."""
    try:
        dumps(error)
    except Exception:  # whatever its parts raise
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@dataclass
class Tries:
    """The tiles of a run that failed.

    Parameters
    ----------
    threads : int
        Tasks that run at a time.
    again : int
        Tiles that were to be tried again, each time counted.
    """

    threads: int
    again: int = 0
    _failures: dict[Any, list[Failure]] = field(default_factory=dict)
    _waiting: list[tuple[float, Graph]] = field(default_factory=list)
    _aside: list[Failure] = field(default_factory=list)
    _blamed: Counter[str] = field(default_factory=Counter)
    _completed: int = 0
    _in_row: int = 0

    def succeeded(self, key: Any, worker: str = "") -> list[tuple[str, Failure]]:
        """Count a tile that is done; return workers that get no more, with their last failure."""
        self._completed += 1
        self._in_row = 0
        bad = []
        blamed = {f.worker: f for f in self._failures.pop(key, ()) if f.worker not in ("", worker)}
        for name, failure in blamed.items():
            self._blamed[name] += 1
            if self._blamed[name] == MOST_BLAMED:
                bad.append((name, failure))
        return bad

    def failed(self, item: Graph, failure: Failure) -> None:
        """Have a tile tried again after a pause, or set it aside.

        Raises
        ------
        Exception
            The tile's error, where another try is useless or all tiles seem to fail.
        """
        if failure.final:
            raise failure.error
        failures = self._failures.setdefault(item.key, [])
        failures.append(failure)
        if len(failures) < MOST_TRIES and not failure.deaths:
            self.again += 1
            pause = PAUSE * 3 ** (len(failures) - 1)
            self._waiting.append((time.monotonic() + pause, item))
            return
        del self._failures[item.key]
        self._aside.append(failure)
        self._in_row += 2 if failure.deaths else 1
        most = max(MOST_IN_ROW, MOST_PER_THREAD * self.threads)
        if self._in_row >= most or (failure.deaths and not self._completed):
            raise failure.error

    def waiting(self) -> bool:
        """Return whether tiles wait for their next try."""
        return bool(self._waiting)

    def due(self) -> list[tuple[Graph, frozenset[str]]]:
        """Return tiles that are to be tried now, each with the workers that failed it."""
        now = time.monotonic()
        found = [item for when, item in self._waiting if when <= now]
        self._waiting = [pair for pair in self._waiting if pair[0] > now]
        return [(item, self._workers(self._failures[item.key])) for item in found]

    @staticmethod
    def _workers(failures: Iterable[Failure]) -> frozenset[str]:
        return frozenset(failure.worker for failure in failures if failure.worker)

    def finish(self) -> None:
        """Raise an error where tiles were set aside.

        Raises
        ------
        UnfinishedError
            Names them; where no tile was done at all, the error of the first is raised itself.
        """
        if self._aside and not self._completed:
            raise self._aside[0].error
        if self._aside:
            raise UnfinishedError([_text(failure.error) for failure in self._aside])

    def waits(self, item: Graph) -> bool:
        """Return whether a tile that failed is to be tried again."""
        return item.key in self._failures


def news_of(item: Graph, failure: Failure, tries: Tries) -> News:
    """Return what is told of a tile that failed."""
    event = "retry" if tries.waits(item) else "failed"
    key = item.key
    tile = key[-1] if isinstance(key, tuple) else key
    return News(event, "", {"tile": tile, "worker": failure.worker, "error": _text(failure.error)})


def _text(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, NbdaskError) else f"{type(error).__name__}: {text}"
