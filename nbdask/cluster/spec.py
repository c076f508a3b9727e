"""The text of ``--cluster`` and its options -> what kind of cluster, how many workers, where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbdask.cluster.options import (
    JobOptions,
    adapt_of,
    configured,
    count_of,
    memory_of,
    seconds_of,
)
from nbdask.errors import BackendError, ClusterError
from nbdask.plan.machine import available_cores
from nbdask.plan.plan import Workers

#: Batch systems, by dask-jobqueue.
QUEUES = ("slurm", "pbs", "sge", "lsf", "htcondor")
#: Kinds that reach a scheduler which somebody else started.
RUNNING = ("tcp", "tls", "scheduler-file")
KINDS = ("threads", "local", "cuda", *QUEUES, "mpi")
_ALL = "threads, local, cuda, " + ", ".join(QUEUES) + ", mpi, tcp://HOST:PORT, tls://HOST:PORT or"
ALLOWED = _ALL + " scheduler-file:PATH"
#: Share of a worker's memory that a plan may use; the rest is the interpreter's and the nanny's.
SHARE = 0.8
#: Seconds without any worker after which a run is given up: jobs may wait in their queue.
WAIT, WAIT_IN_QUEUE = 120, 3600
#: Threads of a worker with a card: some wait for it, the others compress and write.
CARD_THREADS = 6
#: Shortest time of a job: it must start, compute and leave.
LEAST_WALLTIME = 60


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The job that one worker process runs in.

    Parameters
    ----------
    memory : int
        Bytes.
    walltime : int or None
        Seconds; None: as dask-jobqueue is configured.
    queue, account : str or None
    extra : tuple of str
        Further directives of the batch system.
    interface : str or None
        Network interface that scheduler and workers use, such as ``"ib0"``.
    directory : Path
        Folder that all nodes see, for the jobs' logs and the temporary credentials.
    local_directory : str or None
        Folder on a disk of the node, for a worker's own files.
    prologue : tuple of str
        Shell lines before the worker starts.
    python : str or None
        Interpreter of the workers; None: this one.
    disk : str
        Disk that HTCondor is asked for.
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


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Where tasks run.

    Parameters
    ----------
    kind : str
        ``"threads"``: threads of this process; ``"local"``: worker processes on this machine;
        ``"cuda"``: one for each of its cards; a batch system; ``"mpi"``;
        ``"tcp"``, ``"tls"``, ``"scheduler-file"``: a running scheduler.
    workers : int
        Worker processes; with ``adapt`` the most of them.
    threads : int
        Threads per process.
    adapt : tuple of int, optional
        Fewest and most workers.
    job : JobSpec, optional
        For a batch system.
    address : str, optional
        Of a running scheduler, or the path of its file.
    memory : int, optional
        Bytes of the smallest worker, where they are known.
    tls : bool
        Whether a cluster that is started here, and listens beyond loopback, uses TLS.
    wait : int
        Seconds without any worker after which a run is given up.
    cards : tuple of str
        For ``"cuda"``: names of the cards in ``CUDA_VISIBLE_DEVICES``.
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
    cards: tuple[str, ...] = ()

    @property
    def here(self) -> bool:
        """Whether this machine computes."""
        return self.kind in ("threads", "local", "cuda")

    @property
    def layout(self) -> Workers:
        """The counts that a plan is made for."""
        extra = 0 if self.kind == "threads" else 1
        return Workers(self.workers, self.threads, self.workers + extra)

    @property
    def memory_limit(self) -> int | None:
        """Bytes that a plan may use in each worker; None: its share of this machine."""
        return None if self.memory is None else int(SHARE * self.memory)


def parse_cluster(
    text: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    jobs: JobOptions | None = None,
) -> ClusterSpec:
    """Read ``--cluster`` with ``--workers``, ``--threads`` and the options of jobs.

    Parameters
    ----------
    text : str or None
        A kind, or the address of a running scheduler; None: as configured, else ``"threads"``.
    workers : int or None
        Processes; ``threads`` has one, ``local`` by default one per core.
    threads : int or None
        Threads per process; by default the cores divided by the workers, for jobs 1.
    jobs : JobOptions, optional

    Returns
    -------
    ClusterSpec

    Raises
    ------
    ClusterError
        An unknown kind, options that it cannot have, or a running scheduler that is not there.
    """
    jobs = jobs or JobOptions()
    settings = configured(jobs.profile)
    text = _text(text, settings, jobs.profile)
    kind = _kind(text)
    if kind in ("threads", "local", "cuda"):
        settings = {name: settings[name] for name in ("workers", "threads") if name in settings}
        if kind == "threads":
            settings.pop("workers", None)
    settings |= jobs.given()
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None:
            settings[name] = count_of(f"--{name}", value)
        elif name in settings:
            settings[name] = count_of(f"nbdask.{name}", settings[name])
    wait = seconds_of(settings.get("worker-timeout", _wait(kind)), "nbdask.worker-timeout")
    if kind in QUEUES:
        return _queue(kind, settings, wait)
    _refuse_job_options(kind, jobs)
    if kind == "mpi":
        return _mpi(settings, workers, wait)
    if kind in RUNNING:
        return _running(kind, text, settings, threads, wait)
    if kind == "cuda":
        return _cards(settings.get("workers"), settings.get("threads"))
    return _here(kind, settings.get("workers"), settings.get("threads"))


def _cards(workers: int | None, threads: int | None) -> ClusterSpec:
    """One process per card; a few threads in each, so that computing and writing overlap."""
    from nbdask.kernels.cuda_device import visible_cards

    try:
        cards = visible_cards()
    except BackendError as error:
        # The caller asked for a cluster: the remedies are in its words.
        text = str(error).replace("--backend cuda", "--cluster cuda")
        text = text.replace("--backend cpu", "--cluster threads")
        raise BackendError(text) from error
    if workers is not None and workers > len(cards):
        raise ClusterError(
            f"--workers {workers}: --cluster cuda has one worker per card, and there are"
            f" {len(cards)} here; give at most that many, or leave --workers out"
        )
    count = workers or len(cards)
    threads = threads or max(2, min(CARD_THREADS, available_cores() // count))
    return ClusterSpec("cuda", count, threads, cards=cards)


def _text(text: str | None, settings: dict[str, Any], profile: str | None) -> str:
    """Choose between the caller's kind and the configured one."""
    found = settings.get("cluster")
    if text is None:
        return "threads" if found is None else str(found)
    if profile is not None and found is not None and _kind(text) != _kind(str(found)):
        raise ClusterError(
            f"--cluster {text}: --profile {profile} is for {found}; leave one of them out"
        )
    return text


