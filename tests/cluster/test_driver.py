"""How the leading process takes results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nbdask.cluster import driver
from nbdask.cluster.driver import Driver
from nbdask.cluster.parcels import Parcel, Reply
from nbdask.graph.build import Graph


class Future:
    """A result that went with its worker, and comes again later."""

    def __init__(self) -> None:
        self.status = "lost"
        self.told: list[Callable[[Any], None]] = []

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        """Remember whom to tell."""
        self.told.append(call)

    def result(self, timeout: float) -> Reply:
        """Return it, once it is there."""
        if self.status != "finished":
            raise TimeoutError
        return Reply("worker", ["done"], 1.0)

    def release(self) -> None:
        """Forget it."""


class Watch:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.threads, self.workers = 1, {"worker"}
        self.looks = self.results = 0

    def look(self) -> None:
        """Nothing came."""
        self.looks += 1

    def result(self) -> None:
        """Something came."""
        self.results += 1


class Client:
    """Fetches nothing."""

    def gather(self, *_: Any, **__: Any) -> Any:
        """Fail, as where a worker does not answer."""
        raise OSError("no answer")


@pytest.mark.parametrize("status", ["lost", "pending", "finished"])
def test_a_result_lost_with_its_worker_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Without end to be told: workers are looked for meanwhile."""
    monkeypatch.setattr(driver, "COLLECT", 0.0)
    taken: list[Any] = []
    client: Any = Client()
    watch: Any = Watch()
    lead = Driver(client, watch, 1, "run", iter(()), taken.append)
    future: Any = Future()
    future.status = status
    if status == "finished":
        future.result = lambda timeout: (_ for _ in ()).throw(TimeoutError)
    item = Graph("a", {"a": 1})
    lead.pending[future] = Parcel("key", [item], {"key": 1})
    lead._take([future])
    assert future in lead.pending
    assert (taken, watch.looks, watch.results) == ([], 1, 0)
    future.__dict__.pop("result", None)
    future.status = "finished"
    future.told.pop()(future)
    lead._take(lead._finished())
    assert (taken, watch.looks, watch.results) == (["done"], 1, 1)
    assert not lead.pending
