"""Progress of a run: a bar on a terminal, a few plain lines in a log."""

from __future__ import annotations

import shutil
import sys
import time

from nbdask.cli.streams import terminal
from nbdask.cluster.news import Crew, News
from nbdask.fill.listen import Listener, Start, is_working
from nbdask.graph.tasks import TileResult
from nbdask.plan.estimate import format_seconds
from nbdask.plan.machine import resident_bytes
from nbdask.plan.memory import format_bytes
from nbdask.plan.plan import Plan

#: Seconds between two looks: on a terminal, and in a log.
TERMINAL_SECONDS, LOG_SECONDS = 0.25, 15.0
_BAR = 10


class ProgressLine(Listener):
    """Tiles, evaluations per second, gigabytes, time left and memory.

    Parameters
    ----------
    quiet : bool
        Say nothing; the tiles are still counted.

    Attributes
    ----------
    told : set of str
        What was reported beforehand and is not repeated at the end.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._start: Start | None = None
        self._begun = self._last = time.monotonic()
        self._evaluations = 0
        self._working = 0
        self._crew: Crew | None = None
        self.done = 0
        self.told: set[str] = set()

    @property
    def begun(self) -> bool:
        """Whether there is a store that a later run can finish."""
        return self._start is not None

    @property
    def _plan(self) -> Plan:
        assert self._start is not None
        assert self._start.plan is not None
        return self._start.plan

    def say(self, text: str) -> None:
        """Print it at once."""
        if not self._quiet:
            self.told.add(text)
            self._print(text)

    def begin(self, start: Start) -> None:
        """Start the clock; in a log, say what is ahead."""
        if start.plan is None or start.done == start.tiles:
            return
        self._start, self.done, self._working = start, start.done, start.working
        self._begun = self._last = time.monotonic()
        if self._quiet:
            return
        if start.dashboard is not None:
            self._print(f"dashboard: {start.dashboard}")
        missing, seconds = len(start.plan.grid) - start.done, start.plan.run_seconds
        if not self._terminal and seconds > LOG_SECONDS:
            whole = f", about {format_seconds(seconds)}" if start.done == 0 else ""
            self._print(f"{missing} of {len(start.plan.grid)} tiles to compute{whole}")

    def news(self, news: News) -> None:
        """Keep how many workers there are."""
        if news.event == "crew":
            self._crew = Crew(**news.facts)

    def tile(self, result: TileResult, done: int) -> None:
        """Count a tile, and show it when it is time to."""
        plan, summary = self._plan, result.summary
        self.done = done
        self._evaluations += summary.n_evaluated * plan.steps[-1].stop
        self._working += is_working(summary)
        now = time.monotonic()
        last = done == len(plan.grid)
        if self._quiet:
            return
        if self._terminal:
            if last or now - self._last >= TERMINAL_SECONDS:
                self._last = now
                self._renew(self._bar() + self._brief(now), last)
        elif now - self._last >= LOG_SECONDS or (last and now - self._begun >= LOG_SECONDS):
            self._last = now
            self._print(self.describe(now))

    def describe(self, now: float) -> str:
        """Return how the run stands, in one line."""
        plan = self._plan
        total, spent = len(plan.grid), max(now - self._begun, 1e-6)
        written = plan.image_bytes * self.done / total
        parts = [
            f"{self.done} of {total} tiles, {100 * self.done // total} %",
            f"{_short(self._evaluations / spent)} evaluations/s{_done(plan.share)}",
            f"{format_bytes(written)} of {format_bytes(plan.image_bytes)}",
        ]
        if self.done < total:
            parts.append(f"{format_seconds(self._left(spent))} left")
        if self._crew is not None:
            parts.append(str(self._crew))
        memory = resident_bytes()
        if memory:
            parts.append(f"{format_bytes(memory)} memory")
        return ", ".join(parts)

    def _brief(self, now: float) -> str:
        """Return the same for a terminal of 80 columns, what matters most first."""
        plan = self._plan
        total, spent = len(plan.grid), max(now - self._begun, 1e-6)
        written = plan.image_bytes * self.done / total
        ahead = f"{format_seconds(self._left(spent))} left"
        parts = [
            ahead if self.done < total else f"done in {format_seconds(spent)}",
            f"{self.done}/{total} tiles",
            *([] if self._crew is None else [self._crew.brief()]),
            f"{_short(self._evaluations / spent)} eval/s",
            f"{written / 1e9:.3g}/{plan.image_bytes / 1e9:.3g} GB",
            format_bytes(resident_bytes()),
        ]
        return f"{100 * self.done // total} %, " + ", ".join(parts)

    def _left(self, spent: float) -> float:
        """Return the seconds that the missing tiles will take at the speed so far.

        Tiles outside the region of interest take next to none, so the others are counted.
        """
        start, plan = self._start, self._plan
        assert start is not None
        new = self._working - start.working
        if new > 0:
            return spent / new * max(plan.working_tiles - self._working, 0)
        return spent / max(self.done - start.done, 1) * (len(plan.grid) - self.done)

    def _bar(self) -> str:
        full = _BAR * self.done // len(self._plan.grid)
        return "[" + "#" * full + "-" * (_BAR - full) + "] "

    def _renew(self, text: str, last: bool) -> None:
        width = max(20, shutil.get_terminal_size().columns - 1)
        end = "\n" if last else ""
        print("\r\x1b[K" + text[:width], end=end, file=terminal(), flush=True)

    def _print(self, text: str) -> None:
        print("nbdask: " + text, file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """End the line of an interrupted bar."""
        if self._terminal and self.begun and not self._quiet:
            print(file=sys.stderr)


def _done(share: float) -> str:
    """Return how many of the evaluations asked for are not skipped, where some are."""
    return f" ({100 * share:.2g} % computed)" if share < 1.0 else ""


def _short(count: float) -> str:
    """Return a number with three digits: ``"52.3 M"``."""
    for unit in ("", " k", " M", " G"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g} T"
