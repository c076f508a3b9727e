"""Standard error as events: one JSON object a line, for programs that watch a run."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TextIO

#: Beginning of a line of plain text -> its event.
_EVENTS = {"nbdask: error: ": "error", "nbdask: note: ": "note", "nbdask: ": "note"}


def is_wanted(words: Sequence[str]) -> bool:
    """Return whether a command line asks for JSON, before it is read in full."""
    return "--log=json" in words or ("--log", "json") in pairwise(words)


class _Lines(io.TextIOBase):
    """Standard error on which every line is an event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._rest, self._lock = stream, "", threading.RLock()
        self.ended = False

    def write(self, text: str) -> int:
        """Make an event of every whole line."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._plain(line)
        return len(text)

    def _plain(self, line: str) -> None:
        for start, event in _EVENTS.items():
            if line.startswith(start):
                self.event(event, text=line.removeprefix(start))
                return
        if line.strip():
            self.event("text", text=line)

    def event(self, event: str, **facts: Any) -> None:
        """Write one event."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **facts}, default=str)
        with self._lock:
            self.ended = self.ended or event == "end"
            self._stream.write(line + "\n")
            self._stream.flush()

    def flush(self) -> None:
        """Write what is left of a line."""
        with self._lock:
            rest, self._rest = self._rest, ""
            self._plain(rest)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream beneath."""
        return self._stream.encoding or "utf-8"


@contextmanager
def json_lines() -> Iterator[_Lines]:
    """Let every line on standard error be JSON meanwhile."""
    before, lines = sys.stderr, _Lines(sys.stderr)
    log = logging.getLogger("nbdask")
    sys.stderr = lines
    log.addFilter(_is_no_news)
    try:
        yield lines
    finally:
        log.removeFilter(_is_no_news)
        lines.flush()
        sys.stderr = before


def _is_no_news(record: logging.LogRecord) -> bool:
    """Return False for what is told as an event of its own."""
    return not getattr(record, "news", False)


def emit(event: str, **facts: Any) -> None:
    """Write an event, where events are wanted."""
    if isinstance(sys.stderr, _Lines):
        sys.stderr.event(event, **facts)
