"""A gradient here and by PyTorch's backward pass in nanobrag_torch: same values, same core.

NBDASK_TORCH_PORT=FOLDER python -m benchmarks.gradients_torch [--out FILE] [--pixels N]

FOLDER holds the package ``nanobrag_torch`` (github.com/hoidn/nanoBragg, folder ``src``), which
needs PyTorch.  L is a weighted sum of all pixels; both sides give dL/dp of the same parameters, in
float64, from start to end: set-up, image and derivatives.  One thread; processor time, best of
several; the port as it is and with ``torch.compile`` (NANOBRAGG_DISABLE_COMPILE), whichever is
asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nbdask
from benchmarks.machine import facts
from nbdask.experiment import Experiment
from nbdask.gradients.work import image_of

PORT = "NBDASK_TORCH_PORT"
DEGREE = math.pi / 180.0
#: Parameter here -> its value in the port's unit, and that unit in ours.
PARAMETERS = {
    "crystal.cell.a": (41.0, 1e-10),
    "crystal.cell.b": (47.0, 1e-10),
    "crystal.cell.c": (53.0, 1e-10),
    "crystal.cell.alpha": (88.0, DEGREE),
    "crystal.cell.beta": (95.0, DEGREE),
    "crystal.cell.gamma": (102.0, DEGREE),
    "crystal.misset.x": (10.0, DEGREE),
    "crystal.misset.y": (20.0, DEGREE),
    "crystal.misset.z": (30.0, DEGREE),
    "detector.distance": (50.0, 1e-3),
    "detector.rotx": (2.0, DEGREE),
    "detector.roty": (-1.0, DEGREE),
    "detector.rotz": (3.0, DEGREE),
}
FLUENCE, WAVELENGTH, PIXEL, SHARE = 1e24, 1.2, 0.1, 0.47
MOST = 14


class Case(NamedTuple):
    """A run: pixels along an edge, cells along each axis, steps of the rotation."""

    pixels: int
    cells: tuple[int, int, int]
    steps: int

    @property
    def beam(self) -> tuple[float, float]:
        """Xbeam and Ybeam [mm]."""
        return SHARE * self.pixels * PIXEL, 1.1 * SHARE * self.pixels * PIXEL


class Found(NamedTuple):
    """What one side finds.

    Attributes
    ----------
    image : (slow, fast) float64 array
    slopes : dict of str to float
        dL/dp by name in the port's units.
    gradient, alone : float
        Seconds of a gradient and of an image.
    sizes : dict of str to float
        Sums of the absolute values that add up to dL/dp.
    """

    image: np.ndarray[Any, Any]
    slopes: dict[str, float]
    gradient: float
    alone: float
    sizes: dict[str, float]


def amplitudes() -> np.ndarray[Any, Any]:
    """Return random amplitudes of indices from -MOST to MOST."""
    return np.random.default_rng(5).uniform(5, 150, (2 * MOST + 1,) * 3)


def pull(case: Case) -> np.ndarray[Any, Any]:
    """Return dL/dI of each pixel."""
    return np.random.default_rng(6).normal(size=(case.pixels, case.pixels))


def experiment_of(case: Case) -> Experiment:
    """Return the case for nbdask."""
    value = {name: number for name, (number, _) in PARAMETERS.items()}
    words = ["-cell", *(value[f"crystal.cell.{n}"] for n in ("a", "b", "c"))]
    words += [value[f"crystal.cell.{n}"] for n in ("alpha", "beta", "gamma")]
    words += ["-misset", *(value[f"crystal.misset.{n}"] for n in "xyz")]
    words += ["-Na", case.cells[0], "-Nb", case.cells[1], "-Nc", case.cells[2], "-default_F", 1]
    words += ["-lambda", WAVELENGTH, "-fluence", FLUENCE, "-distance", value["detector.distance"]]
    words += ["-pixel", PIXEL, "-detpixels", case.pixels, "-oversample", 1]
    words += ["-Xbeam", case.beam[0], "-Ybeam", case.beam[1]]
    for axis in "xyz":
        words += [f"-detector_rot{axis}", value[f"detector.rot{axis}"]]
    words += ["-phi", 0, "-osc", 0.8, "-phisteps", case.steps]
    experiment = nbdask.from_args([str(word) for word in words])
    grid = amplitudes()
    rows = tuple(
        (h - MOST, k - MOST, el - MOST, float(f)) for (h, k, el), f in np.ndenumerate(grid)
    )
    return experiment.replace(structure=nbdask.StructureFactors(reflections=rows))


def ours(case: Case, times: int) -> Found:
    """Return what nbdask finds."""
    experiment, weights = experiment_of(case), pull(case)

    def gradient() -> dict[str, float]:
        return nbdask.adjoint(
            experiment, weights, list(PARAMETERS), backend="cpu", tile=case.pixels
        ).values

    slopes, seconds = best(gradient, times)
    image, alone = best(lambda: image_of(experiment, "cpu", case.pixels), times)
    units = {name: unit for name, (_, unit) in PARAMETERS.items()}
    planes = nbdask.gradient(experiment, list(PARAMETERS), backend="cpu")["gradient"].values
    sums = np.abs(planes * weights).sum(axis=(1, 2))
    sizes = {name: float(x) * units[name] for name, x in zip(PARAMETERS, sums, strict=True)}
    return Found(image, {n: x * units[n] for n, x in slopes.items()}, seconds, alone, sizes)


class Port:
    """The port, found in a folder."""

    def __init__(self, folder: str) -> None:
        sys.path.insert(0, folder)
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(1)
        self.config = importlib.import_module("nanobrag_torch.config")
        self.crystal = importlib.import_module("nanobrag_torch.models.crystal")
        self.detector = importlib.import_module("nanobrag_torch.models.detector")
        self.simulator = importlib.import_module("nanobrag_torch.simulator")

    def image(self, case: Case, tensors: dict[str, Any]) -> Any:
        """Return the image as a function of the parameters."""
        torch, config = self.torch, self.config
        cell = {f"cell_{n.rsplit('.')[-1]}": t for n, t in tensors.items() if ".cell." in n}
        crystal = config.CrystalConfig(
            **cell,
            misset_deg=tuple(tensors[f"crystal.misset.{axis}"] for axis in "xyz"),
            N_cells=case.cells,
            osc_range_deg=0.8,
            phi_steps=case.steps,
        )
        tilts = {f"detector_rot{a}_deg": tensors[f"detector.rot{a}"] for a in "xyz"}
        detector = config.DetectorConfig(
            distance_mm=tensors["detector.distance"],
            pixel_size_mm=PIXEL,
            spixels=case.pixels,
            fpixels=case.pixels,
            beam_center_s=case.beam[0],
            beam_center_f=case.beam[1],
            oversample=1,
            **tilts,
        )
        beam = config.BeamConfig(wavelength_A=WAVELENGTH, fluence=FLUENCE)
        kind = {"dtype": torch.float64}
        lattice = self.crystal.Crystal(crystal, beam_config=beam, **kind)
        lattice.hkl_data = torch.tensor(amplitudes(), **kind)
        lattice.hkl_metadata = {f"{axis}_min": -MOST for axis in "hkl"}
        lattice.hkl_metadata |= {f"{axis}_max": MOST for axis in "hkl"}
        placed = self.detector.Detector(detector, **kind)
        return self.simulator.Simulator(lattice, placed, beam_config=beam, **kind).run()

    def found(self, case: Case, times: int) -> Found:
        """Return what the port finds."""
        torch = self.torch
        weights = torch.tensor(pull(case))

        def tensors(wanted: bool) -> dict[str, Any]:
            return {
                name: torch.tensor(value, dtype=torch.float64, requires_grad=wanted)
                for name, (value, _) in PARAMETERS.items()
            }

        def gradient() -> dict[str, float]:
            given = tensors(True)
            (self.image(case, given) * weights).sum().backward()
            return {name: float(t.grad) for name, t in given.items()}

        slopes, seconds = best(gradient, times)
        with torch.no_grad():
            image, alone = best(lambda: self.image(case, tensors(False)), times)
        return Found(image.numpy(), slopes, seconds, alone, {})


def best(work: Callable[[], Any], times: int) -> tuple[Any, float]:
    """Return a result and the least processor time of all threads [s]; the first call warms up."""
    result, least = work(), math.inf
    for _ in range(times):
        start = time.process_time()
        result = work()
        least = min(least, time.process_time() - start)
    return result, least


def compared(case: Case, port: Port, times: int) -> dict[str, Any]:
    """Return times, their ratio, and how far both sides are apart."""
    mine, theirs = ours(case, times), port.found(case, times)
    away = np.abs(mine.image - theirs.image).max() / np.abs(theirs.image).max()
    slopes = {n: abs(mine.slopes[n] - x) / mine.sizes[n] for n, x in theirs.slopes.items()}
    return {
        "case": case._asdict(),
        "ours_s": {"gradient": mine.gradient, "image": mine.alone},
        "port_s": {"gradient": theirs.gradient, "image": theirs.alone},
        "port_over_ours": theirs.gradient / mine.gradient,
        "image_apart": away,
        "slopes_apart": max(slopes.values()),
        "compiled": os.environ.get("NANOBRAGG_DISABLE_COMPILE", "0") != "1",
    }


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    folder = os.environ.get(PORT)
    if folder is None:
        parser.exit(2, f"{PORT} is not set: give the folder that holds nanobrag_torch\n")
    results = []
    # The port prints remarks.
    with contextlib.redirect_stdout(io.StringIO()):
        port = Port(folder)
        for cells in ((12, 12, 12), (5, 5, 5)):
            results.append(compared(Case(options.pixels, cells, 20), port, options.times))
    print(json.dumps(results, indent=1))
    if options.out is not None:
        made = {"machine": facts(), "torch": port.torch.__version__, "results": results}
        options.out.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
