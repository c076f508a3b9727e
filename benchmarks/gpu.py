"""Time the CUDA kernel on a card: the kernel alone, beside the CPU, and whole runs.

    python -m benchmarks.gpu --json benchmarks/results/gpu-CARD.json
        [--groups kernel,cpu,run,port] [--pixels 4096] [--repeats 5] [--only NAME]

kernel: evaluations per second by events in the card's stream, warm, on tiles that differ from
repeat to repeat, and the fraction of the card's float64 peak by the operations of the compiled
loop.  cpu: our CPU kernel on all cores of this machine, the same work.  run: a whole run of
16384 x 16384 pixels with 100 evaluations each, store written, and what the disk does with as many
bytes.  port: NB_CUDA_BIN names a build of the C program's CUDA port; the same command with it.

With --backend cuda-host the script runs on this machine's processor, which shows that it works and
nothing about a card.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import nbdask
from benchmarks import machine, timing
from benchmarks.cases import CRYSTAL, SQUARE, Case
from benchmarks.gpu_compile import float64_operations
from nbdask.example.write import write_example
from nbdask.experiment.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_pack import card_pack
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

#: Float64 units of a multiprocessor by compute capability (CUDA C++ Programming Guide, table
#: "Throughput of Native Arithmetic Instructions"): multiply-adds that it starts in a cycle.
FLOAT64_UNITS = {
    "70": 32, "75": 2, "80": 32, "86": 2, "87": 2, "89": 2, "90": 64, "100": 64, "103": 2,
    "120": 2,
}  # fmt: skip
PORT = os.environ.get("NB_CUDA_BIN")


def cases(amplitudes: Path) -> list[Case]:
    """Return the kernel cases; the first is the one that has a target."""
    domains = "-mosaic 0.5 -mosaic_dom 1000 -oversample 1"
    few = "-mosaic 0.5 -mosaic_dom 100 -oversample 1"
    listed = f"{CRYSTAL} -hkl {amplitudes} -nointerpolate -N 5"
    return [
        Case("square, amplitude list", f"{listed} {domains}", target=1.5e11),
        Case("square, 36 x 47 x 29 cells, list", f"{listed} -Na 36 -Nb 47 -Nc 29 {few}"),
        Case("square, default_F", f"{SQUARE} {few}"),
        Case("round, list", f"{listed} -round_xtal {few}"),
        Case("gauss, list", f"{listed} -gauss_xtal {few}"),
        Case("tophat, list", f"{listed} -tophat_spots {few}"),
        Case(
            "tricubic",
            f"-cell 25 28 30 90 95 90 -lambda 1.0 -distance 400 -hkl {amplitudes} -interpolate"
            f" -N 5 {few}",
        ),
        Case(
            "100 sources",
            f"{SQUARE} -hdivrange 4 -vdivrange 4 -hdivsteps 5 -vdivsteps 5 -square_div"
            " -dispersion 1 -dispsteps 4 -oversample 1",
        ),
        Case("one evaluation a pixel", f"{SQUARE} -oversample 1"),
    ]


def card_facts(backend: str) -> dict[str, Any]:
    """Return the card's name, driver, clock and float64 peak [multiply-adds per second]."""
    if backend != "cuda":
        return {"card": None, "note": "not a card: the host build, which shows no speed"}
    import cupy

    facts = cupy.cuda.runtime.getDeviceProperties(0)
    attributes = cupy.cuda.Device(0).attributes
    capability = f"{facts['major']}{facts['minor']}"
    hertz = 1e3 * attributes["ClockRate"]
    processors = attributes["MultiProcessorCount"]
    units = FLOAT64_UNITS.get(capability)
    return {
        "card": facts["name"].decode(),
        "capability": capability,
        "multiprocessors": processors,
        "clock_hertz": hertz,
        "float64_peak": units * processors * hertz if units else None,
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
    }


def stopwatch(backend: str) -> tuple[Callable[[], None], Callable[[], list[float]]]:
    """Return a function that marks a moment in the stream, and one for the seconds between."""
    marks: list[Any] = []
    if backend != "cuda":
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


def model_of(case: Case, pixels: int) -> Model:
    """Return the model of a case at a detector size."""
    words = Case(case.name, case.flags, pixels).arguments
    return build_model(parse_args(words, semantics="c").experiment)


def shifted(model: Model, repeats: int) -> list[Tile]:
    """Return tiles of most of the detector, each at another place."""
    slow, fast = model.n_slow - repeats, model.n_fast - repeats
    return [Tile(i, i + slow, repeats - i, repeats - i + fast) for i in range(repeats)]


