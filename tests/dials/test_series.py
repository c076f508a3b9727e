"""DIALS indexes the stills of a series one by one, and integrates its scan; both as they truly are.

``NBDASK_DIALS_STILLS=100`` takes so many stills.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nbdask.store.reader import StoreReader
from tests.dials import series
from tests.dials.program import Dials

pytestmark = pytest.mark.long

COUNT = int(os.environ.get("NBDASK_DIALS_STILLS", "20"))


@pytest.fixture(scope="module")
def stills(dials: Dials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stills of random orientations."""
    folder = tmp_path_factory.mktemp("stills")
    series.make(folder, f"{series.STILLS} --shots {COUNT}")
    return folder


@pytest.fixture(scope="module")
def scan(dials: Dials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan."""
    folder = tmp_path_factory.mktemp("scan")
    series.make(folder, series.SCAN)
    return folder


def test_stills_are_indexed_one_by_one(dials: Dials, stills: Path) -> None:
    """S-FILE-39: 19 of 20 with the true cell and orientation, up to the lattice's symmetry."""
    found = series.index_stills(dials, stills)
    assert len({one["image"] for one in found}) == len(found)
    assert sum(map(series.right, found)) >= 0.95 * COUNT


def test_truth_refinds_strong_spots(dials: Dials, stills: Path) -> None:
    """S-TRUTH-07: centroids within 0.05 pixel in the median, without a shift."""
    found = series.spots_against_truth(series.strong_spots(dials, stills), stills / "run.zarr")
    assert found["spots"] > 150 * COUNT
    assert found["true"] > 0.99
    assert found["median"] < 0.05
    assert found["shift"] < 0.01


def test_a_scan_is_integrated(dials: Dials, scan: Path) -> None:
    """S-FILE-39: correlation with the truth above 0.99, photons within one per cent."""
    series.strong_spots(dials, scan)
    done = series.integrate_scan(dials, scan)
    found = series.integrated_against_truth(done, scan / "run.zarr")
    for name in ("sum", "profile"):
        assert found[name] > 1500
        for with_what in ("photons", "|F|^2"):
            assert found[f"{name}, all: {with_what}"] > 0.99
            assert found[f"{name}: {with_what}"] > 0.999
    assert found["strong"] > 500
    assert found["sum / photons"] == pytest.approx(1.0, abs=0.01)
    assert found["centroid"] < 0.05
    # Steps of phi begin where the frame begins: their mean is half a step before its middle.
    assert found["early"] == pytest.approx(0.5 * series.WIDTH / series.STEPS, abs=0.004)
    indexed = dials.look(scan, "compare", "truth.expt", "refined.expt")
    assert series.right(indexed)


def test_dials_shows_the_truth_of_stills(dials: Dials, stills: Path) -> None:
    """S-FILE-45: the list has a crystal for every image, the NXmx file an image for every one."""
    said = dials.run(stills, "dials.show", "truth.expt")
    assert said.count("Crystal:") == said.count("Unit cell: 79.100, 79.100, 38.400") == COUNT
    images = dials.run(stills, "dials.show", "run.nxs")
    assert images.count("Beam:") == COUNT
    assert "Goniometer" not in images


@pytest.mark.parametrize("ending", ["cbf", "img"])
def test_numbered_files_are_one_sweep(
    dials: Dials, scan: Path, tmp_path: Path, ending: str
) -> None:
    """S-FILE-45: `dials.import template=`, with angles, place and counts of every frame."""
    words = ("export", str(scan / "run.zarr"), f"a_####.{ending}", "--shots", "2:4")
    series.nbdask_in(tmp_path, *words)
    series.nbdask_in(tmp_path, "export", str(scan / "run.zarr"), "a.nxs", "--shots", "2:4")
    dials.run(tmp_path, "dials.import", f"template=a_####.{ending}")
    found = dials.look(tmp_path, "models", "imported.expt", "a.nxs")
    one, whole = found["imported.expt"], found["a.nxs"]
    assert one["images"] == [3, 4]
    assert one["oscillation"] == pytest.approx([0.5, series.WIDTH])
    assert one["axis"] == pytest.approx(whole["axis"], abs=1e-9)
    assert one["centre"] == pytest.approx(whole["centre"], abs=0.01)
    stored = np.asarray(StoreReader(scan / "run.zarr").at(2).image[...])
    assert np.array_equal(one["pixels"][0], stored)
