"""One slow worker among others: how long a run takes, with and without copies of its last tiles.

    python -m benchmarks.slow_worker [--factors 1 4 16 64] [--tiles 60] [--json FILE]

Scheduler, leading process and workers of one thread each are this process.  Tiles are stubs that
sleep for half a second, on one of the workers for ``factor`` times as long.  "least" is what a run
would take if tiles could be cut at will: the tiles divided by the speed of all workers together.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dask
from distributed import Client, LocalCluster, get_worker

from benchmarks.machine import facts
from nbdask.cluster import copies
from nbdask.cluster.distributed import HISTORY, DistributedExecutor
from nbdask.graph.build import Graph

WORKERS, TILE = 4, 0.5
#: What the stubs look at: the slow worker and how slow it is, the run, the tiles begun.
_slow: dict[str, Any] = {"address": "", "factor": 1.0, "run": "", "begun": 0}


class Row(NamedTuple):
    """One slow worker."""

    factor: float
    least: float
    without: float
    copied: float
    begun: int


@dataclass
class Nothing:
    """A setup that does nothing."""

    run: str

    def install(self) -> None:
        """Do nothing."""

    def remove(self) -> None:
        """Do nothing."""


def stub(run: str, number: int) -> int:
    """Take the time of a tile, on the slow worker far longer; end early once the run is over."""
    _slow["begun"] += 1
    slow = get_worker().address == _slow["address"]
    end = time.monotonic() + TILE * (_slow["factor"] if slow else 1.0)
    while time.monotonic() < end and run == _slow["run"]:
        time.sleep(0.02)
    return number


def _graphs(run: str, count: int) -> Iterator[Graph]:
    return (Graph((run, n), {(run, n): (stub, run, n)}) for n in range(count))


def seconds(client: Client, run: str, tiles: int) -> float:
    """Return the time of a run."""
    found: list[int] = []
    _slow["run"] = run
    start = time.perf_counter()
    DistributedExecutor(client, 1).run(Nothing(run), _graphs(run, tiles), found.append)
    spent = time.perf_counter() - start
    _slow["run"] = ""
    assert sorted(found) == list(range(tiles))
    return spent


def measure(client: Client, factor: float, tiles: int) -> Row:
    """Run with and without copies."""
    _slow["factor"] = factor
    late = copies.LATE
    try:
        copies.LATE = math.inf
        without = seconds(client, f"w{factor}", tiles)
    finally:
        copies.LATE = late
    _slow["begun"] = 0
    copied = seconds(client, f"c{factor}", tiles)
    least = tiles * TILE / (WORKERS - 1 + 1 / factor)
    return Row(factor, least, without, copied, _slow["begun"])


def main() -> None:
    """Measure everything that was asked for."""
    parser = argparse.ArgumentParser(description="Runs with one slow worker.")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--tiles", type=int, default=60)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    rows: list[Row] = []
    print("slower by   least   without copies   with copies   tiles begun")
    with (
        dask.config.set(HISTORY),
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        _slow["address"] = min(client.nthreads())
        for factor in options.factors:
            row = measure(client, factor, options.tiles)
            rows.append(row)
            print(
                f"{row.factor:9g}   {row.least:5.1f}   {row.without:14.1f}   {row.copied:11.1f}"
                f"   {row.begun:11d}",
                flush=True,
            )
    if options.json is not None:
        record: dict[str, Any] = {"machine": facts(), "workers": WORKERS, "tile_seconds": TILE}
        record |= {"tiles": options.tiles, "runs": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    # Workers, which are here too, find the stubs in the module, not in a copy of the program.
    from benchmarks import slow_worker

    slow_worker.main()
