"""Ranks of an MPI program as a cluster, by dask-mpi.

Rank 0 becomes the scheduler, rank 1 goes on as the leading process, all others become workers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import dask
from distributed import Client

from nbdask.cluster.distributed import (
    ENVIRONMENT,
    HISTORY,
    DistributedExecutor,
    connect,
    pages,
    quiet_logs,
)
from nbdask.cluster.options import Asked
from nbdask.cluster.security import temporary_security
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError, counted

_PREFIX = "distributed.comm."
_started: list[int] = []


def spec_of(asked: Asked) -> ClusterSpec:
    """Give each rank its part: the first is the scheduler, the second leads, the others work.

    Raises
    ------
    ClusterError
        As :func:`start`; or another number of workers than mpirun started.
    """
    threads = asked.settings.get("threads", 1)
    found = start(threads, asked.text_of("interface"), asked.tls, asked.dashboard)
    if asked.workers not in (None, found):
        raise ClusterError(
            f"--workers {asked.workers}: mpirun started {found} besides the scheduler and the"
            " leading process; leave --workers out"
        )
    return ClusterSpec(asked.kind, found, threads, wait=asked.wait, dashboard=asked.dashboard)


def start(threads: int, interface: str | None, tls: bool, dashboard: bool = False) -> int:
    """Give each rank its part; only rank 1 returns, the others end with the run.

    Called again, it does nothing.

    Parameters
    ----------
    threads : int
        Threads of each worker.
    interface : str or None
        Network interface; None: loopback where all ranks are on one machine, else any.
    tls : bool
        Talk TLS, with credentials made now and never written to disk.
    dashboard : bool
        Show dask's pages.

    Returns
    -------
    int
        Number of workers.

    Raises
    ------
    ClusterError
        dask-mpi is missing, or the program was not started by mpirun with at least 3 ranks.
    """
    if _started:
        return _started[0]
    try:
        MPI = import_module("mpi4py.MPI")
        initialize = import_module("dask_mpi").initialize
    except (ImportError, RuntimeError) as error:
        raise ClusterError(
            "--cluster mpi needs an MPI library and the package dask-mpi: pip install"
            f" 'nbdask[hpc]' ({error})"
        ) from error
    ranks = MPI.COMM_WORLD
    if ranks.Get_size() < 3:
        raise ClusterError(
            f"--cluster mpi was started with {counted(ranks.Get_size(), 'rank')} but needs 3 or"
            " more"
            " (scheduler, leading process, workers): mpirun -np N nbdask simulate --cluster mpi ..."
        )
    os.environ.update(ENVIRONMENT)
    dask.config.set(HISTORY | pages(dashboard))
    # All ranks share one terminal: scheduler and workers report errors only.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if interface is None and len(set(ranks.allgather(MPI.Get_processor_name()))) == 1:
        interface = "lo"
    if tls:
        dask.config.set(_same_credentials(ranks))
    initialize(
        interface=interface,
        nthreads=threads,
        dashboard=dashboard,
        dashboard_address="127.0.0.1:0",
        protocol="tls" if tls else "tcp",
        worker_options={"dashboard_address": "127.0.0.1:0"},
    )
    _started.append(ranks.Get_size() - 2)
    return _started[0]


def _same_credentials(ranks: Any) -> dict[str, Any]:
    """Return dask's settings for credentials that rank 0 makes and sends to the others."""
    made: dict[str, Any] | str | None = None
    if ranks.Get_rank() == 0:
        try:
            made = _settings()
        except ClusterError as error:
            made = str(error)
    made = ranks.bcast(made, root=0)
    if not isinstance(made, dict):
        raise ClusterError(str(made))
    return made


def _settings() -> dict[str, Any]:
    security = temporary_security()
    found: dict[str, Any] = {
        _PREFIX + "require-encryption": True,
        _PREFIX + "tls.ca-file": security.tls_ca_file,
    }
    for role in ("scheduler", "worker", "client"):
        found[f"{_PREFIX}tls.{role}.cert"] = getattr(security, f"tls_{role}_cert")
        found[f"{_PREFIX}tls.{role}.key"] = getattr(security, f"tls_{role}_key")
    return found


@contextmanager
def open_spec(spec: ClusterSpec) -> Iterator[DistributedExecutor]:
    """Connect to the scheduler that rank 0 runs.

    Raises
    ------
    ClusterError
        It cannot be reached.
    """
    address = dask.config.get("scheduler-address")
    with quiet_logs(), connect(lambda: Client(address, set_as_default=False), "mpi") as client:
        threads = spec.workers * spec.threads
        yield DistributedExecutor(client, threads, spec.wait, dashboard=spec.dashboard)
