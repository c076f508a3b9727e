"""What is printed fits the terminal; elsewhere it stays as it is."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbdask.cli.tables import fitted, show

FACTS = [
    "a.zarr: image 300 (slow) x 300 (fast) float32",
    "axes         a* 0.071 0.041 -0.0298, b* -0.038 0.077 0.014, c* 0.033 0.001 0.080 1/Angstrom",
    "status       complete",
]
#: Right-aligned columns, and a last one that only some rows have.
TABLE = [
    "         slow          fast  chosen        worst      mean      rmse  max diff   1-corr",
    "        0-299         0-299  all        1.10e+04  1.63e+00  1.67e+03  1.78e+05  2.4e-01  far",
    "      300-599         0-299  brightest  1.10e-14  1.63e-15  1.67e-13  1.78e-09  2.4e-15",
]


def test_long_lines_go_on_below_what_they_say() -> None:
    """Of a name and its value below the value; lines that fit are as they were."""
    first, *axes, status = fitted(FACTS, 60)
    assert (first, status) == (FACTS[0], FACTS[2])
    assert axes[0].startswith("axes         a* 0.071")
    assert len(axes) == 2
    assert axes[1].startswith(" " * 13 + "c*")


def test_rows_of_a_table_break_at_the_same_column() -> None:
    """Heads stay above their numbers; what only some rows have does not make a line of others."""
    lines = list(fitted(TABLE, 60))
    assert max(map(len, lines)) <= 60
    head, more, row, more_of_it = lines[:4]
    assert head.split() == ["slow", "fast", "chosen", "worst", "mean"]
    assert row.split() == ["0-299", "0-299", "all", "1.10e+04", "1.63e+00"]
    for word, number in (("rmse", "1.67e+03"), ("1-corr", "2.4e-01")):
        assert more.index(word) + len(word) == more_of_it.index(number) + len(number)
    assert "far" in more_of_it
    assert list(fitted(TABLE, 120)) == TABLE


@given(
    st.lists(st.lists(st.text("ab-.", min_size=1, max_size=9), max_size=12), max_size=5),
    st.integers(1, 4),
    st.integers(12, 60),
)
def test_no_word_is_lost(rows: list[list[str]], gap: int, columns: int) -> None:
    """Whatever the lines are: the same words in the same order, whole, and none too far right."""
    lines = [(" " * gap).join(words) for words in rows]
    found = list(fitted(lines, columns))
    assert sorted(" ".join(found).split()) == sorted(word for words in rows for word in words)
    if gap < 2:
        assert " ".join(found).split() == [word for words in rows for word in words]
        assert max(map(len, found), default=0) <= max(columns, 4 + 9)


@pytest.mark.parametrize("terminal", [True, False])
def test_pipes_get_whole_lines(terminal: bool, monkeypatch, capsys) -> None:
    """Only a terminal has a width."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setitem(os.environ, "COLUMNS", "60")
    show("\n".join(FACTS))
    assert (capsys.readouterr().out == "\n".join(FACTS) + "\n") is not terminal
