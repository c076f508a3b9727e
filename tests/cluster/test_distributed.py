"""What the leading process does with its workers, which are all in this very process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client, get_worker

from nbdask.cluster import copies, driver, tries
from nbdask.cluster.distributed import DistributedExecutor
from nbdask.cluster.open import open_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import PlanError, UnfinishedError
from nbdask.plan import leading
from tests.cluster.pools import workers_here
from tests.cluster.test_executors import Item, Mark, items
from tests.helpers import PATIENCE, wait_until

pytestmark = pytest.mark.long
#: Addresses of the workers at work; what they wait for.  Tasks run in this very process.
BUSY: set[str] = set()
OPEN = threading.Event()
#: Tiles begun.
BEGUN: list[int] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Let tasks wait; let them go in the end whatever has happened."""
    BUSY.clear()
    BEGUN.clear()
    OPEN.clear()
    yield
    OPEN.set()


def waiting(run: str, number: int) -> int:
    """Be busy until the test says so."""
    BUSY.add(get_worker().address)
    assert OPEN.wait(PATIENCE)
    return number


def in_thread(client: Client, *words: Any) -> threading.Thread:
    """Run something while the test looks on."""
    thread = threading.Thread(target=DistributedExecutor(client, 1).run, args=words, daemon=True)
    thread.start()
    return thread


def graphs(run: str, count: int) -> Iterator[Item]:
    """Yield graphs of one task each."""
    return (Item((run, n), {(run, n): (waiting, run, n)}) for n in range(count))


def own_way(run: str, number: int) -> int:
    """Fail on one worker; tiles 5 and 15 fail everywhere."""
    BUSY.add(get_worker().address)
    time.sleep(0.01)
    if get_worker().address == min(BUSY) or number in (5, 15):
        raise OSError(f"tile {number} failed")
    return number


def dying(run: str, number: int) -> int:
    """Kill the worker's process at tile 3."""
    if number == 3:
        os._exit(1)
    return number


def wrong(run: str, number: int) -> int:
    """Find that the user's input is wrong."""
    raise PlanError(f"number {number}")


def slow_at_last(run: str, number: int) -> int:
    """Take next to no time until tile 200, then some."""
    if number >= 200:
        time.sleep(0.1)
    return number


def counted(run: str, number: int) -> int:
    """Be one of many short tiles."""
    BEGUN.append(number)
    time.sleep(0.02)
    return number


def stuck(run: str, number: int) -> int:
    """Be done at once, but for tile 3 on the worker that begins it first."""
    if number == 3:
        BEGUN.append(number)
        if len(BEGUN) == 1:
            assert OPEN.wait(PATIENCE)
    return number


def stuck_part(run: str, number: int, part: int) -> int:
    """Be a part of a tile; one of tile 3 hangs."""
    return stuck(run, number) + 100 * part


def added(*parts: int) -> int:
    """Be the rest of a tile, which is the sum of its parts."""
    return sum(parts)


def in_parts(run: str, count: int) -> Iterator[Item]:
    """Yield graphs of two parts and their sum."""
    for n in range(count):
        parts = {(f"part-{run}", n, k): (stuck_part, run, n, k) for k in range(2)}
        yield Item((run, n), {**parts, (run, n): (added, *parts)})


def executing(dask_worker: Any) -> int:
    """Return how many tasks a worker's threads have in hand."""
    return len(dask_worker.state.executing) + len(dask_worker.active_threads)


def test_workers_that_join_later_become_busy() -> None:
    """Two are there at the start, eight in the end, and all eight work at the same time."""
    found: list[int] = []
    with workers_here(2) as client:
        thread = in_thread(client, Mark("j", 0), graphs("j", 40), found.append)
        wait_until(lambda: len(BUSY) == 2)
        client.cluster.scale(8)
        wait_until(lambda: len(BUSY) == 8)
        OPEN.set()
        thread.join(PATIENCE)
    assert sorted(found) == list(range(40))


