"""Tiles on their way to workers: short ones travel together, and the worker goes through them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from distributed import get_worker
from distributed.protocol.pickle import dumps, loads

from nbdask.cluster.executor import Graph
from nbdask.cluster.tries import Failure, attempt
from nbdask.plan import leading

#: A parcel that takes so many times as long as it should is sent back with what is left of it.
_LATE = 2.0


class Reply(NamedTuple):
    """What became of the first tiles of a parcel: of all, unless its time was over.

    Attributes
    ----------
    worker : str
        Address.
    values : list
        Results or failures, one for each tile.
    seconds : float
        Spent on all of them; 0: not known.
    """

    worker: str
    values: list[Any]
    seconds: float


class Parcel(NamedTuple):
    """Tiles that travel as one task, or a tile whose parts are tasks of their own.

    Attributes
    ----------
    key : object
        Its value is a :class:`Reply`.
    items : list of Graph
    graph : dict
        The tasks.
    """

    key: Any
    items: list[Graph]
    graph: dict[Any, Any]


def is_single(item: Graph) -> bool:
    """Return whether a tile is a single task."""
    return len(item.graph) == 1


def pack(
    run: str, number: int, items: Sequence[Graph], seconds: float, *, copy: bool = False
) -> Parcel:
    """Return a parcel.

    Parameters
    ----------
    run : str
    number : int
        Unique within the run.
    items : sequence of Graph
        Either single tasks, or one graph of several.
    seconds : float
        After which the worker begins no further tile.
    copy : bool
        The tiles are in another parcel as well: no task may have a name that it has there.
    """
    if is_single(items[0]):
        key = (f"tiles-{run}", number, _label(items))
        # Bytes: dask looks for keys in whatever else it is given.
        payload = dumps([item.graph[item.key] for item in items])
        return Parcel(key, list(items), {key: (go_through, payload, seconds)})
    (item,) = items
    graph = {name: (_part, *task) for name, task in item.graph.items()}
    graph[item.key] = (_last, *item.graph[item.key])
    if not copy:
        return Parcel(item.key, [item], graph)
    names = {name: (f"{name[0]}-again", number, *name[1:]) for name in graph}
    graph = {
        names[name]: tuple(
            names.get(word, word) if isinstance(word, tuple) else word for word in task
        )
        for name, task in graph.items()
    }
    return Parcel(names[item.key], [item], graph)


def _label(items: Sequence[Graph]) -> str:
    """Return what a parcel holds, for a scheduler's pages."""
    first = getattr(items[0], "label", "")
    return first if len(items) == 1 else f"{first} and {len(items) - 1} more".lstrip()


def go_through(payload: bytes, seconds: float) -> Reply:
    """Compute the tiles of a parcel one after another; runs in a worker."""
    start, tasks, worker = time.perf_counter(), loads(payload), get_worker()
    values: list[Any] = []
    for task in tasks:
        values.append(_part(*task))
        if time.perf_counter() - start > seconds or _is_cancelled(worker):
            break
    return Reply(worker.address, values, time.perf_counter() - start)


def _is_cancelled(worker: Any) -> bool:
    """Return whether nobody waits for this task any more, as after the leading process's death."""
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state == "cancelled"


def _part(*task: Any) -> Any:
    value = attempt(*task)
    if isinstance(value, Failure) and not value.worker:
        return replace(value, worker=get_worker().address)
    return value


def _last(*task: Any) -> Reply:
    return Reply(get_worker().address, [_part(*task)], 0.0)


class Pace:
    """How many tiles are to travel together, by the time that they have taken so far."""

    def __init__(self) -> None:
        self._tile = 0.0

    def learn(self, reply: Reply) -> None:
        """Take note of what a parcel has taken."""
        if reply.seconds > 0:
            tile = reply.seconds / len(reply.values)
            self._tile = tile if self._tile == 0 else 0.8 * self._tile + 0.2 * tile

    def tiles(self, threads: int) -> int:
        """Return the tiles of the next parcel, where so many threads work."""
        if self._tile == 0:
            return 1
        return leading.together(self._tile, threads)


def limit(threads: int) -> float:
    """Return the seconds after which a worker begins no further tile of a parcel."""
    return _LATE * max(leading.TOGETHER, leading.least_seconds(threads))
