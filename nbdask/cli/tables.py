"""Lines as wide as the terminal; programs and files get lines that never change."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

import click

#: Columns where standard output is no terminal.
_PIPE = 96
_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
#: Gaps of two blanks or more by which the rows of a table are known from names and values.
_OF_TABLES = 4


def width() -> int:
    """Return the columns of the terminal, or of what is written elsewhere."""
    return shutil.get_terminal_size((_PIPE, 24)).columns if sys.stdout.isatty() else _PIPE


def show(text: str, *, err: bool = False) -> None:
    """Print a text; on a terminal, lines that are too long go on below what they say."""
    if (sys.stderr if err else sys.stdout).isatty():
        text = "\n".join(fitted(text.split("\n"), shutil.get_terminal_size().columns))
    click.echo(text, err=err)


def fitted(lines: Sequence[str], columns: int) -> Iterator[str]:
    """Break lines at blanks, and all rows of a table at the same column.

    Parameters
    ----------
    lines : sequence of str
    columns : int
        Characters that a line may have; a longer word stays whole.

    Yields
    ------
    str
        What goes on is indented to the last thing that the line names, where that leaves half of
        the columns, else by four.
    """
    for is_row, group in itertools.groupby(
        lines, lambda line: len(_GAP.findall(line)) >= _OF_TABLES
    ):
        rows = list(group)
        if is_row and max(map(len, rows)) > columns:
            yield from _folded(rows, columns)
            continue
        for line in rows:
            yield from _wrapped(line, columns) if len(line) > columns else [line]


def _wrapped(line: str, columns: int) -> list[str]:
    gaps = [gap.end() for gap in _GAP.finditer(line) if gap.end() <= columns // 2]
    indent = gaps[-1] if gaps else len(line) - len(line.lstrip()) + 4
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _folded(rows: Sequence[str], columns: int) -> Iterator[str]:
    """Fold rows where all of them have a blank."""
    length, indent = max(map(len, rows)), ""
    cuts = [0]
    while length - cuts[-1] > columns - len(indent):
        reach = range(cuts[-1] + columns - len(indent), cuts[-1], -1)
        blank = (at for at in reach if all(row[at : at + 1] in (" ", "") for row in rows))
        end = next(blank, None)
        if end is None:  # a cell that is wider than the terminal
            break
        cuts.append(min(len(row) - len(row[end:].lstrip()) for row in rows if row[end:].strip()))
        indent = " " * 4
    for row in rows:
        for start, end in itertools.pairwise([*cuts, length]):
            piece = row[start:end].rstrip()
            if piece or not start:
                yield (indent if start else "") + piece
