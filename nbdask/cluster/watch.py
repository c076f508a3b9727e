"""Watches the workers of a run: those that come, are lost, are refused; whether any are left."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client
from distributed.comm.core import CommClosedError

from nbdask.cluster.gate import REFUSED, refusal
from nbdask.errors import ClusterError

#: Seconds between looks at the workers.
LOOK = 1.0
#: Seconds in which workers must answer at the end of a run.
LEAVING = 30.0
#: Seconds without workers after which the user is told what the run waits for.
PATIENCE = 30.0
#: Workers refused one after another that end a run: the next ones would be refused too.
MOST_REFUSED = 4
#: Attempts of a batch system to refuse a job, while there are no workers, that end a run.
MOST_FAILURES = 3

logger = logging.getLogger("nbdask")


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
    """

    def __init__(
        self, client: Client, wait: float, failures: list[str], *, tell_lost: bool
    ) -> None:
        self._client, self._wait, self._failures = client, wait, failures
        self._tell_lost = tell_lost
        self.threads = 0
        self.workers: frozenset[str] = frozenset()
        self.dismissed: set[str] = set()
        self._since = self._looked = time.monotonic()
        self._told = False
        self._refused: list[str] = []

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Listen to workers that report that they were refused."""

        def heard(event: tuple[float, dict[str, str]]) -> None:
            line = refusal(event[1]["worker"], event[1]["reason"])
            self._refused.append(line)
            logger.warning("nbdask: %s", line)

        self._client.subscribe_topic(REFUSED, heard)
        try:
            yield
        finally:
            if self._client.status == "running":
                self._client.unsubscribe_topic(REFUSED)

    def alive(self) -> None:
        """Note that somebody works."""
        self._since = time.monotonic()
        self._told = False

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
        if self._tell_lost:
            self._tell(self.workers - found - self.dismissed, len(found))
        self.workers = found
        return len(found)

    def _tell(self, lost: frozenset[str], left: int) -> None:
        """Tell of workers that are gone: one that loses its link ends as if all were well."""
        refused = " ".join(self._refused)
        for worker in sorted(lost):
            # One that was refused is no loss, and was told of.
            if worker not in refused:
                logger.warning(
                    "nbdask: worker %s is lost, %d %s left: the run goes on; start a new one in its"
                    " place, since a worker that ended or lost its network does not come back",
                    *(worker, left, "is" if left == 1 else "are"),
                )

    def _no_workers(self) -> None:
        if len(self._failures) >= MOST_FAILURES:
            raise ClusterError(f"jobs are refused: {self._failures[-1]}")
        spent = time.monotonic() - self._since
        why = f": {self._refused[-1]}" if self._refused else ""
        if spent > self._wait:
            raise ClusterLostError(
                f"no worker for {self._wait:.0f} s{why}: look at the jobs and their logs, then"
                " run the same command with --resume (nbdask.worker-timeout in dask's"
                " configuration is the time to wait)"
            )
        if spent > PATIENCE and not self._told:
            self._told = True
            logger.warning("nbdask: waiting for workers since %.0f s%s", spent, why)
