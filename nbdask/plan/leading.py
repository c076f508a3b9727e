"""What leading a run costs, and how many tiles travel as one task because of it.

The figures are those of ``benchmarks/leader.py`` with 64 workers, in
``benchmarks/results/leader.md``.
"""

from __future__ import annotations

import math

#: Processor seconds of scheduler and leading process: for a task; for each tile in it, beyond the
#: task; for a task whose result stays in the cluster, such as a step range.
TASK, TILE, PART = 0.0026, 0.00008, 0.001
#: Tiles below so many seconds travel together, up to so many seconds of them, and so many tiles.
SHORT, TOGETHER, MOST_TILES = 0.2, 1.0, 64
#: Seconds of a task at most, and the share of the leading process's time that tasks may take: many
#: workers get longer ones.
_COST, _SHARE = 0.003, 0.5
#: Tasks handed out beyond those that run, so that no worker waits: half as many as there are
#: threads, within these bounds.
LEAST_AHEAD, MOST_AHEAD = 2, 64


def ahead(threads: int) -> int:
    """Return the tasks that are handed out beyond those that run."""
    return max(LEAST_AHEAD, min(MOST_AHEAD, threads // 2))


def least_seconds(threads: int) -> float:
    """Return the seconds of a task that leave half of the leading process's time free."""
    return _COST * threads / _SHARE


def together(tile: float, threads: int) -> int:
    """Return the tiles that travel as one task.

    Parameters
    ----------
    tile : float
        Seconds of a tile, above 0.
    threads : int
        Tasks that run at once.
    """
    seconds = least_seconds(threads)
    if tile < SHORT:
        seconds = max(seconds, TOGETHER)
    return max(1, min(MOST_TILES, int(seconds / tile)))


def most_tasks(seconds: float) -> int:
    """Return the number of tasks beyond which leading takes longer than working.

    With as many threads as tasks, each task takes ``seconds / tasks`` and leading
    ``TASK * tasks``.

    Parameters
    ----------
    seconds : float
        Of all the work, on one thread.
    """
    return max(1, int(math.sqrt(seconds / TASK)))
