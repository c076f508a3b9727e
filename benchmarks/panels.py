"""What many panels cost beside one of the same pixels, in time and in memory.

    python -m benchmarks.panels [--repeats 7] [--panels 16 256] [--folder DIR] [--json FILE]

Time: the same pixels as one panel and as four, in tiles of one size, simulated into a store on one
thread, in turn; processor time, so that what else runs does not count.  Memory: runs of so many
panels of 1024 x 1024 pixels, each a process of its own, whose high-water mark of resident memory
the kernel keeps.  Exit status 1: four panels take more than 5 % longer by the medians, or the peaks
are more than 10 % apart.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import facts
from nbdask.experiment import (
    Crystal,
    Detector,
    DetectorPanel,
    Experiment,
    LabFrame,
    Sampling,
    StructureFactors,
)
from nbdask.flags import to_toml
from nbdask.run import simulate

SIDE, PITCH, DISTANCE = 1024, 1e-4, 0.3
#: Evaluations of a pixel where time is measured.
DOMAINS = 100
SLOWER, SPREAD = 0.05, 0.10
#: Runs a command and prints the peak resident memory of its process [bytes].
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def experiment(rows: int, columns: int, side: int, domains: int) -> Experiment:
    """Return an experiment on panels in a grid without gaps."""
    panels = tuple(
        DetectorPanel(
            name=f"p{row * columns + column}",
            n_fast=side,
            n_slow=side,
            pitch_fast=PITCH,
            pitch_slow=PITCH,
            origin=(
                DISTANCE,
                (rows / 2 - row) * side * PITCH,
                (column - columns / 2) * side * PITCH,
            ),
            fast=(0.0, 0.0, 1.0),
            slow=(0.0, -1.0, 0.0),
        )
        for row in range(rows)
        for column in range(columns)
    )
    return Experiment(
        crystal=Crystal(
            cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66),
            n_cells=(8, 8, 8),
            mosaic_spread=1e-3,
            mosaic_domains=domains,
        ),
        structure=StructureFactors(default_F=100.0),
        detector=Detector(panels=panels),
        frame=LabFrame("CUSTOM"),
        sampling=Sampling(oversample=1),
    )


def times(folder: Path, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every repeat, of one panel and of four."""
    cases = {
        "one panel": experiment(1, 1, 2 * SIDE, DOMAINS),
        "four": experiment(2, 2, SIDE, DOMAINS),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats + 1):
        for name, held in cases.items():
            start = time.process_time()
            simulate(held, folder / "a.zarr", tile=SIDE, threads=1, overwrite=True)
            # The first round imports and loads what the others have.
            if repeat:
                found[name].append(time.process_time() - start)
    return found


def peak(folder: Path, count: int) -> dict[str, Any]:
    """Return peak memory and seconds of a run of so many panels."""
    columns = next(n for n in range(int(count**0.5), 0, -1) if count % n == 0)
    path, store = folder / "panels.toml", folder / "b.zarr"
    path.write_text(to_toml(experiment(count // columns, columns, SIDE, 1)))
    words = ["-m", "nbdask", "simulate", "--config", str(path), "--out", str(store)]
    words += ["--threads", "2", "--tile", str(SIDE), "--overwrite", "--quiet"]
    command = [sys.executable, "-c", _PEAK, sys.executable, *words]
    start = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"panels": count, "peak": int(done.stdout), "seconds": time.monotonic() - start}


def main() -> int:
    """Measure, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--panels", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        found = times(folder, asked.repeats)
        one, four = (statistics.median(values) for values in found.values())
        print(f"one panel {one:.3f} s, four {four:.3f} s of the processor: {four / one - 1:+.1%}")
        peaks = [peak(folder, count) for count in asked.panels]
    for run in peaks:
        text = f"{run['panels']} panels: peak {run['peak'] / 2**20:.0f} MiB"
        print(f"{text}, {run['seconds']:.1f} s")
    least, most = (end(run["peak"] for run in peaks) for end in (min, max))
    good = four / one <= 1.0 + SLOWER and most / least <= 1.0 + SPREAD
    if asked.json is not None:
        record = {"machine": facts(), "seconds": found, "ratio": four / one, "memory": peaks}
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
