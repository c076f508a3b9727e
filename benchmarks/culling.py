"""What skipping groups of pixels gains, against the same loops that skip nothing, and against C.

    python -m benchmarks.culling [--repeats 5] [--only TEXT] [--c-binary nanoBragg] [--json FILE]

NBDASK_PROCESSOR=x86-64-v3 takes the loops of AVX2 on a processor that has AVX-512.

Processor time of one thread of the kernel alone, both loops in turn; the medians of so many rounds.
The sums of both must have the same bits, or with a cutoff lack no more than it allows.  Large cases
compute a strip of the detector across the beam, and loops that skip nothing a part of that.  The C
program is timed by its whole run less that for a single pixel.  Exit status 1: bits that differ.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from benchmarks.timing import c_seconds
from nbdask.experiment import Experiment
from nbdask.flags import from_args, parse_args
from nbdask.flags.own import Own
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.cpu import PRECISIONS, CpuKernel
from nbdask.kernels.cutoff import allowed_photons, even_photons
from nbdask.kernels.interface import Partial
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

DOMAINS = "-mosaic 0.5 -mosaic_dom 100 -oversample 1 -misset 10 20 30"
VIEW = "-lambda 1 -distance 100 -detpixels 512 -pixel 0.1"
CUBE, SMALL = "-cell 100 100 100 90 90 90", "-cell 40 40 40 90 90 90"
STILL = (
    "-cell 67.2 59.8 47.2 90 110.3 90 -N 25 -gauss_xtal -mosaic 0.05 -mosaic_dom 25 -oversample 1"
    " -lambda 1.7414 -distance 141.7 -detpixels 3000 -pixel 0.11 -misset 10 20 30"
    " -dispersion 0.5 -dispsteps 100"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One crystal.

    Parameters
    ----------
    flags : str
        nanoBragg's.
    strip, part : int
        Rows across the beam that are computed, and of them those that skip nothing; 0: all.
    listed : bool
        Whether there is a list of amplitudes.
    against_c : bool
        Whether the C program is timed.
    own : Own
        Options of nbdask beside.
    """

    flags: str
    strip: int = 0
    part: int = 0
    listed: bool = False
    against_c: bool = False
    own: Own = field(default_factory=Own)


CASES = {
    "gauss, 36 cells of 100 A": Case(f"{CUBE} -N 36 -gauss_xtal {DOMAINS} {VIEW}", against_c=True),
    "gauss, 36 cells of 40 A": Case(f"{SMALL} -N 36 -gauss_xtal {DOMAINS} {VIEW}"),
    "gauss, 20 cells of 100 A": Case(f"{CUBE} -N 20 -gauss_xtal {DOMAINS} {VIEW}"),
    "gauss, 10 cells of 100 A": Case(f"{CUBE} -N 10 -gauss_xtal {DOMAINS} {VIEW}"),
    "tophat, 10 cells of 100 A": Case(f"{CUBE} -N 10 -tophat_spots {DOMAINS} {VIEW}"),
    "tophat, 10 cells, 1000 domains": Case(
        f"{CUBE} -N 10 -tophat_spots {DOMAINS} -mosaic_dom 1000 {VIEW}", 64, 64
    ),
    "tophat, 36 cells of 100 A": Case(f"{CUBE} -N 36 -tophat_spots {DOMAINS} {VIEW}"),
    "100 energies x 25 domains, 3000^2": Case(STILL, 64, 4),
    "the same, amplitude list": Case(STILL, 64, 4, listed=True),
    "square, 5 cells": Case(f"{CUBE} -N 5 {DOMAINS} {VIEW}"),
}
#: An image of a small crystal at a free-electron laser: 10^12 photons on (3 um)^2, a jet of 0.1 mm.
PULSE = "-fluence 1.1e23 -beamsize 0.003"
BLOCK = f"{CUBE} -Na 36 -Nb 47 -Nc 29 {PULSE} {DOMAINS} {VIEW}"
FINE = BLOCK.replace("-oversample 1", "-oversample 15")
JET = ("water:0.1mm",)
#: A still at a synchrotron: 4 x 10^11 photons on (20 um)^2.
STILLS = "-fluence 1e21 -beamsize 0.02"
CASES |= {
    "square, 36 x 47 x 29, cutoff auto, no background": Case(BLOCK, own=Own(cutoff="auto")),
    "square, 36 x 47 x 29, cutoff auto, jet": Case(BLOCK, own=Own(cutoff="auto", background=JET)),
    "cutoff auto, jet, 15 x 15 sub-pixels": Case(
        FINE, 8, 8, own=Own(cutoff="auto", background=JET)
    ),
    "square, 36 x 47 x 29, cutoff 0.5": Case(BLOCK, own=Own(cutoff="0.5")),
    "cutoff 0.5, 15 x 15 sub-pixels": Case(FINE, 8, 8, own=Own(cutoff="0.5")),
    "square, 36 x 47 x 29, cutoff 50": Case(BLOCK, own=Own(cutoff="50")),
    "square, 36 x 47 x 29, cutoff auto, jet, synchrotron": Case(
        BLOCK.replace(PULSE, STILLS), own=Own(cutoff="auto", background=JET)
    ),
}


