"""Stages of the first run on a GPU beside the kernel: what is there, and whole runs."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import nbdask
from benchmarks import golden_table, timing
from benchmarks.cases import SQUARE, Case
from benchmarks.gpu_cases import case_model, cases, gpu_kernel
from nbdask.flags import parse_args
from nbdask.kernels.cuda_device import this_device
from nbdask.kernels.registry import get_kernel
from nbdask.native.library import missing_note
from nbdask.plan.tiles import Tile


def facts(options: argparse.Namespace, _: Path) -> Iterator[dict[str, Any]]:
    """Say what the machine has: the GPU, driver, compilers, and how fast copies go."""
    common = {
        "name": "facts",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiled_loops": missing_note() or "there",
        "tools": {name: shutil.which(name) for name in ("g++", "ncu", "compute-sanitizer")},
    }
    if options.host:
        yield common | {"gpu": None}
        return
    import cupy
    from cupy.cuda import nvrtc

    device = this_device()
    attributes = cupy.cuda.Device(0).attributes
    yield common | {
        "gpu": device.name,
        "capability": device.capability,
        "bytes": device.memory,
        "free_bytes": cupy.cuda.runtime.memGetInfo()[0],
        "multiprocessors": attributes["MultiProcessorCount"],
        "float64_units": device.float64_units,
        "greatest_clock_hertz": 1e3 * attributes["ClockRate"],
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "nvrtc": nvrtc.getVersion(),
    }
    yield {"name": "copies, bytes per second", **_copies(cupy)}
    done = subprocess.run(
        ["nvidia-smi", "-q", "-d", "CLOCK,POWER,PERFORMANCE,ECC"],
        capture_output=True,
        text=True,
        check=False,
    )
    yield {"name": "nvidia-smi", "text": done.stdout[:8000]}


def _copies(cupy: Any) -> dict[str, float]:
    size = 256 << 20
    memory = cupy.cuda.alloc_pinned_memory(size)
    pinned = np.ndarray((size,), np.uint8, buffer=memory)
    pinned[:] = 1
    first, second = cupy.empty(size, np.uint8), cupy.empty(size, np.uint8)
    stream = cupy.cuda.get_current_stream()

    def seconds(copy: Any) -> float:
        best = float("inf")
        for _ in range(4):
            stream.synchronize()
            start = time.perf_counter()
            copy()
            stream.synchronize()
            best = min(best, time.perf_counter() - start)
        return best

    return {
        "to_the_gpu": size / seconds(lambda: first.set(pinned)),
        "from_the_gpu": size / seconds(lambda: first.get(out=pinned)),
        "on_the_gpu": 2 * size / seconds(lambda: second.data.copy_from_device(first.data, size)),
    }


def runs(options: argparse.Namespace, _: Path) -> Iterator[dict[str, Any]]:
    """Time whole runs to a store, the first one twice, beside a plain file of as many bytes."""
    case = Case("whole run", f"{SQUARE} -mosaic 0.5 -mosaic_dom 100 -oversample 1")
    sizes = ((32, 2), (48, 2)) if options.host else ((4096, 8), (4096, 8), (16384, 8), (16384, 16))
    backend = "cuda-host" if options.host else "cuda"
    for side, threads in sizes:
        argv = Case(case.name, case.flags, side).arguments
        experiment = parse_args(argv, semantics="c").experiment
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            begin = time.time()
            result = nbdask.simulate(
                experiment, folder / "run.zarr", backend=backend, threads=threads
            )
            seconds = time.time() - begin
            written = sum(f.stat().st_size for f in Path(result.path).rglob("*") if f.is_file())
            disk = disk_seconds(folder / "plain", written)
        finally:
            shutil.rmtree(folder)
        yield {
            "name": f"{side} x {side}, {threads} threads",
            "steps": 100,
            "seconds": seconds,
            "estimated_seconds": result.plan.run_seconds,
            "tile": list(result.plan.grid.tile),
            "evaluations_per_second": side**2 * 100 / seconds,
            "bytes_written": written,
            "disk_seconds": disk,
            "from": begin,
            "to": begin + seconds,
        }


def cpu(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """Time the processor's kernel on all cores of the same machine."""
    cores = len(os.sched_getaffinity(0))
    for case in cases(amplitudes):
        for precision in ("float64", "mixed"):
            model = case_model(case, 24 if options.host else 512)
            kernel = get_kernel("cpu", precision)
            seconds = min(timing.kernel_image(model, kernel, cores, 64)[0] for _ in range(2))
            done = model.n_slow * model.n_fast * model.n_steps
            yield {
                "name": case.name,
                "precision": precision,
                "cores": cores,
                "evaluations_per_second": done / seconds,
            }


def port(options: argparse.Namespace, amplitudes: Path) -> Iterator[dict[str, Any]]:
    """Time the C program's CUDA port in double precision, which NB_CUDA_BIN names."""
    binary = os.environ["NB_CUDA_BIN"]
    case = cases(amplitudes)[0]
    argv = [*Case(case.name, case.flags, options.pixels).arguments, "-precision", "double"]
    idle, _ = timing.c_seconds(binary, [*argv, "-roi", "0", "0", "0", "0"], 1)
    seconds, image = timing.c_seconds(binary, argv, 1)
    model = case_model(case, options.pixels)
    kernel = gpu_kernel(options.host, "float64")
    ours, _ = kernel.image(model, Tile(0, model.n_slow, 0, model.n_fast), None)
    yield {
        "name": f"{case.name}, the C program's CUDA port",
        "seconds": seconds - idle,
        "evaluations_per_second": ours.size * model.n_steps / (seconds - idle),
        "deviation": golden_table.deviation(ours, image.reshape(ours.shape), float(image.max())),
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
