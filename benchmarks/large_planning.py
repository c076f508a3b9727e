"""Time and memory of planning up to a million tiles; memory of a scheduler as tiles go by.

    python -m benchmarks.large_planning [--tiles 1000 10000 100000 1000000] [--scheduled 10000]
        [--json FILE]

Planning is everything that a run does before its first tile, done in a process of its own: model,
plan, the table of tile summaries (written to, as a run does); then all task graphs are made once,
one by one as in a run, for the time that one takes.
Then a run of --scheduled tiles on a worker process shows the resident memory of the process that
holds client and scheduler.  Exit status 1: a million tiles take 2 s or 200 MB or more, or the
scheduler's memory grows by more than 10 % between a tenth of its tiles and all of them.  Linux
only.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from nbdask.experiment import Experiment
from nbdask.graph.build import tile_graphs
from nbdask.graph.watch import Start
from nbdask.plan.machine import resident_bytes
from nbdask.run import Settings, prepare, simulate
from nbdask.statistics import TileSummary

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -distance 5000 -pixel 0.05 -oversample 1"
MOST_SECONDS, MOST_BYTES, MOST_GROWTH = 2.0, 200e6, 0.10
_EDGE = 64


def experiment(tiles: int, edge: int) -> Experiment:
    """Return an experiment on a square of at least ``tiles`` tiles of ``edge`` pixels a side."""
    size = edge * math.ceil(math.sqrt(tiles))
    return Experiment.from_args(f"{FLAGS} -detpixels {size}".split())


def plan_once(tiles: int) -> dict[str, Any]:
    """Plan in this process; return tiles, seconds of each part and bytes."""
    given = experiment(tiles, _EDGE)
    before = resident_bytes()
    start = time.perf_counter()
    _, plan, _ = prepare(given, Settings(backend="numpy", tile=_EDGE, threads=2))
    planned = time.perf_counter()
    summaries = np.zeros((len(plan.grid), len(TileSummary._fields)))
    summaries[:] = 1.0
    held = resident_bytes()
    listed = time.perf_counter()
    count = sum(1 for _ in tile_graphs("run", range(len(plan.grid)), len(plan.steps)))
    end = time.perf_counter()
    return {
        "tiles": count,
        "plan_seconds": planned - start,
        "graph_microseconds": 1e6 * (end - listed) / count,
        "added_bytes": held - before,
        "resident_bytes": held,
    }


def plan_apart(tiles: int) -> dict[str, Any]:
    """Plan in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.large_planning", "--one", str(tiles)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


class _Sampler:
    """Notes this process's memory as tiles are finished."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.rows: list[tuple[int, int]] = []

    def begin(self, start: Start) -> None:
        """Nothing is finished yet."""

    def tile(self, done: int, summary: TileSummary) -> None:
        """Look now and then."""
        if done % self.every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.rows.append((done, pages * 4096))


def schedule(tiles: int) -> list[tuple[int, int]]:
    """Return (tiles done, resident bytes of client and scheduler) during a run."""
    sampler = _Sampler(max(1, tiles // 10))
    with tempfile.TemporaryDirectory(prefix="nbdask-planning-") as folder:
        given = experiment(tiles, 8)
        simulate(
            given,
            Path(folder) / "a.zarr",
            backend="numpy",
            tile=8,
            cluster="local",
            workers=1,
            threads=1,
            watch=sampler,
        )
    return sampler.rows


def main() -> int:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description="Planning by number of tiles.")
    parser.add_argument("--tiles", type=int, nargs="+", default=[10**n for n in range(3, 7)])
    parser.add_argument("--scheduled", type=int, default=10_000, help="0: leave that part out")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(plan_once(options.one)))
        return 0
    print("   tiles   plan [s]  added [MB]  resident [MB]  graph of a tile [us]")
    rows = [plan_apart(count) for count in options.tiles]
    for row in rows:
        print(
            f"{row['tiles']:8d} {row['plan_seconds']:10.4f} {row['added_bytes'] / 1e6:11.1f}"
            f" {row['resident_bytes'] / 1e6:14.1f} {row['graph_microseconds']:21.1f}"
        )
    good = all(
        row["plan_seconds"] < MOST_SECONDS and row["added_bytes"] < MOST_BYTES for row in rows
    )
    samples = schedule(options.scheduled) if options.scheduled else []
    if samples:
        print("tiles done   client and scheduler [MB]")
        for done, count in samples:
            print(f"{done:10d} {count / 1e6:15.1f}")
        good &= samples[-1][1] <= (1 + MOST_GROWTH) * samples[0][1]
    if options.json is not None:
        record = {"machine": facts(), "planning": rows, "scheduler": samples}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
