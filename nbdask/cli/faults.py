"""What ``nbdask verify`` and ``nbdask repair`` share: a progress bar, the list of faults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from nbdask.cli.streams import one_line, terminal

#: Faults that are printed one by one.
MOST = 20


def say_faults(faults: Sequence[object]) -> None:
    """Print the first faults, one a line, and how many more there are."""
    for fault in faults[:MOST]:
        click.echo(one_line(fault))
    if len(faults) > MOST:
        click.echo(f"... and {len(faults) - MOST} more")


@contextmanager
def bar(label: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a progress callback that draws a bar on a terminal, None where there is none."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=one_line(label), file=terminal()) as shown:

        def progress(done: int, total: int) -> None:
            shown.length = total
            shown.update(done - shown.pos)

        yield progress
