"""One suite for every cluster: real threads, real processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
import pytest

from nbdask.cluster import threads as threads_module
from nbdask.cluster.executor import Executor
from nbdask.cluster.open import open_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import PlanError
from nbdask.plan.leading import LEAST_AHEAD, MOST_TILES
from tests.cluster.pools import listening
from tests.helpers import PATIENCE

SEEN: dict[str, int] = {}


class Item(NamedTuple):
    """A graph for an executor."""

    key: Any
    graph: dict[Any, Any]


@dataclass
class Mark:
    """A setup that leaves a mark in the process."""

    run: str
    number: int

    def install(self) -> None:
        SEEN[self.run] = self.number

    def remove(self) -> None:
        SEEN.pop(self.run, None)


def square(run: str, number: int) -> tuple[int, int, int]:
    """Return number, its square plus what was set up, and the process."""
    return number, number**2 + SEEN[run], os.getpid()


def total(*parts: tuple[int, int, int]) -> int:
    """Return the sum of the second items."""
    return sum(part[1] for part in parts)


def fail(run: str, number: int) -> None:
    """Raise an error of nbdask."""
    raise PlanError(f"number {number}")


def sleep(run: str, number: int) -> int:
    """Take a moment."""
    time.sleep(0.005)
    return number


def items(function: Any, run: str, count: int) -> Iterator[Item]:
    """Yield graphs of one task each."""
    return (Item((run, n), {(run, n): (function, run, n)}) for n in range(count))


@pytest.fixture(scope="module", params=["threads", pytest.param("local", marks=pytest.mark.long)])
def executor(request) -> Iterator[Executor]:
    """Two tasks at a time: in two threads, or in two processes."""
    workers = 1 if request.param == "threads" else 2
    with open_cluster(ClusterSpec(request.param, workers, 3 - workers)) as made:
        yield made


def test_every_graph_is_computed_once(executor) -> None:
    """All results arrive, each once, computed where the setup was done."""
    found: list[tuple[int, int, int]] = []
    executor.run(Mark("a", 1000), items(square, "a", 100), found.append)
    assert sorted(f[:2] for f in found) == [(n, n * n + 1000) for n in range(100)]
    assert "a" not in SEEN


def test_graphs_may_have_inner_tasks(executor) -> None:
    """Only the value of the graph's key is a result."""
    keys = [("in", n) for n in range(5)]
    graph = {key: (square, "b", key[1]) for key in keys}
    found: list[int] = []
    executor.run(
        Mark("b", 1), iter([Item(("out", 0), {**graph, ("out", 0): (total, *keys)})]), found.append
    )
    assert found == [0 + 1 + 4 + 9 + 16 + 5]


def test_graphs_are_drawn_as_others_finish(executor) -> None:
    """However many graphs there are, only a window of them is in flight."""
    drawn, done, most = 0, 0, 0

    def counted() -> Iterator[Item]:
        nonlocal drawn, most
        for item in items(sleep, "c", 600):
            drawn += 1
            most = max(most, drawn - done)
            yield item

    def finished(value: int) -> None:
        nonlocal done
        done += 1

    executor.run(Mark("c", 0), counted(), finished)
    assert done == 600
    in_parcels = MOST_TILES * (2 + LEAST_AHEAD)
    assert most <= max(threads_module.WINDOW_PER_THREAD * 2, in_parcels) < 600


def test_the_error_of_a_task_arrives(executor) -> None:
    """As it was raised; the executor can be used again afterwards."""
    with pytest.raises(PlanError, match="number"):
        executor.run(Mark("d", 0), items(fail, "d", 50), lambda value: None)
    assert "d" not in SEEN
    found: list[int] = []
    executor.run(Mark("e", 0), items(sleep, "e", 4), found.append)
    assert sorted(found) == [0, 1, 2, 3]


def test_an_error_of_the_listener_arrives(executor) -> None:
    """A failing callback ends the run too."""

    def listener(value: int) -> None:
        raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        executor.run(Mark("f", 0), items(sleep, "f", 50), listener)


def test_local_workers_are_other_processes_on_loopback() -> None:
    """Two processes compute, nothing listens beyond loopback, none is left afterwards."""
    before = listening()
    with open_cluster(ClusterSpec("local", 2, 1)) as made:
        found: list[tuple[int, int, int]] = []
        made.run(Mark("g", 0), items(square, "g", 60), found.append)
        workers = {f[2] for f in found}
        opened = listening() - before
    assert os.getpid() not in workers
    assert len(workers) == 2
    assert {address for _, address, _ in opened} == {"127.0.0.1"}
    assert not any(psutil.pid_exists(pid) for pid in workers)


def test_threads_run_at_the_same_time() -> None:
    """Two tasks that wait for each other finish, so they do run together."""
    barrier = threading.Barrier(2, timeout=PATIENCE)

    def meet(run: str, number: int) -> int:
        barrier.wait()
        return number

    with open_cluster(ClusterSpec("threads", 1, 2)) as made:
        found: list[int] = []
        made.run(Mark("h", 0), items(meet, "h", 6), found.append)
    assert sorted(found) == [0, 1, 2, 3, 4, 5]


@pytest.mark.long
def test_no_process_remembers_all_keys(monkeypatch) -> None:
    """However many tasks there were, dask's memory of their keys stays small everywhere."""
    from dask.utils import key_split

    from nbdask.cluster import gate
    from nbdask.plan import leading

    key_split.cache_clear()
    monkeypatch.setattr(gate, "FORGET_AFTER", 20)
    monkeypatch.setattr(leading, "MOST_TILES", 1)
    with open_cluster(ClusterSpec("local", 1, 2)) as made:
        made.run(Mark("k", 0), items(square, "k", 180), lambda value: None)
        here = key_split.cache_info().currsize
        spans = made.client.cluster.scheduler.extensions["spans"].spans  # type: ignore[attr-defined]
        notes = [len(span._metadata["collections"]) for span in spans.values() if span._metadata]
        (there,) = made.client.run(lambda: key_split.cache_info().currsize).values()  # type: ignore[attr-defined]
    assert here < 90
    assert there < 90
    assert notes
    assert max(notes) < 90


def test_an_interrupted_wait_logs_nothing(caplog) -> None:
    """What distributed logs when Ctrl-C meets a wait not yet begun is dropped, nothing else."""
    import logging

    from nbdask.cluster.distributed import UnbegunWait

    def cancel() -> None:
        if future is not None:
            raise AssertionError

    def log(make) -> None:
        try:
            make()
        except Exception:
            logging.getLogger("nbdask.test").exception("callback")

    logging.getLogger("nbdask.test").addFilter(UnbegunWait())
    log(cancel)
    assert caplog.records == []
    log(lambda: missing)  # type: ignore[name-defined]  # noqa: F821
    assert len(caplog.records) == 1
    future = None
