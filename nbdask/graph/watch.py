"""What follows a run while it goes on, for instance to show it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from nbdask.plan.plan import Plan
from nbdask.statistics import TileSummary


class Start(NamedTuple):
    """How a run stands just before its first tile.

    Attributes
    ----------
    plan : Plan
    done : int
        Tiles that the store holds already.
    working : int
        Those of them that touch the region of interest.
    dashboard : str or None
        Address of the scheduler's page, where there is one.
    """

    plan: Plan
    done: int
    working: int
    dashboard: str | None


class Watch(Protocol):
    """Follows a run; called in the process that leads it, never by two threads at once."""

    def begin(self, start: Start) -> None:
        """Take note that the store is there and the first tile is about to be computed."""

    def tile(self, done: int, summary: TileSummary) -> None:
        """Take note of one more finished tile.

        Parameters
        ----------
        done : int
            Tiles of the store that are finished now.
        summary : TileSummary
            That of the tile.
        """


class Follower(Protocol):
    """Works on a store while a run fills it, under the lock of the run."""

    def begin(self, store: Path | str) -> None:
        """Begin; the store is there, with the tiles of earlier runs."""

    def tile(self, index: int) -> None:
        """Take note of one more finished tile; must return at once."""

    def end(self, complete: bool) -> None:
        """End, before the store is marked complete; called however the run ends.

        Parameters
        ----------
        complete : bool
            Whether all tiles are there.
        """


def is_working(summary: TileSummary) -> bool:
    """Return whether a tile touches the region of interest: the others cost next to nothing."""
    return summary.n_evaluated + summary.n_masked > 0
