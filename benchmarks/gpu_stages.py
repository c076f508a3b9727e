"""The stages of the first run on a GPU that compute: each yields records as it goes."""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import golden_table, gpu_peak
from benchmarks.gpu_cases import PRECISIONS, case_model, cases, gpu_kernel
from benchmarks.gpu_compile import QUICK, float64_operations
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.graph.context import RunContext
from nbdask.graph.tasks import compute_tile
from nbdask.kernels.cuda_device import this_device
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_launch import Module, Program
from nbdask.kernels.cuda_nvrtc import compiled_file
from nbdask.kernels.cuda_pack import gpu_pack
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.native.library import missing_note
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.prepare import Settings, prepare
from nbdask.statistics import combine

Record = dict[str, Any]
Options = argparse.Namespace
#: Name of the record with the float64 operations of each timed loop.
OPERATIONS = "float64 operations of an evaluation"
#: Evaluations of a golden case above which the host build leaves it out.
HOST_LIMIT = 400_000


def whole(model: Model) -> Tile:
    """Return the tile that is the whole detector."""
    return Tile(0, model.n_slow, 0, model.n_fast)


def deviation(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the worst relative deviation, with a floor of 1e-6 of the maximum."""
    return golden_table.deviation(ours, theirs, float(np.abs(theirs).max()))


def bits(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Record:
    """Return in how many pixels two images differ, and by how many units of the last place."""
    apart = np.abs(ours.view(np.int32).astype(np.int64) - theirs.view(np.int32))
    return {"pixels_differ": int(np.count_nonzero(apart)), "most_ulp": int(apart.max())}


def smoke(options: Options, amplitudes: Path) -> Iterator[Record]:
    """Compare nine small cases in each precision with NumPy, tiles of eight threads, and cpu."""
    side = 32 if options.host else 96
    chosen = cases(amplitudes)[: 3 if options.short else None]
    for case in chosen:
        model = case_model(case, side)
        reference, _ = ReferenceKernel().image(model, whole(model), None)
        for precision in PRECISIONS:
            kernel = gpu_kernel(options.host, precision)
            ours, outside = kernel.image(model, whole(model), None)
            tiles = list(TileGrid(ours.shape, (13, 29)))
            joined = joined_tiles(kernel, model, tiles)
            worst = deviation(ours, reference)
            bound = 2e-7 if precision == "float64" else 1e-5
            yield {
                "name": case.name,
                "precision": precision,
                "deviation_from_numpy": worst,
                "tiles_equal": bool(np.array_equal(joined, ours)),
                "outside": outside,
                "ok": worst <= bound and bool(np.array_equal(joined, ours)),
                **_against_cpu(model, kernel, ours, precision),
            }


def joined_tiles(kernel: CudaKernel, model: Model, tiles: list[Tile]) -> NDArray[np.float32]:
    """Return the whole image from tiles that eight threads compute."""
    image = np.full((model.n_slow, model.n_fast), np.nan, np.float32)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda tile: kernel.image(model, tile, None)[0], tiles))
    for tile, part in zip(tiles, parts, strict=True):
        image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = part
    return image


def _against_cpu(
    model: Model, kernel: CudaKernel, ours: NDArray[np.float32], precision: str
) -> Record:
    """Return how the bits differ from those of the processor's kernel, in float64."""
    if precision != "float64" or missing_note() is not None:
        return {}
    return bits(ours, get_kernel("cpu").image(model, whole(model), None)[0])


def golden(options: Options, _: Path) -> Iterator[Record]:
    """Compare all images of the C program, in each precision, and float64 with cpu bit by bit."""
    if options.golden is None:
        raise SystemExit("no golden images: name their folder by --golden")
    folder = options.golden.resolve()
    facts = {fact["name"]: fact for fact in json.loads((folder / "index.json").read_text())}
    backend = "cuda-host" if options.host else "cuda"
    for case in json.loads((folder / "cases.json").read_text()):
        experiment = parse_args(
            case["args"].split(), semantics="c", base_dir=folder / "inputs"
        ).experiment
        if options.host:
            model = build_model(experiment)
            if model.n_slow * model.n_fast * model.n_steps > HOST_LIMIT:
                continue
        fact, expected = facts[case["name"]], np.load(folder / "images" / f"{case['name']}.npz")
        regions = fact.get("store") or [[0, fact["shape"][0], 0, fact["shape"][1]]]
        for precision in PRECISIONS:
            image, result = full_image(experiment, backend, precision)
            worst = max(
                golden_table.deviation(image[a:b, c:d], expected[name], fact["max"])
                for name, (a, b, c, d) in zip(expected.files, regions, strict=True)
            )
            bound = golden_table.BOUND[precision]
            same = golden_table.same_statistics(result, fact, bound)
            record = {"name": case["name"], "precision": precision, "deviation": worst}
            record |= {"statistics_equal": same, "ok": worst <= bound and same}
            if precision == "float64" and missing_note() is None:
                record |= bits(image, full_image(experiment, "cpu", precision)[0])
            yield record


class _Result:
    """An image's statistics, as those of a run."""

    def __init__(self, statistics: Any) -> None:
        self.statistics = statistics


def full_image(experiment: Any, backend: str, precision: str) -> tuple[NDArray[np.float32], Any]:
    """Return an image without a store, and an object with its statistics."""
    settings = Settings(backend, precision, tile=512, steps_per_task=1 << 40)
    model, plan, _ = prepare(experiment, settings)
    context = RunContext.of(model, plan)
    image = np.empty(plan.grid.shape, np.float32)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: compute_tile(context, n), range(len(plan.grid))))
    for tile, result in zip(plan.grid, found, strict=True):
        assert result.image is not None
        image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = result.image
    return image, _Result(combine(result.summary for result in found))


