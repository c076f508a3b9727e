"""Series of shots in DIALS: made, processed, and compared with their truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nbdask
from tests.dials.program import Dials
from tests.dials.samples import CELL, amplitudes
from tests.helpers import ROOT

Floats = NDArray[np.float64]

#: Spots of two pixels' width, on water; what a detector would count.
CRYSTAL = (
    "-cell 79.1 79.1 38.4 90 90 90 -lambda 0.9768 -hkl P1.hkl -Na 10 -Nb 10 -Nc 14 -gauss_xtal"
    " -oversample 2 -fluence 1e28 -water 0.3 --keep-float no --seed 3 --psf-gauss 1.5px --integers"
    " --dtype int32 --quiet"
)
STILLS = (
    f"{CRYSTAL} -distance 110 -detpixels 1000 -pixel 0.1 -mosaic_spread 0.05 -mosaic_dom 10"
    " --orientations random:1"
)
SCAN = (
    f"{CRYSTAL} -misset 20 50 70 -distance 150 -detpixels 1024 -pixel 0.075 -phisteps 10"
    " --scan 0:15:0.25"
)
FRAMES, WIDTH, STEPS = 60, 0.25, 10
#: Reflections of larger d are in the sphere for longer than boxes of one width hold [Angstrom].
LEAST = 15.0
KNOWN = "79.1,79.1,38.4,90,90,90"
#: How far cells [relative] and orientations [degrees] may be off.
CELL_BOUND, ANGLE_BOUND = 0.003, 0.1


def nbdask_in(folder: Path, *words: str) -> None:
    """Run a command of nbdask in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "nbdask", *words]
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"


def make(folder: Path, flags: str) -> None:
    """Simulate a series as ``run.zarr``; export it as ``run.nxs``, with ``truth.expt``."""
    amplitudes(folder / "P1.hkl")
    nbdask_in(folder, "simulate", *flags.split(), "--out", "run.zarr")
    nbdask_in(folder, "export", "run.zarr", "run.nxs", "truth.expt")


def index_stills(dials: Dials, folder: Path) -> list[dict[str, Any]]:
    """Index every still by itself; return cell and misorientation of those that were."""
    dials.run(
        folder, "dials.stills_process", "run.nxs", "mp.nproc=1", "dispatch.integrate=False",
        "indexing.method=fft1d", f"indexing.known_symmetry.unit_cell={KNOWN}",
        "indexing.known_symmetry.space_group=P4", "indexing.stills.indexer=sequences",
        "indexing.basis_vector_combinations.max_refine=1",
    )  # fmt: skip
    found: list[dict[str, Any]] = dials.look(
        folder, "stills", "truth.expt", "idx-0000_refined.expt"
    )
    return found


def right(one: dict[str, Any]) -> bool:
    """Whether an indexed crystal is the simulated one, in any setting of its lattice."""
    off = np.abs(np.array(one["cell"]) / np.array(CELL) - 1.0)
    return bool(one["same_lattice"] and off.max() < CELL_BOUND and one["angle"] < ANGLE_BOUND)


def strong_spots(dials: Dials, folder: Path) -> dict[str, Any]:
    """Find spots without knowing anything; return image, place and counts of each."""
    dials.run(folder, "dials.import", "run.nxs")
    dials.run(folder, "dials.find_spots", "imported.expt", "nproc=1")
    found: dict[str, Any] = dials.look(folder, "spots", "strong.refl")
    return found


def spots_against_truth(found: dict[str, Any], store: Path) -> dict[str, float]:
    """Return how far strong spots are from the nearest true reflection of their still.

    Returns
    -------
    dict
        Number of spots, share with a true one within 2 pixels, and of these the median distance,
        the distance of nine of ten, and the median shift [pixels].
    """
    truth = nbdask.ground_truth(store, reflections=True).to_pandas(reflections=True)
    image, fast, slow = (np.array(found[name]) for name in ("image", "fast", "slow"))
    off = []
    for shot, rows in truth[truth.photons > 20.0].groupby("shot"):
        mine = image == shot
        # DIALS counts from the outer edge of the first pixel.
        df = fast[mine, None] - 0.5 - rows.fast_centroid.to_numpy()
        ds = slow[mine, None] - 0.5 - rows.slow_centroid.to_numpy()
        nearest = np.arange(len(df)), np.argmin(np.hypot(df, ds), axis=1)
        off.append(np.column_stack([df[nearest], ds[nearest]]))
    both = np.concatenate(off)
    distance = np.hypot(*both.T)
    near = distance < 2.0
    return {
        "spots": len(image),
        "true": float(near.sum() / len(image)),
        "median": float(np.median(distance[near])),
        "nine of ten": float(np.quantile(distance[near], 0.9)),
        "shift": float(np.hypot(*np.median(both[near], axis=0))),
    }


