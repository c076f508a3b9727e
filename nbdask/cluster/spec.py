"""The text of ``--cluster`` -> what kind of cluster, and how many workers and threads."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import ClusterError
from nbdask.plan.machine import available_cores
from nbdask.plan.plan import Workers

KINDS = ("threads", "local")
#: Known to users of dask, not in this version.
PLANNED = ("slurm", "pbs", "sge", "lsf", "htcondor", "mpi", "tcp", "tls", "scheduler-file")


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Where tasks run.

    Parameters
    ----------
    kind : str
        ``"threads"``: threads of this process; ``"local"``: worker processes on this machine.
    workers : int
        Worker processes.
    threads : int
        Threads per process.
    """

    kind: str
    workers: int
    threads: int

    @property
    def layout(self) -> Workers:
        """The counts that a plan is made for."""
        extra = 0 if self.kind == "threads" else 1
        return Workers(self.workers, self.threads, self.workers + extra)


def parse_cluster(
    text: str = "threads",
    workers: int | None = None,
    threads: int | None = None,
) -> ClusterSpec:
    """Read ``--cluster`` with ``--workers`` and ``--threads``.

    Parameters
    ----------
    text : str
        ``"threads"`` or ``"local"``.
    workers : int or None
        Processes; ``threads`` has one, ``local`` by default one per core.
    threads : int or None
        Threads per process; by default the cores divided by the workers.

    Returns
    -------
    ClusterSpec

    Raises
    ------
    ClusterError
        An unknown kind, or counts that it cannot have.
    """
    kind = text.split(":", 1)[0]
    if kind in PLANNED:
        raise ClusterError(
            f"--cluster {text} is not available in this version: use {' or '.join(KINDS)}"
        )
    if text not in KINDS:
        raise ClusterError(f"--cluster = {text!r}: must be {' or '.join(KINDS)}")
    for name, value in (("--workers", workers), ("--threads", threads)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise ClusterError(f"{name} = {value!r}: must be a whole number of at least 1")
    if text == "threads" and workers not in (None, 1):
        raise ClusterError(
            f"--workers {workers} needs --cluster local: --cluster threads is one process,"
            " with as many --threads as given"
        )
    cores = available_cores()
    if text == "threads":
        return ClusterSpec(text, 1, threads or cores)
    count = workers or max(1, cores // (threads or 1))
    return ClusterSpec(text, count, threads or max(1, cores // count))
