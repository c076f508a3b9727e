"""Worker processes on this machine, by dask.distributed.  Nothing listens beyond loopback."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin, as_completed

from nbdask.cluster.executor import Done, Setup
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError

#: Tiles in the hands of the scheduler beyond those that run, so that no worker waits.
AHEAD = 2
#: One thread per task: the libraries that workers call must not start their own.
_ENVIRONMENT = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
}


class SetupPlugin(WorkerPlugin):
    """Brings a setup to every worker, also to those that join later; undoes it at the end.

    Parameters
    ----------
    installed : Setup
    """

    idempotent = True

    def __init__(self, installed: Setup) -> None:
        self.installed = installed
        self.name = f"nbdask-{installed.run}"

    def setup(self, worker: Any) -> None:
        """Install on a worker that starts."""
        self.installed.install()

    def teardown(self, worker: Any) -> None:
        """Remove from a worker that ends."""
        self.installed.remove()


class LeaveInterrupts(WorkerPlugin):
    """Lets workers pass over Ctrl-C, which a terminal sends to them too: the client ends them."""

    idempotent = True
    name = "nbdask-interrupts"

    def setup(self, worker: Any) -> None:
        """Ignore the signal in the worker's process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class DistributedExecutor:
    """Runs graphs through a client of a dask.distributed scheduler.

    Parameters
    ----------
    client : distributed.Client
    threads : int
        Tasks that the workers run at a time, all together.
    """

    def __init__(self, client: Client, threads: int) -> None:
        self.client = client
        self.threads = threads

    def run(self, setup: Setup, graphs: Iterator[Any], done: Done) -> None:
        """Compute every graph; see :class:`~.executor.Executor`."""
        plugin = SetupPlugin(setup)
        self.client.register_plugin(plugin)
        pending: set[Any] = set()
        try:
            first = [self._submit(item) for item in islice(graphs, self.threads + AHEAD)]
            pending.update(first)
            queue = as_completed(first)
            for future in queue:
                pending.discard(future)
                done(future.result())
                future.release()
                for item in islice(graphs, 1):
                    following = self._submit(item)
                    pending.add(following)
                    queue.add(following)
        finally:
            if pending:
                self.client.cancel(list(pending), force=True)
            self.client.unregister_worker_plugin(plugin.name)

    def _submit(self, item: Any) -> Any:
        return self.client.get(item.graph, item.key, sync=False)


@contextmanager
def local_cluster(spec: ClusterSpec) -> Iterator[DistributedExecutor]:
    """Start worker processes, and end them afterwards.

    Yields
    ------
    DistributedExecutor

    Raises
    ------
    ClusterError
        The processes do not start.
    """
    with dask.config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}):
        try:
            cluster = LocalCluster(
                n_workers=spec.workers,
                threads_per_worker=spec.threads,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                memory_limit="auto",
                silence_logs=logging.ERROR,
            )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(f"--cluster local: the workers do not start: {error}") from error
        with cluster, Client(cluster) as client:
            client.register_plugin(LeaveInterrupts())
            yield DistributedExecutor(client, spec.workers * spec.threads)