def integrate_scan(dials: Dials, folder: Path) -> dict[str, Any]:
    """Index, refine and integrate a scan whose spots were found; return what was integrated."""
    dials.run(
        folder, "dials.index", "imported.expt", "strong.refl", "indexing.method=fft1d",
        f"unit_cell={KNOWN}", "space_group=P1",
    )  # fmt: skip
    dials.run(folder, "dials.refine", "indexed.expt", "indexed.refl", "scan_varying=False")
    dials.run(folder, "dials.integrate", "refined.expt", "refined.refl", "nproc=1")
    found: dict[str, Any] = dials.look(
        folder, "integrated", "truth.expt", "integrated.expt", "integrated.refl"
    )
    return found


def whole_reflections(store: Path) -> dict[str, dict[tuple[int, int, int], float]]:
    """Return what is true of each reflection over all frames of a scan: name -> indices -> value.

    Photons and partiality are added up; places and angle are means by photons.
    """
    table = nbdask.ground_truth(store, reflections=True).to_pandas(reflections=True)
    for name in ("fast_centroid", "slow_centroid", "phi_centroid"):
        table[name] *= table.photons
    whole = table.groupby(["h", "k", "l"]).agg(
        {
            **dict.fromkeys(("photons", "partiality"), "sum"),
            **dict.fromkeys(("fast_centroid", "slow_centroid", "phi_centroid"), "sum"),
            "F_squared": "mean",
        }
    )
    for name in ("fast_centroid", "slow_centroid", "phi_centroid"):
        whole[name] /= whole.photons
    return {str(name): dict(column.items()) for name, column in whole.items()}


def correlation(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation."""
    return float(np.corrcoef(a, b)[0, 1])


def integrated_against_truth(found: dict[str, Any], store: Path) -> dict[str, float]:
    """Compare the fully recorded reflections of a scan with what is true of them.

    Returns
    -------
    dict
        Of summation and profile fitting, ``all`` and those of less than ``LEAST`` Angstrom: number
        of reflections, correlation of intensities with photons, and of intensities corrected for
        Lorentz factor and polarization with |F|^2.  Of sums above 10,000 photons: median of sum
        over photons, median distance of centroids [pixels], and by how many degrees the mean angle
        is before that of the middle of the image.
    """
    whole = whole_reflections(store)
    keys = [tuple(hkl) for hkl in found["hkl"]]
    true = {name: np.array([of.get(key, np.nan) for key in keys]) for name, of in whole.items()}
    got = {name: np.array(found[name]) for name in found if name != "hkl"}
    full = (got["partiality"] > 0.99) & (np.abs(true["partiality"] - 1.0) < 0.05)
    narrow = full & (got["resolution"] < LEAST)
    result: dict[str, float] = {}
    for name, done in (("sum", "summed"), ("profile", "fitted")):
        for which, kept in ((f"{name}, all", full), (name, narrow)):
            use = kept & got[done]
            values, squares = got[name][use], true["F_squared"][use]
            result[which] = int(use.sum())
            result[f"{which}: photons"] = correlation(values, true["photons"][use])
            result[f"{which}: |F|^2"] = correlation(values * got["correction"][use], squares)
    strong = narrow & got["summed"] & (true["photons"] > 1e4)
    fast, slow, image = got["place"][strong].T
    df, ds = fast - 0.5 - true["fast_centroid"][strong], slow - 0.5 - true["slow_centroid"][strong]
    return result | {
        "strong": int(strong.sum()),
        "sum / photons": float(np.median(got["sum"][strong] / true["photons"][strong])),
        "centroid": float(np.median(np.hypot(df, ds))),
        "early": float(np.median(WIDTH * image - true["phi_centroid"][strong])),
    }
