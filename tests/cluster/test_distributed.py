"""What the leading process does with its workers: many in one process, so nothing takes long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from distributed import Client, LocalCluster, get_worker

from nbdask.cluster.distributed import DistributedExecutor
from tests.cluster.test_executors import Item, Mark
from tests.helpers import PATIENCE, wait_until

pytestmark = pytest.mark.long
#: Addresses of the workers at work; what they wait for.  Tasks run in this very process.
BUSY: set[str] = set()
OPEN = threading.Event()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Let tasks wait; let them go in the end whatever has happened."""
    BUSY.clear()
    OPEN.clear()
    yield
    OPEN.set()


@contextmanager
def workers_here(count: int) -> Iterator[Client]:
    """Start workers of one thread each, all in this process."""
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


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


def test_the_window_shrinks_with_the_workers() -> None:
    """Once workers have left, less work is kept in hand."""
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
