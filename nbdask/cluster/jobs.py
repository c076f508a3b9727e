"""Workers as jobs of a batch system, by dask-jobqueue."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import dask
from distributed import Client
from distributed.core import Status

from nbdask.cluster import share
from nbdask.cluster.arrays import Batch, Wanted
from nbdask.cluster.distributed import (
    ENVIRONMENT,
    HISTORY,
    DistributedExecutor,
    as_variables,
    pages,
)
from nbdask.cluster.news import logger
from nbdask.cluster.options import Asked, adapt_of, count_of, memory_of, seconds_of
from nbdask.cluster.queues import Queue
from nbdask.cluster.security import private_folder, temporary_security
from nbdask.cluster.spec import ClusterSpec, JobSpec
from nbdask.cluster.watch import MOST_FAILURES
from nbdask.errors import ClusterError
from nbdask.files import check_outside_stores

#: Kind -> (prefix of dask-jobqueue's classes, command that submits a job).
_SYSTEMS = {
    "slurm": ("SLURM", "sbatch"),
    "pbs": ("PBS", "qsub"),
    "sge": ("SGE", "qsub"),
    "lsf": ("LSF", "bsub"),
    "htcondor": ("HTCondor", "condor_submit"),
}
#: What finds the number of a job, for the class of dask-jobqueue whose jobs may be arrays.
_ID = {"SLURMJob": r"(?P<job_id>\d+(?:_\d+)?)"}
#: Shortest time of a job: it must start, compute and leave.
LEAST_WALLTIME = 60
#: A worker leaves this long before its job's end: a share of the job, at least, at most [s].
MARGIN_SHARE, LEAST_MARGIN, MOST_MARGIN = 0.1, 30, 300
#: Workers that start together leave within this share of the job, at most so long [s].
STAGGER_SHARE, MOST_STAGGER = 0.05, 300
#: How the number of workers is kept up: seconds between looks, looks before one is given up,
#: and seconds of work for each worker that justify another one.
ADAPT = {"interval": "5s", "wait_count": 6, "target_duration": "1s"}
#: Lost workers of one tile before the run ends (jobs are cancelled for many reasons).
ALLOWED_FAILURES = 10
#: Seconds before a refused job is submitted again.
RETRY = 3.0
#: Variables of this process that workers get too.
_PASSED = ("NBDASK_CACHE_DIR",)


def spec_of(asked: Asked) -> ClusterSpec:
    """Make the spec of workers that are jobs of a batch system.

    Raises
    ------
    ClusterError
        Their number or memory is missing, or a setting is refused.
    """
    kind, settings = asked.kind, asked.settings
    adapt = adapt_of(settings["adapt"]) if "adapt" in settings else None
    if adapt is None and "workers" not in settings:
        raise ClusterError(
            f"--cluster {kind}: the number of workers is missing: give --workers N or --adapt"
            " MIN MAX"
        )
    if "memory" not in settings:
        raise ClusterError(
            f"--cluster {kind}: the memory of a worker is missing: give --memory, such as 4GB"
        )
    memory = memory_of(settings["memory"])
    walltime = seconds_of(settings["walltime"]) if "walltime" in settings else None
    if walltime is not None and walltime < LEAST_WALLTIME:
        raise ClusterError(f"--walltime is {walltime} s: must be {LEAST_WALLTIME} s or more")
    processes = count_of("--processes", settings.get("processes", 1))
    job = JobSpec(
        memory=memory,
        processes=processes,
        walltime=walltime,
        queue=asked.text_of("queue"),
        account=asked.text_of("account"),
        extra=asked.lines_of("job-extra"),
        interface=asked.text_of("interface"),
        directory=Path(settings.get("job-directory", "nbdask-jobs")).expanduser().absolute(),
        local_directory=asked.text_of("local-directory"),
        prologue=asked.lines_of("prologue"),
        python=asked.text_of("python"),
        disk=str(settings.get("disk", "1GB")),
    )
    jobs = adapt[1] if adapt else settings["workers"]
    threads = settings.get("threads", 1)
    return ClusterSpec(
        kind,
        jobs * processes,
        threads,
        adapt,
        job,
        memory=memory // processes,
        tls=asked.tls,
        wait=asked.wait,
        dashboard=asked.dashboard,
    )


def lifetime(walltime: int) -> tuple[int, int]:
    """Return how long a worker stays, so that it leaves before its job is ended, and the spread.

    Parameters
    ----------
    walltime : int
        Longest time of the job [s].

    Returns
    -------
    tuple of int
        (duration, stagger) [s]: a worker stays ``duration`` give or take ``stagger``.
    """
    margin = int(min(max(MARGIN_SHARE * walltime, LEAST_MARGIN), MOST_MARGIN))
    stagger = int(min(STAGGER_SHARE * walltime, MOST_STAGGER))
    return walltime - margin - stagger, stagger


def job_keywords(spec: ClusterSpec) -> dict[str, Any]:
    """Return the keywords of a job for dask-jobqueue.

    Parameters
    ----------
    spec : ClusterSpec
        With ``job``.

    Returns
    -------
    dict
        Keywords of the job classes of dask-jobqueue.

    Raises
    ------
    ClusterError
        An option that this batch system does not have.
    """
    job = spec.job
    assert job is not None
    keywords: dict[str, Any] = {
        "cores": spec.threads * job.processes,
        "processes": job.processes,
        "memory": f"{job.memory}B",
        "job_name": "nbdask",
        "job_script_prologue": [*_exports(spec), *job.prologue],
        "worker_extra_args": _worker_arguments(
            job.walltime or _usual_walltime(spec.kind), spec.dashboard, job.processes
        ),
        "log_directory": str(job.directory),
    }
    optional = {
        "interface": job.interface,
        "local_directory": job.local_directory,
        "python": job.python or _python(spec.kind),
    }
    keywords |= {name: value for name, value in optional.items() if value is not None}
    extra = _condor(job) if spec.kind == "htcondor" else _directives(spec.kind, job)
    return keywords | extra


def _python(kind: str) -> str | None:
    """Return this Python for the shell of a job, None where dask's configuration names another."""
    # dask-jobqueue puts its own choice, the same, into the script as it is: a space would cut it.
    named = dask.config.get(f"jobqueue.{kind}.python", None)
    return shlex.quote(sys.executable) if named is None else None


