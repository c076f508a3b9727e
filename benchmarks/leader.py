"""What leading a run costs: processor time of scheduler and leading process for each tile.

    python -m benchmarks.leader [--workers 1 4 16 64 256] [--seconds 10] [--json FILE]

Scheduler and leading process are this process, as with ``--cluster local`` and with batch systems;
all workers are in another one, each with one thread.  Tiles are stubs that sleep, so that their own
work costs nothing, and long enough that about 100 tasks end in a second.  "alone": each tile is a
task; "together": tiles of 10 ms, of which many travel as one task.  Processor time hardly depends
on what else the machine does; wall time would.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dask
from distributed import Client, LocalCluster

from benchmarks.machine import facts
from nbdask.cluster.distributed import HISTORY, DistributedExecutor, as_variables
from nbdask.graph.build import Graph
from nbdask.plan import leading

COUNTS = (1, 4, 16, 64, 256)
#: Tasks that end in a second, seconds of a short tile, workers for which the cost is predicted.
RATE, SHORT_TILE, PREDICTED = 100.0, 0.01, (1000, 10000)
#: Short tiles of one measurement.
MOST_SHORT = 6000
#: Hundreds of workers in one process must not be busy with themselves.
_QUIET = {**HISTORY, "distributed.admin.system-monitor.interval": "10s"}
_WORKERS = """
import asyncio, sys
from distributed import Worker
async def main(address, count):
    workers = [Worker(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(count)]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


class Row(NamedTuple):
    """One measurement."""

    workers: int
    alone_ms: float
    together_ms: float


@dataclass
class Nothing:
    """A setup that does nothing."""

    run: str

    def install(self) -> None:
        """Do nothing."""

    def remove(self) -> None:
        """Do nothing."""


def stub(run: str, number: int, seconds: float) -> int:
    """Take some time, but none of the processor's."""
    time.sleep(seconds)
    return number


def _graphs(run: str, count: int, seconds: float) -> Iterator[Graph]:
    return (
        Graph((run, n), {(run, n): (stub, run, n, seconds)}, f"slow {n}:{n} fast {n}:{n}")
        for n in range(count)
    )


def cost(client: Client, run: str, tiles: int, seconds: float) -> float:
    """Return the milliseconds of processor time that this process spends on a tile."""
    executor = DistributedExecutor(client, 1)
    found: list[Any] = []
    before = time.process_time()
    executor.run(Nothing(run), _graphs(run, tiles, seconds), found.append)
    spent = time.process_time() - before
    assert len(found) == tiles
    return 1e3 * spent / tiles


def measure(workers: int, seconds: float) -> Row:
    """Measure with so many workers, each case for about so long."""
    with (
        dask.config.set(HISTORY),
        LocalCluster(
            n_workers=0,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        subprocess.Popen(
            [sys.executable, "-c", _WORKERS, cluster.scheduler_address, str(workers)],
            env={**os.environ, **as_variables(_QUIET)},
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            client.wait_for_workers(workers)
            tasks = max(int(RATE * seconds), 3 * workers)
            cost(client, "warm", workers, 0.01)
            most, leading.MOST_TILES = leading.MOST_TILES, 1
            alone = cost(client, "alone", tasks, workers / RATE)
            leading.MOST_TILES = most
            tiles = min(int(workers * seconds / SHORT_TILE), MOST_SHORT)
            together = cost(client, "together", tiles, SHORT_TILE)
        finally:
            process.kill()
    return Row(workers, alone, together)


def table(rows: list[Row], machine: dict[str, Any]) -> str:
    """Return the rows, and what follows for many more workers, as Markdown."""
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, shared and busy; Python {machine['python']},"
        f" dask {machine['versions']['dask']}; nbdask {machine['nbdask']}; {machine['date']}.",
        "",
        "Processor time of scheduler and leading process (`python -m benchmarks.leader`); all"
        " workers are in another process. Alone: each tile is a task; together: tiles of"
        f" {1e3 * SHORT_TILE:.0f} ms, many of which travel as one task.",
        "",
        "| workers | tile alone [ms] | tiles together [ms per tile] |",
        "|--:|--:|--:|",
        *(f"| {r.workers} | {r.alone_ms:.2f} | {r.together_ms:.3f} |" for r in rows),
        "",
        "What that predicts for more workers, if a task costs as much as with the most of them"
        " here: tasks of a second would not keep them busy, so tasks grow with their number.",
        "",
        "| workers | shortest task that keeps them busy [s] | task that nbdask makes [s] |",
        "|--:|--:|--:|",
        *(
            f"| {n} | {1e-3 * rows[-1].alone_ms * n:.1f} | {leading.least_seconds(n):.0f} |"
            for n in PREDICTED
        ),
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what leading a run costs.")
    parser.add_argument("--workers", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    rows = []
    for count in options.workers:
        rows.append(measure(count, options.seconds))
        print(rows[-1], file=sys.stderr, flush=True)
    machine = facts()
    print(table(rows, machine))
    if options.json:
        data = {**machine, "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
