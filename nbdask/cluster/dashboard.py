"""The address of dask's pages, as a user can open it."""

from __future__ import annotations

import os
import platform
import socket
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import dask

from nbdask.cluster.executor import Executor

_LOOPBACK = "127.0.0.1"
#: How distributed makes addresses unless it is configured otherwise, as for a proxy.
_USUAL = "{scheme}://{host}:{port}/status"
#: Variables that tell that the user sits elsewhere: a remote shell, a job.
_ELSEWHERE = (
    "SSH_CONNECTION", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "_CONDOR_SLOT",
)  # fmt: skip


class Dashboard(NamedTuple):
    """Dask's pages.

    Attributes
    ----------
    link : str
        The address, where a browser runs on the scheduler's machine or a tunnel leads there.
    tunnel : str or None
        The command that makes the tunnel; None: the user sits at this machine.
    """

    link: str
    tunnel: str | None

    def __str__(self) -> str:
        """Return it in one line."""
        if self.tunnel is None:
            return self.link
        return f"{self.link} (from your own machine, first: {self.tunnel})"


def dashboard_of(executor: Executor) -> Dashboard | None:
    """Return the page on which dask shows what it does, where there is one."""
    if find_spec("bokeh") is None or not getattr(executor, "dashboard", False):
        return None
    client: Any = getattr(executor, "client", None)
    link = getattr(client, "dashboard_link", None)
    if not link:
        return None
    if dask.config.get("distributed.dashboard.link", _USUAL) != _USUAL:
        return Dashboard(str(link), None)
    return _reachable(str(link), started=getattr(executor, "replaced", True))


def _reachable(link: str, *, started: bool) -> Dashboard:
    """Return a link that works.

    Parameters
    ----------
    link : str
        With the host at which workers reach the scheduler.
    started : bool
        Whether nbdask started the scheduler, whose pages are then on its loopback interface.
    """
    parts = urlsplit(link)
    host, port = parts.hostname or _LOOPBACK, parts.port
    here = _is_here(host)
    loopback = urlunsplit(parts._replace(netloc=f"{_LOOPBACK}:{port}"))
    if here and not any(os.environ.get(name) for name in _ELSEWHERE):
        return Dashboard(loopback if started else link, None)
    machine = platform.node() if here else host
    return Dashboard(loopback, f"ssh -N -L {port}:{_LOOPBACK}:{port} {machine}")


def _is_here(host: str) -> bool:
    """Return whether a host is this machine: whether its address can be listened at."""
    if host in (_LOOPBACK, "localhost", "::1", platform.node()):
        return True
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
