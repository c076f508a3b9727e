"""What kind of cluster, how many workers, where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nbdask.plan.estimate import Workers
from nbdask.plan.machine import available_cores

#: Batch systems, by dask-jobqueue.
QUEUES = ("slurm", "pbs", "sge", "lsf", "htcondor")
KINDS = ("threads", "local", "cuda", *QUEUES, "mpi")
_ALL = "threads, local, cuda, " + ", ".join(QUEUES) + ", mpi, tcp://HOST:PORT, tls://HOST:PORT or"
ALLOWED = _ALL + " scheduler-file:PATH"
#: Share of a worker's memory that a plan may use; the rest is the interpreter's and the nanny's.
SHARE = 0.8
#: Seconds without any worker after which a run is given up.
WAIT = 120


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job, in which one or more worker processes run.

    Parameters
    ----------
    memory : int
        Bytes of the whole job.
    walltime : int or None
        Seconds; None: as dask-jobqueue is configured.
    queue, account : str or None
    extra : tuple of str
        Further directives of the batch system.
    interface : str or None
        Network interface that scheduler and workers use, such as ``"ib0"``.
    directory : Path
        Folder visible to all nodes, for the jobs' logs and the temporary credentials.
    local_directory : str or None
        Folder on a disk of the node, for a worker's own files.
    prologue : tuple of str
        Shell lines before the worker starts.
    python : str or None
        Interpreter of the workers; None: this one.
    disk : str
        Disk that HTCondor is asked for.
    processes : int
        Worker processes.
    """

    memory: int
    walltime: int | None = None
    queue: str | None = None
    account: str | None = None
    extra: tuple[str, ...] = ()
    interface: str | None = None
    directory: Path = Path("nbdask-jobs")
    local_directory: str | None = None
    prologue: tuple[str, ...] = ()
    python: str | None = None
    disk: str = "1GB"
    processes: int = 1


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Where tasks run.

    Parameters
    ----------
    kind : str
        ``"threads"``: threads of this process; ``"local"``: worker processes on this machine;
        ``"cuda"``: one for each of its GPUs; a batch system; ``"mpi"``;
        ``"tcp"``, ``"tls"``, ``"scheduler-file"``: a running scheduler.
    workers : int
        Worker processes; with ``adapt`` the most of them.
    threads : int
        Threads per process.
    adapt : tuple of int, optional
        Fewest and most workers; of a batch system jobs.
    job : JobSpec, optional
        For a batch system.
    address : str, optional
        Of a running scheduler, or the path of its file.
    memory : int, optional
        Bytes of the smallest worker, where they are known.
    tls : bool
        Whether a cluster that is started here uses TLS.
    dashboard : bool
        Whether a cluster that is started here shows dask's pages.
    wait : int
        Seconds without any worker after which a run is given up.
    devices : tuple of str
        For ``"cuda"``: names of the GPUs in ``CUDA_VISIBLE_DEVICES``.
    """

    kind: str
    workers: int
    threads: int
    adapt: tuple[int, int] | None = None
    job: JobSpec | None = None
    address: str | None = None
    memory: int | None = None
    tls: bool = True
    wait: int = field(default=WAIT, compare=False)
    devices: tuple[str, ...] = ()
    dashboard: bool = False

    @property
    def here(self) -> bool:
        """Whether this machine computes."""
        return self.kind in ("threads", "local", "cuda")

    @property
    def layout(self) -> Workers:
        """The counts that a plan is made for."""
        extra = 0 if self.kind == "threads" else 1
        cores = available_cores() if self.here else 0
        queued = self.kind in QUEUES
        return Workers(self.workers, self.threads, self.workers + extra, cores, queued)

    @property
    def memory_limit(self) -> int | None:
        """Bytes that a plan may use in each worker; None: its share of this machine."""
        return None if self.memory is None else int(SHARE * self.memory)
