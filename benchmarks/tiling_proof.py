"""Show that tiles, step ranges and workers change no pixel, on a full lysozyme image.

    python benchmarks/tiling_proof.py GOLDEN [--case lysozyme_full] [--backend cpu]

Runs one case of GOLDEN with three tile sizes, two splittings of the steps, threads and worker
processes, each to a store of its own, and prints the largest distance of any pixel from the first
run in units of the last place of float32; then the brightest pixel under both semantics.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nbdask
from nbdask.flags import parse_args

RUNS: dict[str, dict[str, Any]] = {
    "tile 512, threads": {"tile": 512},
    "tile 1000 x 700, threads": {"tile": (1000, 700)},
    "tile 256, threads": {"tile": 256},
    "tile 512, 3 steps a task": {"tile": 512, "steps_per_task": 3},
    "tile 1000 x 700, 1 step a task": {"tile": (1000, 700), "steps_per_task": 1},
    "tile 512, 2 processes": {"tile": 512, "cluster": "local", "workers": 2},
    "tile 512, 3 steps, 2 processes": {
        "tile": 512,
        "steps_per_task": 3,
        "cluster": "local",
        "workers": 2,
    },
    "tile 512, threads, again": {"tile": 512},
}


def ulps(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """Return the largest distance of two non-negative images in units of the last place."""
    return int(np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32)).max())


def main() -> int:
    """Run everything; return 1 if a pixel moved by more than one unit in the last place."""
    parser = argparse.ArgumentParser(description="Tiles, steps and workers change no pixel.")
    parser.add_argument("golden", type=Path)
    parser.add_argument("--case", default="lysozyme_full")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    golden = options.golden.resolve()
    cases = {c["name"]: c for c in json.loads((golden / "cases.json").read_text())}
    argv = cases[options.case]["args"].split()
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        first: NDArray[np.float32] | None = None
        for number, (name, settings) in enumerate(RUNS.items()):
            experiment = parse_args(argv, base_dir=golden / "inputs").experiment
            start = time.perf_counter()
            path = Path(folder) / f"{number}.zarr"
            nbdask.simulate(experiment, path, backend=options.backend, **settings)
            seconds = time.perf_counter() - start
            image = nbdask.open(path).image.to_numpy()
            first = image if first is None else first
            distance = ulps(image, first)
            worst = max(worst, distance)
            print(f"{name:32s} {distance} ulp  {seconds:6.2f} s", flush=True)
        for semantics in ("spec", "c"):
            parsed = parse_args(argv, semantics=semantics, base_dir=golden / "inputs")
            path = Path(folder) / f"{semantics}.zarr"
            found = nbdask.simulate(parsed.experiment, path, backend=options.backend).statistics
            print(
                f"semantics {semantics}: brightest pixel slow {found.max_slow}, fast"
                f" {found.max_fast}: {found.max:.2f}"
            )
    return 1 if worst > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
