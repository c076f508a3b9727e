"""Compare regions of a large image with the nanoBragg C program, run as small shifted detectors.

    NB_C_BIN=nanoBragg python -m benchmarks.large_regions STORE [--edge 192] [--random 6]

STORE is one that ``large_memory --keep`` left.  nanoBragg C cannot make an image of its size, but a
small detector whose near point is shifted by the region's place is that region.  Regions are the
corners, the middle, places where four tiles meet, and random ones.  Exit status 1: some pixel
deviates by more than 2e-7, relative to the larger of itself and 1e-6 of the region's maximum.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.large_memory import FLAGS, PIXEL_MM, flags
from nbdask.flags import from_args
from nbdask.store.reader import StoreReader

#: Bound of the worst relative deviation, and the share of the maximum below which it is absolute.
BOUND, FLOOR = 2e-7, 1e-6


def places(size: int, tile: int, edge: int, count: int) -> list[tuple[int, int]]:
    """Return the first pixels (slow, fast) of the regions."""
    last, half = size - edge, edge // 2
    corners = [(0, 0), (0, last), (last, 0), (last, last)]
    middle = (size // 2 - half, size // 2 - half)
    third = tile * (size // tile // 3)
    crossings = [(tile - half, size - tile - half), (third - half, tile - half)]
    draw = random.Random(size)
    drawn = [(draw.randrange(last + 1), draw.randrange(last + 1)) for _ in range(count)]
    return [*corners, middle, *crossings, *drawn]


def by_c(program: str, size: int, slow: int, fast: int, edge: int) -> NDArray[np.float32]:
    """Return a region as the C program computes it, (edge, edge) float32."""
    middle = size * PIXEL_MM / 2
    # The convention is CUSTOM: Xbeam and Ybeam are the near point along fast and slow.
    near = {"-Xbeam": middle - fast * PIXEL_MM, "-Ybeam": middle - slow * PIXEL_MM}
    argv = f"{FLAGS} -pixel {PIXEL_MM} -detpixels {edge}".split()
    argv += [word for name, value in near.items() for word in (name, f"{value:.12g}")]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [program, *argv, "-floatfile", "region.bin", "-noprogress"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return np.fromfile(Path(folder) / "region.bin", "<f4").reshape(edge, edge)


def deviation(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Return the worst relative deviation of a region."""
    reference = theirs.astype(np.float64)
    scale = np.maximum(reference, FLOOR * reference.max())
    return float(np.max(np.abs(ours - reference) / scale))


def main() -> int:
    """Compare all regions and print a line for each."""
    parser = argparse.ArgumentParser(description="Regions of a large image against nanoBragg C.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--edge", type=int, default=192)
    parser.add_argument("--random", type=int, default=6)
    options = parser.parse_args()
    program = os.environ.get("NB_C_BIN")
    if not program:
        parser.error("NB_C_BIN does not name a nanoBragg program")
    reader = StoreReader(options.store)
    size, edge = reader.grid.shape[0], options.edge
    expected = from_args(flags(size)).fingerprint()
    if reader.attributes["fingerprint"] != expected:
        parser.error(f"{options.store} is not of benchmarks.large_memory")
    worst = 0.0
    for slow, fast in places(size, reader.grid.tile[0], edge, options.random):
        ours = np.asarray(reader.image[slow : slow + edge, fast : fast + edge])
        found = deviation(ours, by_c(program, size, slow, fast, edge))
        worst = max(worst, found)
        print(f"slow {slow:6d}, fast {fast:6d}: {found:.2e}, maximum {ours.max():.4g}", flush=True)
    print(f"{size} x {size}: worst deviation {worst:.2e}, allowed {BOUND:g}")
    return 0 if worst <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
