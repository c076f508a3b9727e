"""How an image converges with the number of mosaic domains: random, paired and quasi-random ones.

    python -m benchmarks.domains [--out docs/images/domains.png]

The error is the rms difference from an image with 32768 quasi-random domains, over the rms of that
image.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import Experiment, Mosaic
from nbdask.flags import from_args
from nbdask.geometry.build import build_model, domain_count
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

matplotlib.use("Agg")

WORDS = (
    "-cell 79 79 38 90 90 90 -default_F 100 -N 20 -lambda 1 -distance 100 -detpixels 256 -pixel 0.4"
    " -oversample 1 -misset 13 27 41 -mosaic 0.3"
)
COUNTS = tuple(2**k for k in range(2, 13))
SERIES = {
    "cap, random": Mosaic(),
    "cap, Sobol": Mosaic(sampling="sobol"),
    "Gaussian, random pairs": Mosaic(model="gauss"),
    "Gaussian, Sobol": Mosaic(model="gauss", sampling="sobol"),
}
TOLERANCES = (1e-1, 3e-2, 1e-2)


def with_domains(experiment: Experiment, mosaic: Mosaic, count: int | None) -> Experiment:
    """Return the experiment with other domains."""
    crystal = dataclasses.replace(experiment.crystal, mosaic=mosaic, mosaic_domains=count)
    return experiment.replace(crystal=crystal)


def image_of(experiment: Experiment) -> NDArray[np.float64]:
    """Return the image."""
    model, kernel = build_model(experiment), get_kernel("cpu", "float64")
    tile = Tile(0, model.n_slow, 0, model.n_fast)
    partial = kernel.partial(model, tile, StepRange(0, model.n_steps), None)
    return kernel.finish(model, tile, partial, None).astype(np.float64)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/domains.png"))
    options = parser.parse_args()
    base = from_args(WORDS.split())
    figure, axes = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    colours = dict(zip(SERIES, ("#d95f02", "#1b9e77", "#7570b3", "#66a61e"), strict=True))
    exact: dict[str, NDArray[np.float64]] = {}
    for name, mosaic in SERIES.items():
        quasi = dataclasses.replace(mosaic, sampling="sobol")
        if quasi.model not in exact:
            exact[quasi.model] = image_of(with_domains(base, quasi, 2**15))
        whole = exact[quasi.model]
        scale = float(np.sqrt(np.mean(whole**2)))
        errors = []
        for count in COUNTS:
            found = image_of(with_domains(base, mosaic, count))
            errors.append(float(np.sqrt(np.mean((found - whole) ** 2))) / scale)
        print(
            f"{name:24s}",
            " ".join(f"{count}: {e:.2e}" for count, e in zip(COUNTS, errors, strict=True)),
        )
        axes.loglog(COUNTS, errors, "o-", color=colours[name], label=name, markersize=4)
        if mosaic.sampling == "random":
            continue
        for tolerance in TOLERANCES:
            asked = with_domains(base, dataclasses.replace(mosaic, tolerance=tolerance), None)
            count = domain_count(asked)
            error = float(np.sqrt(np.mean((image_of(asked) - whole) ** 2))) / scale
            print(f"{name:24s} auto:{tolerance:g}: {count} domains, error {error:.2e}")
    axes.set_xlabel("mosaic domains")
    axes.set_ylabel("rms error / rms of the image")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(options.out, dpi=80)


if __name__ == "__main__":
    main()
