"""Worker processes on this machine, by dask.distributed.  Nothing listens beyond loopback."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin

from nbdask.cluster.distributed import ENVIRONMENT, HISTORY, DistributedExecutor
from nbdask.cluster.options import Asked
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError
from nbdask.plan.machine import available_cores


def spec_of(asked: Asked) -> ClusterSpec:
    """Make the spec: workers with threads that fill the cores."""
    cores = available_cores()
    workers, threads = asked.settings.get("workers"), asked.settings.get("threads")
    count = workers or max(1, cores // (threads or 1))
    return ClusterSpec(asked.kind, count, threads or max(1, cores // count))


class LeaveInterrupts(WorkerPlugin):
    """Lets workers pass over Ctrl-C and SIGTERM, which go to them too: the client ends them."""

    idempotent = True
    name = "nbdask-interrupts"

    def setup(self, worker: Any) -> None:
        """Ignore the signals in the worker's process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def open_spec(spec: ClusterSpec) -> Iterator[DistributedExecutor]:
    """Start worker processes, and end them afterwards.

    Raises
    ------
    ClusterError
        The processes do not start.
    """
    start = partial(
        LocalCluster,
        n_workers=spec.workers,
        threads_per_worker=spec.threads,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit="auto",
        silence_logs=logging.ERROR,
    )
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT, **HISTORY}),
        led_cluster(spec, start) as executor,
    ):
        yield executor


@contextmanager
def led_cluster(spec: ClusterSpec, start: Callable[[], Any]) -> Iterator[DistributedExecutor]:
    """Start workers on this machine that leave Ctrl-C to this process; end them afterwards.

    Parameters
    ----------
    spec : ClusterSpec
    start : callable
        Starts a cluster of dask and returns it.

    Raises
    ------
    ClusterError
        The processes do not start.
    """
    try:
        cluster = start()
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"--cluster {spec.kind}: the workers do not start: {error}") from error
    with cluster, Client(cluster) as client:
        client.register_plugin(LeaveInterrupts())
        yield DistributedExecutor(client, spec.workers * spec.threads, spec.wait)
