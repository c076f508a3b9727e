"""Every kind of cluster: the module that makes its spec and opens it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from nbdask.cluster.executor import Executor
from nbdask.cluster.options import Asked
from nbdask.cluster.spec import QUEUES, ClusterSpec

if TYPE_CHECKING:
    from nbdask.cluster import devices, jobs, local, mpi, running, threads


class Kind(Protocol):
    """What the module of a kind offers."""

    def spec_of(self, asked: Asked, /) -> ClusterSpec:
        """Make the spec.

        Raises
        ------
        ClusterError
            An option that the kind does not support or lacks.
        """

    def open_spec(self, spec: ClusterSpec, /) -> AbstractContextManager[Executor]:
        """Start or reach the cluster, and end or leave it afterwards.

        Raises
        ------
        ClusterError
            It cannot be started or reached.
        """


#: Kind -> its module, which is loaded when it is asked for: most load dask.distributed.
_MODULES = {
    "threads": "threads",
    "local": "local",
    "cuda": "devices",
    **dict.fromkeys(QUEUES, "jobs"),
    "mpi": "mpi",
    "tcp": "running",
    "tls": "running",
    "scheduler-file": "running",
}
if TYPE_CHECKING:
    _CHECKED: tuple[Kind, ...] = (threads, local, devices, jobs, mpi, running)


def kind_of(name: str) -> Kind:
    """Return the module of a kind."""
    return cast(Kind, import_module(f"nbdask.cluster.{_MODULES[name]}"))
