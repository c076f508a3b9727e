"""Tiles that fail: tried again, set aside, told of; on threads, where that takes no time."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest

from nbdask.cluster import tries as tries_module
from nbdask.cluster.threads import ThreadsExecutor
from nbdask.cluster.tries import MOST_BLAMED, MOST_IN_ROW, MOST_TRIES, Failure, Tries, attempt
from nbdask.errors import InputError, StoreError, UnfinishedError
from nbdask.graph.tasks import TileError
from tests.cluster.test_executors import Item, Mark, items, total

#: Times that each number was tried.
TRIED: Counter[int] = Counter()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was tried, and nobody waits long."""
    TRIED.clear()
    monkeypatch.setattr(tries_module, "PAUSE", 0.001)


def failing(bad: Callable[[int], bool], error: Exception) -> Callable[[str, int], int]:
    """Return a task that fails where it is told to."""

    def task(run: str, number: int) -> int:
        TRIED[number] += 1
        if bad(number):
            raise copy(error) from error.__cause__
        return number

    return task


def run(task: Callable[..., Any], count: int = 30) -> list[int]:
    """Run a task for so many numbers; return those that are done, in order."""
    found: list[int] = []
    try:
        ThreadsExecutor(2).run(Mark("t", 0), items(task, "t", count), found.append)
    finally:
        found.sort()
    return found


def test_what_passes_is_tried_again() -> None:
    """A tile that fails twice is done by the third try, all others by the first."""
    task = failing(lambda n: n % 10 == 3 and TRIED[n] < MOST_TRIES, OSError(errno.ESTALE, "stale"))
    assert run(task) == list(range(30))
    assert {n: times for n, times in TRIED.items() if times > 1} == {3: 3, 13: 3, 23: 3}


def test_what_fails_on_every_try_is_set_aside() -> None:
    """The rest is done; the error of the run names each tile once."""
    found: list[int] = []
    task = failing(lambda n: n in (3, 7), TileError("tile X: no luck"))
    with pytest.raises(UnfinishedError, match=r"2 tiles failed on every try") as caught:
        ThreadsExecutor(2).run(Mark("t", 0), items(task, "t", 30), found.append)
    assert sorted(found) == sorted(set(range(30)) - {3, 7})
    assert caught.value.tiles == ("tile X: no luck",) * 2
    assert caught.value.exit_code == 1
    assert max(TRIED.values()) == MOST_TRIES


@pytest.mark.parametrize("error", [InputError("wrong"), StoreError("full")], ids=type)
def test_errors_of_what_was_given_are_not_tried_again(error: Exception) -> None:
    """Nor is a disk that is full: another try would end the same way."""
    if isinstance(error, StoreError):
        error.__cause__ = OSError(errno.ENOSPC, "No space left")
    with pytest.raises(type(error), match=str(error)):
        run(failing(lambda n: n == 3, error))
    assert TRIED[3] == 1


def test_a_run_whose_every_tile_fails_ends_soon() -> None:
    """With the error itself, not after thousands of tiles."""
    with pytest.raises(TileError, match="no luck"):
        run(failing(lambda n: n >= 5, TileError("no luck")), 1000)
    assert sum(times == MOST_TRIES for times in TRIED.values()) <= 2 * MOST_IN_ROW
    with pytest.raises(TileError, match="no luck"):
        run(failing(lambda n: True, TileError("no luck")), 2)


def test_a_part_that_fails_is_the_tile_that_fails() -> None:
    """Tasks that need its result are not computed; the whole tile is tried again."""

    def part(number: int) -> tuple[int, int, int]:
        TRIED[number] += 1
        if number == 2 and TRIED[number] < MOST_TRIES:
            raise RuntimeError("once more")
        return number, number, 0

    keys = [("in", n) for n in range(4)]
    graph = {key: (part, key[1]) for key in keys}
    found: list[int] = []
    item = Item(("out", 0), {**graph, ("out", 0): (total, *keys)})
    ThreadsExecutor(2).run(Mark("t", 0), iter([item]), found.append)
    assert found == [6]


def test_a_worker_that_fails_what_others_do_is_named() -> None:
    """After so many tiles, once, and not for tiles that it did itself later."""
    tries = Tries(1)
    named = []
    for number in range(MOST_BLAMED + 2):
        item = Item(number, {})
        tries.failed(item, Failure(OSError("here"), worker="a"))
        tries.failed(item, Failure(OSError("here too"), worker="b"))
        named += [worker for worker, _ in tries.succeeded(number, "b")]
    assert named == ["a"]


def test_an_error_is_portable_and_holds_nothing() -> None:
    """What cannot be sent is told in words, with its traceback; a tile's arrays are let go."""

    class Odd(Exception):
        def __init__(self) -> None:
            super().__init__("odd")
            self.part = lambda: None

    def task() -> None:
        large = bytearray(10)
        raise Odd if large else KeyError

    failure = attempt(task)
    assert str(failure.error) == "Odd: odd"
    failure = attempt(failing(lambda n: True, KeyError("k")), "t", 1)
    assert "in task" in failure.error.__notes__[0]
    frame = failure.error.__traceback__.tb_next.tb_frame
    assert frame.f_locals == {}