def _exports(spec: ClusterSpec) -> list[str]:
    """Shell lines that give workers the environment that a run needs."""
    passed = {name: os.environ[name] for name in _PASSED if os.environ.get(name)}
    given = ENVIRONMENT | as_variables(HISTORY | pages(spec.dashboard)) | passed
    if spec.job is not None and spec.job.processes > 1:
        given |= {share.COUNT: str(spec.job.processes)} | as_variables(_preload())
    return [f"export {name}={shlex.quote(value)}" for name, value in given.items()]


def _preload() -> dict[str, Any]:
    """Return dask's setting by which a worker takes its share of the node, beside those given."""
    name = "distributed.worker.preload"
    given = dask.config.get(name, None)
    if not given:
        return {name: share.__name__}
    return {name: [share.__name__, *([given] if isinstance(given, str) else given)]}


def _usual_walltime(kind: str) -> int | None:
    """Return the seconds that dask-jobqueue's configuration gives jobs, None if not configured.

    Its own default is half an hour: workers have to leave before that end, too.
    """
    text = str(dask.config.get(f"jobqueue.{kind}.walltime", None))
    if kind == "lsf" and text.count(":") == 1:
        text += ":00"
    if text.count(":") != 2:  # a number alone has another unit in each system
        return None
    try:
        seconds = seconds_of(text)
    except ClusterError:
        return None
    return seconds if seconds >= LEAST_WALLTIME else None


def _worker_arguments(walltime: int | None, dashboard: bool, processes: int) -> list[str]:
    """Arguments of ``dask worker``: pages on its own node only, leaving in time."""
    argv = ["--dashboard-address", "127.0.0.1:0"]
    if not dashboard:
        argv.append("--no-dashboard")
    if processes > 1:
        # Read from the command line alone, unlike that of workers.
        argv += ["--preload-nanny", share.__name__]
    if walltime is not None:
        duration, stagger = lifetime(walltime)
        argv += ["--lifetime", f"{duration}s", "--lifetime-stagger", f"{stagger}s"]
    return argv


