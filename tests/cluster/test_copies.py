"""Which parcels of a slow worker are given to another one, by a clock that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from nbdask.cluster import copies
from nbdask.cluster.copies import Copies
from nbdask.cluster.parcels import pack
from tests.cluster.test_executors import Item


class Clock:
    """The time."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test sets."""
    made = Clock()
    monkeypatch.setattr(copies, "time", made)
    return made


def test_what_takes_far_longer_than_usual_is_late(clock: Clock) -> None:
    """The oldest first, as many as asked for, and none that has a copy or before any is back."""
    found = Copies()
    for name in "abcd":
        found.sent(name)
        clock.now += 0.1
    assert found.late("abcd", 4) == []
    assert found.ended("d", 3.0) is None
    clock.now = 5.9
    assert found.late("abc", 4) == []
    clock.now = 6.15
    assert found.late("abc", 4) == ["a", "b"]
    assert found.late("abc", 1) == ["a"]
    assert found.late("abc", 0) == []
    found.sent("a again")
    found.pair("a", "a again")
    assert found.late(["a", "b", "c", "a again"], 4) == ["b"]


def test_short_tiles_are_not_late_at_once(clock: Clock) -> None:
    """A second is not long for a network."""
    found = Copies()
    found.sent("a")
    found.sent("b")
    clock.now = 0.01
    found.ended("a")
    clock.now = 0.9
    assert found.late("b", 4) == []
    clock.now = 1.1
    assert found.late("b", 4) == ["b"]


def test_the_first_of_two_ends_both(clock: Clock) -> None:
    """Whichever it is; a copy that failed leaves the other alone, which may be copied again."""
    found = Copies()
    for name in "abcd":
        found.sent(name)
    found.pair("a", "b")
    found.pair("c", "d")
    assert found.ended("b") == "a"
    assert found.ended("a") is None
    assert found.ended("c") == "d"
    clock.now = 9.0
    assert found.late("d", 1) == ["d"]


def test_a_copy_has_other_names_throughout() -> None:
    """A tile of several tasks: the scheduler would take the same names for the same tasks."""

    def part(run: str, index: int, number: int) -> int:
        return number

    def add(*parts: int) -> int:
        return sum(parts)

    tile: dict[Any, Any] = {("part", 3, n): (part, "r", 3, n) for n in range(2)}
    tile["tile", 3] = (add, ("part", 3, 0), ("part", 3, 1))
    first = pack("r", 0, [Item(("tile", 3), tile)], 1.0)
    copy = pack("r", 7, [Item(("tile", 3), tile)], 1.0, copy=True)
    assert first.graph.keys().isdisjoint(copy.graph)
    assert copy.key in copy.graph
    words = {word for task in copy.graph.values() for word in task if isinstance(word, tuple)}
    assert words == set(copy.graph) - {copy.key}
    assert copy.items == first.items
