"""Running a simulation from the command line: notes, progress, the closing lines."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nbdask.run import SimulationResult


def say(message: str) -> None:
    """Print one line on standard error, where it does not mix with results."""
    print("nbdask: " + message, file=sys.stderr)


def say_notes(notes: Sequence[str]) -> None:
    """Print what the user should be told, each note once."""
    for note in dict.fromkeys(notes):
        say("note: " + note)


class ProgressLine:
    """Tiles done and time left: a line that renews itself on a terminal, few lines in a log.

    Parameters
    ----------
    quiet : bool
        Say nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._start = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` tiles are written."""
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1
        if self._quiet or (now - self._last < (0.2 if self._terminal else 10.0) and done < total):
            return
        self._last = now
        spent = now - self._start
        left = spent / max(done - self._first, 1) * (total - done)
        text = f"{done} of {total} tiles, {100 * done // total} %, {left:.0f} s left"
        if self._terminal:
            print("\r\x1b[Knbdask: " + text, end="\n" if done == total else "", file=sys.stderr)
        elif spent > 10.0:
            say(text)


def run_keywords(options: dict[str, Any]) -> dict[str, Any]:
    """Return those of the parsed options that say how and where the work is done."""
    names = (
        "backend",
        "precision",
        "tile",
        "steps_per_task",
        "cluster",
        "workers",
        "threads",
        "memory_limit",
    )
    return {name: options[name] for name in names}


def peak_text(value: float | None, slow: int, fast: int) -> str:
    """Return the brightest pixel and its place, or that there is none."""
    if slow < 0:
        return "no pixel above 0"
    if value is None or math.isinf(value):
        return f"max infinite at slow {slow}, fast {fast}: pixels exceed single precision"
    return f"max {value:.7g} at slow {slow}, fast {fast}"


def say_result(result: SimulationResult) -> None:
    """Print what was made."""
    statistics = result.statistics
    slow, fast = result.shape
    click.echo(
        f"{result.path}: {slow} x {fast} pixels (slow x fast) in {result.seconds:.2f} s\n"
        f"{peak_text(statistics.max, statistics.max_slow, statistics.max_fast)};"
        f" mean {statistics.mean:.6g}, rms {statistics.rms:.6g}, rmsd {statistics.rmsd:.6g}"
    )
