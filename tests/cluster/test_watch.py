"""Counting workers, and what is told of them."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from nbdask.cluster import watch as module
from nbdask.cluster.news import Crew, News
from nbdask.cluster.queues import Job
from nbdask.cluster.watch import AGAIN, PATIENCE, ClusterLostError, Watch


class Scheduler:
    """A client of a scheduler whose workers are set by hand."""

    status = "running"

    def __init__(self) -> None:
        self.workers: dict[str, int] = {}
        self.busy: int | None = 1

    def nthreads(self) -> dict[str, int]:
        return self.workers

    def run_on_scheduler(self, function: object) -> int:
        if self.busy is None:
            raise ValueError("no functions here")
        return self.busy


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def watched(
    client: Scheduler, *, tell_lost: bool = True, jobs: list[Job] | None = None
) -> tuple[Watch, list[News]]:
    """Return a watch, and the news that it will tell."""
    heard: list[News] = []
    queue = None if jobs is None else SimpleNamespace(jobs=lambda: jobs)
    return Watch(client, 600.0, [], tell_lost=tell_lost, hear=heard.append, queue=queue), heard


def test_workers_that_come_and_go_are_counted(clock: Clock) -> None:
    """Those that come after a loss are replacements."""
    client = Scheduler()
    watch, heard = watched(client, tell_lost=False)
    for workers in ({"a": 2, "b": 2}, {"a": 2}, {"a": 2, "c": 4}, {"a": 2, "c": 4, "d": 1}):
        client.workers = workers
        watch.count()
    told = [(news.event, news.facts["worker"]) for news in heard if news.event != "crew"]
    assert told == [
        ("joined", "a"),
        ("joined", "b"),
        ("lost", "b"),
        ("joined", "c"),
        ("joined", "d"),
    ]
    assert watch.crew == Crew(workers=3, threads=7, busy=1, lost=1, replaced=1)
    assert heard[-1] == News("crew", "", heard[-1].facts)
    assert str(watch.crew) == "1 of 3 workers busy, 1 lost, 1 replaced"
    assert watch.crew.brief() == "1/3 workers"


def test_the_scheduler_is_not_asked_all_the_time(clock: Clock) -> None:
    """Which workers have something to do; one that runs nobody's functions is no error."""
    client = Scheduler()
    client.workers = {"a": 1}
    watch, _ = watched(client)
    watch.count()
    client.busy = 0
    watch.count()
    seen = [watch.crew.busy]
    for client.busy in (0, None):
        clock.now += module.ASK
        watch.count()
        seen.append(watch.crew.busy)
    assert seen == [1, 0, None]
    assert str(watch.crew) == "1 workers"


def test_jobs_that_wait_are_told_again_and_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """With numbers, the reason, and how long the run goes on waiting; then it ends."""
    jobs = [Job("11", False, ""), Job("12", True, "Resources")]
    watch, heard = watched(Scheduler(), jobs=jobs)
    with caplog.at_level(logging.WARNING, "nbdask"):
        for _ in range(600):
            clock.now += 1
            watch.look()
        clock.now += 1
        with pytest.raises(
            ClusterLostError, match=r"600 s: job 12 pending \(Resources\): .*--wait"
        ):
            watch.look()
    told = [news for news in heard if news.event == "waiting"]
    assert [news.facts["seconds"] for news in told] == [
        int(PATIENCE + 1 + n * (AGAIN + 1)) for n in range(4)
    ]
    assert told[1].text == (
        "waiting for workers since 4 min: job 12 pending (Resources); the run ends in 6 min without"
        " one (--wait)"
    )
    assert told[0].facts["jobs"][1] == {"number": "12", "pending": True, "reason": "Resources"}
    assert [record.getMessage() for record in caplog.records] == [f"nbdask: {n.text}" for n in told]
    assert (watch.crew.running, watch.crew.pending, watch.crew.reason) == (1, 1, "Resources")
