"""The pyramid: its pixels, what is built when, what is refused, what other programs read."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr

import nbdask
from nbdask.derive.halving import halved
from nbdask.derive.pyramid import GrowingPyramid, build_pyramid
from nbdask.errors import InputError, StoreError
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.address import place_of
from nbdask.store.levels import KINDS, Levels, level_count, level_grid
from nbdask.store.lock import Lock
from tests.helpers import sampled
from tests.pictured import (
    SHAPE,
    earlier_layout,
    experiment,
    forget,
    image_of,
    make,
    put_back,
    reduced,
    set_pixels,
)

LEVELS = 3  # 75 x 61 -> 38 x 31 -> 19 x 16 -> 10 x 8


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A complete store of 80 tiles."""
    return make(tmp_path_factory.mktemp("original") / "run.zarr")


@pytest.fixture
def store(original, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "run.zarr"))


def whole(levels: Levels, kind: str, level: int) -> np.ndarray:
    """All pixels of a level."""
    slow, fast = levels.level_grid(level).shape
    return levels.read(kind, level, Tile(0, slow, 0, fast))


def chunks(store: Path) -> dict[str, int]:
    """Files of chunks of the levels, and when they were written."""
    found = (store / "pyramid").rglob("*")
    return {
        str(p.relative_to(store)): p.stat().st_mtime_ns
        for p in found
        if p.is_file() and p.name != "zarr.json"
    }


@pytest.mark.parametrize("tile", sampled([9, 8, 16, 33, 100], 5))
def test_every_pixel_of_every_level(tmp_path, tile) -> None:
    """Greatest pixel exactly and mean, of just the pixels that it covers, for any size of tile."""
    store = make(tmp_path / "run.zarr", tile=tile)
    made = build_pyramid(store, smallest=10, threads=2)
    assert made.shapes == ((38, 31), (19, 16), (10, 8))
    assert made.missing == 0
    levels, image = Levels(store), image_of(store)
    for level in range(1, LEVELS + 1):
        found = {kind: whole(levels, kind, level) for kind in KINDS}
        assert np.array_equal(found["max"], reduced(image, 2**level, "max"))
        np.testing.assert_allclose(found["mean"], reduced(image, 2**level, "mean"), rtol=1e-6)


@pytest.mark.long
def test_pixels_that_are_no_numbers_do_not_count(store) -> None:
    """NaN pixels of a finished tile are left out of maximum and mean."""
    image = image_of(store)
    image[0:4, 0:4] = np.nan
    image[9, 9] = np.nan
    set_pixels(store, image)
    build_pyramid(store, smallest=10)
    levels = Levels(store)
    for kind in KINDS:
        found = whole(levels, kind, 1)
        np.testing.assert_allclose(found, reduced(image, 2, kind), rtol=1e-6)
    assert np.isnan(found[0, 0])
    assert not np.isnan(found[4, 4])


def test_a_mean_does_not_overflow() -> None:
    """Four pixels near the greatest single precision number have a mean."""
    values = np.full((2, 2), 3e38, dtype=np.float32)
    assert halved(values, "mean", (np.ones(2), np.ones(2)))[0, 0] == np.float32(3e38)


@pytest.mark.long
def test_unfinished_tiles_are_waited_for(store) -> None:
    """Chunks whose tiles are there are built; later the others, and none of the first again."""
    kept = forget(store, 0, 79)
    first = build_pyramid(store, smallest=10)
    assert first.missing > 0
    before = chunks(store)
    assert np.isnan(whole(Levels(store), "max", LEVELS)).any()
    assert build_pyramid(store, smallest=10).built == 0
    put_back(kept)
    second = build_pyramid(store, smallest=10)
    assert (second.built, second.missing) == (first.missing, 0)
    after = chunks(store)
    assert {name: after[name] for name in before} == before
    assert np.array_equal(whole(Levels(store), "max", 2), reduced(image_of(store), 4, "max"))


def test_a_build_that_was_cut_off_goes_on(store) -> None:
    """Half-written files are swept; a chunk that is missing is built, the others are kept."""
    build_pyramid(store, smallest=10)
    before = chunks(store)
    lost = store / "pyramid/mean/1/image/c/1/1"
    lost.unlink()
    rest = store / "pyramid/mean/1/image/c/1/1.partial"
    rest.write_bytes(b"half")
    assert build_pyramid(store, smallest=10).built == 1
    assert not rest.exists()
    after = chunks(store)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"pyramid/{kind}/1/image/c/1/1" for kind in KINDS}


