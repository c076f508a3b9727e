"""DIALS on series of shots: 100 stills indexed one by one, a scan of 60 frames integrated.

    python -m benchmarks.dials [--stills 100] [--folder FOLDER] [--json FILE] [--markdown FILE]

Images, commands and comparisons are those of ``tests/dials/test_series.py``.  Exit status 1: a
figure is outside its bound.  Needs DIALS on the path, 1 GB in the folder and some minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from tests.dials import series
from tests.dials.program import Dials, find_dials

PAGE = """# Series in DIALS

`python -m benchmarks.dials` with {dials}, nbdask {machine[nbdask]}, Python {machine[python]};
{machine[cpu]}, {machine[cores]} cores; {machine[date]}. How images are simulated, and what is
run, is in [tests/dials/series.py](../../tests/dials/series.py); all digits are in
[dials.json](dials.json).

## Stills

| | |
|---|---|
| stills of random orientations, 1000 x 1000 pixels | {one[stills]} |
| indexed, one by one (`dials.stills_process`) | {one[indexed]} |
| with the true cell (to 0.3 %) and orientation (to 0.1 degree) | {one[right]} |
| a (true: 79.1) [Angstrom] | {a[0]:.3f} to {a[1]:.3f} |
| c (true: 38.4) [Angstrom] | {c[0]:.3f} to {c[1]:.3f} |
| misorientation, median and greatest [degrees] | {median:.4f}, {greatest:.4f} |
| strong spots (`dials.find_spots`) | {strong[spots]} |
| of these within 2 pixels of a true reflection | {percent:.2f} % |
| distance from it, median [pixels] | {strong[median]:.4f} |
| distance from it, nine of ten [pixels] | {strong[nine of ten]:.4f} |

## Scan

{two[frames]} frames of {width} degree, 1024 x 1024 pixels, {two[strong spots]} strong spots.
Correlation of fully recorded reflections with the expected photons and, corrected by DIALS for
Lorentz factor and polarization, with the squared amplitudes. Reflections of 15 Angstrom and more
of so small a crystal are in the sphere for up to a degree; the boxes of `dials.integrate` have
one width for all, that of most.

| intensities | reflections | with photons | with amplitudes squared |
|---|---|---|---|
{rows}

Of {two[strong]} reflections above 10,000 photons, medians: summed intensity over photons
{ratio:.4f}; centroid {two[centroid]:.4f} pixel from the true one; angle of the middle of the
image less the mean angle {two[early]:.4f} degree, half a step of phi being 0.0125. Refined
orientation: {two[angle]:.4f} degree off, cell {cell}.
"""

#: Least share of stills that must be indexed rightly, least correlation.
INDEXED, CORRELATION = 0.95, 0.99


def stills(dials: Dials, folder: Path, count: int) -> dict[str, Any]:
    """Simulate stills, index each, and compare crystals and strong spots with the truth."""
    folder.mkdir()
    series.make(folder, f"{series.STILLS} --shots {count}")
    start = time.perf_counter()
    found = series.index_stills(dials, folder)
    seconds = time.perf_counter() - start
    good = [one for one in found if series.right(one)]
    cells = np.array([one["cell"] for one in good])
    angles = np.array([one["angle"] for one in good])
    return {
        "stills": count,
        "indexed": len(found),
        "right": len(good),
        "a [Angstrom]": [float(cells[:, 0].min()), float(cells[:, 0].max())],
        "c [Angstrom]": [float(cells[:, 2].min()), float(cells[:, 2].max())],
        "misorientation, median [degrees]": float(np.median(angles)),
        "misorientation, greatest [degrees]": float(angles.max()),
        "seconds": seconds,
        "strong": series.spots_against_truth(
            series.strong_spots(dials, folder), folder / "run.zarr"
        ),
    }


def scan(dials: Dials, folder: Path) -> dict[str, Any]:
    """Simulate a scan, integrate it, and compare with the truth."""
    folder.mkdir()
    series.make(folder, series.SCAN)
    spots = series.strong_spots(dials, folder)
    found = series.integrated_against_truth(
        series.integrate_scan(dials, folder), folder / "run.zarr"
    )
    indexed = dials.look(folder, "compare", "truth.expt", "refined.expt")
    return {"frames": series.FRAMES, "strong spots": len(spots["image"]), **found, **indexed}


def misses(result: dict[str, Any]) -> list[str]:
    """Return what is outside its bound."""
    single, sweep = result["stills"], result["scan"]
    bad = [name for name in sweep if ": " in name and sweep[name] <= CORRELATION]
    if single["right"] < INDEXED * single["stills"]:
        bad.append(f"{single['right']} of {single['stills']} stills")
    if single["strong"]["median"] >= 0.05 or sweep["centroid"] >= 0.05:
        bad.append("centroids")
    if abs(sweep["sum / photons"] - 1.0) >= 0.01:
        bad.append("photons")
    return bad


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as a page."""
    one, two = result["stills"], result["scan"]
    rows = [
        f"| {said}, {text} | {two[name]} | {two[f'{name}: photons']:.5f} |"
        f" {two[f'{name}: |F|^2']:.5f} |"
        for kind, said in (("sum", "summation"), ("profile", "profile fitting"))
        for name, text in ((f"{kind}, all", "all"), (kind, f"below {series.LEAST:g} Angstrom"))
    ]
    return PAGE.format(
        dials=result["dials"],
        machine=result["machine"],
        one=one,
        two=two,
        strong=one["strong"],
        percent=100.0 * one["strong"]["true"],
        a=one["a [Angstrom]"],
        c=one["c [Angstrom]"],
        median=one["misorientation, median [degrees]"],
        greatest=one["misorientation, greatest [degrees]"],
        rows="\n".join(rows),
        width=series.WIDTH,
        ratio=two["sum / photons"],
        cell=", ".join(f"{value:.3f}" for value in two["cell"]),
    )


def main() -> int:
    """Run both, write the figures, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stills", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="a folder that is kept")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    dials = find_dials()
    if dials is None:
        print("DIALS is not installed (dials.version is not on the path)")
        return 1
    with tempfile.TemporaryDirectory() as spare:
        folder = asked.folder or Path(spare)
        folder.mkdir(parents=True, exist_ok=True)
        result = {
            "dials": dials.run(folder, "dials.version").splitlines()[0],
            "machine": facts(),
            "stills": stills(dials, folder / "stills", asked.stills),
            "scan": scan(dials, folder / "scan"),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")
    if asked.markdown:
        asked.markdown.write_text(markdown(result))
    bad = misses(result)
    print("outside their bounds: " + ", ".join(bad) if bad else "all within bounds")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
