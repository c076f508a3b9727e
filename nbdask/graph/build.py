"""Plan -> dask graphs, one small graph per tile, made only when its turn comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from nbdask.graph import tasks
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import TileGrid


class Graph(NamedTuple):
    """A dask graph: ``graph[key]`` gives its result, such as a :class:`~.tasks.TileResult`.

    Attributes
    ----------
    key : object
    graph : dict
    label : str
        What it computes, for people who look at a scheduler's pages.
    """

    key: Any
    graph: dict[Any, Any]
    label: str = ""


def tile_graph(
    run: str, index: int, ranges: int, label: str = "", steps: Sequence[StepRange] = ()
) -> Graph:
    """Return the graph of one tile.

    Parameters
    ----------
    run : str
        Name under which the run's context was installed in every process.
    index : int
        Number of the tile.
    ranges : int
        Step ranges per tile.
    label : str
        Where the tile is.
    steps : sequence of StepRange
        The step ranges, for the names of their tasks; none: these are numbers.

    Returns
    -------
    Graph
        With one range a single task; else one ``evaluate`` task per range, merged by a chain of
        ``add`` in the order of the ranges, then ``complete``.
    """
    tile, part, total = f"tile-{run}", f"part-{run}", f"sum-{run}"
    key: Any = (tile, index)
    if ranges == 1:
        return Graph(key, {key: (tasks.whole, run, index)}, label)
    names: list[Any] = [(part, index, number) for number in range(ranges)]
    if steps:
        texts = [f"{label}, steps {s.start} to {s.stop}" for s in steps]
        names = [(*name, text) for name, text in zip(names, texts, strict=True)]
    graph: dict[Any, Any] = {
        name: (tasks.evaluate, run, index, number) for number, name in enumerate(names)
    }
    previous: Any = names[0]
    for number in range(1, ranges):
        graph[total, index, number] = (tasks.add, previous, names[number])
        previous = (total, index, number)
    graph[key] = (tasks.complete, run, index, previous)
    return Graph(key, graph, label)


def tile_graphs(
    run: str,
    indices: Iterable[int],
    ranges: int,
    grid: TileGrid | None = None,
    steps: Sequence[StepRange] = (),
    together: int = 1,
) -> Iterator[Graph]:
    """Yield the graphs of many tiles one by one, so that a million of them are never in memory.

    Parameters
    ----------
    run, indices, ranges, steps
        As for :func:`tile_graph`.
    grid : TileGrid, optional
        For the labels.
    together : int
        Most tiles of a shot that are one task, where there is a single range.
    """
    if grid is None:
        return (tile_graph(run, index, ranges) for index in indices)
    if together > 1 and ranges == 1:
        return (_group(run, group, grid) for group in _of_one_shot(indices, grid, together))
    return (tile_graph(run, index, ranges, str(grid[index]), steps) for index in indices)


def _of_one_shot(indices: Iterable[int], grid: TileGrid, most: int) -> Iterator[list[int]]:
    """Yield tiles of one shot that follow one another, at most so many."""
    group: list[int] = []
    for index in indices:
        if group and (len(group) == most or index // grid.per_shot != group[0] // grid.per_shot):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _group(run: str, indices: Sequence[int], grid: TileGrid) -> Graph:
    """Return the graph of several tiles of a shot, one task."""
    if len(indices) == 1:
        return tile_graph(run, indices[0], 1, str(grid[indices[0]]))
    key = (f"tile-{run}", indices[0])
    label = f"shot {grid[indices[0]].shot}, {len(indices)} tiles"
    return Graph(key, {key: (tasks.several, run, *indices)}, label)
