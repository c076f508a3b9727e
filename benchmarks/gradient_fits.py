"""How long a fit takes and how well it finds what was true; the memory of normal equations.

python -m benchmarks.gradient_fits [--part demo|memory] [--out FILE]

The demo: a crystal 0.3 degree off, its cell 0.5 %, from one image with photon noise, background and
readout noise; orientation, cell and fluence are fitted.  The memory: the most that a process has
held after the normal equations of 13 parameters of images of several sizes, each in a process of
its own, with data that are read from a store.  Results are written as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nbdask
from benchmarks.gradients import CELL, MOST, amplitudes
from benchmarks.machine import facts
from nbdask.experiment import Beam, Crystal, Detector, Experiment, Sampling, StructureFactors
from nbdask.gradients.change import turned
from nbdask.gradients.parameters import value_of

BACKGROUND, READOUT = 2.0, 1.5
REFINED = "crystal.turn,crystal.cell,beam.fluence"
SIZES = (4096, 8192, 16384)


def true(pixels: int, cells: int = 12) -> Experiment:
    """Return the experiment that data come from: a still."""
    return Experiment(
        crystal=Crystal(cell=CELL, n_cells=(cells,) * 3, misset=(0.35, 0.17, 0.09)),
        structure=StructureFactors(reflections=amplitudes()),
        beam=Beam(wavelength=1.2e-10, fluence=3e27),
        detector=Detector(
            pixels_fast=pixels, pixels_slow=pixels, pixel_size=0.1 / pixels, distance=80e-3
        ),
        sampling=Sampling(oversample=1),
    )


def demo(cells: int, blur: tuple[float, ...] = (), pixels: int = 1024) -> dict[str, Any]:
    """Fit one noisy image.

    Returns
    -------
    dict
        Seconds on the clock and of both cores' time, steps, chi2 per pixel, and how far each
        parameter ends from the truth in its standard deviations.
    """
    truth, random = true(pixels, cells), np.random.default_rng(cells)
    image = nbdask.image(truth).values.astype(np.float64)
    data = random.poisson(image + BACKGROUND) + random.normal(0.0, READOUT, image.shape)
    axis = np.array([0.48, -0.6, 0.64])
    off = turned(truth, math.radians(0.3) * axis)
    cell = [edge * (1.0 + sign * 0.005) for edge, sign in zip(CELL[:3], (1, -1, 1), strict=True)]
    start = off.replace(crystal=replace(off.crystal, cell=(*cell, *CELL[3:])))
    begun, used = time.perf_counter(), time.process_time()
    found = nbdask.fit(start, data, REFINED, background=BACKGROUND, readout=READOUT, blur=blur)
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    return {
        "pixels": f"{pixels} x {pixels}",
        "cells": cells,
        "blur": list(blur),
        "seconds": round(seconds, 2),
        "seconds_of_cores": round(used, 2),
        "load": round(os.getloadavg()[0], 1),
        "steps": len(found.losses) - 1,
        "converged": found.converged,
        "chi2_per_pixel": round(found.chi2_per_pixel, 5),
        "sigmas_off": sigmas_off(found, truth),
    }


def sigmas_off(found: nbdask.FitResult, truth: Experiment) -> dict[str, float]:
    """Return by how many standard deviations each parameter is off."""
    sigma = dict(zip([p.name for p in found.parameters], found.sigma.tolist(), strict=True))
    off = dict(zip("xyz", turn_between(found.experiment, truth), strict=True))
    result = {f"crystal.turn.{n}": value / sigma[f"crystal.turn.{n}"] for n, value in off.items()}
    for name in (name for name in sigma if name not in result):
        there, here = (value_of(e, name) or 0.0 for e in (found.experiment, truth))
        result[name] = (there - here) / sigma[name]
    return {name: round(value, 2) for name, value in result.items()}


def turn_between(one: Experiment, other: Experiment) -> list[float]:
    """Return the small turn from the orientation of one crystal to that of another [rad]."""
    first, second = (rotation(e.crystal) for e in (one, other))
    turn = first @ second.T
    return [
        float(turn[2, 1] - turn[1, 2]) / 2,
        float(turn[0, 2] - turn[2, 0]) / 2,
        float(turn[1, 0] - turn[0, 1]) / 2,
    ]


def rotation(crystal: Crystal) -> np.ndarray:
    """Return the matrix that turns a crystal about x, then y, then z, by its misset."""
    assert isinstance(crystal.misset, tuple)
    (cx, cy, cz), (sx, sy, sz) = np.cos(crystal.misset), np.sin(crystal.misset)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def equations(pixels: int, store: str) -> dict[str, Any]:
    """Return what normal equations of 13 parameters take, here and now."""
    data = nbdask.open(store)["image"]
    before, begun = peak(), time.perf_counter()
    used = time.process_time()
    found = nbdask.normal_equations(true(pixels), data, MOST, background=BACKGROUND)
    return {
        "pixels": f"{pixels} x {pixels}",
        "parameters": len(found.gradient),
        "peak_mib": round(peak() / 2**20, 1),
        "before_mib": round(before / 2**20, 1),
        "seconds": round(time.perf_counter() - begun, 1),
        "seconds_of_cores": round(time.process_time() - used, 1),
        "counted": found.pixels,
    }


def peak() -> int:
    """Return the most bytes that this process has held; what its parent held does not count."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def memory() -> list[dict[str, Any]]:
    """Measure each size in a process of its own, which only opens the data."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for pixels in SIZES:
            store = str(Path(folder) / f"{pixels}.zarr")
            plain = true(pixels).replace(structure=StructureFactors(default_F=1.0))
            nbdask.simulate(plain, store, progress=False)
            argv = [sys.executable, "-m", "benchmarks.gradient_fits"]
            argv += ["--equations", str(pixels), store]
            told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
            results.append(json.loads(told))
            print(results[-1], flush=True)
    return results


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--part", choices=("demo", "memory"))
    parser.add_argument("--equations", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.equations is not None:
        print(json.dumps(equations(int(options.equations[0]), options.equations[1])))
        return
    held = options.out is not None and options.out.exists()
    results: dict[str, Any] = json.loads(options.out.read_text()) if held else {}
    results["machine"] = facts()
    if options.part in (None, "demo"):
        # Spots of 21 cells are so narrow that those of the start do not touch the data's.
        results["demo"] = [demo(9), demo(12), demo(21, (8, 4))]
        for found in results["demo"]:
            print(found)
    if options.part in (None, "memory"):
        results["memory"] = memory()
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
