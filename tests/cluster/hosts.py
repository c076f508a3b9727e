"""Several hosts on one machine: network namespaces with an address, a hostname, a loopback each.

The hosts meet on a bridge in a namespace of its own, so nothing of them reaches the machine's own
network, and their addresses are free to be the same in every test.  Needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests import leaks

PROGRAMS = ("ip", "nsenter", "unshare")
#: Addresses that are reserved for examples: in use nowhere.
_NETWORK = "192.0.2"


def missing() -> str | None:
    """Say why there can be no such hosts here; None: there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not on the path: {', '.join(absent)}"
    try:
        with hosts(1):
            return None
    except (RuntimeError, OSError) as error:
        return f"network namespaces cannot be made here: {error}"


def _ip(*argv: str) -> str:
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Hosts:
    """Hosts number 0, 1, 2, ...; made by :func:`hosts`."""

    def __init__(self) -> None:
        self._label = f"nbt{uuid4().hex[:8]}"
        self._spaces: list[str] = []
        self._started: list[subprocess.Popen[str]] = []

    def _space(self, name: str) -> str:
        space = f"{self._label}-{name}"
        _ip("netns", "add", space)
        self._spaces.append(space)
        _ip("-n", space, "link", "set", "lo", "up")
        return space

    def build(self, count: int) -> None:
        """Make the bridge and the hosts."""
        middle = self._space("middle")
        _ip("-n", middle, "link", "add", "bridge", "type", "bridge")
        _ip("-n", middle, "link", "set", "bridge", "up")
        for number in range(count):
            space, port = self._space(str(number)), f"port{number}"
            peer = ["peer", "name", "eth0", "netns", space]
            _ip("link", "add", port, "netns", middle, "type", "veth", *peer)
            _ip("-n", middle, "link", "set", port, "master", "bridge", "up")
            _ip("-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")

    @staticmethod
    def address(number: int) -> str:
        """Return a host's address."""
        return f"{_NETWORK}.{10 + number}"

    def start(self, number: int, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program on a host, under its hostname; it ends with the hosts at the latest."""
        enter = ["nsenter", f"--net=/run/netns/{self._label}-{number}", "unshare", "--uts"]
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', f"host{number}", *command]
        process = subprocess.Popen([*enter, *named], text=True, **options)
        self._started.append(process)
        leaks.owned_by_module.add(process.pid)
        return process

    def cut(self, number: int) -> None:
        """Take a host's link down; nobody is told."""
        _ip("-n", f"{self._label}-middle", "link", "set", f"port{number}", "down")

    def heal(self, number: int) -> None:
        """Bring it back."""
        _ip("-n", f"{self._label}-middle", "link", "set", f"port{number}", "up")

    def close(self) -> None:
        """End what runs on the hosts, and remove them."""
        for process in self._started:
            process.kill()
        for space in self._spaces:
            for pid in _ip("netns", "pids", space).split():
                os.kill(int(pid), signal.SIGKILL)
        for process in self._started:
            process.wait()
        for space in self._spaces:
            _ip("netns", "del", space)


@contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """Make hosts; remove them and all that runs on them.

    Parameters
    ----------
    count : int
    """
    made = Hosts()
    try:
        made.build(count)
        yield made
    finally:
        made.close()
