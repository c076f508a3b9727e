"""One run at a time: the lock next to a store, and what happens to one left behind."""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from nbdask.errors import StoreError
from nbdask.store.place import LockFile, Place, Seen, foreign, reason

_log = logging.getLogger("nbdask")

#: A holder renews its lock this often [s]; after so long without a renewal it is taken for dead.
RENEWAL, PATIENCE = 10.0, 40.0


class Locked(StoreError):
    """Another process holds the lock."""


class Lock:
    """Holds the lock of a store; use as a context manager.

    The lock is a small file ``.NAME.lock`` next to a folder, or an object ``NAME.lock`` next to a
    prefix.  It names host, process and time.  No decision depends on anybody's clock: a holder on
    this machine is alive or not, and one elsewhere is watched for a renewal.

    Raises
    ------
    StoreError
        On entering: another run holds it, or it cannot be written.
    """

    def __init__(self, place: Place) -> None:
        self._file: LockFile = place.lock_file()
        self._place = place
        self._text = json.dumps(_identity()).encode()
        self._stop = threading.Event()
        self._lost = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lock:
        """Take the lock."""
        try:
            self._take()
        except OSError as error:
            raise StoreError(
                f"--out {self._place.name}: cannot write the lock {self._file.name}:"
                f" {reason(error)}"
            ) from error
        self._thread = threading.Thread(target=self._renew, name="nbdask-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back, if it is still ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(OSError):
            seen = self._file.read()
            if seen is not None and seen.text == self._text:
                self._file.delete()

    def check(self) -> None:
        """Raise StoreError where another run has taken the lock over, as after a long sleep."""
        if self._lost:
            raise StoreError(
                f"{self._place.name}: another run took over, since this one gave no sign of life"
                f" for {PATIENCE:.0f} s; this one stops"
            )

    def _take(self) -> None:
        if self._file.create(self._text):
            return
        seen = self._file.read()
        if seen is not None and not _is_ours(seen.text):
            raise foreign(self._file.name)
        if seen is not None and self._alive(seen):
            raise Locked(self._refusal(seen))
        taken = (
            self._file.create(self._text) if seen is None else self._file.replace(seen, self._text)
        )
        if not taken:
            now = self._file.read()
            raise Locked(self._refusal(now or seen or Seen(b"", "")))

    def _alive(self, seen: Seen) -> bool:
        """Whether the holder lives: by its process here, by its renewals elsewhere."""
        holder, mine = _parsed(seen.text), _identity()
        if holder.get("machine") == mine["machine"] and isinstance(holder.get("pid"), int):
            return _birth(holder["pid"]) == holder.get("birth")
        _log.warning(
            "%s is held by %s; waiting up to %.0f s for a sign of life",
            self._file.name,
            _words(holder),
            PATIENCE,
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(min(1.0, PATIENCE / 10))
            now = self._file.read()
            if now is None:
                return False
            if now != seen:
                return True
        return False

    def _refusal(self, seen: Seen) -> str:
        return (
            f"--out {self._place.name}: another run writes to it ({_words(_parsed(seen.text))}):"
            f" wait for it or stop it; if it is dead for sure, delete {self._file.name}"
        )

    def _renew(self) -> None:
        """Renew the lock now and then until the end; notice when it is not ours any more."""
        while not self._stop.wait(RENEWAL):
            try:
                seen = self._file.read()
                if seen is not None and seen.text != self._text:
                    self._lost = True
                    return
                if seen is None:
                    self._file.create(self._text)
                else:
                    self._file.renew(self._text)
            except OSError:
                continue  # An outage: the writers meet it too, and have patience.


def _identity() -> dict[str, Any]:
    """Return what tells this process from every other one."""
    pid = os.getpid()
    return {
        "host": platform.node(),
        "pid": pid,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "birth": _birth(pid),
        "token": uuid4().hex,
    }


def _machine() -> str:
    """Return a name of this start of this machine and, in a container, of its processes' space."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _birth(pid: int) -> str | None:
    """Return when a process of this machine began, in its kernel's count; None: there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if os.path.isdir("/proc/self"):
            return None
        return _birth_elsewhere(pid)
    fields = text.rpartition(")")[2].split()
    # A process that has ended but was not yet asked for (Z) writes nothing any more.
    return None if fields[0] in "ZX" else fields[19]


def _birth_elsewhere(pid: int) -> str | None:
    """Return "alive" for a process on systems without /proc; None: there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


def _is_ours(text: bytes) -> bool:
    """Whether a text is that of a lock, or what a crash leaves of one: nothing, or zeros."""
    return not text.strip(b"\0") or {"host", "pid"} <= set(_parsed(text))


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _words(holder: dict[str, Any]) -> str:
    unknown = "unknown"
    return (
        f"host {holder.get('host', unknown)}, process {holder.get('pid', unknown)},"
        f" since {holder.get('since', unknown)}"
    )
