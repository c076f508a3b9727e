"""What derivatives cost: planes, normal equations and adjoint against the image of the same run.

Of gratings of many cells also in mixed precision, against the same image in float64.

python -m benchmarks.gradients [--edge PIXELS] [--out FILE]

One thread, its own processor time (so that other programs matter little), best of several rounds.
Prints a table and writes results as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from nbdask.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    Sampling,
    Scan,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.gradients.basis import Basis, basis_of
from nbdask.gradients.compiled import CpuSlopes, Pull
from nbdask.gradients.normal import Errors
from nbdask.gradients.parameters import parameters_of
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.pack import pack
from nbdask.kernels.params import CODES
from nbdask.plan.tiles import Tile

RIGHT = math.pi / 2
CELL = (4.1e-9, 4.7e-9, 5.3e-9, RIGHT, RIGHT, RIGHT)
PLACE = "detector.distance,detector.beam_x,detector.beam_y"
TILT = "detector.rotx,detector.roty,detector.rotz"
#: Pixels of the image along each axis.
EDGE = 128
MOST = "crystal.misset,crystal.cell,crystal.n_cells,beam.fluence"
THIRTEEN = "13 and cells, fluence"
#: How often each thing is measured.
ROUNDS = 24
#: Parameters by what the table calls them.
SETS = {
    "3 misset": "crystal.misset",
    "3 detector": PLACE,
    "6 cell": "crystal.cell",
    "9 misset, cell": "crystal.misset,crystal.cell",
    THIRTEEN: MOST,
    "21 and detector, wavelength": f"{MOST},{PLACE},{TILT},beam.wavelength,beam.polarization",
}


def amplitudes() -> tuple[tuple[int, int, int, float], ...]:
    """Return 24,389 random amplitudes."""
    random = np.random.default_rng(5)
    places = np.mgrid[-14:15, -14:15, -14:15].reshape(3, -1).T
    return tuple((int(h), int(k), int(el), random.uniform(5, 150)) for h, k, el in places)


def cases(edge: int = EDGE) -> dict[str, Experiment]:
    """Return what is measured, of so many pixels along each axis."""
    many = Experiment(
        crystal=Crystal(
            cell=CELL,
            n_cells=(12, 12, 12),
            misset=(0.1, 0.2, 0.3),
            mosaic_spread=0.01,
            mosaic_domains=20,
        ),
        structure=StructureFactors(reflections=amplitudes()),
        beam=Beam(wavelength=1.2e-10, fluence=1e24),
        detector=Detector(pixels_fast=edge, pixels_slow=edge, distance=50e-3),
        scan=Scan(osc=0.01, count=2),
        sampling=Sampling(oversample=1),
    )

    def crystal(**changes: object) -> Experiment:
        return replace(many, crystal=replace(many.crystal, **changes))  # type: ignore[arg-type]

    still = replace(
        crystal(mosaic_spread=None, mosaic_domains=None),
        scan=Scan(),
        sampling=Sampling(oversample=2),
    )
    return {
        "12 cells, list, 40 orientations": many,
        "5 cells, list, 40 orientations": crystal(n_cells=(5, 5, 5)),
        "12 cells, list, still, 4 sub-pixels": still,
        "round, list, 40 orientations": crystal(shape="round"),
        "gauss, list, 40 orientations": crystal(shape="gauss"),
    }


def taken(work: Callable[[], Any]) -> float:
    """Return the processor time of this thread [s], of the second of two calls."""
    work()
    start = time.thread_time()
    work()
    return time.thread_time() - start


def measure(experiment: Experiment) -> dict[str, float]:
    """Return nanoseconds per evaluation of the image and of everything with derivatives."""
    model = build_model(experiment)
    tile = Tile(0, model.n_slow, 0, model.n_fast)
    per = 1e9 / (tile.pixels * model.n_steps)
    works, found = jobs(experiment, model, tile), dict[str, float]()
    # In turns, so that all of them meet the same other programs.
    for _ in range(ROUNDS):
        for name, work in works.items():
            found[name] = min(found.get(name, math.inf), per * taken(work))
    return found


def jobs(experiment: Experiment, model: Model, tile: Tile) -> dict[str, Callable[[], Any]]:
    """Return what is measured of an experiment."""
    image, slopes, mixed = CpuKernel(), CpuSlopes(), CpuSlopes(precision="mixed")
    found: dict[str, Callable[[], Any]] = {"image": lambda: image.image(model, tile, None)}
    data = np.ones(tile.shape)

    def planes(kernel: CpuSlopes, basis: Basis) -> Callable[[], Any]:
        return lambda: kernel.planes(model, basis, tile, None)

    for name, text in SETS.items():
        basis = basis_of(experiment, model, parameters_of(text))
        found[name] = planes(slopes, basis)
        if name.startswith("9") and pack(model).values["lattice"] == CODES["GRATING"]:
            found["9, mixed"] = planes(mixed, basis)
    most = basis_of(experiment, model, parameters_of(MOST))
    errors, pull = Errors(1.0).numbers(), Pull(data, amplitudes=True)
    found["normal equations, 13"] = lambda: slopes.equations(model, most, tile, None, data, errors)
    found["adjoint, 13, 24389 amplitudes"] = lambda: slopes.pulled(model, most, tile, None, pull)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--edge", type=int, default=EDGE)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {name: measure(experiment) for name, experiment in cases(options.edge).items()}
    print(table(results))
    if options.out is not None:
        made = {"machine": facts(), "edge": options.edge, "ns_per_evaluation": results}
        options.out.write_text(json.dumps(made, indent=1) + "\n")


def table(results: dict[str, dict[str, float]]) -> str:
    """Return the ratios to the image as a table."""
    rows = [name for name in next(iter(results.values())) if name != "image"]
    lines = [
        "| | " + " | ".join(results) + " |",
        "|---|" + "---|" * len(results),
        "| image, ns per evaluation | "
        + " | ".join(f"{found['image']:.2f}" for found in results.values())
        + " |",
    ]
    for name in rows:
        ratios = (
            f"{found[name] / found['image']:.2f}" if name in found else "-"
            for found in results.values()
        )
        lines.append(f"| {name} | " + " | ".join(ratios) + " |")
    over = (f"{f['normal equations, 13'] / f[THIRTEEN]:.2f}" for f in results.values())
    lines.append("| normal equations over the planes of 13 | " + " | ".join(over) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
