"""Options of clusters: from the caller, from a named profile, from dask's own configuration.

The section ``nbdask:`` of dask's YAML files (``~/.config/dask/*.yaml``, ``/etc/dask``, and every
``DASK_NBDASK__...`` variable) holds defaults, and under ``profiles:`` named sets of them.  What
the caller gives comes first, then the profile, then the section itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask

from nbdask.errors import ClusterError, PlanError, nearest
from nbdask.plan.memory import parse_bytes

#: Keys of a profile or of the section itself.
KEYS = (
    "account", "adapt", "cluster", "dashboard", "disk", "interface", "job-directory", "job-extra",
    "local-directory", "memory", "processes", "prologue", "python", "queue", "threads", "tls",
    "walltime", "worker-timeout", "workers",
)  # fmt: skip
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options of the jobs that workers run in; None: as configured.

    Parameters
    ----------
    profile : str, optional
        Name of a set of options under ``nbdask: profiles:`` in dask's configuration.
    memory : int or str, optional
        Memory of each job, such as ``"8GB"``.
    walltime : str, optional
        Longest time of a job: ``"04:00:00"``, ``"1-12:00:00"``, ``"90min"`` or ``"4h"``.
    queue, account : str, optional
        Queue (partition) and account (project) that jobs are submitted to.
    job_extra : tuple of str
        Further directives of the batch system, word for word.
    adapt : tuple of int, optional
        Fewest and most jobs; their number follows the work that is left.
    processes : int, optional
        Worker processes in each job, which share its memory, cores and GPUs.
    wait : str, optional
        Time without any worker after which the run is given up, written like ``walltime``; of
        every kind of cluster, not only of jobs.
    """

    profile: str | None = None
    memory: int | str | None = None
    walltime: str | None = None
    queue: str | None = None
    account: str | None = None
    job_extra: tuple[str, ...] = ()
    adapt: tuple[int, int] | None = None
    processes: int | None = None
    wait: str | None = None

    def given(self) -> dict[str, Any]:
        """Return what the caller did give, by the names of the configuration."""
        values = {
            "memory": self.memory,
            "walltime": self.walltime,
            "queue": self.queue,
            "account": self.account,
            "job-extra": tuple(self.job_extra) or None,
            "adapt": self.adapt,
            "processes": self.processes,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a kind of cluster makes its spec of.

    Parameters
    ----------
    kind : str
    text : str
        As given: the kind, or an address that begins with it.
    settings : dict
        Given and configured options, by the names of the configuration.
    workers, threads : int or None
        What the caller gave.
    wait : int
        Seconds without any worker after which a run is given up.
    """

    kind: str
    text: str
    settings: dict[str, Any]
    workers: int | None
    threads: int | None
    wait: int

    @property
    def tls(self) -> bool:
        """Whether a cluster started here uses TLS.

        Raises
        ------
        ClusterError
            Neither true nor false is configured.
        """
        return self._switch("tls", True)

    @property
    def dashboard(self) -> bool:
        """Whether a cluster that is started here shows dask's pages, which anyone may read there.

        Raises
        ------
        ClusterError
            Neither true nor false is configured.
        """
        return self._switch("dashboard", False)

    def _switch(self, name: str, default: bool) -> bool:
        value = self.settings.get(name, default)
        if not isinstance(value, bool):
            raise ClusterError(f"nbdask.{name} = {value!r}: must be true or false")
        return value

    def text_of(self, name: str) -> str | None:
        """Return a setting as text; None: it is not there."""
        value = self.settings.get(name)
        return None if value is None else str(value)

    def lines_of(self, name: str) -> tuple[str, ...]:
        """Return a setting that holds lines.

        Raises
        ------
        ClusterError
            Neither a text nor a list.
        """
        value = self.settings.get(name, ())
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise ClusterError(
                f"{value!r} in dask's configuration, nbdask: must be a list of lines"
            )
        return tuple(str(item) for item in items)


def configured(profile: str | None) -> dict[str, Any]:
    """Return the options that dask's configuration holds, those of a profile first.

    Raises
    ------
    ClusterError
        An unknown profile, or an unknown name in the section.
    """
    section = _names(dask.config.get("nbdask", {}), "nbdask")
    profiles = section.pop("profiles", None) or {}
    _check_names(section, "nbdask")
    if profile is None:
        return _without_none(section)
    if not isinstance(profiles, Mapping) or profile not in profiles:
        known = ", ".join(sorted(profiles)) if isinstance(profiles, Mapping) else ""
        raise ClusterError(
            f"--profile {profile}: not under nbdask: profiles: of dask's configuration"
            f" ({f'known: {known}' if known else 'none is defined'}; configuration files in"
            f" {', '.join(str(path) for path in dask.config.paths)})"
        )
    chosen = _names(profiles[profile], f"nbdask.profiles.{profile}")
    _check_names(chosen, f"nbdask.profiles.{profile}")
    return _without_none(section) | _without_none(chosen)


def _names(section: object, where: str) -> dict[str, Any]:
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ClusterError(f"dask's configuration, {where}: must hold names and values")
    return {str(name).replace("_", "-"): value for name, value in section.items()}


def _check_names(section: Mapping[str, Any], where: str) -> None:
    for name in section:
        if name not in KEYS:
            close = nearest(name, KEYS)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(KEYS)}"
            raise ClusterError(f"dask's configuration, {where}.{name}: unknown; {hint}")


def _without_none(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}


def count_of(name: str, value: object) -> int:
    """Return a number of workers or threads.

    Raises
    ------
    ClusterError
        Not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ClusterError(f"{name} = {value!r}: must be a whole number of at least 1")
    return value


def adapt_of(value: object) -> tuple[int, int]:
    """Return fewest and most workers.

    Raises
    ------
    ClusterError
        Not two whole numbers of at least 1, the second not below the first.
    """
    items = list(value) if isinstance(value, (list, tuple)) else []
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in items)
    if len(items) != 2 or not whole or not 1 <= items[0] <= items[1]:
        raise ClusterError(
            f"--adapt = {value!r}: must be two whole numbers of at least 1, the fewest and the"
            " most workers, such as --adapt 2 20"
        )
    return items[0], items[1]


def memory_of(value: int | str) -> int:
    """Return the bytes of a worker.

    Raises
    ------
    ClusterError
        Not a size.
    """
    try:
        return parse_bytes(value, "--memory")
    except PlanError as error:
        raise ClusterError(str(error)) from None


def seconds_of(value: object, name: str = "--walltime") -> int:
    """Return the seconds of a time such as ``"04:00:00"``, ``"1-12:00:00"``, ``"90min"``, ``600``.

    Raises
    ------
    ClusterError
        Not such a time, or none at all.
    """
    text = str(value).strip().lower()
    seconds = 0.0
    if clock := re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9}):([0-5]\d):([0-5]\d)", text, re.ASCII):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        seconds = days * 86400 + hours * 3600 + minutes * 60 + rest
    elif simple := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text, re.ASCII):
        seconds = float(simple.group(1)) * _UNITS.get(simple.group(2) or "s", 0)
    if not 1 <= seconds < 1e15:
        raise ClusterError(
            f"{name} = {value!r}: must be a time such as 04:00:00 (hours, minutes, seconds),"
            " 1-12:00:00 (with days), 90min or 4h"
        )
    return int(seconds)
