"""Listeners of a run: they show its progress, or work on its store meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nbdask.cluster.dashboard import Dashboard
from nbdask.cluster.news import Hear, News
from nbdask.graph.tasks import TileResult
from nbdask.plan.plan import Plan
from nbdask.statistics import TileSummary

#: Called after each finished tile with the tiles that are done and those of the whole image.
Progress = Callable[[int, int], None]


class Start(NamedTuple):
    """How a run stands just before its first tile.

    Attributes
    ----------
    store : Path or str
        It is there, with the tiles of earlier runs, and under the lock of this one.
    tiles, done : int
        Tiles of the store, and those of them that it holds already.
    working : int
        Tiles done that touch the region of interest.
    dashboard : Dashboard or None
        The scheduler's page, where there is one.
    plan : Plan or None
        None where nothing is simulated.
    """

    store: Path | str
    tiles: int
    done: int
    working: int
    dashboard: Dashboard | None
    plan: Plan | None


class Listener:
    """Hears of a run, in the process that leads it, never from two threads at once."""

    def say(self, text: str) -> None:
        """Take a line of text that is told before something that takes long."""

    def begin(self, start: Start) -> None:
        """Begin: the store is there; it may even be complete."""

    def tile(self, result: TileResult, done: int) -> None:
        """Take note that a tile is written; must return at once.

        Parameters
        ----------
        result : TileResult
            Without pixels.
        done : int
            Tiles of the store that are finished now.
        """

    def news(self, news: News) -> None:
        """Take note of workers, jobs and tries; must return at once.

        Some come before :meth:`begin`, while the first worker is waited for.
        """

    def end(self, complete: bool) -> None:
        """End, before the store is marked complete; called however the run ends.

        Parameters
        ----------
        complete : bool
            Whether all tiles are there.
        """


class Counter(Listener):
    """Calls a function with (tiles done, tiles in all) whenever a tile is written."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._tiles = progress, 0

    def begin(self, start: Start) -> None:
        """Note how many tiles there are."""
        self._tiles = start.tiles

    def tile(self, result: TileResult, done: int) -> None:
        """Call the function."""
        self._progress(done, self._tiles)


def listening(progress: Progress | None, listeners: Sequence[Listener] = ()) -> list[Listener]:
    """Return all who listen, those of a caller's function first."""
    return [*([] if progress is None else [Counter(progress)]), *listeners]


def heard_by(listeners: Sequence[Listener]) -> Hear:
    """Return what passes on to all of them what a cluster tells."""

    def hear(news: News) -> None:
        for listener in listeners:
            listener.news(news)

    return hear


@contextmanager
def followed(listeners: Sequence[Listener], start: Start) -> Iterator[None]:
    """Tell listeners of the beginning and of the end, whatever happens between."""
    complete, begun = False, []
    try:
        for listener in listeners:
            begun.append(listener)
            listener.begin(start)
        yield
        complete = True
    finally:
        for listener in begun:
            listener.end(complete)


def is_working(summary: TileSummary) -> bool:
    """Return whether a tile touches the region of interest: the others cost next to nothing."""
    return summary.n_evaluated + summary.n_masked > 0