@pytest.mark.parametrize(
    "where",
    [
        {"cluster": "threads", "threads": 1},
        pytest.param({"cluster": "local", "workers": 2, "threads": 1}, marks=pytest.mark.long),
    ],
    ids=["threads", "local"],
)
def test_where_it_is_built_does_not_matter(store, original, tmp_path, where) -> None:
    """Stopped half-way, no chunk is half; the same call goes on; the files are always the same."""
    other = Path(shutil.copytree(original, tmp_path / "other.zarr"))
    build_pyramid(other, smallest=10)

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_pyramid(store, smallest=10, progress=stop, **where)
    names = sorted(chunks(other))
    some = sorted(name for name in chunks(store) if not name.endswith(".partial"))
    assert 0 < len(some) < len(names)
    assert all((store / n).read_bytes() == (other / n).read_bytes() for n in some)
    assert build_pyramid(store, smallest=10, **where).missing == 0
    assert sorted(chunks(store)) == names
    assert all((store / n).read_bytes() == (other / n).read_bytes() for n in names)


def test_what_is_built_needs_no_workers(store, monkeypatch) -> None:
    """A pyramid that is there is found so without a cluster."""
    build_pyramid(store, smallest=10)
    monkeypatch.setattr("nbdask.derive.pyramid.open_cluster", None)
    assert build_pyramid(store, smallest=10, cluster="local", workers=2).built == 0


@pytest.mark.long
def test_levels_grow_while_a_run_goes_on(store, tmp_path) -> None:
    """The very files of a pyramid built afterwards; they are there when the run is complete."""
    grown = make(tmp_path / "grown.zarr", listeners=[GrowingPyramid(smallest=10)])
    later = store
    build_pyramid(later, smallest=10)
    names = sorted(chunks(grown))
    assert names == sorted(chunks(later))
    assert [(grown / n).read_bytes() for n in names] == [(later / n).read_bytes() for n in names]
    assert zarr.open_group(grown, mode="r").attrs["ome"] == ome(later)


@pytest.mark.long
def test_a_run_that_is_resumed_completes_its_levels(tmp_path) -> None:
    """Stopped halfway, the run leaves some chunks; the resumed one builds the rest."""
    store = tmp_path / "run.zarr"

    def stop(done: int, total: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(store, listeners=[GrowingPyramid(smallest=10)], progress=stop)
    assert "nbdask-pyramid" not in {thread.name for thread in threading.enumerate()}
    assert len(chunks(store)) < 2 * 30
    make(store, listeners=[GrowingPyramid(smallest=10)], resume=True)
    assert np.array_equal(whole(Levels(store), "max", 3), reduced(image_of(store), 8, "max"))
    # Also of a run that has nothing left to compute.
    (store / "pyramid/max/3/image/c/0/0").unlink()
    make(store, listeners=[GrowingPyramid(smallest=10)], resume=True)
    assert build_pyramid(store).built == 0


def test_a_damaged_tile_is_refused(store) -> None:
    """No level is built from pixels that are not those of the record; repair, and it is."""
    file = store / "image" / "c" / "0" / "0"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"tile 0 .*nbdask repair|nbdask verify"):
        build_pyramid(store, smallest=10)
    nbdask.repair(store)
    assert build_pyramid(store, smallest=10).missing == 0


def test_a_failure_is_told_at_the_end_of_the_run(tmp_path, monkeypatch) -> None:
    """The image is complete but for its status, and the message says what to do."""

    def full(*_: object) -> None:
        raise StoreError("run.zarr: the disk is full")

    monkeypatch.setattr(Levels, "write", full)
    with pytest.raises(StoreError, match="disk is full; the image is there, nbdask pyramid"):
        make(tmp_path / "run.zarr", listeners=[GrowingPyramid(smallest=10)])
    assert image_of(tmp_path / "run.zarr").shape == SHAPE


