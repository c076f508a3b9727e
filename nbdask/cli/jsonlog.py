"""``--log json``: what happens in a run, event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbdask.cli.jsonlines import emit
from nbdask.cluster.news import News
from nbdask.fill.listen import Listener, Start
from nbdask.graph.tasks import TileResult

if TYPE_CHECKING:
    from nbdask.result import Result


class JsonLog(Listener):
    """Writes what happens in a run."""

    def __init__(self) -> None:
        self._start: Start | None = None

    def begin(self, start: Start) -> None:
        """Tell what is ahead."""
        self._start = start
        plan = start.plan
        emit(
            "start",
            store=str(start.store),
            tiles=start.tiles,
            done=start.done,
            dashboard=None if start.dashboard is None else start.dashboard._asdict(),
            plan=None if plan is None else plan.to_dict(),
        )

    def tile(self, result: TileResult, done: int) -> None:
        """Tell of a finished tile."""
        assert self._start is not None
        facts: dict[str, Any] = {"tile": result.index, "done": done, "tiles": self._start.tiles}
        if self._start.plan is not None:
            tile = self._start.plan.grid[result.index]
            facts |= {"slow": [tile.slow0, tile.slow1], "fast": [tile.fast0, tile.fast1]}
        emit("tile", **facts, seconds=round(result.summary.seconds, 6))

    def news(self, news: News) -> None:
        """Pass on what the cluster tells, but not how many workers there are every second."""
        if news.event != "crew":
            text = {"text": news.text} if news.text else {}
            emit(news.event, **news.facts, **text)


def ended(result: Result) -> dict[str, Any]:
    """Return what the last event tells of a run that is complete."""
    statistics = {k: v if v == v else None for k, v in result.statistics._asdict().items()}
    return {
        "status": "complete",
        "exit_code": 0,
        "store": str(result.path),
        "seconds": round(result.seconds, 3),
        "statistics": statistics,
    }
