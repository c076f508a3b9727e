"""What it costs to bring every tile to the disk before it is put on record.

    python -m benchmarks.durability [--repeats 7] [--folder FOLDER] [--json FILE]

Whole runs with ``--durability full`` and ``fast`` in turn, on the file system of FOLDER; told are
the medians of their times and of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbdask
from benchmarks.machine import facts

CRYSTAL = "-cell 78 78 38 90 90 90 -default_F 100 -lambda 1 -distance 200 -pixel 0.1 -oversample 1"
#: What is simulated: one step on a large detector writes most for its time.
CASES = {
    "1024 x 1024, one step": "-N 20 -detpixels 1024",
    "4096 x 4096, one step": "-N 20 -detpixels 4096",
    "4096 x 4096, 30 steps": "-N 20 -detpixels 4096 -phisteps 10 -osc 1 -mosaic 0.1"
    " -mosaic_domains 3",
}


def seconds(argv: list[str], store: Path, durability: str) -> float:
    """Return the time of one run."""
    os.sync()
    begun = time.perf_counter()
    nbdask.simulate(nbdask.from_args(argv), store, durability=durability)
    taken = time.perf_counter() - begun
    shutil.rmtree(store)
    return taken


def sync_seconds(folder: Path) -> float:
    """Return the median time of an fsync of a small new file."""
    times = []
    for number in range(21):
        with open(folder / f"{number}.sync", "wb") as file:
            file.write(b"x" * 1000)
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to write [default: a temporary one]")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="nbdask-durability-", dir=options.folder) as name:
        folder = Path(name)
        found["fsync_seconds"] = sync_seconds(folder)
        print(f"one fsync: {1e3 * found['fsync_seconds']:.2f} ms")
        for case, flags in CASES.items():
            argv, times = [*CRYSTAL.split(), *flags.split()], []
            seconds(argv, folder / "warm.zarr", "fast")
            for number in range(options.repeats):
                # Whichever comes first is not always the same.
                order = ("full", "fast") if number % 2 else ("fast", "full")
                pair = {kind: seconds(argv, folder / f"{kind}.zarr", kind) for kind in order}
                times.append((pair["full"], pair["fast"]))
            full, fast = (statistics.median(column) for column in zip(*times, strict=True))
            ratio = statistics.median(one / other for one, other in times)
            found[case] = {"full": full, "fast": fast, "ratio": ratio}
            print(f"{case:24s} full {full:6.2f} s, fast {fast:6.2f} s, ratio {ratio:.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": facts(), **found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
