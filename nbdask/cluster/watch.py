"""Watches the workers of a run: those that come, are lost, are refused; whether any are left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from distributed import Client
from distributed.comm.core import CommClosedError

from nbdask.cluster import queues
from nbdask.cluster.gate import REFUSED, make_busy, refusal
from nbdask.cluster.news import Crew, Hear, News, ignore, tell
from nbdask.errors import ClusterError
from nbdask.plan.estimate import format_seconds

#: Seconds between looks at the workers.
LOOK = 1.0
#: Seconds in which workers must answer at the end of a run.
LEAVING = 30.0
#: Seconds without workers after which the user is told what the run waits for, and told again.
PATIENCE, AGAIN = 30.0, 180.0
#: Seconds between questions to the scheduler which workers have something to do.
ASK = 5.0
#: Workers refused one after another that end a run: the next ones would be refused too.
MOST_REFUSED = 4
#: Attempts of a batch system to refuse a job, while there are no workers, that end a run.
MOST_FAILURES = 3


class ClusterLostError(ClusterError):
    """A cluster that went away while it worked; what is written stays and can be resumed."""

    exit_code = 1


class Watch:
    """Notices that workers come, and that one, or all of them, are lost.

    Attributes
    ----------
    workers : frozenset of str
        Addresses, when they were last counted.
    threads : int
        Of all of them.
    dismissed : set of str
        Workers that were sent away, and are not told of when they are gone.
    crew : Crew
        What of them is told.
    """

    def __init__(
        self,
        client: Client,
        wait: float,
        failures: list[str],
        *,
        tell_lost: bool,
        hear: Hear = ignore,
        queue: queues.Queue | None = None,
    ) -> None:
        self._client, self._wait, self._failures = client, wait, failures
        self._tell_lost, self._queue = tell_lost, queue
        self.hear, self.crew = hear, Crew()
        self.threads = 0
        self.workers: frozenset[str] = frozenset()
        self.dismissed: set[str] = set()
        self._since = self._looked = time.monotonic()
        self._told, self._asked = 0.0, -ASK
        self._refused: list[str] = []
        self._unheard: list[str] = []

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Listen to workers that report that they were refused."""

        def heard(event: tuple[float, dict[str, str]]) -> None:
            # In a thread of the client: it is told when workers are counted.
            line = refusal(event[1]["worker"], event[1]["reason"])
            self._refused.append(line)
            self._unheard.append(line)

        self._client.subscribe_topic(REFUSED, heard)
        try:
            yield
        finally:
            self._tell_refused()
            if self._client.status == "running":
                self._client.unsubscribe_topic(REFUSED)

    def alive(self) -> None:
        """Note that somebody works."""
        self._since = time.monotonic()
        self._told = 0.0

    def result(self) -> None:
        """Note that a result came; look at the workers now and then."""
        self.alive()
        if self._since - self._looked > LOOK:
            self.count()

    def until_workers(self) -> None:
        """Wait for the first worker."""
        while not self.count():
            self._no_workers()
            time.sleep(0.1)
        self.alive()

    def look(self) -> None:
        """Raise an error if there have been no workers, or no scheduler, for too long."""
        if len(self._refused) >= MOST_REFUSED:
            raise ClusterError(self._refused[-1])
        if self.count():
            self.alive()
        else:
            self._no_workers()

    def count(self) -> int:
        """Return how many workers are there; tell of those that are lost."""
        if self._client.status == "closed":
            raise CommClosedError("closed")
        if self._client.status != "running":
            return 0
        self._looked = time.monotonic()
        workers = self._client.nthreads()
        found, self.threads = frozenset(workers), sum(workers.values())
        self._tell_refused()
        self._tell(found)
        self.workers = found
        self._count_crew()
        return len(found)

    def _tell_refused(self) -> None:
        while self._unheard:
            tell(self.hear, "refused", self._unheard.pop(0))

    def _tell(self, found: frozenset[str]) -> None:
        """Tell of workers that came, and that are gone.

        One that loses its link ends as if all were well, so where nobody replaces it, people are
        told.
        """
        refused = " ".join(self._refused)
        crew, count = self.crew, {"workers": len(found), "threads": self.threads}
        for worker in sorted(found - self.workers):
            crew.replaced += crew.replaced < crew.lost
            self.hear(News("joined", "", {"worker": worker, **count}))
        for worker in sorted(self.workers - found - self.dismissed):
            # One that was refused is no loss, and was told of.
            if worker in refused:
                continue
            crew.lost += 1
            if not self._tell_lost:
                self.hear(News("lost", "", {"worker": worker, **count}))
                continue
            text = (
                f"worker {worker} is lost, {len(found)} {'is' if len(found) == 1 else 'are'} left:"
                " the run goes on; start a new one in its place, since a worker that ended or lost"
                " its network does not come back"
            )
            tell(self.hear, "lost", text, worker=worker, **count)

    def _count_crew(self) -> None:
        """Bring up to date what is told of the workers and their jobs."""
        crew = self.crew
        crew.workers, crew.threads = len(self.workers), self.threads
        if time.monotonic() - self._asked >= ASK:
            self._asked = time.monotonic()
            crew.busy = self._busy()
        jobs = [] if self._queue is None else self._queue.jobs()
        crew.pending = sum(job.pending for job in jobs) if jobs else None
        crew.running = None if crew.pending is None else len(jobs) - crew.pending
        crew.reason = queues.reason_of(jobs)
        self.hear(News("crew", "", asdict(crew)))

    def _busy(self) -> int | None:
        """Return how many workers have something to do."""
        with suppress(Exception):  # a scheduler that runs nobody's functions
            return int(self._client.run_on_scheduler(make_busy()))
        return None

    def _no_workers(self) -> None:
        if len(self._failures) >= MOST_FAILURES:
            raise ClusterError(f"jobs are refused: {self._failures[-1]}")
        spent = time.monotonic() - self._since
        why = f": {self._refused[-1]}" if self._refused else ""
        if spent > self._wait:
            raise ClusterLostError(
                f"no worker for {self._wait:.0f} s{why}{self._jobs()}: look at the jobs and their"
                " logs, then run the same command with --resume (--wait, or nbdask.worker-timeout"
                " in dask's configuration, is the time to wait)"
            )
        if spent > PATIENCE and (not self._told or spent - self._told > AGAIN):
            self._told = spent
            left = format_seconds(self._wait - spent)
            text = f"waiting for workers since {format_seconds(spent)}{why}{self._jobs()}; the run"
            jobs = [] if self._queue is None else [job._asdict() for job in self._queue.jobs()]
            tell(
                self.hear, "waiting", f"{text} ends in {left} without one (--wait)",
                seconds=round(spent), jobs=jobs,
            )  # fmt: skip

    def _jobs(self) -> str:
        """Return what the batch system says of the jobs that wait."""
        text = "" if self._queue is None else queues.describe(self._queue.jobs())
        return f": {text}" if text else ""
