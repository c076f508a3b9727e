"""DIALS finds spots on exported images and indexes them as the crystal that was simulated."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask import derive
from nbdask.derive.noise import noise
from nbdask.export.formats import export

pytestmark = pytest.mark.long

CELL = (79.1, 79.1, 38.4, 90.0, 90.0, 90.0)
FLAGS = (
    "-cell 79.1 79.1 38.4 90 90 90 -misset 20 50 70 -lambda 0.9768 -distance 110 -detpixels_x 1000"
    " -detpixels_y 900 -pixel 0.12 -Xbeam 49.3 -Ybeam 66.1 -N 12 -round_xtal -oversample 2"
    " -fluence 1e28"
)
FRAMES = 10


def amplitudes(path: Path) -> None:
    """A P1 list of lysozyme's cell to 1.9 A, amplitudes falling off as of atoms with B = 20 A^2."""
    random = np.random.default_rng(3)
    edges = [int(length / 1.9) for length in CELL[:3]]
    lines = []
    for h, k, l in itertools.product(*(range(-edge, edge + 1) for edge in edges)):  # noqa: E741
        inverse = (h / CELL[0]) ** 2 + (k / CELL[1]) ** 2 + (l / CELL[2]) ** 2
        if 0.0 < inverse <= 1.9**-2:
            size = 600.0 * np.exp(-5.0 * inverse) * np.sqrt(random.exponential())
            lines.append(f"{h} {k} {l} {size:.2f}")
    path.write_text("\n".join(lines))


def simulated(folder: Path, name: str, flags: str, seed: int) -> Path:
    """A store with photon noise."""
    run = folder / f"{name}.run.zarr"
    nbdask.simulate(nbdask.from_args(f"{FLAGS} -hkl {folder / 'P1.hkl'} {flags}".split()), out=run)
    noise(run, folder / f"{name}.zarr", derive.Pipeline((derive.Poisson(),), seed=seed))
    return folder / f"{name}.zarr"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still and ten frames of 0.5 degrees, in all formats, with their truth."""
    folder = tmp_path_factory.mktemp("lysozyme")
    amplitudes(folder / "P1.hkl")
    still = simulated(folder, "still", "", 1)
    scan = [
        simulated(folder, f"scan{n}", f"-phi {0.5 * n} -osc 0.5 -phisteps 10", n)
        for n in range(FRAMES)
    ]
    for name, stores in (("still", [still]), ("scan", scan)):
        for ending in (".nxs", "_####.cbf", "_####.img"):
            export(stores, folder / f"{name}{ending}")
        export(stores, folder / f"{name}.expt", images=str(folder / f"{name}.nxs"))
    return folder


@pytest.mark.parametrize("ending", ["nxs", "cbf", "img"])
@pytest.mark.parametrize("name", ["still", "scan"])
def test_dials_indexes_the_crystal_that_was_simulated(
    dials, images: Path, tmp_path: Path, name: str, ending: str
) -> None:
    """Cell within 0.3 per cent, orientation within 0.1 degree, one beam centre in all formats."""
    files = sorted(str(path) for path in images.glob(f"{name}*.{ending}"))
    assert len(files) == (FRAMES if name == "scan" and ending != "nxs" else 1)
    dials.run(tmp_path, "dials.import", *files)
    dials.run(tmp_path, "dials.find_spots", "imported.expt", "nproc=1")
    cell = "unit_cell=" + ",".join(map(str, CELL))
    # Not every build of DIALS has what its indexer of stills needs.
    dials.run(
        tmp_path, "dials.index", "imported.expt", "strong.refl", "indexing.method=fft1d", cell,
        "space_group=P43212", "detector.fix=all", "beam.fix=all", "stills.indexer=sequences",
    )  # fmt: skip
    truth = str(images / f"{name}.expt")
    found = dials.look(tmp_path, "compare", truth, "indexed.expt")
    assert found["cell"] == pytest.approx(CELL, rel=0.003)
    assert found["angle"] < 0.1
    centres = dials.look(tmp_path, "models", truth, "imported.expt")
    assert centres["imported.expt"]["centre"] == pytest.approx(centres[truth]["centre"], abs=0.01)


def test_spots_are_where_the_truth_predicts_them(dials, images: Path, tmp_path: Path) -> None:
    """Predictions from the experiment list against centroids: no shift, and little scatter."""
    dials.run(tmp_path, "dials.import", str(images / "scan.nxs"))
    dials.run(tmp_path, "dials.find_spots", "imported.expt", "nproc=1")
    found = dials.look(tmp_path, "predict", str(images / "scan.expt"), "strong.refl")
    assert found["spots"] > 500
    assert found["median"] < 0.05
    assert found["shift"] == pytest.approx([0.0, 0.0], abs=0.01)
