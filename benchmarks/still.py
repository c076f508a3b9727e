"""A still of a protein with water, air and a SASE spectrum on 16 million pixels: time of each part.

    python -m benchmarks.still MODEL [--pixels 4096] [--markdown FILE] [--picture FILE]

MODEL is a PDB or mmCIF file.  Every part is done once, by one thread, and its processor time taken,
so that what else runs does not count: F at each photon energy, the model of the run, then tile by
tile what the crystal scatters (with and without further planes), what is scattered beside it, and
the store.  At last the same command runs as a user would run it, on all cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.machine import facts
from nbdask.amplitudes.make import made
from nbdask.amplitudes.request import Request
from nbdask.cli.main import main as main_of_nbdask
from nbdask.experiment import Experiment
from nbdask.flags import Own, parse_args
from nbdask.geometry.build import build_model
from nbdask.graph.context import RunContext
from nbdask.graph.tasks import compute_tile
from nbdask.kernels.planes import planes_of
from nbdask.kernels.registry import get_kernel
from nbdask.physics.shadow import beside_the_crystal
from nbdask.prepare import Settings, prepare
from nbdask.run import simulate
from nbdask.store.address import place_of
from nbdask.store.create import create_store
from nbdask.store.provenance import start_attributes
from nbdask.store.write import TileWriter

FLAGS = """-misset 10 20 30 -N 250 -lambda 1.3 -distance 300 -oversample 1 -mosaic 0.05
    -mosaic_domains 2 -flux 1e12 -exposure 1 -beamsize 0.002"""
DMIN = 2.0
SPECTRUM, MATERIALS = "sase:0.3%:0.08%:25:7", ("water:0.002mm", "air:2mm")


class Parts:
    """Processor time by part [s], in the order in which parts first came."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add what is done meanwhile to a part."""
        start = time.process_time()
        yield
        taken = time.process_time() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + taken


def experiment_of(model: str, pixels: int) -> Experiment:
    """Return the still; its detector has the same size whatever its pixels."""
    size = 307.2 / pixels
    words = [*FLAGS.split(), "-detpixels", str(pixels), "-pixel", f"{size:.6g}"]
    own = Own(spectrum=SPECTRUM, background=MATERIALS)
    return parse_args(words, own=own, amplitudes=Request(model=model, dmin=DMIN)).experiment


def measure(experiment: Experiment, folder: Path) -> Parts:
    """Do every part, one after the other."""
    parts = Parts()
    with parts.timed("F of the model at each photon energy"):
        made(experiment.structure)
    with parts.timed("the run's model: the same again, and all else before the first pixel"):
        build_model(experiment)
    model, plan, _ = prepare(experiment, Settings(backend="cpu"))
    kernel, out = get_kernel("cpu"), folder / "parts.zarr"
    attributes = start_attributes(experiment, plan, None, "threads")
    create_store(out, plan.grid, attributes, pixel_size=experiment.detector.pixel_size)
    writer = TileWriter(place_of(out, "fast"))
    context = RunContext.of(model, plan)
    for tile in plan.grid:
        with parts.timed("the crystal: all wavelengths and domains"):
            pixels, _ = kernel.image(model, tile, None)
        with parts.timed("water and air"):
            beside_the_crystal(model, tile, pixels, None)
        with parts.timed("with --planes: wavelength and hkl"):
            planes_of(kernel, model, tile)
    result = compute_tile(context, 0)
    assert result.image is not None
    with parts.timed("the store: checksums, compression, files"):
        for index, tile in enumerate(plan.grid):
            whole = np.resize(result.image, tile.shape)
            writer(index, tile, whole, result.summary)
    return parts


def markdown(parts: Parts, experiment: Experiment, wall: float) -> str:
    """Return the table as Markdown."""
    model, found = build_model(experiment), facts()
    side = experiment.shape[0]
    steps = f"{model.n_sources} wavelengths x {model.n_domains} mosaic domains"
    lines = [
        f"{side} x {side} pixels, {steps}, {model.n_tables} tables of F to {DMIN:g} Angstrom,"
        f" `--spectrum {SPECTRUM} {' '.join('--background ' + x for x in MATERIALS)}`. Processor"
        f" seconds of one thread; {found['cpu']}, which others used as well, {found['date']}.",
        "",
        "| part | s |",
        "|---|--:|",
        *(f"| {name} | {seconds:.1f} |" for name, seconds in parts.seconds.items()),
        "",
        f"The whole command without planes, on {found['cores']} cores that were shared with others:"
        f" {wall:.0f} s of wall time.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="Time the parts of a still.")
    parser.add_argument("model")
    parser.add_argument("--pixels", type=int, default=4096)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    experiment = experiment_of(options.model, options.pixels)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = measure(experiment, folder)
        start = time.perf_counter()
        simulate(experiment, folder / "run.zarr", progress=False)
        table = markdown(parts, experiment, time.perf_counter() - start)
        print(table)
        if options.markdown:
            options.markdown.write_text(table)
        if options.picture:
            words = ["preview", str(folder / "run.zarr"), "-o", str(options.picture)]
            main_of_nbdask([*words, "--size", "512"])


if __name__ == "__main__":
    main()
