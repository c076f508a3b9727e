"""Workers of a scheduler that somebody else started."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
from distributed import Client

from nbdask.cluster.distributed import DistributedExecutor, ask_all, connect, quiet_logs
from nbdask.cluster.gate import make_facts
from nbdask.cluster.options import Asked
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError, InputFileError, counted
from nbdask.inputs.text import check_regular

#: Seconds in which a scheduler must answer.
ANSWER = 20


@dataclass(frozen=True, slots=True)
class Found:
    """The workers of a running scheduler.

    Parameters
    ----------
    workers : int
    threads : int
        Of the worker that has most.
    memory : int or None
        Bytes of the worker that has least; None: without limit.
    """

    workers: int
    threads: int
    memory: int | None


def spec_of(asked: Asked) -> ClusterSpec:
    """Make the spec from the workers that the scheduler has.

    Raises
    ------
    ClusterError
        Threads are given, nobody answers, or fewer workers come.
    """
    if asked.threads is not None:
        raise ClusterError(
            f"--threads {asked.threads}: the workers of a running scheduler have the threads that"
            " they were started with; leave --threads out"
        )
    kind, wait = asked.kind, asked.wait
    address = asked.text if kind != "scheduler-file" else asked.text.partition(":")[2]
    found = look(kind, address, asked.settings.get("workers", 1), wait)
    return ClusterSpec(
        kind, found.workers, found.threads, address=address, memory=found.memory, wait=wait
    )


def look(kind: str, address: str, least: int, wait: float) -> Found:
    """Ask a running scheduler for its workers.

    Parameters
    ----------
    kind : str
        ``"tcp"``, ``"tls"`` or ``"scheduler-file"``.
    address : str
        Address, or path of the scheduler file.
    least : int
        Workers to wait for.
    wait : float
        Seconds to wait for them.

    Raises
    ------
    ClusterError
        Nobody answers, or fewer workers come.
    """
    with quiet_logs(), _client(kind, address) as client:
        end = time.monotonic() + wait
        while len(client.nthreads()) < least:
            if time.monotonic() > end:
                raise ClusterError(
                    f"--cluster {address}: {len(client.nthreads())} of"
                    f" {counted(least, 'worker')} came"
                    f" within {wait:.0f} s: start workers, or wait longer (nbdask.worker-timeout)"
                )
            time.sleep(0.2)
        facts = ask_all(client, lambda: client.run(make_facts())).values()
        memory = min((limit for _, limit in facts if limit), default=None)
        return Found(len(facts), max(threads for threads, _ in facts), memory)


@contextmanager
def open_spec(spec: ClusterSpec) -> Iterator[DistributedExecutor]:
    """Connect to a running scheduler, and leave it as it was.

    Raises
    ------
    ClusterError
        Nobody answers.
    """
    assert spec.address is not None
    with quiet_logs(), _client(spec.kind, spec.address) as client:
        yield DistributedExecutor(client, 1, spec.wait, replaced=False, dashboard=True)


def _client(kind: str, address: str) -> Client:
    if kind == "scheduler-file":
        address = _from_file(Path(address))
    if address.startswith("tls://") and not dask.config.get("distributed.comm.tls.ca-file", None):
        raise ClusterError(
            f"--cluster {address}: no credentials: set distributed.comm.tls in dask's"
            " configuration to the files of that scheduler"
        )
    return connect(lambda: Client(address, timeout=ANSWER, set_as_default=False), address)


def _from_file(path: Path) -> str:
    """Read a scheduler's address from the file that it wrote; wait a little for that file."""
    end = time.monotonic() + ANSWER
    while True:
        try:
            if path.exists():
                check_regular(path, "a scheduler's address")
            address = json.loads(path.read_text())["address"]
        except FileNotFoundError:
            text = "does not exist"
        except InputFileError as error:
            raise ClusterError(f"--cluster scheduler-file:{error}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            text = f"is not a scheduler file: {error}"
        else:
            return str(address)
        if time.monotonic() > end:
            raise ClusterError(f"--cluster scheduler-file:{path}: {text}")
        time.sleep(0.2)
