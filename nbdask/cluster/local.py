"""Worker processes on this machine, by dask.distributed.

Nothing listens beyond loopback, and what listens there talks TLS: every user of the machine can
reach it.
"""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin

from nbdask.cluster.distributed import ENVIRONMENT, HISTORY, DistributedExecutor, pages
from nbdask.cluster.options import Asked
from nbdask.cluster.security import spec_security
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError
from nbdask.leftovers import mark, sweep
from nbdask.plan.machine import available_cores

_GUARD = (
    'put what the script does below if __name__ == "__main__": since each worker process runs the'
    " script again"
)


def spec_of(asked: Asked) -> ClusterSpec:
    """Make the spec: workers with threads that fill the cores."""
    leave_if_worker()
    cores = available_cores()
    workers, threads = asked.settings.get("workers"), asked.settings.get("threads")
    count = workers or max(1, cores // (threads or 1))
    each = threads or max(1, cores // count)
    return ClusterSpec(
        asked.kind, count, each, wait=asked.wait, tls=asked.tls, dashboard=asked.dashboard
    )


def leave_if_worker() -> None:
    """End a process that is itself a worker about to start: it runs a script without the guard.

    Raises
    ------
    SystemExit
        With one line; what starts the workers says the rest.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(f"nbdask: error: {_GUARD}")


def _advice() -> str:
    """Return what a script without the guard is told, nothing where there is a guard."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        guarded = file is None or "__main__" in Path(file).read_text(errors="replace")
    except OSError:
        return ""
    return "" if guarded or Path(str(file)).suffix != ".py" else f"; {_GUARD}"


class LeaveInterrupts(WorkerPlugin):
    """Lets workers ignore Ctrl-C and SIGTERM, which go to them too: the client ends them."""

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
        scheduler_kwargs={"dashboard": spec.dashboard},
        memory_limit="auto",
        silence_logs=logging.ERROR,
        **spec_security(spec.tls),
    )
    with dask.config.set(HISTORY), led_cluster(spec, start) as executor:
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
    # Somebody else may own the folder that dask would use, /tmp/dask-scratch-space, and
    # what is swapped out there is read again as pickles.
    given = dask.config.get("temporary-directory", None) or tempfile.gettempdir()
    sweep(Path(given), "nbdask-")
    scratch = Path(given, f"nbdask-{mark()}")
    with (
        _folder(scratch),
        dask.config.set(
            {
                "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
                "temporary-directory": str(scratch),
                **pages(spec.dashboard),
            }
        ),
        _started(spec, start) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(LeaveInterrupts())
        threads = spec.workers * spec.threads
        yield DistributedExecutor(client, threads, spec.wait, dashboard=spec.dashboard)


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder that only this user can read, and delete it afterwards."""
    path.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _started(spec: ClusterSpec, start: Callable[[], Any]) -> Any:
    try:
        return start()
    except (OSError, RuntimeError, TimeoutError) as error:
        text = f"--cluster {spec.kind}: the workers do not start: {error}".rstrip(".")
        raise ClusterError(text + _advice()) from error
