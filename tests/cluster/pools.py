"""Schedulers, workers and runs in processes of their own, for tests that kill them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import zarr

from benchmarks import large_kill_job
from nbdask.cli.main import main
from tests import leaks
from tests.helpers import PATIENCE, ROOT, wait_until

#: A small image of 36 tiles.
_FLAGS = "-cell 70 -default_F 10 -N 5 -detpixels 48 -pixel 1 -oversample 1 -osc 1 -phisteps 20"
ARGV = [*_FLAGS.split(), "--backend", "numpy", "--tile", "8"]
TILES = 36


def slow_workers(hold: Path, seconds: float = 0.2) -> dict[str, str]:
    """Return variables that make each tile take that long in a worker, to be caught in the middle.

    While the file ``hold`` is there, a worker begins no more tiles than it says.
    """
    return {
        large_kill_job.HOLD: str(hold),
        large_kill_job.LIST: os.devnull,
        large_kill_job.SLOWER_BY: str(seconds),
        "DASK_DISTRIBUTED__WORKER__PRELOAD": "benchmarks.large_kill_job",
    }


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment, with the package on the path."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def listening() -> set[tuple[int, str, int]]:
    """Return process, address and port of all that this process and its children listen on."""
    own = psutil.Process()
    return {
        (process.pid, connection.laddr.ip, connection.laddr.port)
        for process in [own, *own.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


class Pool:
    """A scheduler and its workers, each a process of its own on loopback."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.variables = dict(variables or {})
        self.file = folder / "scheduler.json"
        self.folder = folder
        #: While it is there, no worker begins more tiles than it says.
        self.hold = folder / "hold"
        self.processes: list[subprocess.Popen[str]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        wait_until(self._address_known)
        self.workers: list[subprocess.Popen[str]] = []

    def _address_known(self) -> bool:
        try:
            self.address = str(json.loads(self.file.read_text())["address"])
        except (OSError, ValueError):
            return False
        return True

    def _start(self, what: str, *argv: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1"]
        if self.variables:
            command += ["--protocol", "tls"]
        with open(self.folder / f"{what}-{len(self.processes)}.log", "w") as log:
            process = subprocess.Popen(
                [*command, "--dashboard-address", "127.0.0.1:0", *argv],
                env=environment(**self.variables, **more),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.processes.append(process)
        leaks.owned_by_module.add(process.pid)
        return process

    def add_worker(self, **more: str) -> subprocess.Popen[str]:
        """Start a worker of one thread, with further environment variables."""
        argv = ["--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny"]
        argv += ["--local-directory", str(self.folder), "--memory-limit", "1GB"]
        # One with another nbdask cannot load what slows it.
        slow = {} if "PYTHONPATH" in more else slow_workers(self.hold)
        worker = self._start("worker", *argv, **slow, **more)
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers are there."""
        from distributed import Client

        security = security_of(self.variables)
        with Client(self.address, security=security, set_as_default=False) as client:
            wait_until(lambda: len(client.nthreads()) == count)

    def top_up(self, count: int) -> None:
        """Have so many workers, whatever became of those before, and no others."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) > count:
            worker = self.workers.pop()
            worker.kill()
            worker.wait()
        while len(self.workers) < count:
            self.add_worker()
        self.wait_for_workers(count)

    def close(self) -> None:
        """End every process of the pool."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def security_of(variables: Mapping[str, str]) -> Any:
    """Return the credentials that environment variables of dask name; None: there are none."""
    from distributed.security import Security

    if not variables:
        return None
    tls = {name.partition("__TLS__")[2]: value for name, value in variables.items()}
    return Security(
        tls_ca_file=tls["CA_FILE"],
        tls_client_cert=tls["CLIENT__CERT"],
        tls_client_key=tls["CLIENT__KEY"],
        require_encryption=True,
    )


@contextmanager
def pool(folder: Path, workers: int, variables: Mapping[str, str] | None = None) -> Iterator[Pool]:
    """Start a pool whose workers have joined; end it."""
    made = Pool(folder, variables)
    try:
        for _ in range(workers):
            made.add_worker()
        if workers:
            made.wait_for_workers(workers)
        yield made
    finally:
        made.close()


@contextmanager
def workers_here(count: int) -> Iterator[Any]:
    """Start a scheduler and workers of one thread each in this process; give their client."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def command(out: Path, *options: str, argv: Sequence[str] = ARGV) -> list[str]:
    """Return the words of a run."""
    return [sys.executable, "-m", "nbdask", "simulate", *argv, "--out", str(out), *options]


def alone(out: Path) -> np.ndarray:
    """Return the image as one thread of this process computes it; its store stays there."""
    assert main([*command(out, "--cluster", "threads", "--threads", "1", "--quiet")[3:]]) == 0
    return pixels(out)


def run(out: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        command(out, *options),
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@contextmanager
def running(
    out: Path, *options: str, argv: Sequence[str] = ARGV, **more: str
) -> Iterator[subprocess.Popen[str]]:
    """Start a run; end it at the latest when the block is left."""
    process = subprocess.Popen(
        command(out, *options, argv=argv),
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def tiles_done(out: Path) -> int:
    """Tiles that the store records as done; 0 while there is no store."""
    from nbdask.errors import NbdaskError
    from nbdask.store.reader import StoreReader

    try:
        return int(StoreReader(out).done().sum())
    except (NbdaskError, OSError):
        return 0


def pixels(out: Path) -> np.ndarray:
    """Return the image."""
    return np.asarray(zarr.open_array(out / "image", mode="r")[:])
