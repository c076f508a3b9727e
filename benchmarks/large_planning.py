"""Time and memory of planning up to a million tiles; memory of a scheduler as tiles go by.

    python -m benchmarks.large_planning [--tiles 1000 10000 100000 1000000]
        [--scheduled 1000 10000 100000] [--json FILE]

Planning is everything that a run does before its first tile, done in a process of its own: model,
plan, the table of tile summaries (written to, as a run does); then all task graphs are made once,
one by one as in a run, for the time that one takes.
Then --scheduled tiles go through the scheduler to one worker process, each number in processes of
its own; all but one are outside the region of interest and nothing is written, so that time goes
to what is measured: the resident memory of the process that holds client and scheduler.  Exit
status 1: a million tiles take 2 s or 200 MB or more, or the scheduler's memory after the last tile
of the largest number is more than 10 % above that after a tenth of the smallest.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from nbdask.cluster.open import open_cluster
from nbdask.experiment import Experiment
from nbdask.flags import from_args
from nbdask.graph.build import tile_graphs
from nbdask.graph.context import RunContext, Setup
from nbdask.graph.tasks import TileResult
from nbdask.plan.machine import resident_bytes
from nbdask.prepare import Settings, prepare
from nbdask.statistics import TileSummary

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -distance 5000 -pixel 0.05 -oversample 1"
MOST_SECONDS, MOST_BYTES, MOST_GROWTH = 2.0, 200e6, 0.10
_EDGE = 64


def experiment(tiles: int, edge: int, more: str = "") -> Experiment:
    """Return an experiment on a square of at least ``tiles`` tiles of ``edge`` pixels a side."""
    size = edge * math.ceil(math.sqrt(tiles))
    return from_args(f"{FLAGS} -detpixels {size} {more}".split())


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


def schedule_once(tiles: int) -> list[tuple[int, int]]:
    """Return (tiles done, resident bytes of client and scheduler), ten times in a run."""
    settings = Settings(backend="numpy", tile=8, cluster="local", workers=1, threads=1)
    model, plan, spec = prepare(experiment(tiles, 8, "-roi 0 7 0 7"), settings)
    setup = Setup("scheduled", RunContext.of(model, plan))
    rows: list[tuple[int, int]] = []
    done = 0

    def finished(_: TileResult) -> None:
        nonlocal done
        done += 1
        if done % (tiles // 10) == 0:
            rows.append((done, resident_bytes()))

    with open_cluster(spec) as executor:
        executor.run(setup, tile_graphs(setup.run, range(tiles), len(plan.steps)), finished)
    return rows


def apart(option: str, tiles: int) -> Any:
    """Measure something in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.large_planning", option, str(tiles)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> int:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description="Planning by number of tiles.")
    parser.add_argument("--tiles", type=int, nargs="+", default=[10**n for n in range(3, 7)])
    parser.add_argument("--scheduled", type=int, nargs="*", default=[10**n for n in range(3, 6)])
    parser.add_argument("--plan-one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--schedule-one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    if options.plan_one is not None:
        print(json.dumps(plan_once(options.plan_one)))
        return 0
    if options.schedule_one is not None:
        print(json.dumps(schedule_once(options.schedule_one)))
        return 0
    print("   tiles   plan [s]  added [MB]  resident [MB]  graph of a tile [us]")
    rows = [apart("--plan-one", count) for count in options.tiles]
    for row in rows:
        print(
            f"{row['tiles']:8d} {row['plan_seconds']:10.4f} {row['added_bytes'] / 1e6:11.1f}"
            f" {row['resident_bytes'] / 1e6:14.1f} {row['graph_microseconds']:21.1f}"
        )
    good = all(
        row["plan_seconds"] < MOST_SECONDS and row["added_bytes"] < MOST_BYTES for row in rows
    )
    samples: dict[int, list[tuple[int, int]]] = {}
    for count in sorted(options.scheduled):
        samples[count] = apart("--schedule-one", count)
        print(f"{count} tiles: tiles done, client and scheduler [MB]")
        print("  " + ", ".join(f"{done}: {held / 1e6:.1f}" for done, held in samples[count]))
    if samples:
        least, most = samples[min(samples)][0][1], samples[max(samples)][-1][1]
        good &= most <= (1 + MOST_GROWTH) * least
    if options.json is not None:
        record = {"machine": facts(), "planning": rows, "scheduler": samples}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