def _kind(text: str) -> str:
    kind, separator, rest = text.partition(":")
    is_address = kind in ("tcp", "tls") and rest.startswith("//") and len(rest) > 2
    if text in KINDS or is_address or (kind == "scheduler-file" and rest):
        return kind
    hint = f"; --cluster {kind} takes no {separator}{rest}" if kind in KINDS else ""
    raise ClusterError(f"--cluster = {text!r}: must be {ALLOWED}{hint}")


def _wait(kind: str) -> int:
    return WAIT_IN_QUEUE if kind in QUEUES else WAIT


def _refuse_job_options(kind: str, jobs: JobOptions) -> None:
    for name in jobs.given():
        raise ClusterError(
            f"--{name} is for jobs of a batch system: it needs --cluster {', '.join(QUEUES[:-1])}"
            f" or {QUEUES[-1]}, not {kind}"
        )


def _here(kind: str, workers: int | None, threads: int | None) -> ClusterSpec:
    """Threads or processes of this machine."""
    if kind == "threads" and workers not in (None, 1):
        raise ClusterError(
            f"--workers {workers} needs --cluster local: --cluster threads is one process,"
            " with as many --threads as given"
        )
    cores = available_cores()
    if kind == "threads":
        return ClusterSpec(kind, 1, threads or cores)
    count = workers or max(1, cores // (threads or 1))
    return ClusterSpec(kind, count, threads or max(1, cores // count))


def _queue(kind: str, settings: dict[str, Any], wait: int) -> ClusterSpec:
    """Jobs of a batch system."""
    adapt = adapt_of(settings["adapt"]) if "adapt" in settings else None
    if adapt is None and "workers" not in settings:
        raise ClusterError(
            f"--cluster {kind}: how many workers is missing: give --workers N, or --adapt MIN MAX"
        )
    if "memory" not in settings:
        raise ClusterError(
            f"--cluster {kind}: the memory of a worker is missing: give --memory, such as 4GB"
        )
    memory = memory_of(settings["memory"])
    walltime = seconds_of(settings["walltime"]) if "walltime" in settings else None
    if walltime is not None and walltime < LEAST_WALLTIME:
        raise ClusterError(f"--walltime is {walltime} s: must be {LEAST_WALLTIME} s or more")
    job = JobSpec(
        memory=memory,
        walltime=walltime,
        queue=_optional(settings, "queue"),
        account=_optional(settings, "account"),
        extra=_lines(settings.get("job-extra", ())),
        interface=_optional(settings, "interface"),
        directory=Path(settings.get("job-directory", "nbdask-jobs")).expanduser().absolute(),
        local_directory=_optional(settings, "local-directory"),
        prologue=_lines(settings.get("prologue", ())),
        python=_optional(settings, "python"),
        disk=str(settings.get("disk", "1GB")),
    )
    workers = adapt[1] if adapt else settings["workers"]
    threads = settings.get("threads", 1)
    tls = _tls(settings)
    return ClusterSpec(kind, workers, threads, adapt, job, None, memory, tls, wait)


def _mpi(settings: dict[str, Any], workers: int | None, wait: int) -> ClusterSpec:
    """Ranks of an MPI program: the first is the scheduler, the second leads, the others work."""
    from nbdask.cluster.mpi import start

    threads = settings.get("threads", 1)
    found = start(threads, _optional(settings, "interface"), _tls(settings))
    if workers not in (None, found):
        raise ClusterError(
            f"--workers {workers}: mpirun started {found} beside the scheduler and the leading"
            " process; leave --workers out"
        )
    return ClusterSpec("mpi", found, threads, wait=wait)


def _running(
    kind: str, text: str, settings: dict[str, Any], threads: int | None, wait: int
) -> ClusterSpec:
    """Workers of a scheduler that runs already."""
    from nbdask.cluster.running import look

    if threads is not None:
        raise ClusterError(
            f"--threads {threads}: the workers of a running scheduler have the threads that they"
            " were started with; leave --threads out"
        )
    address = text if kind != "scheduler-file" else text.partition(":")[2]
    found = look(kind, address, settings.get("workers", 1), wait)
    return ClusterSpec(
        kind, found.workers, found.threads, address=address, memory=found.memory, wait=wait
    )


def _tls(settings: dict[str, Any]) -> bool:
    value = settings.get("tls", True)
    if not isinstance(value, bool):
        raise ClusterError(f"nbdask.tls = {value!r}: must be true or false")
    return value


def _optional(settings: dict[str, Any], name: str) -> str | None:
    value = settings.get(name)
    return None if value is None else str(value)


def _lines(value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise ClusterError(f"{value!r} in dask's configuration, nbdask: must be a list of lines")
    return tuple(str(item) for item in items)
