"""Runs graphs through a client of dask.distributed, and watches that somebody works on them."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

from dask.utils import key_split
from distributed import Client
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from nbdask.cluster import gate
from nbdask.cluster.executor import Done, Setup
from nbdask.cluster.gate import REFUSED, make_check, make_plugin, refusal
from nbdask.cluster.spec import WAIT
from nbdask.errors import ClusterError, NbdaskError

#: Graphs in the hands of the scheduler beyond those that run, so that no worker waits.
AHEAD = 2
#: Seconds between looks at the workers while no result comes.
LOOK = 1.0
#: Seconds without workers after which the user is told what the run waits for.
PATIENCE = 30.0
#: Seconds for which a worker that does not answer may stand in the scheduler's list.
DYING = 60.0
#: Workers refused one after another that end a run: the next ones would be refused too.
MOST_REFUSED = 4
#: Attempts of a batch system to refuse a job, while there are no workers, that end a run.
MOST_FAILURES = 3
#: One thread per task: the libraries that workers call must not start their own.
ENVIRONMENT = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

#: What distributed keeps of the past in schedulers and workers that nbdask starts.  By its defaults
#: a process grows for its first thousand tasks, and for the first quarter of an hour by profiles.
HISTORY: dict[str, Any] = {
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.system-monitor.log-length": 600,
    "distributed.worker.profile.enabled": False,
}
#: The same as environment variables, for workers that are started by a shell.
HISTORY_VARIABLES = {
    "DASK_" + name.replace("-", "_").replace(".", "__").upper(): str(value)
    for name, value in HISTORY.items()
}

Answer = TypeVar("Answer")

logger = logging.getLogger("nbdask")


class ClusterLostError(ClusterError):
    """A cluster that went away while it worked; what is written stays and can be resumed."""

    exit_code = 1


class UnbegunWait(logging.Filter):
    """Drops what is logged when Ctrl-C meets a wait of distributed that has not yet begun.

    ``distributed.utils.sync`` then cancels a future that it has not made, a NameError in a callback
    of its loop; the interrupt itself arrives as it should.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for that one error."""
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, NameError) and "free variable 'future'" in str(error))


_UNBEGUN = UnbegunWait()


class DistributedExecutor:
    """Runs graphs through a client of a dask.distributed scheduler.

    Parameters
    ----------
    client : distributed.Client
    threads : int
        Tasks for which there is work in hand even while fewer workers are there, since clusters
        that grow with their work look at it.  Beyond, it follows the threads of the workers.
    wait : float
        Seconds without any worker after which the run is given up.
    failures : list of str, optional
        Filled by whoever submits jobs with what the batch system said when it refused one.
    replaced : bool
        Whether somebody starts another worker for one that is lost; if not, the user is told.
    """

    def __init__(
        self,
        client: Client,
        threads: int,
        wait: float = WAIT,
        failures: list[str] | None = None,
        *,
        replaced: bool = True,
    ) -> None:
        logging.getLogger("tornado.application").addFilter(_UNBEGUN)
        self.client = client
        self.threads = threads
        self.wait = wait
        self.failures = [] if failures is None else failures
        self.replaced = replaced

    def check(self, setup: Setup) -> None:
        """Wait for the first worker; refuse those that have another nbdask or kernel."""
        with _lost_as_error():
            self._watch().until_workers()
            answers = ask_all(self.client, lambda: self.client.run(make_check(setup)))
            for worker, reason in answers.items():
                if reason is not None:
                    raise ClusterError(refusal(worker, reason))

    def run(self, setup: Setup, graphs: Iterator[Any], done: Done) -> None:
        """Compute every graph; see :class:`~.executor.Executor`."""
        watch = self._watch()
        with _lost_as_error(), watch.refusals():
            plugin = make_plugin(setup)
            ask_all(self.client, lambda: self.client.register_plugin(plugin))
            pending: set[Any] = set()
            try:
                self._drive(graphs, done, pending, watch)
            finally:
                self._clean_up(pending, plugin.name)

    def _watch(self) -> _Watch:
        return _Watch(self.client, self.wait, self.failures, tell_lost=not self.replaced)

    def _drive(self, graphs: Iterator[Any], done: Done, pending: set[Any], watch: _Watch) -> None:
        """Keep the window full until all graphs are done."""
        ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        results = 0
        watch.count()
        while True:
            room = max(self.threads, watch.threads) + AHEAD - len(pending)
            self._submit(islice(graphs, max(room, 0)), pending, ready)
            if not pending:
                break
            try:
                future = ready.get(timeout=LOOK)
            except queue.Empty:
                watch.look()
                continue
            watch.result()
            pending.discard(future)
            done(future.result())
            future.release()
            results += 1
            if results % gate.FORGET_AFTER == 0:
                self._forget_keys()
        watch.count()

    def _forget_keys(self) -> None:
        """Empty what dask remembers of tasks that are done, here and in the scheduler.

        The plugin does the same in the workers.
        """
        key_split.cache_clear()
        # A scheduler that runs nobody's functions keeps its memories.
        with suppress(Exception):
            self.client.run_on_scheduler(gate.make_forget())

    def _submit(
        self, graphs: Iterator[Any], pending: set[Any], ready: queue.SimpleQueue[Any]
    ) -> None:
        for item in graphs:
            future = self.client.get(item.graph, item.key, sync=False)
            pending.add(future)
            future.add_done_callback(ready.put)

    def _clean_up(self, pending: set[Any], plugin: str) -> None:
        """Leave nothing behind where the scheduler is still there."""
        if self.client.status != "running":
            return
        with suppress(CommClosedError, OSError, CancelledError):
            if pending:
                self.client.cancel(list(pending), force=True)
            self.client.unregister_worker_plugin(plugin)


class _Watch:
    """Notices that workers come, and that one, or all of them, are lost.

    Attributes
    ----------
    threads : int
        Of all workers, when they were last counted.
    """

    def __init__(
        self, client: Client, wait: float, failures: list[str], *, tell_lost: bool
    ) -> None:
        self._client, self._wait, self._failures = client, wait, failures
        self._tell_lost = tell_lost
        self.threads = 0
        self._workers: frozenset[str] = frozenset()
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
            self._compare(found)
        return len(found)

    def _compare(self, found: frozenset[str]) -> None:
        """Tell of workers that are gone: one that loses its link ends as if all were well."""
        refused = " ".join(self._refused)
        for worker in sorted(self._workers - found):
            # One that was refused is no loss, and was told of.
            if worker not in refused:
                logger.warning(
                    "nbdask: worker %s is lost, %d %s left: the run goes on; start a new one in its"
                    " place, since a worker that ended or lost its network does not come back",
                    *(worker, len(found), "is" if len(found) == 1 else "are"),
                )
        self._workers = found

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


@contextmanager
def _lost_as_error() -> Iterator[None]:
    """Turn what happens when scheduler or workers die into one clear error."""
    try:
        yield
    except NbdaskError:
        raise
    except KilledWorker as error:
        raise ClusterLostError(
            f"{error.allowed_failures + 1} workers died while they computed the same tile, the last"
            f" at {error.last_worker.address}: most often they lack memory; give more --memory or a"
            " smaller --tile, and look at the workers' logs"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise ClusterLostError(
            "the connection to the scheduler is lost: run the same command with --resume to"
            " compute what is missing"
        ) from error


def ask_all(client: Client, ask: Callable[[], Answer]) -> Answer:
    """Ask every worker something; again where one of them has just died.

    Until the scheduler misses a dead worker, whatever it sends to all of them fails.

    Parameters
    ----------
    client : distributed.Client
    ask : callable
        Asks through the client, and may do so more than once.

    Returns
    -------
    object
        What `ask` returns.

    Raises
    ------
    ClusterLostError
        A worker does not answer, and stays in the scheduler's list.
    OSError
        The scheduler itself is gone.
    """
    end = time.monotonic() + DYING
    while True:
        try:
            return ask()
        except OSError as error:
            if client.status != "running":
                raise
            if time.monotonic() > end:
                raise ClusterLostError(
                    f"a worker does not answer ({error}): end it, then run the same command with"
                    " --resume"
                ) from error
            time.sleep(LOOK)


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep distributed's own words off the terminal; what matters is raised as an error."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)


def connect(make: Callable[[], Client], what: str) -> Client:
    """Return a client, or a clear error.

    Parameters
    ----------
    make : callable
        Makes the client.
    what : str
        What it should reach, for the message.

    Raises
    ------
    ClusterError
        It cannot be reached.
    """
    try:
        return make()
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ClusterError(f"--cluster {what}: the scheduler cannot be reached: {text}") from error
