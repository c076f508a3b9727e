"""``-v``, ``--log-file`` and ``--quiet``: what the package's loggers say, and where.

Each folder of the package has a logger of its own, ``nbdask.fill`` for instance.  Without these
options nothing is installed, so that programs that import nbdask decide by themselves.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from nbdask.files import check_outside_stores

#: Marks what the user has been told by other means already.
TOLD = {"told": True}
_ROOT = logging.getLogger("nbdask")
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(slots=True)
class _State:
    quiet: bool = False
    handlers: list[logging.Handler] = field(default_factory=list)


_state = _State()


class _Screen(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error, as it is when something is written."""

    def __init__(self, detailed: bool) -> None:
        super().__init__()
        self._detailed, self._start = detailed, time.monotonic()
        self.addFilter(lambda record: not getattr(record, "told", False))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        text = record.getMessage().removeprefix("nbdask: ")
        if record.levelno < logging.WARNING:
            text = f"{record.name.removeprefix('nbdask.')}: {text}"
        if self._detailed:
            text = f"{time.monotonic() - self._start:8.3f} s {text}"
        print(f"nbdask: {text}", file=sys.stderr, flush=True)


def begin(verbose: int, file: str | None, quiet: bool) -> None:
    """Let loggers write, until :func:`end`.

    Parameters
    ----------
    verbose : int
        1: the steps of a command on standard error; 2 or more: every detail, with times.
    file : str or None
        File to which everything is appended.
    quiet : bool
        Whether notes are left out.

    Raises
    ------
    click.UsageError
        A file that cannot be written.
    """
    end()
    _state.quiet = quiet
    if verbose and not quiet:
        _add(_Screen(verbose > 1), logging.DEBUG if verbose > 1 else logging.INFO)
    if file is not None:
        check_outside_stores(Path(file), "--log-file", click.UsageError)
        try:
            handler = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"--log-file {file}: {error.strerror}") from None
        handler.setFormatter(logging.Formatter(_FILE_FORMAT))
        _add(handler, logging.DEBUG)


def _add(handler: logging.Handler, level: int) -> None:
    handler.setLevel(level)
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.DEBUG)
    _state.handlers.append(handler)


def end() -> None:
    """Take the handlers away again."""
    for handler in _state.handlers:
        _ROOT.removeHandler(handler)
        handler.close()
    if _state.handlers:
        _ROOT.setLevel(logging.NOTSET)
    _state.quiet, _state.handlers = False, []


def is_quiet() -> bool:
    """Whether notes are left out."""
    return _state.quiet


def note(text: str, level: int = logging.INFO) -> None:
    """Keep in the log file what was printed."""
    # Without a handler of ours, logging itself would print errors once more.
    if _state.handlers:
        logging.getLogger("nbdask.cli").log(level, "%s", text, extra=TOLD)