@pytest.mark.long
def test_kinds_come_one_after_the_other(store) -> None:
    """A kind that is added later leaves the first as it is."""
    assert build_pyramid(store, kinds=["max"], smallest=10).kinds == ("max",)
    before = chunks(store)
    assert build_pyramid(store, kinds=["mean"], smallest=1).kinds == ("max", "mean")
    names = set(chunks(store))
    assert {n.replace("/mean/", "/max/") for n in names} == set(before)
    for kind, name in (("max", "maximum"), ("mean", "mean")):
        assert ome(store, f"pyramid/{kind}")["multiscales"][0]["type"] == name


def test_what_is_refused(store, tmp_path) -> None:
    """Unknown kinds and sizes, no store, a store that a run writes to."""
    with pytest.raises(InputError, match="kind 'median' of a pyramid: must be max or mean"):
        build_pyramid(store, kinds=["median"])
    with pytest.raises(InputError, match="no kind"):
        GrowingPyramid(kinds=[])
    with pytest.raises(InputError, match="smallest = 0"):
        build_pyramid(store, smallest=0)
    with pytest.raises(StoreError, match="does not exist"):
        build_pyramid(tmp_path / "no.zarr")
    with Lock(place_of(store)), pytest.raises(StoreError, match="process"):
        build_pyramid(store)
    (store / "zarr.json").rename(tmp_path / "zarr.json")
    with pytest.raises(StoreError, match="is not an nbdask store"):
        build_pyramid(store)


def test_damaged_metadata_is_named(store) -> None:
    """Metadata of the pyramid that is no metadata."""
    build_pyramid(store, smallest=10)
    (store / "pyramid" / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="metadata of its pyramid is damaged"):
        Levels(store)


@pytest.mark.long
def test_the_store_stays_what_it_was(store) -> None:
    """xarray reads the same without a warning, verify is content, --overwrite replaces it all."""
    before = xarray.open_zarr(store)
    build_pyramid(store, smallest=10)
    after = xarray.open_zarr(store)
    assert list(after.variables) == list(before.variables)
    assert np.array_equal(after.image, before.image)
    assert nbdask.verify(store).ok
    make(store, overwrite=True)
    assert not (store / "pyramid").exists()
    assert "ome" not in zarr.open_group(store, mode="r").attrs


def test_a_large_detector_needs_few_levels() -> None:
    """From 65536 to 512 pixels in seven levels; a chunk of one covers four of the one below."""
    grid = TileGrid((65536, 65536), (1024, 1024))
    assert level_count(grid) == 7
    assert [level_grid(grid, k).counts[0] for k in range(8)] == [64, 32, 16, 8, 4, 2, 1, 1]
    assert level_count(TileGrid((512, 300), (64, 64))) == 0


def ome(store: Path, group: str = ".") -> dict[str, Any]:
    """The OME-Zarr metadata of a group, as they are in the file."""
    file = store / group / "zarr.json"
    metadata: dict[str, Any] = json.loads(file.read_text())["attributes"]["ome"]
    return metadata


@pytest.mark.parametrize("part", [".", "pyramid/max", "pyramid/mean"])
def test_metadata_are_ome_zarr(store, part) -> None:
    """The rules of OME-Zarr 0.5: names, order of levels, scales, dimension names of arrays."""
    build_pyramid(store, smallest=10)
    metadata = ome(store, part)
    assert metadata["version"] == "0.5"
    # Through the consolidated metadata of the root, as other programs go.
    group: Any = zarr.open_group(store, mode="r")
    size = experiment().detector.pixel_size
    levels = range(1) if part == "." else range(1, LEVELS + 1)
    (image,) = metadata["multiscales"]
    names = [axis["name"] for axis in image["axes"]]
    assert names == (["slow", "fast"] if part == "." else ["y", "x"])
    assert [(axis["type"], axis["unit"]) for axis in image["axes"]] == [("space", "meter")] * 2
    sides = []
    for level, dataset in zip(levels, image["datasets"], strict=True):
        array = group[f"{part}/{dataset['path']}".removeprefix("./")]
        assert list(array.metadata.dimension_names) == names
        sides.append(array.shape)
        kinds = [t["type"] for t in dataset["coordinateTransformations"]]
        assert kinds in (["scale"], ["scale", "translation"])
        scale = dataset["coordinateTransformations"][0]["scale"]
        assert scale == [size * 2**level] * 2
        if level:
            # The centre of the first pixel of a level is that of those which it covers.
            shift = dataset["coordinateTransformations"][1]["translation"]
            assert shift == pytest.approx([size * (2**level - 1) / 2] * 2)
    assert sides == ([SHAPE] if part == "." else [(38, 31), (19, 16), (10, 8)])


