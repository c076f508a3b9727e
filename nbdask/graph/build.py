"""Plan -> dask graphs, one small graph per tile, made only when its turn comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from nbdask.graph import tasks


class Graph(NamedTuple):
    """A dask graph: ``graph[key]`` gives its result, such as a :class:`~.tasks.TileResult`."""

    key: Any
    graph: dict[Any, Any]


def tile_graph(run: str, index: int, ranges: int) -> Graph:
    """Return the graph of one tile.

    Parameters
    ----------
    run : str
        Name under which the run's context was installed in every process.
    index : int
        Number of the tile.
    ranges : int
        Step ranges per tile.

    Returns
    -------
    Graph
        With one range a single task; else one ``evaluate`` task per range, merged by a chain of
        ``add`` in the order of the ranges, then ``complete``.
    """
    tile, part, total = f"tile-{run}", f"part-{run}", f"sum-{run}"
    key: Any = (tile, index)
    if ranges == 1:
        return Graph(key, {key: (tasks.whole, run, index)})
    graph: dict[Any, Any] = {
        (part, index, number): (tasks.evaluate, run, index, number) for number in range(ranges)
    }
    previous: Any = (part, index, 0)
    for number in range(1, ranges):
        graph[total, index, number] = (tasks.add, previous, (part, index, number))
        previous = (total, index, number)
    graph[key] = (tasks.complete, run, index, previous)
    return Graph(key, graph)


def tile_graphs(run: str, indices: Iterable[int], ranges: int) -> Iterator[Graph]:
    """Yield the graphs of many tiles one by one, so that a million of them are never in memory."""
    return (tile_graph(run, index, ranges) for index in indices)
