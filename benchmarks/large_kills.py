"""Kill runs with SIGKILL at random moments, resume them, and compare with an unbroken run.

    python -m benchmarks.large_kills [--moments 50] [--clusters threads local running] [--seed 1]
        [--json FILE]

Each moment is drawn from the whole run: after a number of tiles, plus a part of the time of a
tile.  Killed are, in turn: all processes of a run on threads; a worker, the leading process
(client and scheduler), and all processes of a run on two worker processes; and the scheduler, the
client, a worker, and all processes of a run on a scheduler of its own with two workers.  The run is
resumed on a cluster of the same kind; where the client alone was killed, on the same scheduler.
Exit status 1: pixels or records differ, or more work was done again than was in flight.  Linux
only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.large_kill_job import AT_ONCE, HOLD, LIST, SLOWER, TILES
from benchmarks.large_memory import descendants, role
from benchmarks.machine import facts
from nbdask.plan.leading import TOGETHER
from nbdask.store.reader import StoreReader

#: (cluster, who is killed)
VICTIMS = (
    ("threads", "all"),
    ("local", "worker"),
    ("local", "leader"),
    ("local", "all"),
    ("running", "scheduler"),
    ("running", "client"),
    ("running", "worker"),
    ("running", "all"),
)
#: Tiles that may be in flight: running, and with worker processes those handed out ahead.
IN_FLIGHT = {"threads": AT_ONCE, "local": AT_ONCE + 2, "running": AT_ONCE + 2}
#: Tiles that travelled with the one that a killed worker had in hand: its parcel is begun again.
WITH_IT = int(TOGETHER / SLOWER)
#: Attributes that tell when, where and how often, and their digest; all else must be the same.
TIMING = frozenset({"started", "ended", "resumed", "host", "command", "made_by", "manifest"})
_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one kill.

    Parameters
    ----------
    cluster, victim : str
    moment : int
        Tiles begun when the signal was sent.
    recorded : int
        Tiles on record once everything had ended (a run whose worker is killed goes on).
    redone : int
        Tiles that were started more than once.
    allowed : int
        The most that may have been in flight.
    same : bool
        Whether pixels, records and attributes are those of the unbroken run, timing aside.
    seconds : float
        From the signal to the end of the resumed run.
    """

    cluster: str
    victim: str
    moment: int
    recorded: int
    redone: int
    allowed: int
    same: bool
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing was lost and little was done again."""
        return self.same and self.redone <= self.allowed


def begin(store: Path, cluster: str, *more: str) -> subprocess.Popen[bytes]:
    """Start a run; its list of begun tiles is beside the store."""
    argv = [str(store), str(listed(store)), cluster, *more]
    command = [sys.executable, "-m", "benchmarks.large_kill_job", *argv]
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), HOLD: str(holding(store))}
    environment["TMPDIR"] = str(store.parent)  # for what nobody is left to remove
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=root, env=environment, stdout=quiet, stderr=quiet)


@contextmanager
def scheduler(store: Path) -> Iterator[tuple[str, dict[int, str]]]:
    """Start a scheduler and two workers; yield its ``--cluster``, and process -> role."""
    file = store.with_suffix(f".{len(list(store.parent.glob('*.json')))}.json")
    root = Path(__file__).parents[1]
    # The list's name is also what makes workers that import the job note their tiles.
    environment = {**os.environ, "PYTHONPATH": str(root), LIST: str(listed(store))}
    environment["TMPDIR"] = str(store.parent)
    environment[HOLD] = str(holding(store))
    options: dict[str, Any] = {
        "cwd": store.parent,
        "env": environment,
        "stdout": subprocess.DEVNULL,
    }
    argv = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    each = ["--nthreads", "1", "--no-nanny", "--preload", "benchmarks.large_kill_job"]
    each += ["--local-directory", str(store.parent), "--death-timeout", "300"]
    started = []
    for what, more in (("scheduler", ["--port", "0"]), ("worker", each), ("worker", each)):
        full = [sys.executable, "-m", f"distributed.cli.dask_{what}", *argv, *more]
        started.append((subprocess.Popen(full, **options), what))
        _wait(lambda: file.exists())
    try:
        yield f"scheduler-file:{file}", {process.pid: what for process, what in started}
    finally:
        for process, _ in started:
            process.kill()
            process.wait()


def listed(store: Path) -> Path:
    """Return the path of the list of tiles that were started."""
    return store.with_suffix(".list")


def holding(store: Path) -> Path:
    """Return the path of the file that keeps a run from going on too far."""
    return store.with_suffix(".hold")


def begun(store: Path) -> int:
    """Return how many tiles were started so far, repetitions counted."""
    try:
        return listed(store).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run that must end well."""
    try:
        code = process.wait(timeout=_SECONDS)
    finally:
        _kill([pid for pid in descendants(process.pid)] if process.poll() is None else [])
    if code != 0:
        raise RuntimeError(f"the run ended with status {code}")


def whole(folder: Path) -> Path:
    """Make the store of an unbroken run."""
    store = folder / "whole.zarr"
    finish(begin(store, "threads"))
    return store


def differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two stores, timing aside."""
    a, b = StoreReader(first), StoreReader(second)
    found = []
    if np.asarray(a.image[:]).tobytes() != np.asarray(b.image[:]).tobytes():
        found.append("pixels")
    for index in range(len(a.grid)):
        records = [dict(reader.record(index) or {}) for reader in (a, b)]
        for record in records:
            record.pop("seconds", None)
        if records[0] != records[1] or not records[0]:
            found.append(f"record {index}")
    ours, theirs = _lasting(a.attributes), _lasting(b.attributes)
    names = sorted({**ours, **theirs})
    return found + [name for name in names if ours.get(name) != theirs.get(name)]


def _lasting(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that a kill must not change."""
    kept = {key: value for key, value in attributes.items() if key not in TIMING}
    kept.pop("cluster")
    # Loaded libraries and the number of processes depend on the cluster, not on a kill.
    kept.pop("versions")
    kept["plan"] = {k: kept["plan"][k] for k in ("shape", "tile", "steps", "steps_per_task")}
    return kept


def kill_once(
    folder: Path, whole_store: Path, case: tuple[str, str], seed: int, threads: bool = False
) -> Outcome:
    """Begin a run, kill, resume, compare.

    Parameters
    ----------
    folder : Path
        Where the store is made.
    whole_store : Path
        That of the unbroken run.
    case : tuple of str
        One of ``VICTIMS``.
    seed : int
        Of the moment.
    threads : bool
        Resume on threads, whatever cluster the run began on.

    Returns
    -------
    Outcome
    """
    cluster, victim = case
    draw = random.Random(seed)
    store = folder / f"{cluster}-{victim}-{seed}.zarr"
    with ExitStack() as stack:
        where, others = cluster, dict[int, str]()
        if cluster == "running":
            where, others = stack.enter_context(scheduler(store))
        moment, start = _broken(store, where, others, victim, draw)
        recorded = int(StoreReader(store).done().sum())
        if threads:
            where = "threads"
        elif cluster == "running" and victim != "client":
            stack.close()
            where, _ = stack.enter_context(scheduler(store))
        finish(begin(store, where, "resume"))
    seconds = time.perf_counter() - start
    return Outcome(
        cluster=cluster,
        victim=victim,
        moment=moment,
        recorded=recorded,
        redone=begun(store) - TILES,
        allowed=IN_FLIGHT[cluster] + (WITH_IT if victim == "worker" else 0),
        same=not differences(whole_store, store),
        seconds=seconds,
    )


def _broken(
    store: Path, where: str, others: dict[int, str], victim: str, draw: random.Random
) -> tuple[int, float]:
    """Begin a run, kill, wait until all has ended; return tiles begun and the time of the kill."""
    after, pause = draw.randint(1, TILES - 4), draw.uniform(0.0, 2 * SLOWER)
    # However late this process sees that the moment has come, the run is still in the middle.
    processes = 1 if where == "threads" else AT_ONCE
    holding(store).write_text(str(after // processes + 2))
    process = begin(store, where)
    family = [process.pid]
    try:
        _wait(lambda: begun(store) >= after or process.poll() is not None)
        time.sleep(pause)
        family = descendants(process.pid)
        roles = {pid: role(pid, process.pid) for pid in family} | others
        moment = begun(store)
        _kill(_victims(roles, victim, draw))
        holding(store).unlink()
        start = time.perf_counter()
        if victim == "worker":
            finish(process)
        else:
            process.wait(timeout=_SECONDS)
            # Workers whose leader is gone end by themselves.
            _wait(lambda: not any(_alive(pid) for pid in family))
    finally:
        _kill([pid for pid in family if _alive(pid)])
        process.wait()
    return moment, start


def _victims(roles: dict[int, str], victim: str, draw: random.Random) -> list[int]:
    """Return the processes to kill, of process -> role."""
    if victim == "all":
        return list(roles)
    # The client of a scheduler of its own is what leads a run.
    wanted = "leader" if victim == "client" else victim
    found = [pid for pid, name in roles.items() if name == wanted]
    return [draw.choice(found)]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _alive(pid: int) -> bool:
    """Return whether a process runs (one that has ended may still be on the kernel's list)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(ready: Any) -> None:
    """Wait until something is so.

    Raises
    ------
    TimeoutError
        It takes very long.
    """
    end = time.monotonic() + _SECONDS
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError("nothing happened")
        time.sleep(0.002)


def main() -> int:
    """Kill at every moment and print the table."""
    parser = argparse.ArgumentParser(description="Kill runs at random moments and resume them.")
    parser.add_argument("--moments", type=int, default=50)
    clusters = list(IN_FLIGHT)
    parser.add_argument("--clusters", nargs="+", choices=clusters, default=clusters)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the outcomes here too")
    options = parser.parse_args()
    victims = [case for case in VICTIMS if case[0] in options.clusters]
    outcomes: list[Outcome] = []
    print(f"{TILES} tiles, {AT_ONCE} at once")
    print("seed  cluster  killed     begun  recorded  redone (at most)  bits equal  seconds")
    with tempfile.TemporaryDirectory(prefix="nbdask-kills-") as name:
        folder = Path(name)
        reference = whole(folder)
        for number in range(options.moments):
            seed, case = options.seed + number, victims[number % len(victims)]
            out = kill_once(folder, reference, case, seed)
            outcomes.append(out)
            print(
                f"{seed:4d}  {out.cluster:8s} {out.victim:9s} {out.moment:5d} {out.recorded:9d}"
                f" {out.redone:7d} {'(' + str(out.allowed) + ')':>9s}  {out.same!s:>10s}"
                f" {out.seconds:8.1f}",
                flush=True,
            )
    if options.json is not None:
        record = {"machine": facts(), "outcomes": [asdict(out) for out in outcomes]}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    good = sum(out.good for out in outcomes)
    print(f"{good} of {len(outcomes)} as they should be")
    return 0 if good == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
