"""Runs graphs through a client of dask.distributed, and watches over its workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from distributed import Client, span
from distributed.comm.core import CommClosedError

from nbdask.cluster import memory
from nbdask.cluster.driver import Driver
from nbdask.cluster.executor import Done, Installable
from nbdask.cluster.gate import make_check, make_plugin, refusal
from nbdask.cluster.news import Hear, ignore
from nbdask.cluster.queues import Queue
from nbdask.cluster.spec import WAIT
from nbdask.cluster.watch import LEAVING, LOOK, ClusterLostError, Watch
from nbdask.errors import ClusterError, NbdaskError

#: Seconds that a worker which does not answer may stay in the scheduler's list.
DYING = 60.0
#: One thread per task: the libraries that workers call must not start their own.
ENVIRONMENT = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

#: What distributed keeps of the past in schedulers and workers that nbdask starts.  By its defaults
#: a process grows for its first thousand tasks, and for the first quarter of an hour by profiles.
HISTORY: dict[str, Any] = {
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.system-monitor.log-length": 600,
    "distributed.worker.profile.enabled": False,
}
#: Without a dashboard schedulers and workers answer no request for a page; they still listen.
_NO_PAGES: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}

Answer = TypeVar("Answer")


def as_variables(settings: dict[str, Any]) -> dict[str, str]:
    """Return settings of dask as environment variables, for workers that a shell starts."""
    return {
        "DASK_" + name.replace("-", "_").replace(".", "__").upper(): str(value)
        for name, value in settings.items()
    }


def pages(dashboard: bool) -> dict[str, Any]:
    """Return dask's settings for processes that show pages, or answer no request for one."""
    return {} if dashboard else _NO_PAGES


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
        The batch system's messages for refused jobs, filled by whoever submits them.
    replaced : bool
        Whether a lost worker is replaced; if not, the user is told.
    dashboard : bool
        Whether the scheduler shows dask's pages.
    queue : Queue, optional
        The jobs that the workers are in.

    Attributes
    ----------
    hear : callable
        Takes news.
    """

    hear: Hear = staticmethod(ignore)

    def __init__(
        self,
        client: Client,
        threads: int,
        wait: float = WAIT,
        failures: list[str] | None = None,
        *,
        replaced: bool = True,
        dashboard: bool = False,
        queue: Queue | None = None,
    ) -> None:
        logging.getLogger("tornado.application").addFilter(_UNBEGUN)
        self.client = client
        self.threads = threads
        self.wait = wait
        self.failures = [] if failures is None else failures
        self.replaced = replaced
        self.dashboard = dashboard
        self.queue = queue
        self._watching: Watch | None = None

    def check(self, setup: Installable) -> None:
        """Wait for the first worker; refuse those that have another nbdask or kernel."""
        with _lost_as_error():
            self._watch().until_workers()
            answers = ask_all(self.client, lambda: self.client.run(make_check(setup)))
            for worker, reason in answers.items():
                if reason is not None:
                    raise ClusterError(refusal(worker, reason))

    def run(self, setup: Installable, graphs: Iterator[Any], done: Done) -> None:
        """Compute every graph; see :class:`~.executor.Executor`."""
        watch = self._watch()
        told = memory.told(self.client, setup.run)
        with _lost_as_error(), watch.refusals(), told, span(f"nbdask-{setup.run}"):
            plugin = make_plugin(setup)
            ask_all(self.client, lambda: self.client.register_plugin(plugin))
            driver = Driver(self.client, watch, self.threads, setup.run, graphs, done)
            try:
                driver.drive()
            finally:
                self._clean_up(list(driver.pending), plugin.name)

    def _watch(self) -> Watch:
        if self._watching is not None:
            self._watching.hear = self.hear
            self._watching.alive()
            return self._watching
        self._watching = Watch(
            self.client,
            self.wait,
            self.failures,
            tell_lost=not self.replaced,
            hear=self.hear,
            queue=self.queue,
        )
        return self._watching

    def _clean_up(self, pending: list[Any], plugin: str) -> None:
        """Clean up if the scheduler is still running."""
        if self.client.status != "running":
            return
        with suppress(CommClosedError, OSError, CancelledError):
            if pending:
                self.client.cancel(pending, force=True)
            # A worker that is alive and does not answer must not keep the run from its end.
            leave = self.client._unregister_worker_plugin
            self.client.sync(leave, plugin, callback_timeout=LEAVING)


@contextmanager
def _lost_as_error() -> Iterator[None]:
    """Turn what happens when scheduler or workers die into one clear error."""
    try:
        yield
    except NbdaskError:
        raise
    except (CancelledError, CommClosedError) as error:
        raise ClusterLostError(
            "the connection to the scheduler is lost: run the same command with --resume to"
            " compute what is missing"
        ) from error


def ask_all(client: Client, ask: Callable[[], Answer]) -> Answer:
    """Ask every worker; again if one of them has just died.

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
    """Keep distributed's messages off the terminal; what matters is raised as an error."""
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