def peak(options: Options, _: Path) -> Iterator[Record]:
    """Measure what the GPU's units do at most; without a GPU compile the loops."""
    if options.host:
        yield {"name": "compiled", "bytes": gpu_peak.compile_only(90)}
        return
    yield from gpu_peak.measure(0.15)


def with_defines(program: Program, **changes: int) -> Program:
    """Return a program with other macros."""
    defines = dict(program.defines) | changes
    return program._replace(
        defines=tuple(defines.items()),
        threads=defines.get("NB_THREADS", program.threads),
        pixels=defines.get("NB_PIXELS", program.pixels),
    )


def variant(host: bool, precision: str, **changes: int) -> CudaKernel:
    """Return a kernel whose programs have other macros."""
    made: CudaKernel = type(gpu_kernel(host, precision))(precision)  # type: ignore[call-arg]
    compiled = made.launcher.compile

    def compile_changed(program: Program) -> Module:
        return compiled(with_defines(program, **changes))

    made.launcher.compile = compile_changed  # type: ignore[method-assign]
    return made


def rate(options: Options, kernel: CudaKernel, model: Model, seconds: float) -> Record:
    """Return evaluations per second of a kernel alone, at the clock that it holds.

    Parameters
    ----------
    options : argparse.Namespace
    kernel : CudaKernel
    model : Model
    seconds : float
        For which the GPU is kept busy before anything counts; as long again is timed.
    """
    steps = StepRange(0, model.n_steps)
    repeats = 5
    slow, fast = model.n_slow - repeats, model.n_fast - repeats
    tiles = [Tile(i, i + slow, repeats - i, repeats - i + fast) for i in range(repeats)]
    mark, taken = stopwatch(options.host)
    kernel.repeat(model, tiles[:1], steps, lambda: None)  # compiled, tables on the GPU
    kernel.repeat(model, tiles[:2], steps, mark)
    each = max(taken()[-1], 1e-6)
    many = max(1, min(2000, int(seconds / each)))
    kernel.repeat(model, (tiles * (1 + many // repeats))[:many], steps, lambda: None)
    begin = time.time()
    many = max(repeats, min(2000, int(seconds / each)))
    mark, taken = stopwatch(options.host)
    kernel.repeat(model, (tiles * (1 + many // repeats))[:many], steps, mark)
    rates = sorted(tiles[0].pixels * model.n_steps / one for one in taken())
    return {
        "evaluations_per_second": rates[len(rates) // 2],
        "least_and_most": [rates[0], rates[-1]],
        "launches": len(rates),
        "from": begin,
        "to": time.time(),
    }


def stopwatch(host: bool) -> tuple[Any, Any]:
    """Return a function that marks a moment in the stream, and one for the seconds between."""
    marks: list[Any] = []
    if host:
        return (
            lambda: marks.append(time.perf_counter()),
            lambda: [b - a for a, b in pairwise(marks)],
        )
    import cupy

    def mark() -> None:
        event = cupy.cuda.Event()
        event.record()
        marks.append(event)

    def seconds() -> list[float]:
        marks[-1].synchronize()
        return [1e-3 * cupy.cuda.get_elapsed_time(a, b) for a, b in pairwise(marks)]

    return mark, seconds


def _pixels(options: Options) -> int:
    return 24 if options.host else options.pixels


def rates(options: Options, amplitudes: Path) -> Iterator[Record]:
    """Time nine cases in each precision; the most wanted first."""
    for precision in PRECISIONS:
        for case in cases(amplitudes)[: 3 if options.short else None]:
            model = case_model(case, _pixels(options))
            kernel = gpu_kernel(options.host, precision)
            found = rate(options, kernel, model, 0.01 if options.host else 1.0)
            yield {
                "name": case.name,
                "precision": precision,
                "steps": model.n_steps,
                "target": case.target if precision == "float64" else None,
                **found,
            }


#: Other sizes of blocks: threads, blocks of a multiprocessor, pixels of a thread.
SHAPES = ((256, 2, 2), (128, 4, 2), (128, 5, 2), (256, 1, 2), (256, 3, 1), (256, 2, 1), (256, 1, 4))


def variants(options: Options, amplitudes: Path) -> Iterator[Record]:
    """Time quotients from the first guess, and other sizes of blocks, in float64."""
    wait = 0.01 if options.host else 0.4
    chosen = cases(amplitudes)
    for case in (chosen[1], chosen[3], chosen[6]):
        model = case_model(case, _pixels(options))
        reference = None
        small = case_model(case, 16 if options.host else min(512, options.pixels))
        if missing_note() is None:
            reference = get_kernel("cpu").image(small, whole(small), None)[0]
        for name, changes in (("IEEE", {}), ("quick", dict(QUICK))):
            kernel = variant(options.host, "float64", **changes)
            record = {"name": case.name, "division": name, **rate(options, kernel, model, wait)}
            if reference is not None:
                record |= bits(kernel.image(small, whole(small), None)[0], reference)
            yield record
    for case in chosen[:2]:
        model = case_model(case, _pixels(options))
        for threads, blocks, pixels in SHAPES[: 1 if options.host else None]:
            names = {"NB_THREADS": threads, "NB_BLOCKS": blocks, "NB_PIXELS": pixels}
            kernel = variant(options.host, "float64", **({} if options.host else names))
            yield {"name": case.name, "shape": names, **rate(options, kernel, model, wait)}


def programs(options: Options, amplitudes: Path) -> set[Program]:
    """Return what the other stages run, so that it is compiled before their time counts."""
    found = set()
    models = [case_model(case, 64) for case in cases(amplitudes)]
    if options.golden is not None:
        for case in json.loads((options.golden / "cases.json").read_text()):
            argv, base = case["args"].split(), options.golden / "inputs"
            models.append(build_model(parse_args(argv, semantics="c", base_dir=base).experiment))
    for model in models:
        found |= {gpu_pack(model, precision).program for precision in PRECISIONS}
    for number in (1, 3, 6):
        found.add(with_defines(gpu_pack(models[number], "float64").program, **dict(QUICK)))
    for model in models[:2]:
        for threads, blocks, pixels in SHAPES:
            names = {"NB_THREADS": threads, "NB_BLOCKS": blocks, "NB_PIXELS": pixels}
            found.add(with_defines(gpu_pack(model, "float64").program, **names))
    return found


def compile_all(options: Options, amplitudes: Path) -> Iterator[Record]:
    """Compile all programs on all cores, and count their float64 operations."""
    wanted = list(programs(options, amplitudes))
    timed = {
        f"{case.name}/{precision}": gpu_pack(case_model(case, 64), precision).program
        for case in cases(amplitudes)
        for precision in PRECISIONS
    }
    start = time.perf_counter()
    if options.host:
        kernel = gpu_kernel(True, "float64")
        for program in wanted:
            kernel.launcher.compile(program)
        timed = dict(list(timed.items())[:1]) if importlib.util.find_spec("cupy") else {}
        counts = [float64_operations(program) for program in timed.values()]
    else:
        capability, cores = this_device().capability, len(os.sched_getaffinity(0))
        # A process of its own for each, which has not touched the GPU.
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
            made = pool.map(compiled_file, wanted, [capability] * len(wanted))
            counts = list(pool.map(float64_operations, timed.values()))
            list(made)
    yield {"name": "compiled", "programs": len(wanted), "seconds": time.perf_counter() - start}
    yield {"name": OPERATIONS, "counts": dict(zip(timed, counts, strict=True))}


def launch(options: Options, amplitudes: Path) -> Iterator[Record]:
    """Evaluate one case in each of some precisions once, for a profiler to look at."""
    for number, precision in ((0, "float64"), (1, "float64"), (0, "mixed"), (0, "pairs")):
        model = case_model(cases(amplitudes)[number], 24 if options.host else 1024)
        gpu_kernel(options.host, precision).image(model, whole(model), None)
        yield {"name": cases(amplitudes)[number].name, "precision": precision}