def protein(folder: Path) -> Path:
    """Write amplitudes as a protein of 50 000 atoms has them in a cell of 100 Angstrom.

    Of random phases (Wilson's distribution), with B 25 Angstrom^2 and the fall of f of carbon,
    about that of a B of 8.
    """
    path = folder / "protein.hkl"
    random = np.random.default_rng(0)
    places = np.mgrid[-40:41, -40:41, -40:41].reshape(3, -1).T
    stol2 = (places**2).sum(axis=1) / 200.0**2
    mean = 5e4 * 6.5**2 * np.exp(-2.0 * (25.0 + 8.0) * stol2)
    found = np.sqrt(random.exponential(size=len(places)) * mean)
    rows = zip(places, found, strict=True)
    path.write_text("\n".join(f"{h} {k} {el} {f:.2f}" for (h, k, el), f in rows) + "\n")
    return path


def amplitudes(folder: Path) -> Path:
    """Write a list of amplitudes that holds all indices of the large case."""
    path = folder / "list.hkl"
    random = np.random.default_rng(0)
    places = np.mgrid[-40:41, -36:37, -29:30].reshape(3, -1).T
    lines = [f"{h} {k} {el} {random.uniform(10, 200):.2f}" for h, k, el in places]
    path.write_text("\n".join(lines) + "\n")
    return path


def seconds(kernel: CpuKernel, model: Model, tile: Tile) -> tuple[float, np.ndarray]:
    """Return the processor time of a tile's sums, and the sums."""
    start = time.thread_time()
    total = kernel.partial(model, tile, StepRange(0, model.n_steps), None).total
    return time.thread_time() - start, total


def rates(case: Case, model: Model, precision: str, repeats: int) -> dict[str, Any]:
    """Return nanoseconds per evaluation with and without skipping, and whether bits are equal."""
    skipping, plain = CpuKernel(precision), CpuKernel(precision, skips=False)
    first = (model.n_slow - case.strip) // 2 if case.strip else 0
    rows = case.strip or model.n_slow
    tiles = [Tile(first, first + high, 0, model.n_fast) for high in (rows, case.part or rows)]
    found: list[list[float]] = [[], []]
    same = True
    for repeat in range(repeats + 1):
        sums = []
        for kernel, tile, times in zip((skipping, plain), tiles, found, strict=True):
            spent, total = seconds(kernel, model, tile)
            sums.append(total)
            # The first round makes tables.
            if repeat:
                times.append(1e9 * spent / (tile.pixels * model.n_steps))
        same = same and np.array_equal(sums[0][: len(sums[1])], sums[1])
    ours, all_of_it = (statistics.median(times) for times in found)
    return {
        "done": skipping.share(model)[0],
        "skipping [ns]": ours,
        "all [ns]": all_of_it,
        "ratio": all_of_it / ours,
        "whole detector on two cores [s]": ours * model.n_slow * model.n_fast * model.n_steps / 2e9,
        "same bits": same,
    }


