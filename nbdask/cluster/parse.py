"""The text of ``--cluster`` with its options -> spec."""

from __future__ import annotations

from typing import Any, TypedDict

from nbdask.cluster.kinds import kind_of
from nbdask.cluster.options import Asked, JobOptions, configured, count_of, seconds_of
from nbdask.cluster.spec import ALLOWED, KINDS, QUEUES, WAIT, ClusterSpec
from nbdask.errors import ClusterError

#: Seconds without any worker after which a run is given up where jobs may wait in their queue.
WAIT_IN_QUEUE = 3600

#: Settings of processes that nbdask starts itself; the others are for jobs.
_OWN = ("workers", "threads", "tls", "dashboard", "worker-timeout")


class Where(TypedDict, total=False):
    """Where tasks run, as :class:`nbdask.prepare.Settings` has it."""

    cluster: str | None
    workers: int | None
    threads: int | None
    jobs: JobOptions | None


def parse_where(where: Where) -> ClusterSpec:
    """Read what callers of a function gave; see :func:`parse_cluster`."""
    return parse_cluster(
        where.get("cluster"), where.get("workers"), where.get("threads"), where.get("jobs")
    )


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

    Raises
    ------
    ClusterError
        An unknown kind, options that it cannot have, or a running scheduler that does not answer.
    """
    jobs = jobs or JobOptions()
    settings = configured(jobs.profile)
    text = _text(text, settings, jobs.profile)
    kind = _kind(text)
    if kind in ("threads", "local", "cuda"):
        settings = {name: settings[name] for name in _OWN if name in settings}
        if kind == "threads":
            settings.pop("workers", None)
    settings |= jobs.given()
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None:
            settings[name] = count_of(f"--{name}", value)
        elif name in settings:
            settings[name] = count_of(f"nbdask.{name}", settings[name])
    if jobs.wait is not None:
        wait = seconds_of(jobs.wait, "--wait")
    else:
        wait = seconds_of(settings.get("worker-timeout", _wait(kind)), "nbdask.worker-timeout")
    if kind not in QUEUES:
        _refuse_job_options(kind, jobs)
    return kind_of(kind).spec_of(Asked(kind, text, settings, workers, threads, wait))


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