def kernel_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """Time the kernel alone."""
    peak = card_facts(options.backend).get("float64_peak")
    for case in wanted(amplitudes, options):
        model = model_of(case, options.pixels)
        steps = StepRange(0, model.n_steps)
        for precision in ("float64", "mixed", "pairs"):
            kernel = get_kernel(options.backend, precision)
            assert isinstance(kernel, CudaKernel)
            tiles = shifted(model, options.repeats)
            kernel.repeat(model, tiles[:1], steps, lambda: None)  # compiled and warm
            mark, seconds = stopwatch(options.backend)
            kernel.repeat(model, tiles, steps, mark)
            rates = [tiles[0].pixels * model.n_steps / s for s in seconds()]
            operations = float64_operations(card_pack(model, precision).program)
            yield {
                "name": case.name,
                "flags": case.flags,
                "precision": precision,
                "pixels": list(tiles[0].shape),
                "steps": model.n_steps,
                "evaluations_per_second": median(rates),
                "all": rates,
                "float64_operations": operations,
                "fraction_of_peak": median(rates) * operations / peak if peak else None,
                "target": case.target if precision == "float64" else None,
            }


def cpu_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """Time our CPU kernel on all cores, on a piece of the detector."""
    cores = len(os.sched_getaffinity(0))
    kernel = get_kernel("cpu")
    for case in wanted(amplitudes, options):
        model = model_of(case, min(options.pixels, 512))
        timing.kernel_image(model, kernel, cores, 64)
        rates = [
            model.n_slow
            * model.n_fast
            * model.n_steps
            / timing.kernel_image(model, kernel, cores)[0]
            for _ in range(options.repeats)
        ]
        yield {
            "name": case.name,
            "precision": "float64",
            "cores": cores,
            "evaluations_per_second": median(rates),
            "all": rates,
        }


def run_group(options: argparse.Namespace, _: Path) -> Iterator[dict[str, Any]]:
    """Time a whole run to a store, and a plain file of as many bytes on the same disk."""
    case = Case("whole run", f"{SQUARE} -mosaic 0.5 -mosaic_dom 100 -oversample 1")
    pixels = options.run_pixels
    words = Case(case.name, case.flags, pixels).arguments
    experiment = parse_args(words, semantics="c").experiment
    for _ in range(2):
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            start = time.perf_counter()
            result = nbdask.simulate(experiment, folder / "run.zarr", backend=options.backend)
            seconds = time.perf_counter() - start
            written = sum(f.stat().st_size for f in result.path.rglob("*") if f.is_file())
            disk = disk_seconds(folder / "plain", written)
        finally:
            shutil.rmtree(folder)
        yield {
            "name": case.name,
            "pixels": [pixels, pixels],
            "steps": 100,
            "seconds": seconds,
            "evaluations_per_second": pixels**2 * 100 / seconds,
            "bytes_written": written,
            "disk_seconds": disk,
        }


def disk_seconds(path: Path, size: int) -> float:
    """Return how long a plain file of as many random bytes takes, until it is on the disk."""
    block = np.random.default_rng(1).bytes(min(size, 1 << 26))
    start = time.perf_counter()
    with path.open("wb") as file:
        for begin in range(0, size, len(block)):
            file.write(block[: size - begin])
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


def port_group(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """Time the C program's CUDA port in double precision: its time on pixels, and its image."""
    if PORT is None:
        return
    case = cases(amplitudes)[0]
    words = [*Case(case.name, case.flags, options.pixels).arguments, "-precision", "double"]
    idle, _ = timing.c_seconds(PORT, [*words, "-roi", "0", "0", "0", "0"], 1)
    seconds, image = timing.c_seconds(PORT, words, 1)
    model = model_of(case, options.pixels)
    kernel = get_kernel(options.backend)
    assert isinstance(kernel, CudaKernel)
    ours, _ = kernel.image(model, Tile(0, model.n_slow, 0, model.n_fast), None)
    c = image.reshape(ours.shape).astype(np.float64)
    yield {
        "name": f"{case.name}, the C program's CUDA port",
        "seconds": seconds - idle,
        "evaluations_per_second": ours.size * model.n_steps / (seconds - idle),
        "deviation": float(np.max(np.abs(ours - c) / np.maximum(np.abs(c), 1e-6 * c.max()))),
    }


def wanted(amplitudes: Path, options: argparse.Namespace) -> list[Case]:
    """Return the cases whose name holds what ``--only`` says."""
    return [c for c in cases(amplitudes) if not options.only or options.only in c.name]


GROUPS = {"kernel": kernel_group, "cpu": cpu_group, "run": run_group, "port": port_group}


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="Time the CUDA kernel.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--backend", default="cuda", choices=["cuda", "cuda-host"])
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--pixels", type=int, default=4096)
    parser.add_argument("--run-pixels", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path, help="where the whole run writes")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> dict[str, Any]:
    """Run the groups; print and return the records."""
    options = parse(words)
    result: dict[str, Any] = {
        "machine": machine.facts(),
        "device": card_facts(options.backend),
        "records": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        write_example("pyrope", Path(folder))
        for group in options.groups.split(","):
            for record in GROUPS[group](options, Path(folder) / "pyrope.hkl"):
                result["records"].append({"group": group, **record})
                fraction = record.get("fraction_of_peak")
                share = "" if fraction is None else f", {100 * fraction:.0f} % of float64 peak"
                print(
                    f"{group:7s} {record['name']:34s} {record.get('precision', ''):8s}"
                    f" {record['evaluations_per_second']:.3g} evaluations/s{share}",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return result


if __name__ == "__main__":
    main()
