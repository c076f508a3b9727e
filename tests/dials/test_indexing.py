"""DIALS finds spots on exported images and indexes them as the crystal that was simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask import derive
from nbdask.derive.noise import noise
from nbdask.export.formats import export
from nbdask.flags import parse_args
from nbdask.panels.model import Instrument, Panel, PanelBeam
from nbdask.panels.vectors import rotation, vector
from nbdask.panels.write import write_geometry
from tests.dials.samples import CELL, amplitudes

pytestmark = pytest.mark.long

CRYSTAL = (
    "-cell 79.1 79.1 38.4 90 90 90 -misset 20 50 70 -lambda 0.9768 -N 12 -round_xtal -oversample 2"
    " -fluence 1e28"
)
FLAT = "-distance 110 -detpixels_x 1000 -detpixels_y 900 -pixel 0.12 -Xbeam 49.3 -Ybeam 66.1"
FRAMES = 10


def modules(path: Path) -> None:
    """Eight modules of 480 x 220 pixels in two columns, each turned a little, some upside down."""
    random = np.random.default_rng(5)
    pitch, panels = 1.2e-4, []
    for number in range(8):
        row, column = divmod(number, 2)
        turn = np.diag([-1.0, -1.0, 1.0]) if number % 3 == 1 else np.eye(3)
        for axis in np.eye(3):
            turn = rotation(vector(axis), random.normal(0.0, 2e-3)) @ turn
        place = ((0.5 - column) * 500 * pitch, (1.5 - row) * 240 * pitch, 0.11)
        fast, slow = turn @ [-1.0, 0.0, 0.0], turn @ [0.0, -1.0, 0.0]
        corner = np.array(place) - 240 * pitch * fast - 110 * pitch * slow
        name = f"m{(3 * number) % 8}"
        panels.append(
            Panel(name, 480, 220, pitch, pitch, vector(corner), vector(fast), vector(slow))
        )
    beam = PanelBeam(wavelength=0.9768e-10)
    write_geometry(Instrument("", "", tuple(panels), beam), path, ".geom")


def simulated(folder: Path, name: str, flags: str) -> Path:
    """The store of a run, on the detector of a geometry file where there is one."""
    run, geometry = folder / f"{name}.zarr", folder / "eight.geom"
    words = f"{CRYSTAL} -hkl {folder / 'P1.hkl'} {flags}".split()
    given = str(geometry) if geometry.exists() else None
    if given is not None:  # the file has the wavelength
        words = [word for word in words if word not in ("-lambda", "0.9768")]
    nbdask.simulate(parse_args(words, geometry=given).experiment, out=run)
    return run


def series(folder: Path, flags: str, *, noisy: bool) -> dict[str, list[Path]]:
    """A still and ten steps of 0.5 degrees."""
    turns = [f"-phi {0.5 * n} -osc 0.5 -phisteps 10" for n in range(FRAMES)]
    runs = {
        "still": [simulated(folder, "still", flags)],
        "scan": [simulated(folder, f"scan{n}", f"{flags} {turn}") for n, turn in enumerate(turns)],
    }
    if not noisy:
        return runs
    found: dict[str, list[Path]] = {}
    for name, stores in runs.items():
        for seed, run in enumerate(stores):
            out = run.with_name(f"noisy-{run.name}")
            noise(run, out, derive.Pipeline((derive.Poisson(),), seed=seed))
            found.setdefault(name, []).append(out)
    return found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still and a scan in all formats, with their truth; with photon noise."""
    folder = tmp_path_factory.mktemp("lysozyme")
    amplitudes(folder / "P1.hkl")
    for name, stores in series(folder, FLAT, noisy=True).items():
        for ending in (".nxs", "_####.cbf", "_####.img"):
            export(stores, folder / f"{name}{ending}")
        export(stores, folder / f"{name}.expt", images=str(folder / f"{name}.nxs"))
    return folder


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on eight modules, without noise."""
    folder = tmp_path_factory.mktemp("modules")
    amplitudes(folder / "P1.hkl")
    modules(folder / "eight.geom")
    for name, stores in series(folder, "", noisy=False).items():
        for ending in (".nxs", "_####.cbf"):
            export(stores, folder / f"{name}{ending}")
        export(stores, folder / f"{name}.expt", images=str(folder / f"{name}.nxs"))
    return folder


def indexed(dials, folder: Path, images: Path, name: str, ending: str) -> None:
    """Import, find spots, index, and compare crystal and geometry with the truth."""
    files = sorted(str(path) for path in images.glob(f"{name}*.{ending}"))
    assert len(files) == (FRAMES if name == "scan" and ending != "nxs" else 1)
    dials.run(folder, "dials.import", *files)
    dials.run(folder, "dials.find_spots", "imported.expt", "nproc=1")
    cell = "unit_cell=" + ",".join(map(str, CELL))
    # Not every build of DIALS has what its indexer of stills needs.
    dials.run(
        folder, "dials.index", "imported.expt", "strong.refl", "indexing.method=fft1d", cell,
        "space_group=P43212", "detector.fix=all", "beam.fix=all", "stills.indexer=sequences",
    )  # fmt: skip
    truth = str(images / f"{name}.expt")
    found = dials.look(folder, "compare", truth, "indexed.expt")
    assert found["cell"] == pytest.approx(CELL, rel=0.003)
    assert found["angle"] < 0.1
    read = dials.look(folder, "models", truth, "imported.expt")
    true, seen = read[truth], read["imported.expt"]
    assert seen["still"] is (name == "still")
    if true["centre"] is not None:
        assert seen["centre"] == pytest.approx(true["centre"], abs=0.01)
    for one, panel in zip(seen["panels"], true["panels"], strict=True):
        for key in ("origin", "fast", "slow"):
            assert one[key] == pytest.approx(panel[key], abs=1e-6)


@pytest.mark.parametrize("ending", ["nxs", "cbf", "img"])
@pytest.mark.parametrize("name", ["still", "scan"])
def test_dials_indexes_the_crystal_that_was_simulated(
    dials, images: Path, tmp_path: Path, name: str, ending: str
) -> None:
    """Cell within 0.3 per cent, orientation within 0.1 degree, one beam centre in all formats."""
    indexed(dials, tmp_path, images, name, ending)


@pytest.mark.parametrize("ending", ["nxs", "cbf"])
@pytest.mark.parametrize("name", ["still", "scan"])
def test_dials_indexes_images_of_eight_modules(
    dials, eight: Path, tmp_path: Path, name: str, ending: str
) -> None:
    """Within the same bounds; every module where it was."""
    indexed(dials, tmp_path, eight, name, ending)


@pytest.mark.parametrize("detector", ["images", "eight"])
def test_spots_are_where_the_truth_predicts_them(dials, detector: str, request, tmp_path) -> None:
    """Predictions from the experiment list against centroids: no shift, and little scatter."""
    folder = request.getfixturevalue(detector)
    dials.run(tmp_path, "dials.import", str(folder / "scan.nxs"))
    dials.run(tmp_path, "dials.find_spots", "imported.expt", "nproc=1")
    found = dials.look(tmp_path, "predict", str(folder / "scan.expt"), "strong.refl")
    assert found["spots"] > 500
    assert found["median"] < 0.05
    assert found["shift"] == pytest.approx([0.0, 0.0], abs=0.01)
