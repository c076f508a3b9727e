"""Shares of a GPU's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from nbdask.errors import BackendError
from nbdask.kernels.cuda_launch import Spare
from nbdask.plan.memory import format_bytes

#: Environment variable that limits the GPU's memory of each process, such as ``8GB``.
LIMIT = "NBDASK_GPU_MEMORY"
#: Seconds without a running task before a waiting one is refused, and between two looks.
_PATIENCE, _LOOK = 5.0, 0.05


def nothing_spare() -> bool:
    """Return False: nothing can be released."""
    return False


class Budget:
    """A number of bytes that is shared out to tasks, and to tables that stay between tasks."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = self._tables = self._tasks = 0
        self._turn = Condition()

    @contextmanager
    def share(self, wanted: int, spare: Spare = nothing_spare) -> Iterator[None]:
        """Wait until ``wanted`` bytes are free, and hold them.

        Parameters
        ----------
        wanted : int
        spare : callable
            Makes room where there is none: releases a table that nothing reads.

        Raises
        ------
        BackendError
            More than there can ever be.
        """
        self._take(wanted, spare, 1)
        try:
            yield
        finally:
            self._give(wanted, 1)

    def keep(self, wanted: int, spare: Spare = nothing_spare) -> None:
        """Wait until ``wanted`` bytes are free for a table, and hold them until they are let go."""
        self._take(wanted, spare, 0)

    def let_go(self, held: int) -> None:
        """Give back the bytes of a table."""
        self._give(held, 0)

    def _take(self, wanted: int, spare: Spare, tasks: int) -> None:
        if wanted > self.total:
            raise BackendError(self._refusal(wanted))
        idle_since = None
        while True:
            with self._turn:
                if self._taken + wanted <= self.total:
                    self._taken += wanted
                    self._tasks += tasks
                    self._tables += 0 if tasks else wanted
                    return
            if spare():
                continue
            with self._turn:
                if self._taken + wanted > self.total:
                    self._turn.wait(_LOOK)
                running, now = self._tasks, time.monotonic()
            # Tables of tasks that all wait for room: none of them will ever end.
            idle_since = None if running else idle_since or now
            if idle_since is not None and now - idle_since > _PATIENCE:
                raise BackendError(self._refusal(wanted))

    def _give(self, held: int, tasks: int) -> None:
        with self._turn:
            self._taken -= held
            self._tasks -= tasks
            self._tables -= 0 if tasks else held
            self._turn.notify_all()

    def _refusal(self, wanted: int) -> str:
        tables = f" ({format_bytes(self._tables)} hold tables)" if self._tables else ""
        return (
            f"--backend cuda: a task needs {format_bytes(wanted)} of the GPU's memory, but"
            f" {format_bytes(self.total)} may be used{tables}: give a smaller --tile, fewer"
            f" --threads, or more by {LIMIT}"
        )
