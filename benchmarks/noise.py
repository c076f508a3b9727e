"""Statistics of the photon noise against SciPy, and the cost of noise beside the simulation.

python -m benchmarks.noise [--pixels 2048] [--samples 2000] [--folder benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import nbdask
from benchmarks.machine import facts
from nbdask import derive
from nbdask.derive.block import Block
from nbdask.derive.noise import noise
from tests.derive.support import chi_square, moments

MEANS = (1e-4, 1e-3, 0.01, 0.1, 1.0, 3.0, 9.99, 10.0, 30.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)
#: 100 evaluations per pixel: phi steps of a square crystal.
FLAGS = "-cell 70 80 90 90 90 90 -default_F 100 -N 10 -lambda 1 -distance 100 -oversample 1"
SCAN = "-phi 0.1 -osc 1 -phisteps 100"
PIPELINES = {
    "Poisson": (derive.Poisson(),),
    "Poisson, Gaussian 1.5 px, read-out": (
        derive.Poisson(),
        derive.GaussianPSF(1.5),
        derive.Readout(3.0),
    ),
    "Poisson, fibre 1.5 px (radius 30), read-out": (
        derive.Poisson(),
        derive.FibrePSF(1.5),
        derive.Readout(3.0),
    ),
}


def statistics(side: int) -> list[dict[str, Any]]:
    """Return p-value, deviations of the moments and time for each mean."""
    block = Block((123, 456), 1, 0, 16)
    records = []
    for number, mean in enumerate(MEANS):
        counts = np.full((side, side), mean)
        start = time.process_time()
        block._replace(frame=number).poisson(counts)
        seconds = time.process_time() - start
        first, second = moments(counts, mean)
        p = chi_square(counts, mean)
        ns = 1e9 * seconds / counts.size
        records.append(
            {"mean": mean, "samples": counts.size, "p": p, "m1": first, "m2": second, "ns": ns}
        )
    return records


def costs(pixels: int) -> list[dict[str, Any]]:
    """Return the processor time of a simulation and of the noise that is added to it."""
    argv = [*FLAGS.split(), *SCAN.split(), "-detpixels"]
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for side in (64, pixels):  # The first compiles.
            experiment = nbdask.from_args([*argv, str(side)])
            bare = Path(folder, f"bare{side}.zarr")
            start = time.process_time()
            result = nbdask.simulate(experiment, bare)
            simulated = time.process_time() - start
            records = []
            for number, (name, steps) in enumerate(PIPELINES.items()):
                out = Path(folder, f"noisy{side}-{number}.zarr")
                start = time.process_time()
                noise(bare, out, derive.Pipeline(steps, seed=1))
                seconds = time.process_time() - start
                records.append(
                    {
                        "steps": name,
                        "mean": result.statistics.mean,
                        "simulation_ns": 1e9 * simulated / side**2,
                        "noise_ns": 1e9 * seconds / side**2,
                        "ratio": (simulated + seconds) / simulated,
                    }
                )
    return records


def markdown(result: dict[str, Any]) -> str:
    """Return both tables."""
    machine = result["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}, numpy"
        f" {machine['versions']['numpy']}; nbdask {machine['nbdask']} built by"
        f" {machine['library']}; {machine['date']}.",
        "",
        "### Photon noise against the Poisson distribution of SciPy",
        "",
        "Deviations of mean and variance in their standard errors; p of a chi-square test with up"
        " to 40 bins; processor time of one core.",
        "",
        "| mean | samples | chi-square p | mean, deviation | variance, deviation | ns/pixel |",
        "|---|---|---|---|---|---|",
    ]
    for r in result["statistics"]:
        lines.append(
            f"| {r['mean']:g} | {r['samples']} | {r['p']:.3f} | {r['m1']:+.2f} | {r['m2']:+.2f}"
            f" | {r['ns']:.0f} |"
        )
    lines += [
        "",
        "### Noise beside the simulation, 100 evaluations per pixel",
        "",
        f"Whole stores of {result['pixels']} x {result['pixels']} pixels, reading and writing"
        " included; processor time of all cores; the ratio is (simulation + noise) / simulation.",
        "",
        "| steps | mean photons | simulation, ns/pixel | noise, ns/pixel | ratio |",
        "|---|---|---|---|---|",
    ]
    for r in result["costs"]:
        lines.append(
            f"| {r['steps']} | {r['mean']:.3g} | {r['simulation_ns']:.0f} | {r['noise_ns']:.0f}"
            f" | {r['ratio']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=2000, help="samples of a mean: its square")
    parser.add_argument("--folder", default=str(Path(__file__).parent / "results"))
    options = parser.parse_args()
    result = {
        "machine": facts(),
        "pixels": options.pixels,
        "statistics": statistics(options.samples),
        "costs": costs(options.pixels),
    }
    text = markdown(result)
    print(text)
    Path(options.folder, "noise.json").write_text(json.dumps(result, indent=1) + "\n")
    Path(options.folder, "noise.md").write_text(text)


if __name__ == "__main__":
    main()
