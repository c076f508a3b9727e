"""One worker process for each GPU of this machine.  As for local workers, loopback and TLS."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

from distributed import Nanny, Scheduler, SpecCluster

from nbdask.cluster.distributed import DistributedExecutor
from nbdask.cluster.local import leave_if_worker, led_cluster
from nbdask.cluster.options import Asked
from nbdask.cluster.security import spec_security
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import BackendError, ClusterError
from nbdask.kernels import cuda_device
from nbdask.plan.machine import available_cores

#: Threads of a worker: some wait for the GPU, the others compress and write.
GPU_THREADS = 6
_HOST = "127.0.0.1"


def spec_of(asked: Asked) -> ClusterSpec:
    """Make the spec: one process per GPU, with a few threads that compute and write.

    Raises
    ------
    ClusterError
        More workers than GPUs.
    BackendError
        There is no GPU that can be used.
    """
    leave_if_worker()
    workers, threads = asked.settings.get("workers"), asked.settings.get("threads")
    try:
        devices = cuda_device.visible_devices()
    except BackendError as error:
        # The caller asked for a cluster: its message says what to do.
        text = str(error).replace("--backend cuda", "--cluster cuda")
        text = text.replace("--backend cpu", "--cluster threads")
        raise BackendError(text) from error
    if workers is not None and workers > len(devices):
        raise ClusterError(
            f"--workers {workers}: --cluster cuda has one worker per GPU, and there are"
            f" {len(devices)} here; give at most that many, or leave --workers out"
        )
    count = workers or len(devices)
    threads = threads or max(2, min(GPU_THREADS, available_cores() // count))
    return ClusterSpec(
        asked.kind,
        count,
        threads,
        wait=asked.wait,
        tls=asked.tls,
        devices=devices,
        dashboard=asked.dashboard,
    )


@contextmanager
def open_spec(spec: ClusterSpec) -> Iterator[DistributedExecutor]:
    """Start a worker for each GPU of the spec, and end them afterwards.

    Each worker sees its own GPU as the first one: the others follow it in
    ``CUDA_VISIBLE_DEVICES``, as dask-cuda has it, which starts the workers where it is installed
    (it also binds each to the cores near its GPU).

    Raises
    ------
    ClusterError
        The processes do not start.
    """
    make = _by_dask_cuda if find_spec("dask_cuda") else _by_distributed
    with led_cluster(spec, partial(make, spec)) as executor:
        yield executor


def _by_dask_cuda(spec: ClusterSpec) -> Any:
    from dask_cuda import LocalCUDACluster

    return LocalCUDACluster(
        CUDA_VISIBLE_DEVICES=list(spec.devices[: spec.workers]),
        n_workers=spec.workers,
        threads_per_worker=spec.threads,
        host=_HOST,
        dashboard_address=f"{_HOST}:0",
        scheduler_kwargs={"dashboard": spec.dashboard},
        silence_logs=logging.ERROR,
        **spec_security(spec.tls),
    )


def _by_distributed(spec: ClusterSpec) -> SpecCluster:
    talk = spec_security(spec.tls)
    pages_at = {"dashboard": spec.dashboard, "dashboard_address": f"{_HOST}:0"}
    scheduler = {"cls": Scheduler, "options": {"host": _HOST, "port": 0, **pages_at, **talk}}
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                "host": _HOST,
                "nthreads": spec.threads,
                "memory_limit": 1.0 / spec.workers,
                "env": {"CUDA_VISIBLE_DEVICES": order},
                "silence_logs": logging.ERROR,
                **talk,
            },
        }
        for number, order in enumerate(device_orders(spec.devices, spec.workers))
    }
    return SpecCluster(
        workers=workers,
        scheduler=scheduler,
        security=talk.get("security"),
        silence_logs=logging.ERROR,
    )


def device_orders(devices: tuple[str, ...], workers: int) -> list[str]:
    """Return ``CUDA_VISIBLE_DEVICES`` for each worker: all GPUs, its own first.

    Parameters
    ----------
    devices : tuple of str
    workers : int
        At most as many as there are GPUs.

    Returns
    -------
    list of str
        For two GPUs: ``["0,1", "1,0"]``.
    """
    return [",".join((*devices[n:], *devices[:n])) for n in range(workers)]