def _clock(seconds: int, parts: int) -> str:
    """Return hours:minutes:seconds, or hours:minutes rounded up."""
    if parts == 3:
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    minutes = -(-seconds // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _directives(kind: str, job: JobSpec) -> dict[str, Any]:
    account = "project" if kind in ("sge", "lsf") else "account"
    walltime = None if job.walltime is None else _clock(job.walltime, 2 if kind == "lsf" else 3)
    values = {"queue": job.queue, account: job.account, "walltime": walltime}
    found: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if job.extra:
        found["job_extra_directives"] = list(job.extra)
    return found


def _condor(job: JobSpec) -> dict[str, Any]:
    """HTCondor has no queues, and its directives are pairs of a name and a value."""
    if job.queue is not None:
        raise ClusterError(
            f"--queue {job.queue}: HTCondor has no queues; give --job-extra 'NAME = VALUE' instead"
        )
    extra: dict[str, str] = {}
    if job.account is not None:
        extra["accounting_group"] = job.account
    if job.walltime is not None:
        extra["allowed_job_duration"] = str(job.walltime)
    for line in job.extra:
        name, separator, value = line.partition("=")
        if not separator or not name.strip():
            raise ClusterError(f"--job-extra {line!r}: for HTCondor it must be NAME = VALUE")
        extra[name.strip()] = value.strip()
    return {"disk": job.disk, "job_extra_directives": extra}


def _jobqueue(kind: str) -> Any:
    """Return the module of dask-jobqueue."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        module = import_module("dask_jobqueue")
        # On import it makes Ctrl-C end the program with status 0 at once; here Ctrl-C must end the
        # run in order.
        if threading.current_thread() is threading.main_thread():
            for name, handler in handlers.items():
                signal.signal(name, handler)
        return module
    except ImportError as error:
        raise ClusterError(
            f"--cluster {kind} needs the package dask-jobqueue: pip install 'nbdask[hpc]'"
        ) from error


def job_script(spec: ClusterSpec, scheduler: str = "tls://SCHEDULER:8786") -> str:
    """Return the batch script of one worker, but for its credentials.

    Parameters
    ----------
    spec : ClusterSpec
        With ``job``.
    scheduler : str
        Address that the worker is told.

    Raises
    ------
    ClusterError
        The package dask-jobqueue is missing, or an option that this batch system does not have.
    """
    module = import_module(f"{_jobqueue(spec.kind).__name__}.{spec.kind}")
    job = getattr(module, _SYSTEMS[spec.kind][0] + "Job")
    return str(job(scheduler, name="nbdask-0", **job_keywords(spec)).job_script())


def _recording(job_class: Any, failures: list[str]) -> type:
    """Return a job class that tries again, and keeps what the batch system says on refusal.

    dask-jobqueue itself would print a traceback, and never submit that job again.
    """
    batches: list[Batch] = []

    class Recorded(job_class):  # type: ignore[misc]
        # A job of an array has two numbers.
        job_id_regexp = _ID.get(job_class.__name__, job_class.job_id_regexp)

        async def _submit_job(self, script_filename: str) -> str:
            if job_class.__name__ not in _ID:
                return str(await super()._submit_job(script_filename))
            if not batches:
                batches.append(Batch(shlex.split(self.submit_command), self._call))
            job = Wanted(str(self.name), self.job_script(), script_filename)
            return await batches[0].submit(job)

        async def start(self) -> None:
            while len(failures) < MOST_FAILURES:
                try:
                    await super().start()
                except (RuntimeError, ValueError, OSError) as error:
                    failures.append(_reason(str(error)))
                    await asyncio.sleep(RETRY)
                else:
                    failures.clear()
                    return
            logger.warning("nbdask: a job is given up: %s", failures[-1])
            self.status = Status.running  # the cluster takes anything else for a mistake

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed

    Recorded.__name__ = job_class.__name__
    return Recorded


def _reason(text: str) -> str:
    """Return what the command said on its standard error, on one line."""
    lines = [line.strip() for line in text.splitlines()]
    said = lines[lines.index("stderr:") + 1 :] if "stderr:" in lines else lines
    return " ".join(line for line in said if line)


def _open(spec: ClusterSpec, failures: list[str]) -> Any:
    """Start the scheduler in this process."""
    job = spec.job
    assert job is not None
    name, submit = _SYSTEMS[spec.kind]
    cluster_class = getattr(_jobqueue(spec.kind), name + "Cluster")
    if shutil.which(submit) is None:
        raise ClusterError(
            f"--cluster {spec.kind}: the command {submit} is not on the path: start nbdask where"
            " jobs can be submitted"
        )
    check_outside_stores(job.directory, f"--cluster {spec.kind}: its folder", ClusterError)
    security = temporary_security() if spec.tls else None
    try:
        private_folder(job.directory)
        return cluster_class(
            job_cls=_recording(cluster_class.job_cls, failures),
            security=security,
            shared_temp_directory=str(job.directory),
            scheduler_options={
                "dashboard": spec.dashboard,
                "dashboard_address": "127.0.0.1:0",
            },
            silence_logs=logging.ERROR,
            **job_keywords(spec),
        )
    except (OSError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ClusterError(f"--cluster {spec.kind}: cannot be started: {text}") from error


@contextmanager
def open_spec(spec: ClusterSpec) -> Iterator[DistributedExecutor]:
    """Start a scheduler here and workers as jobs; replace lost ones; end all jobs afterwards.

    Raises
    ------
    ClusterError
        The scheduler cannot be started.
    """
    failures: list[str] = []
    assert spec.job is not None
    jobs = spec.workers // spec.job.processes
    least, most = spec.adapt or (jobs, jobs)
    with (
        dask.config.set(
            {"distributed.scheduler.allowed-failures": ALLOWED_FAILURES}
            | HISTORY
            | pages(spec.dashboard)
        ),
        _open(spec, failures) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        cluster.scale(jobs=least)
        # A number that is only set once is not kept up when jobs are lost; limits are.
        cluster.adapt(minimum_jobs=least, maximum_jobs=most, **ADAPT)
        threads = spec.workers * spec.threads
        queue = Queue(spec.kind, lambda: _numbers(cluster))
        yield DistributedExecutor(
            client, threads, spec.wait, failures, dashboard=spec.dashboard, queue=queue
        )


def _numbers(cluster: Any) -> list[str]:
    """Return the numbers of the jobs that were submitted."""
    jobs = (getattr(job, "job_id", None) for job in list(cluster.workers.values()))
    return sorted({str(number) for number in jobs if number})
