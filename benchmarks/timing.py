"""Timing of our kernels, of our whole command, and of the nanoBragg C program."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.kernels.interface import Kernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile, TileGrid


def kernel_image(
    model: Model, kernel: Kernel, threads: int, tile: int = 256
) -> tuple[float, NDArray[np.float32]]:
    """Evaluate a whole detector with a kernel alone: no dask, no store.

    Parameters
    ----------
    model : Model
    kernel : Kernel
    threads : int
        Threads that share the tiles.
    tile : int
        Tile edge [pixels].

    Returns
    -------
    seconds : float
    image : (n_slow, n_fast) float32 array
    """
    image = np.empty((model.n_slow, model.n_fast), dtype=np.float32)
    grid = TileGrid(image.shape, (tile, tile))
    steps = StepRange(0, model.n_steps)

    def work(place: Tile) -> None:
        total = kernel.partial(model, place, steps, None)
        image[place.slow0 : place.slow1, place.fast0 : place.fast1] = kernel.finish(
            model, place, total, None
        )

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, grid))
    return time.perf_counter() - start, image


def c_seconds(binary: str, argv: Sequence[str], threads: int) -> tuple[float, NDArray[np.float32]]:
    """Run the C program in a fresh folder; return its wall time and its image."""
    folder = tempfile.mkdtemp()
    try:
        command = [binary, *argv, "-floatfile", "image.bin", "-nonoise", "-nopgm", "-noprogress"]
        start = time.perf_counter()
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - start
        return seconds, np.fromfile(Path(folder) / "image.bin", "<f4")
    finally:
        shutil.rmtree(folder)


def c_kernel_seconds(binary: str, argv: Sequence[str], threads: int) -> float:
    """Return the time that the C program spends on pixels.

    It is the whole run less the same run for a single pixel, which starts up, reads the
    amplitudes and writes the image all the same.
    """
    whole, _ = c_seconds(binary, argv, threads)
    idle, _ = c_seconds(binary, [*argv, "-roi", "0", "0", "0", "0"], threads)
    return whole - idle


def command_seconds(argv: Sequence[str]) -> float:
    """Run ``nbdask simulate`` as a separate process, to a store; return its wall time.

    Parameters
    ----------
    argv : sequence of str
        nanoBragg flags and our options, without ``--out``.
    """
    folder = tempfile.mkdtemp()
    try:
        command = [sys.executable, "-m", "nbdask", "simulate", *argv, "--quiet", "--out"]
        start = time.perf_counter()
        subprocess.run([*command, str(Path(folder) / "run.zarr")], env=_environment(), check=True)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)


#: Runs a command and prints the modules that it loaded, in order.
_LOADED = """
import json, sys
from nbdask.cli.main import main
from nbdask.cli.startup import claim_process
claim_process()
if main(sys.argv[1:]):
    sys.exit(1)
print(json.dumps(list(sys.modules)))
"""
#: Loads these modules as a command does and prints the seconds that it took.
_LOAD = """
import contextlib, gc, json, sys, time
names = json.load(sys.stdin)
start = time.perf_counter()
gc.set_threshold(50_000)
import nbdask.cli.main
from nbdask.cli.startup import claim_process, import_zarr
claim_process()
import_zarr()
for name in names:
    with contextlib.suppress(ImportError):
        __import__(name)
print(time.perf_counter() - start)
"""


def import_seconds(argv: Sequence[str]) -> float:
    """Return how long it takes to import all modules that ``nbdask simulate`` uses.

    Parameters
    ----------
    argv : sequence of str
        As for :func:`command_seconds`.

    Returns
    -------
    float
        Seconds in a fresh process, without the start of the interpreter.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = ["simulate", *argv, "--quiet", "--out", str(Path(folder) / "run.zarr")]
        loaded = _python(_LOADED, *given)
    return float(_python(_LOAD, text=json.dumps(json.loads(loaded))))


def _python(script: str, *argv: str, text: str = "") -> str:
    command = [sys.executable, "-c", script, *argv]
    done = subprocess.run(
        command, env=_environment(), input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def _environment() -> dict[str, str]:
    """Return the environment of a user, whose modules are compiled once and for all."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def checksum(image: NDArray[np.float32]) -> str:
    """Return the SHA-256 of an image's bytes."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
