"""Measuring what an evaluation costs on this machine, for the planner."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from nbdask.experiment import (
    Crystal,
    Detector,
    Experiment,
    Sampling,
    Scan,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.interface import Kernel
from nbdask.kernels.registry import default_costs, get_kernel
from nbdask.plan.cost import AMPLITUDES, SHAPES, Costs, check_writable, costs_file, save_costs
from nbdask.plan.machine import available_cores
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.run import simulate
from nbdask.statistics import summarise
from nbdask.store.address import place_of
from nbdask.store.create import create_store
from nbdask.store.provenance import opening
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter

#: Pixels along the edge of the tile on which evaluations are timed, and of that which is written.
_SIDE, _WRITTEN = 256, 1024
#: Each figure is the median of so many runs, each about so many seconds long.
_REPEATS, _SECONDS = 3, 0.1
_RIGHT = math.pi / 2
#: Tiles along an edge by which the interpreter's part is measured, and pixels along theirs.
_TILES, _TINY = 16, 16
#: The smallest run there is.
_LEAST = "-cell 100 100 100 90 90 90 -default_F 100 -N 1 -lambda 1 -detpixels 8 --quiet"


def calibrate(
    backend: str = "cpu",
    precisions: Iterable[str] = ("float64",),
    *,
    wanted: Container[str] | None = None,
    report: Callable[[str, float], None] | None = None,
    path: Path | None = None,
) -> Path:
    """Measure what a run on this machine costs, and save the figures.

    These are the nanoseconds of an evaluation for every shape and kind of amplitudes, of a pixel,
    of a tile, of a pixel that is copied to a further file, and of the start of a run, without and
    with worker processes.

    All cores compute at once while the time is taken, as they do in a run.

    Parameters
    ----------
    backend : str
        Kernel to measure.
    precisions : iterable of str
        ``"float64"``, ``"mixed"`` or both.
    wanted : container of str, optional
        Keys of the figures to measure; None: all.
    report : callable, optional
        Called with key and nanoseconds as each figure is known.
    path : Path, optional
        File to write; None: the one that the planner reads.

    Returns
    -------
    Path
        The file; figures of this processor that were not measured now are kept.
    """
    path = costs_file() if path is None else path
    check_writable(path)
    measured: dict[str, float] = {}
    for precision in precisions:
        for key, measure in _measures(get_kernel(backend, precision)):
            if key in measured or (wanted is not None and key not in wanted):
                continue
            measured[key] = measure()
            if report is not None:
                report(key, measured[key])
    return save_costs(measured, path)


def _measures(kernel: Kernel) -> Iterator[tuple[str, Callable[[], float]]]:
    """Yield the key of everything that is measured, with what measures it [ns]."""
    start = f"{kernel.name}/{kernel.precision}"
    guesses = Costs(default_costs())
    for shape in SHAPES:
        for kind in AMPLITUDES:
            key = f"{start}/{shape}/{kind}"
            yield key, partial(_evaluation, kernel, shape, kind, guesses.lookup(key))
    yield f"{start}/pixel", partial(_pixel, kernel)
    yield "run/tile", partial(_tile, kernel)
    yield "run/copy", partial(_copy, kernel)
    yield "run/start", _start
    yield "run/workers", _workers


def _experiment(shape: str, kind: str, steps: int, side: int) -> Experiment:
    """Return a detector of ``side`` pixels on which every pixel has ``steps`` evaluations."""
    edge = 1e-8
    # Of tophat spots so wide ones that nothing is skipped.
    cells = (2, 2, 2) if shape == "tophat" else (5, 6, 7)
    wide = range(-8, 9)
    listed = tuple((h, k, el, 10.0 + abs(h + k + el)) for h in wide for k in wide for el in wide)
    structure = StructureFactors(default_F=100.0, reflections=() if kind == "constant" else listed)
    return Experiment(
        crystal=Crystal(
            cell=(edge, edge, edge, _RIGHT, _RIGHT, _RIGHT), n_cells=cells, shape=shape
        ),
        structure=structure,
        detector=Detector(pixels_slow=side, pixels_fast=side, pixel_size=1e-4),
        scan=Scan(phi0=0.1, osc=0.2, count=steps),
        sampling=Sampling(oversample=1, interpolate=kind == "tricubic"),
    )


def _evaluation(kernel: Kernel, shape: str, kind: str, guess: float) -> float:
    """Return the nanoseconds of one evaluation with all cores at work."""
    steps = max(4, int(_SECONDS / (1e-9 * guess * _SIDE**2)))
    model = build_model(_experiment(shape, kind, steps, _SIDE))
    tile = Tile(0, _SIDE, 0, _SIDE)
    kernel.partial(model, tile, StepRange(0, 1), None)  # a GPU compiles now

    def task() -> None:
        kernel.partial(model, tile, StepRange(0, steps), None)

    return 1e9 * _usual(task) / (steps * tile.pixels)


def _pixel(kernel: Kernel) -> float:
    """Return the nanoseconds that a pixel costs once: finishing, statistics, writing."""
    model = build_model(_experiment("square", "constant", 1, _WRITTEN))
    tile = Tile(0, _WRITTEN, 0, _WRITTEN)
    sums = kernel.partial(model, tile, StepRange(0, 1), None)
    kernel.finish(model, tile, sums, None)  # a GPU compiles now
    with tempfile.TemporaryDirectory(prefix="nbdask-") as folder:
        path = Path(folder) / "a.zarr"
        grid = TileGrid((_WRITTEN, _WRITTEN * available_cores()), (_WRITTEN, _WRITTEN))
        create_store(path, grid, opening(None), pixel_size=1e-4)
        writer = TileWriter(place_of(path, "fast"))
        numbers = count()

        def task() -> None:
            image = kernel.finish(model, tile, sums, None)
            index = next(numbers) % len(grid)
            writer(index, grid[index], image, summarise(image, (0, 0), None))

        return 1e9 * _usual(task) / tile.pixels


def _tile(kernel: Kernel) -> float:
    """Return the nanoseconds that a tile of next to no pixels takes in a run."""
    side = _TILES * _TINY
    seconds = []
    for _ in range(_REPEATS):
        with tempfile.TemporaryDirectory(prefix="nbdask-") as folder:
            paths = [Path(folder) / f"{tile}.zarr" for tile in (side, _TINY)]
            few, many = (_run(kernel, path, side, int(path.stem)) for path in paths)
        seconds.append(max(many - few, 1e-5) / (_TILES**2 - 1))
    return 1e9 * float(np.median(seconds))


def _copy(kernel: Kernel) -> float:
    """Return the nanoseconds of a pixel that is read from a store and written to a file."""
    side = 2 * _WRITTEN
    with tempfile.TemporaryDirectory(prefix="nbdask-") as folder:
        path = Path(folder) / "a.zarr"
        _run(kernel, path, side, _WRITTEN)
        start = time.perf_counter()
        image = StoreReader(path).image
        with open(Path(folder) / "a.bin", "wb") as file:
            for row in range(0, side, _WRITTEN):
                file.write(np.ascontiguousarray(image[row : row + _WRITTEN]).data)
            os.fsync(file.fileno())
        return 1e9 * (time.perf_counter() - start) / side**2


def _run(kernel: Kernel, path: Path, side: int, tile: int) -> float:
    """Return the seconds of a run of one step on one thread."""
    result = simulate(
        _experiment("square", "constant", 1, side),
        path,
        backend=kernel.name,
        tile=tile,
        threads=1,
        cluster="threads",
        durability="fast",
        progress=False,
    )
    return result.seconds


def _start() -> float:
    """Return the nanoseconds of the smallest run there is."""
    return 1e9 * float(np.mean([_command_seconds("threads") for _ in range(2)]))


def _workers() -> float:
    """Return the nanoseconds that worker processes, one for each core, add to it."""
    alone = _command_seconds("threads")
    return 1e9 * max(_command_seconds("local") - alone, 1e-3)


def _command_seconds(cluster: str) -> float:
    """Return the seconds of a whole command."""
    with tempfile.TemporaryDirectory(prefix="nbdask-") as folder:
        argv = [sys.executable, "-m", "nbdask", "simulate", *_LEAST.split()]
        argv += ["--cluster", cluster, "--out", str(Path(folder) / "a.zarr")]
        start = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def _usual(task: Callable[[], None]) -> float:
    """Return the median seconds that ``task`` takes while every core does the same."""
    cores = available_cores()
    seconds: list[float] = []
    with ThreadPoolExecutor(cores) as pool:
        while len(seconds) < _REPEATS or sum(seconds) < _REPEATS * _SECONDS:
            start = time.perf_counter()
            for future in [pool.submit(task) for _ in range(cores)]:
                future.result()
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