def test_the_window_shrinks_with_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once workers have left, less work is kept in hand."""
    monkeypatch.setattr(leading, "MOST_TILES", 1)
    drawn: list[int] = []
    ahead: list[int] = []

    def counted() -> Iterator[Item]:
        for item in graphs("k", 60):
            drawn.append(1)
            yield item

    with workers_here(8) as client:
        done = lambda value: ahead.append(len(drawn) - len(ahead))  # noqa: E731
        thread = in_thread(client, Mark("k", 0), counted(), done)
        wait_until(lambda: len(BUSY) == 8)
        client.cluster.scale(1)
        wait_until(lambda: len(client.nthreads()) == 1)
        most = len(drawn)
        OPEN.set()
        thread.join(PATIENCE)
    assert len(ahead) == 60
    assert most >= 8
    assert min(ahead[:-most]) < most / 2


def test_a_bad_worker_is_retired_and_bad_tiles_set_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tiles are done by the others; the run names it, and the tiles that fail everywhere."""
    monkeypatch.setattr(tries, "PAUSE", 0.0)
    monkeypatch.setattr(leading, "MOST_TILES", 4)
    found: list[int] = []
    with workers_here(3) as client, caplog.at_level(logging.WARNING, "nbdask"):
        BUSY.update(client.nthreads())
        bad = min(BUSY)
        executor = DistributedExecutor(client, 1)
        with pytest.raises(UnfinishedError) as ended:
            executor.run(Mark("m", 0), items(own_way, "m", 60), found.append)
        wait_until(lambda: len(client.nthreads()) == 2)
        assert bad not in client.nthreads()
    assert sorted(found) == sorted(set(range(60)) - {5, 15})
    assert sorted(ended.value.tiles) == ["OSError: tile 15 failed", "OSError: tile 5 failed"]
    assert [bad in text for text in caplog.messages if "is retired" in text] == [True]


def test_the_users_error_ends_the_run_at_once() -> None:
    """Also out of a parcel; the workers can be used again."""
    with workers_here(2) as client:
        executor = DistributedExecutor(client, 1)
        with pytest.raises(PlanError, match="number"):
            executor.run(Mark("n", 0), items(wrong, "n", 60), lambda value: None)
        found: list[int] = []
        executor.run(Mark("o", 0), items(slow_at_last, "o", 20), found.append)
    assert len(found) == 20


@pytest.mark.parametrize("parts", [False, True])
def test_a_slow_worker_does_not_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch, parts: bool
) -> None:
    """What it has in hand at the end an idle one does as well; each result is taken once."""
    monkeypatch.setattr(leading, "MOST_TILES", 1)
    monkeypatch.setattr(copies, "LEAST", 0.2)
    found: list[int] = []
    with workers_here(3) as client:
        graphs = in_parts("s", 12) if parts else items(stuck, "s", 12)
        DistributedExecutor(client, 1).run(Mark("s", 0), graphs, found.append)
        # The slow one still has its tile.
        assert not OPEN.is_set()
        assert len(BEGUN) >= 2
        OPEN.set()
        expected = [2 * n + 100 for n in range(12)] if parts else list(range(12))
        assert sorted(found) == expected
        wait_until(lambda: not any(client.run(executing).values()))
        wait_until(lambda: not client.cluster.scheduler.tasks)
    assert sorted(found) == expected


def test_short_tiles_travel_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each arrives once, also out of parcels whose tiles turn out long, and that come back."""
    monkeypatch.setattr(driver, "limit", lambda threads: 0.25)
    found: list[int] = []
    tasks = 0
    with workers_here(2) as client:
        plain = client.get

        def counted(graph: Any, keys: Any, **options: Any) -> Any:
            nonlocal tasks
            tasks += len(keys)
            return plain(graph, keys, **options)

        client.get = counted
        graphs = items(slow_at_last, "p", 230)
        DistributedExecutor(client, 1).run(Mark("p", 0), graphs, found.append)
    assert sorted(found) == list(range(230))
    assert tasks < 115


def test_a_tile_that_kills_its_workers_is_set_aside() -> None:
    """At most with one that was in the hands of the same workers; the others are done."""
    found: list[int] = []
    with open_cluster(ClusterSpec("local", 1, 1)) as made:
        made.client.cluster.scheduler.allowed_failures = 0  # type: ignore[attr-defined]
        with pytest.raises(UnfinishedError, match="workers died while they computed") as ended:
            made.run(Mark("q", 0), items(dying, "q", 12), found.append)
    assert 3 not in found
    assert len(set(found)) + len(ended.value.tiles) == 12
    assert len(ended.value.tiles) <= 2


def test_a_run_that_ends_leaves_its_parcels() -> None:
    """The workers finish the tiles in hand, not the other ones that travelled with them."""
    BEGUN.clear()
    found: list[int] = []

    def done(value: int) -> None:
        found.append(value)
        if len(found) == 20:
            raise KeyboardInterrupt

    with workers_here(2) as client:
        with pytest.raises(KeyboardInterrupt):
            DistributedExecutor(client, 1).run(Mark("s", 0), items(counted, "s", 400), done)
        wait_until(lambda: not any(client.processing().values()))
        wait_until(lambda: not client.run(executing).popitem()[1])
    assert len(BEGUN) < 160
