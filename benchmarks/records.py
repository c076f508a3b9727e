"""Reading the records of a million tiles: from journals, and from the array of a complete store.

    python -m benchmarks.records [--tiles 1000000] [--writers 64] [--folder FOLDER] [--json FILE]

The records are made up, the files are those of real writers.  Then a real run, with small tiles,
counts the files and bytes of a store.  Exit status 1: reading takes 5 s of processor time.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbdask
from benchmarks.machine import facts
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import TileSummary
from nbdask.store import journal, schema
from nbdask.store.create import create_store
from nbdask.store.reader import StoreReader
from tests.helpers import root_of

#: Pixels along an edge of a made-up tile.
_EDGE = 8
#: Longest time of reading a million records [s].
_MOST = 5.0


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """Return what an action gives, and its seconds."""
    begun = time.perf_counter()
    result = action()
    return result, time.perf_counter() - begun


def reading(path: Path) -> dict[str, float]:
    """Return the seconds of reading all records of a store, by the clock and of the processor."""
    begun = time.process_time()
    done, seconds = timed(lambda: StoreReader(path).done())
    assert done.all()
    return {"seconds_reading": seconds, "processor_seconds_reading": time.process_time() - begun}


def make(path: Path, tiles: int, writers: int) -> None:
    """Make a store without pixels whose tiles are all on record, in journals of many writers."""
    side = math.isqrt(tiles - 1) + 1
    grid = TileGrid((side * _EDGE, side * _EDGE), (_EDGE, _EDGE))
    attributes = root_of(grid)
    create_store(path, grid, attributes, pixel_size=1e-4)
    seed, count = journal.seed_of(attributes), len(grid)
    for writer in range(writers):
        name, mine = secrets.token_hex(8), range(writer, count, writers)
        for number, start in enumerate(range(0, len(mine), journal.MOST)):
            part = mine[start : start + journal.MOST]
            data = b"".join(journal.entry(index, _record(grid, index), seed) for index in part)
            (path / schema.TILES / f"journal.{name}.{number}").write_bytes(data)


def _record(grid: TileGrid, index: int) -> list[float]:
    """Return a record such as a tile has."""
    tile = grid[index]
    summary = TileSummary(64, 0, 1.5 + index % 7, tile.slow0, tile.fast0, 0.5, 2.0, 0, 0.01)
    return schema.record_values(index * 2654435761 % 2**32, summary, 300)


def files_of(path: Path) -> dict[str, int]:
    """Return how many files a store has, and the bytes of those of its records."""
    files = [file for file in path.rglob("*") if file.is_file()]
    records = [file for file in files if schema.TILES in file.parts and file.name != "zarr.json"]
    return {
        "files": len(files),
        "record_files": len(records),
        "record_bytes": sum(file.stat().st_size for file in records),
    }


def synthetic(folder: Path, tiles: int, writers: int) -> dict[str, Any]:
    """Measure reading and settling records that were made up."""
    path = folder / "many.zarr"
    _, making = timed(lambda: make(path, tiles, writers))
    found: dict[str, Any] = {"tiles": tiles, "writers": writers, "seconds_making": making}
    found["journals"] = {**files_of(path), **reading(path)}
    _, settling = timed(StoreReader(path).records.settle)
    found["array"] = {**files_of(path), "seconds_settling": settling, **reading(path)}
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


def real(folder: Path) -> dict[str, Any]:
    """Count the files of a store of 4096 tiles, and those of its records while it is filled."""
    path, most = folder / "real.zarr", 0

    def watch(done: int, _: int) -> None:
        nonlocal most
        if done % 64 == 0:
            most = max(most, sum(1 for _ in (path / schema.TILES).glob("journal.*")))

    argv = "-cell 70 80 90 90 90 90 -default_F 10 -lambda 1 -N 5 -oversample 1 -detpixels 1024"
    experiment = nbdask.from_args(argv.split())
    _, seconds = timed(lambda: nbdask.simulate(experiment, path, tile=16, progress=watch))
    return {"tiles": 4096, "seconds": seconds, "journals_at_most": most, **files_of(path)}


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="Where the stores are made.")
    parser.add_argument("--json", type=Path, help="Where the figures are written.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbdask-records-", dir=options.folder) as name:
        found: dict[str, Any] = {"machine": facts(), "real": real(Path(name))}
        found["synthetic"] = synthetic(Path(name), options.tiles, options.writers)
    print(json.dumps({key: found[key] for key in ("real", "synthetic")}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    made = found["synthetic"]
    return int(
        max(made[kind]["processor_seconds_reading"] for kind in ("journals", "array")) >= _MOST
    )


if __name__ == "__main__":
    sys.exit(main())