def with_cutoff(case: Case, experiment: Experiment, precision: str, repeats: int) -> dict[str, Any]:
    """Return the same of loops that leave terms out, and the most that a pixel lacks of X.

    done: of a sample of the whole detector; done there: of the strip that is measured.
    """
    cutting, plain = CpuKernel(precision), CpuKernel(precision, skips=False)
    sampling = replace(experiment.sampling, cutoff=None)
    models = [build_model(experiment), build_model(experiment.replace(sampling=sampling))]
    first, rows = (models[0].n_slow - case.strip) // 2 if case.strip else 0, case.strip
    tile = Tile(first, first + (rows or models[0].n_slow), 0, models[0].n_fast)
    found: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):
        sums = []
        for kernel, model, times in zip((cutting, plain), models, found, strict=True):
            spent, total = seconds(kernel, model, tile)
            sums.append(total)
            if repeat:
                times.append(1e9 * spent / (tile.pixels * model.n_steps))
    ours, all_of_it = (statistics.median(times) for times in found)
    one = plain.finish(models[1], tile, Partial(np.full(tile.shape, 1e9), None, 0), None)
    allowed = allowed_photons(cutting, models[0], tile)
    assert models[0].cutoff is not None
    most = even_photons(models[0].cutoff) if allowed is None else allowed
    lacking = (sums[1] - sums[0]) * (one.astype(np.float64) / 1e9)
    return {
        "done": cutting.share(models[0])[0],
        "done there": _kept(cutting, models[0], tile),
        "skipping [ns]": ours,
        "all [ns]": all_of_it,
        "ratio": all_of_it / ours,
        "photons allowed": float(np.mean(most)),
        "most lacking, of what is allowed": float((lacking / most).max()),
        "within the cutoff": bool((lacking <= most).all()),
    }


def _kept(kernel: CpuKernel, model: Model, tile: Tile) -> float:
    """Return the share of a tile's evaluations that is done with a cutoff."""
    inputs = kernel._cutoff(model)
    if inputs is None:
        return 1.0
    done = kernel._sum_cut(model, inputs, tile, StepRange(0, model.n_steps), None)[1]
    return done / (tile.pixels * model.n_steps)


def c_rate(binary: str, words: list[str], evaluations: int) -> float:
    """Return the processor time of the C program [ns per evaluation], less that for one pixel."""
    spent = []
    for more in ([], ["-roi", "0", "0", "0", "0"]):
        before = _children()
        c_seconds(binary, [*words, *more], 1)
        spent.append(_children() - before)
    return 1e9 * (spent[0] - spent[1]) / evaluations


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Measure, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--c-binary", default=os.environ.get("NB_C_BIN"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="cases whose title holds this")
    asked = parser.parse_args()
    record: dict[str, Any] = {"machine": facts(), "load": os.getloadavg()[0], "cases": {}}
    with tempfile.TemporaryDirectory() as name:
        list_of_protein = protein(Path(name))
        structure = f"-hkl {amplitudes(Path(name))} -nointerpolate"
        for title, case in CASES.items():
            if asked.only not in title:
                continue
            words = f"{case.flags} {structure if case.listed else '-default_F 100'}".split()
            if case.own.cutoff is not None:
                words = [*case.flags.split(), "-hkl", str(list_of_protein), "-nointerpolate"]
                made = parse_args(words, own=case.own).experiment
                lacking = {"float64": with_cutoff(case, made, "float64", asked.repeats)}
                record["cases"][title] = lacking
                print(title, json.dumps(lacking, default=float), flush=True)
                continue
            model = build_model(from_args(words))
            found = {p: rates(case, model, p, asked.repeats) for p in PRECISIONS}
            if case.against_c and asked.c_binary:
                evaluations = model.n_slow * model.n_fast * model.n_steps
                one = c_rate(asked.c_binary, words, evaluations)
                for held in found.values():
                    held |= {"C [ns]": one, "C over skipping": one / held["skipping [ns]"]}
            record["cases"][title] = found
            print(title, json.dumps(found, default=float), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
    right = (p.get("same bits", True) for c in record["cases"].values() for p in c.values())
    within = (
        p.get("within the cutoff", True) for c in record["cases"].values() for p in c.values()
    )
    return int(not (all(right) and all(within)))


if __name__ == "__main__":
    sys.exit(main())
