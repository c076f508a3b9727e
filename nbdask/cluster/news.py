"""What a cluster has to tell while it works: workers that come and go, tries, jobs that wait."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger("nbdask")


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened.

    Parameters
    ----------
    event : str
        ``"crew"``: how many workers there are; ``"joined"``, ``"lost"``, ``"retired"``,
        ``"refused"``: a worker; ``"retry"``, ``"failed"``: a tile; ``"waiting"``: no worker yet.
    text : str
        The same for people; empty: nothing that they would be told one by one.
    facts : mapping
        JSON-able.
    """

    event: str
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Crew:
    """The workers of a run as they were last counted.

    Parameters
    ----------
    workers, threads : int
    busy : int or None
        Workers that have something to do; None: not known.
    lost, replaced : int
        Workers since the run began.
    retries : int
        Tiles that were tried again.
    running, pending : int or None
        Jobs; None: there are none, or the batch system does not say.
    reason : str
        Why most of the pending jobs wait, in the batch system's words.
    """

    workers: int = 0
    threads: int = 0
    busy: int | None = None
    lost: int = 0
    replaced: int = 0
    retries: int = 0
    running: int | None = None
    pending: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        """Return it in a few words."""
        busy = "" if self.busy is None else f"{min(self.busy, self.workers)} of "
        parts = [f"{busy}{self.workers} workers{'' if self.busy is None else ' busy'}"]
        if self.pending:
            parts.append(f"{self.pending} jobs pending{f' ({self.reason})' if self.reason else ''}")
        if self.lost:
            parts.append(f"{self.lost} lost, {self.replaced} replaced")
        if self.retries:
            parts.append(f"{self.retries} retries")
        return ", ".join(parts)

    def brief(self) -> str:
        """Return it in fewer words, for a terminal's line."""
        busy = "" if self.busy is None else f"{min(self.busy, self.workers)}/"
        more = [
            f"{count} {word}"
            for count, word in (
                (self.pending, "pending"),
                (self.lost - self.replaced, "lost"),
                (self.retries, "again"),
            )
            if count
        ]
        return ", ".join([f"{busy}{self.workers} workers", *more])


#: Takes news in the thread that leads the run; must return at once.
Hear = Callable[[News], None]


def ignore(news: News) -> None:
    """Take no note."""


def tell(hear: Hear, event: str, text: str, **facts: Any) -> None:
    """Pass on news that users are told wherever nobody else hears of it."""
    hear(News(event, text, facts))
    logger.warning("nbdask: %s", text, extra={"news": True})
