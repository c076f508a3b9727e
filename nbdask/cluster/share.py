"""Gives each of the worker processes of a job its share of the node: cores, and a GPU of its own.

dask loads this module in the jobs' nannies and workers where a job has more than one process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Nanny

#: Variable that holds the number of processes of a job.
COUNT = "NBDASK_PROCESSES"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_NODES, _DEVICES = Path("/sys/devices/system/node"), Path("/dev")


def dask_setup(server: Any) -> None:
    """Settle a process: called by dask in each nanny before its worker starts, and in each worker.

    Parameters
    ----------
    server : distributed.Nanny or distributed.Worker
        dask puts the number of the process at the end of its name, after a dash.
    """
    number = int(str(server.name).rpartition("-")[2])
    if isinstance(server, Nanny):
        devices = own_first(visible(os.environ), number)
        if devices:
            server.env[_VISIBLE] = ",".join(devices)
    elif hasattr(os, "sched_setaffinity"):
        allowed = in_order_of_nodes(os.sched_getaffinity(0))
        settle(share(allowed, number, int(os.environ[COUNT])))


def visible(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that a job may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    given = environment.get(_VISIBLE)
    if given is None:
        return [str(n) for n in range(len(list(_DEVICES.glob("nvidia[0-9]*"))))]
    return [name.strip() for name in given.split(",") if name.strip()]


def own_first(devices: Sequence[str], number: int) -> list[str]:
    """Return the GPUs of a process, its own first, as ``--cluster cuda`` has them."""
    if not devices:
        return []
    first = number % len(devices)
    return [*devices[first:], *devices[:first]]


def in_order_of_nodes(cores: set[int]) -> list[int]:
    """Return cores sorted by the memory node that they belong to."""
    node_of = {}
    for folder in _NODES.glob("node[0-9]*"):
        with suppress(OSError, ValueError):
            for core in _listed((folder / "cpulist").read_text()):
                node_of[core] = int(folder.name.removeprefix("node"))
    return sorted(cores, key=lambda core: (node_of.get(core, 0), core))


def _listed(text: str) -> list[int]:
    """Return the numbers of a list such as ``0-3,8``."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            found += range(int(first), int(last or first) + 1)
    return found


def share(cores: Sequence[int], number: int, count: int) -> list[int]:
    """Return the cores of one of so many processes; all of them where there are too few.

    Parameters
    ----------
    cores : sequence of int
        Neighbours are near each other.
    number, count : int
    """
    if len(cores) < count:
        return list(cores)
    return list(cores[len(cores) * number // count : len(cores) * (number + 1) // count])


def settle(cores: Sequence[int]) -> None:
    """Keep the threads of this process, and those that they start, on some cores."""
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError):
            os.sched_setaffinity(int(thread), cores)
