"""Pyramids of several panels: their pixels, their files, what is shown from them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr

from nbdask.derive.assembly import AssembledLevels, open_levels
from nbdask.derive.canvas import reduce_image
from nbdask.derive.noise import noise
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.pyramid import GrowingPyramid, build_pyramid
from nbdask.derive.steps import Poisson, Readout
from nbdask.plan.tiles import Tile
from nbdask.run import simulate
from nbdask.store.levels import KINDS, Levels
from nbdask.store.reader import StoreReader
from nbdask.verification import verify
from nbdask.view.scene import Scene
from nbdask.view.spots import brightest
from tests.helpers import lose_records, sampled
from tests.panels.several import PANELS, several
from tests.pictured import flip, put_back, reduced

#: Each pixel in four.
FINE = tuple(
    replace(
        panel,
        n_fast=2 * panel.n_fast,
        n_slow=2 * panel.n_slow,
        pitch_fast=panel.pitch_fast / 2,
        pitch_slow=panel.pitch_slow / 2,
    )
    for panel in PANELS
)
EXPERIMENT = several(FINE)
#: Levels of 3 panels of at most 22 x 28.
LEVELS, SHAPES = 3, ((11, 14), (6, 7), (3, 4))


def run(path: Path, tile: int = 8, **options: Any) -> Path:
    """A run on the three panels."""
    simulate(EXPERIMENT, path, tile=tile, threads=1, backend="numpy", **options)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without a pyramid; tests copy it."""
    return run(tmp_path_factory.mktemp("plain") / "a.zarr")


