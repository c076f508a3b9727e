"""Shards in random order, several at once, some twice, some killed: the bits of an ordinary run.

    python -m benchmarks.shards [--shards 200] [--size 320] [--at-once 4] [--seed 1] [--json FILE]

Each shard is a process of its own, forked so that it starts in no time, and slowed down.  So kills
find it at work: before its store is there, between pixels and record, while it closes the store.
Exit status 1: pixels, records or statistics are not those of an ordinary run, or anything is left
over.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import nbdask
from benchmarks.machine import facts
from nbdask.cli.main import main as command
from nbdask.shards import status
from nbdask.store import journal
from nbdask.store.ledger import Ledger
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter
from tests.helpers import records_of

_FLAGS = "-cell 70 80 90 80 95 100 -default_F 10 -lambda 1 -N 5 -oversample 1 -phi 3 -osc 1"
#: Longest time that each step of a shard is slowed down by [s].
_SLOWER = 0.02


@dataclass
class Storm:
    """What happened.

    Attributes
    ----------
    shards, tiles : int
    started : int
        Processes.
    killed, doubles : int
        Those of them that were killed at work, and those of a shard that was done or at work.
    made, closed : int
        Processes that were killed before there was a store, and when all tiles were there.
    most : int
        That ran at the same time.
    equal : bool
        Whether pixels, records and statistics are those of an ordinary run.
    left : list of str
        Files that no complete store has, or beside it.
    seconds : float
    """

    shards: int
    tiles: int
    started: int = 0
    killed: int = 0
    doubles: int = 0
    made: int = 0
    closed: int = 0
    most: int = 0
    equal: bool = False
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0


def slowed(function: Any, draw: random.Random) -> Any:
    """Return a function that waits a little before it does its work."""

    def slow(*words: Any, **options: Any) -> Any:
        time.sleep(draw.uniform(0.0, _SLOWER))
        return function(*words, **options)

    return slow


def start(argv: list[str], log: Path, seed: int) -> int:
    """Start a shard in a process of its own; return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        draw = random.Random(seed)
        TileWriter._write = slowed(TileWriter._write, draw)  # type: ignore[method-assign]
        journal.Journal.add = slowed(journal.Journal.add, draw)  # type: ignore[method-assign]
        Ledger._put = slowed(Ledger._put, draw)  # type: ignore[method-assign]
        code = command(argv)
    except BaseException:  # whatever it is, the process must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def storm(folder: Path, shards: int, size: int, at_once: int, seed: int) -> Storm:
    """Fill a store by shards under fire, and compare it with that of an ordinary run."""
    draw, store = random.Random(seed), folder / "run.zarr"
    argv = ["simulate", *_FLAGS.split(), "-detpixels", str(size), "--tile", "8", "--threads", "1"]
    out = Storm(shards, (-(-size // 8)) ** 2)
    queue = [*range(1, shards + 1), *draw.sample(range(1, shards + 1), max(2, shards // 10))]
    draw.shuffle(queue)
    running: dict[int, tuple[int, float]] = {}
    done: set[int] = set()
    begun = time.perf_counter()
    while queue or running:
        while queue and len(running) < at_once:
            number, now = queue.pop(), time.perf_counter()
            out.started += 1
            out.doubles += number in done or number in {one for one, _ in running.values()}
            words = [*argv, "--out", str(store), "--shard", f"{number}/{shards}", "--quiet"]
            pid = start(words, folder / "log", draw.randrange(1 << 30))
            # Half of them are killed, if they are still there.
            end = now + draw.uniform(0.0, 0.4) if draw.random() < 0.5 else float("inf")
            running[pid] = (number, end)
            out.most = max(out.most, len(running))
        pid, code = os.waitpid(-1, os.WNOHANG)
        if pid:
            number, _ = running.pop(pid)
            if code == 0:
                done.add(number)
            else:
                _note(out, store, code)
                queue.insert(draw.randrange(len(queue) + 1), number)
            continue
        # One at least is found at work, however fast they are.
        at_work = not out.killed and any(store.glob("tiles/journal.*"))
        for pid, (number, end) in list(running.items()):
            if at_work or time.perf_counter() > end:
                os.kill(pid, signal.SIGKILL)
                running[pid] = (number, float("inf"))
        time.sleep(0.002)
    out.seconds = time.perf_counter() - begun
    _compare(out, folder, argv)
    return out


def _note(out: Storm, store: Path, code: int) -> None:
    """Count a killed process by when it was killed."""
    if not os.WIFSIGNALED(code):
        raise RuntimeError(f"a shard ended with {os.waitstatus_to_exitcode(code)}: see its log")
    out.killed += 1
    if not store.exists():
        out.made += 1
        return
    found = status(store)
    out.closed += found.done == found.total


def _compare(out: Storm, folder: Path, argv: list[str]) -> None:
    """Compare the store with that of an ordinary run, and look for what was left."""
    store, other = folder / "run.zarr", folder / "ordinary.zarr"
    assert command([*argv, "--out", str(other), "--quiet"]) == 0
    one, two = StoreReader(store), StoreReader(other)
    column = one.fields.index("seconds")
    tables = [np.delete(records_of(at), column, axis=1) for at in (store, other)]
    out.equal = (
        np.asarray(one.image[:]).tobytes() == np.asarray(two.image[:]).tobytes()
        and tables[0].tobytes() == tables[1].tobytes()
        and one.attributes["statistics"] == two.attributes["statistics"]
        and one.attributes["status"] == "complete"
        and nbdask.verify(store).ok
    )
    files = [{p.relative_to(s).as_posix() for p in s.rglob("*")} for s in (store, other)]
    beside = {path.name for path in folder.iterdir()} - {store.name, other.name, "log"}
    # A process that is killed after it has closed the store leaves its lock, for the next to take.
    out.left = sorted((files[0] ^ files[1]) | (beside - {f".{store.name}.lock"}))


def main() -> int:
    """Do it, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--size", type=int, default=320, help="Pixels of a side, in tiles of 8.")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="Where the figures are written.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbdask-shards-") as name:
        folder = Path(name)
        try:
            out = storm(folder, options.shards, options.size, options.at_once, options.seed)
        except RuntimeError:
            print((folder / "log").read_text()[-3000:], file=sys.stderr)
            raise
    print(json.dumps(asdict(out), indent=1))
    if options.json:
        found = {"machine": facts(), "seed": options.seed, **asdict(out)}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(not out.equal or bool(out.left))


if __name__ == "__main__":
    sys.exit(main())