@pytest.mark.long
@pytest.mark.parametrize("part", [None, "pyramid/max", "pyramid/mean"])
def test_another_program_finds_the_metadata_valid(store, part) -> None:
    """The package ome-zarr-models accepts store and kinds, their metadata and arrays."""
    models = pytest.importorskip("ome_zarr_models.v05.image", reason="needs ome-zarr-models")
    build_pyramid(store, smallest=10)
    image = models.Image.from_zarr(zarr.open_group(store, path=part, mode="r"))
    paths = [d.path for d in image.ome_attributes.multiscales[0].datasets]
    assert paths == (["image"] if part is None else [f"{k}/image" for k in (1, 2, 3)])


def test_xarray_opens_it_as_a_tree(store) -> None:
    """All of the store, and each of its groups, without a warning."""
    build_pyramid(store, smallest=10)
    levels = Levels(store)
    with xarray.open_datatree(store, engine="zarr") as tree:
        assert np.array_equal(tree["image"], image_of(store))
        for kind in KINDS:
            for level in range(1, LEVELS + 1):
                found = tree[f"pyramid/{kind}/{level}/image"]
                assert found.dims == ("y", "x")
                assert np.array_equal(found, whole(levels, kind, level))
    for group in ("pyramid", "pyramid/max", "pyramid/max/1", "pyramid/mean/3"):
        with xarray.open_dataset(store, engine="zarr", group=group) as part:
            assert ("image" in part) == group[-1].isdigit()
    with xarray.open_datatree(store, engine="zarr", group="pyramid/max") as part:
        assert part["2/image"].shape == (19, 16)


def test_a_pyramid_of_the_earlier_layout(store) -> None:
    """Is read and completed as it is; rebuilt on request, all kinds of it; no kind joins it."""
    build_pyramid(store, kinds=["max"], smallest=10)
    new = whole(Levels(store), "max", 2)
    earlier_layout(store)
    with pytest.raises(ValueError, match="conflicting sizes"):
        xarray.open_dataset(store, engine="zarr", group="pyramid/max")
    assert np.array_equal(whole(Levels(store), "max", 2), new)
    (store / "pyramid/max/2/c/0/0").unlink()
    made = build_pyramid(store, kinds=["max"], smallest=10)
    assert (made.earlier, made.built) == (True, 1)
    with pytest.raises(StoreError, match=r"earlier layout, .* --rebuild builds it anew"):
        build_pyramid(store, kinds=["mean"])
    made = build_pyramid(store, kinds=["mean"], smallest=10, rebuild=True)
    assert (made.kinds, made.earlier, made.missing) == (KINDS, False, 0)
    assert np.array_equal(whole(Levels(store), "max", 2), new)
    assert not (store / "pyramid/max/2/c").exists()
    with xarray.open_datatree(store, engine="zarr") as tree:
        assert tree["pyramid/mean/1/image"].shape == (38, 31)
    assert len(ome(store)["multiscales"][0]["datasets"]) == 1


def test_levels_have_the_unit_of_the_image(store) -> None:
    """Levels of a detector's readings are no photons."""
    names = {"long_name": "detector reading per pixel", "units": "adu"}
    zarr.open_array(store, path="image", mode="r+").attrs.update(names)
    build_pyramid(store, smallest=10)
    attributes = zarr.open_array(store, path="pyramid/mean/2/image", mode="r").attrs
    assert attributes["units"] == "adu"
    assert attributes["long_name"] == "detector reading per pixel, mean of 4 x 4 pixels"


def test_a_small_image_needs_no_levels(store) -> None:
    """The image alone is the multiscale image, and a second call finds nothing to do."""
    assert build_pyramid(store).shapes == ()
    assert [d["path"] for d in ome(store)["multiscales"][0]["datasets"]] == ["image"]
    assert build_pyramid(store).built == 0