@pytest.fixture(scope="module")
def layered(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a pyramid; tests copy it."""
    path = tmp_path_factory.mktemp("layered") / "a.zarr"
    shutil.copytree(plain, path)
    build_pyramid(path, smallest=8, threads=2)
    return path


def files(store: Path) -> dict[str, bytes]:
    """What is in a pyramid."""
    found = (store / "pyramid").rglob("*")
    return {str(p.relative_to(store)): p.read_bytes() for p in found if p.is_file()}


@pytest.mark.parametrize("tile", sampled([8, 9, 16, 30], 2))
def test_every_panel_is_reduced_on_its_own(tmp_path: Path, tile: int) -> None:
    """Pixels beyond a smaller panel are 0 and do not count, also beside negative ones."""
    store = tmp_path / "n.zarr"
    noise(run(tmp_path / "a.zarr", tile), store, Pipeline((Poisson(), Readout(9.0)), seed=5))
    made = build_pyramid(store, smallest=8)
    assert made.shapes == SHAPES
    image = np.asarray(StoreReader(store).image[...])
    assert image.min() < 0.0
    for kind in KINDS:
        for level in range(1, LEVELS + 1):
            found = np.asarray(zarr.open_array(store, path=f"pyramid/{kind}/{level}/image")[...])
            for number, panel in enumerate(FINE):
                own = image[number, : panel.n_slow, : panel.n_fast]
                expected = np.zeros(found.shape[1:])
                small = reduced(own, 2**level, kind)
                expected[: small.shape[0], : small.shape[1]] = small
                np.testing.assert_allclose(found[number], expected, rtol=1e-5, atol=1e-5)


def test_the_files_do_not_depend_on_how_they_came(layered: Path, tmp_path: Path) -> None:
    """Built while a run goes on, or stopped and continued: the same, and nothing twice."""
    grown = run(tmp_path / "grown.zarr", listeners=[GrowingPyramid(smallest=8)])
    assert files(grown) == files(layered)
    (grown / "pyramid/max/1/image/c/2/1/1").unlink()
    assert build_pyramid(grown, smallest=8).built == 1
    assert files(grown) == files(layered)
    assert build_pyramid(grown, smallest=8, rebuild=True).missing == 0
    assert files(grown) == files(layered)


@pytest.mark.long
def test_worker_processes_build_the_same(plain: Path, layered: Path, tmp_path: Path) -> None:
    """Two of them."""
    store = Path(shutil.copytree(plain, tmp_path / "a.zarr"))
    build_pyramid(store, smallest=8, cluster="local", workers=2, threads=1)
    assert files(store) == files(layered)


def test_unfinished_tiles_are_waited_for(plain: Path, tmp_path: Path) -> None:
    """Of one panel: those of the others are all built."""
    store = Path(shutil.copytree(plain, tmp_path / "a.zarr"))
    reader = StoreReader(store)
    kept = {file: file.read_bytes() for file in (store / "tiles").rglob("*") if file.is_file()}
    lose_records(store, reader.grid.per_panel)
    build_pyramid(store, smallest=8)
    done = Levels(store).done(KINDS, LEVELS)
    assert done.tolist() == [[[True]], [[False]], [[True]]]
    put_back(kept)
    assert build_pyramid(store, smallest=8).missing == 0


def test_metadata(layered: Path) -> None:
    """OME-Zarr 0.5 with an axis for panels; scales are pixels; verify finds all as written."""
    root: Any = zarr.open_group(layered, mode="r")
    for part, names in ((".", ["panel", "slow", "fast"]), ("pyramid/max", ["panel", "y", "x"])):
        group = root if part == "." else root[part]
        (image,) = group.attrs["ome"]["multiscales"]
        assert [axis["name"] for axis in image["axes"]] == names
        assert [axis["type"] for axis in image["axes"]] == ["channel", "space", "space"]
        for dataset in image["datasets"]:
            array = group[dataset["path"]]
            assert list(array.metadata.dimension_names) == names
            scale = dataset["coordinateTransformations"][0]["scale"]
            assert scale == [1.0, *[2 ** round(np.log2(28 / array.shape[2]))] * 2]
    assert not verify(layered).altered
    with xarray.open_datatree(layered, engine="zarr") as tree:
        assert tree["pyramid/mean/2/image"].dims == ("panel", "y", "x")
        assert tree["pyramid/mean/2/image"].shape == (3, 6, 7)


@pytest.mark.long
@pytest.mark.parametrize("part", [None, "pyramid/max", "pyramid/mean"])
def test_another_program_finds_the_metadata_valid(layered: Path, part: str | None) -> None:
    """The package ome-zarr-models accepts store and kinds, their metadata and arrays."""
    models = pytest.importorskip("ome_zarr_models.v05.image", reason="needs ome-zarr-models")
    assert models.Image.from_zarr(zarr.open_group(layered, path=part, mode="r"))


def spread(values: np.ndarray, reach: int) -> np.ndarray:
    """The greatest pixel up to so many away."""
    padded = np.pad(np.nan_to_num(values), reach)
    sides = (2 * reach + 1, 2 * reach + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, sides)
    return np.asarray(windows.max(axis=(2, 3)))


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_the_picture_is_that_of_all_pixels(plain: Path, layered: Path, factor: int) -> None:
    """Within the reach of a level; no spot is lost; full resolution is the same."""
    without, levels = open_levels(plain), open_levels(layered)
    assert isinstance(levels, AssembledLevels)
    assert levels.count == LEVELS
    whole = Tile.of_shape(levels.grid.shape)
    assert np.array_equal(levels.read("max", 0, whole), without.read("max", 0, whole), True)
    a = reduce_image(without, whole, factor, "max").values()
    b = reduce_image(levels, whole, factor, "max").values()
    assert levels.reach == 3
    assert not np.array_equal(a, b, equal_nan=True)
    assert (np.nan_to_num(a) <= spread(b, 3)).all()
    assert np.nanmax(a) <= np.nanmax(b) <= np.max(np.asarray(StoreReader(layered).image[...]))
    assert abs(int(np.isnan(a).sum()) - int(np.isnan(b).sum())) <= 0.1 * a.size
    mean_a = np.nanmean(reduce_image(without, whole, factor, "mean").values())
    mean_b = np.nanmean(reduce_image(levels, whole, factor, "mean").values())
    assert mean_b == pytest.approx(mean_a, rel=0.1)


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_spots_keep_their_pixel(plain: Path, layered: Path, factor: int) -> None:
    """The brightest one, found on a coarser level."""
    found = []
    for store in (plain, layered):
        levels = open_levels(store)
        assert isinstance(levels, AssembledLevels)
        whole = Tile.of_shape(levels.grid.shape)
        (spot,) = brightest(levels, reduce_image(levels, whole, factor, "max"), whole, 1)
        place = levels.plane.find(spot.slow, spot.fast)
        assert place is not None
        found.append((place[0], round(place[1]), round(place[2]), spot.photons))
    assert found[0] == found[1]


def test_a_damaged_part_is_done_without(layered: Path, tmp_path: Path) -> None:
    """The viewer reads finer levels there, and tells the file."""
    store = Path(shutil.copytree(layered, tmp_path / "a.zarr"))
    whole = Tile.of_shape(Scene(store).shape)
    flip(store / "pyramid/max/2/image/c/1/0/0")
    scene, other = Scene(store), open_levels(layered)
    found = scene.window("max", whole, 4).values
    assert "pyramid/max/2/image/c/1/0/0, a part" in next(iter(scene.damage.parts))
    canvas = reduce_image(other, whole, 2, "max")
    expected = reduced(canvas.values(), 2, "max")
    assert np.array_equal(found, expected, equal_nan=True)
