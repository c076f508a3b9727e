"""What dask costs beside plain threads, for tasks of half a second.

    python -m benchmarks.large_overhead [--tasks 24] [--seconds 0.5] [--repeats 3] [--json FILE]

The same tile tasks (evaluated, finished, written to a store, recorded) run on two plain threads, on
dask's threads, and on two worker processes of dask.distributed.  Each is stretched to a fixed time
by waiting, so that what else runs on the machine does not hide the difference.  The start of the
worker processes is not counted.  Exit status 1: dask takes more than 10 % longer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.machine import facts
from nbdask.cluster.executor import Executor
from nbdask.cluster.open import open_cluster
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.threads import ThreadsExecutor
from nbdask.flags import from_args
from nbdask.geometry.model import Model
from nbdask.graph import tasks
from nbdask.graph.build import tile_graphs
from nbdask.graph.context import RunContext, Setup
from nbdask.kernels.interface import Mask, Partial
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.prepare import Settings, prepare
from nbdask.store.create import create_store
from nbdask.store.provenance import opening
from nbdask.store.write import TileWriter

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -pixel 0.2 -oversample 1"
EDGE, AT_ONCE, MOST = 64, 2, 0.10
_SECONDS = "NBDASK_TASK_SECONDS"
_partial = ReferenceKernel.partial


def _stretched(
    self: ReferenceKernel, model: Model, tile: Tile, steps: StepRange, mask: Mask | None
) -> Partial:
    """Evaluate a tile, then wait until the task's time is over."""
    end = time.perf_counter() + float(os.environ[_SECONDS])
    result = _partial(self, model, tile, steps, mask)
    time.sleep(max(0.0, end - time.perf_counter()))
    return result


def _setup(folder: Path, name: str, count: int) -> Setup[RunContext]:
    """Return a run of ``count`` tiles with a store of its own."""
    flags = f"{FLAGS} -detpixels_x {EDGE * count} -detpixels_y {EDGE}"
    settings = Settings(backend="numpy", tile=EDGE)
    model, plan, _ = prepare(from_args(flags.split()), settings)
    store = folder / f"{name}.zarr"
    create_store(store, plan.grid, opening(None), pixel_size=model.pitch_fast)
    return Setup(name, RunContext.of(model, plan, TileWriter(store)))


def plain(setup: Setup[RunContext], count: int) -> float:
    """Return the seconds of all tasks on plain threads."""
    setup.install()
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda index: tasks.whole(setup.run, index), range(count)))
    seconds = time.perf_counter() - start
    setup.remove()
    assert len(results) == count
    return seconds


def by_dask(executor: Executor, setup: Setup[RunContext], count: int) -> float:
    """Return the seconds of all tasks through an executor."""
    results: list[Any] = []
    start = time.perf_counter()
    executor.run(setup, tile_graphs(setup.run, range(count), 1), results.append)
    seconds = time.perf_counter() - start
    assert len(results) == count
    return seconds


def measure(folder: Path, count: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every repeat on each way."""
    found: dict[str, list[float]] = {"plain threads": [], "dask threads": [], "dask processes": []}
    with open_cluster(parse_cluster("local", AT_ONCE, 1)) as workers:
        workers.check(_setup(folder, "first", 1))
        for number in range(repeats):
            found["plain threads"].append(plain(_setup(folder, f"p{number}", count), count))
            for name, executor in (
                ("dask threads", ThreadsExecutor(AT_ONCE)),
                ("dask processes", workers),
            ):
                setup = _setup(folder, f"{name.split()[1]}{number}", count)
                found[name].append(by_dask(executor, setup, count))
    return found


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Overhead of dask compared with plain threads.")
    parser.add_argument("--tasks", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    os.environ[_SECONDS] = str(options.seconds)
    with tempfile.TemporaryDirectory(prefix="nbdask-overhead-") as folder:
        found = measure(Path(folder), options.tasks, options.repeats)
    base = min(found["plain threads"])
    ideal = options.seconds * -(-options.tasks // AT_ONCE)
    print(f"{options.tasks} tasks of {options.seconds} s, {AT_ONCE} at once: {ideal:.2f} s at best")
    worst = 0.0
    for name, seconds in found.items():
        more = min(seconds) / base - 1
        worst = max(worst, more)
        print(f"{name:16s} {min(seconds):7.3f} s  {100 * more:+6.2f} %")
    if options.json is not None:
        record = {"machine": facts(), "seconds": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if worst <= MOST else 1


if __name__ in ("__main__", "__mp_main__"):
    ReferenceKernel.partial = _stretched  # type: ignore[method-assign]
if __name__ == "__main__":
    sys.exit(main())
