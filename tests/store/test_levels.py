"""Arrays of coarser levels: their sizes, what is written and read, what is damaged, metadata."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import summarise
from nbdask.store.address import place_of
from nbdask.store.checked import DamageError
from nbdask.store.create import create_store
from nbdask.store.levels import (
    KINDS,
    LAYOUT,
    MAX,
    MEAN,
    Levels,
    level_count,
    level_grid,
    level_path,
    pyramid_attributes,
)
from nbdask.store.ome import root_metadata
from nbdask.store.pyramid import create_levels
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter
from tests.helpers import root_of

GRID = TileGrid((40, 26), (8, 8))
IMAGE = np.random.default_rng(8).gamma(0.5, 40.0, GRID.shape).astype(np.float32)
side = st.integers(1, 5000)
grids = st.builds(TileGrid, shape=st.tuples(side, side), tile=st.tuples(side, side))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store whose tiles are all there but the last; tests copy it."""
    path = tmp_path_factory.mktemp("levels") / "a.zarr"
    create_store(path, GRID, root_of(GRID), pixel_size=2e-4)
    writer = TileWriter(path)
    for index, tile in enumerate(GRID):
        if index < len(GRID) - 1:
            part = IMAGE[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
            writer(index, tile, part, summarise(part, (tile.slow0, tile.fast0), None))
    return path


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(begun, tmp_path / "a.zarr"))


@given(grids, st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_each_level_has_half_the_pixels_rounded_up(grid: TileGrid, level: int) -> None:
    """So a pixel of it is a block of pixels of the image; a chunk covers four of those below."""
    below, here = level_grid(grid, level - 1), level_grid(grid, level)
    assert level_grid(grid, 0) == grid
    for axis in range(2):
        assert here.shape[axis] == -(-below.shape[axis] // 2)
        assert here.tile[axis] == min(grid.tile[axis], here.shape[axis])
        assert here.counts[axis] == -(-here.shape[axis] // here.tile[axis])


@given(grids, st.integers(1, 600))
@settings(max_examples=20, deadline=None)
def test_levels_go_on_until_the_image_is_small(grid: TileGrid, smallest: int) -> None:
    """The last one fits, the one before does not."""
    count = level_count(grid, smallest)
    assert max(level_grid(grid, count).shape) <= smallest
    assert count == 0 or max(level_grid(grid, count - 1).shape) > smallest


@pytest.mark.parametrize(
    ("panels", "shape", "count"),
    [(1, (600, 300), 1), (2, (512, 256), 0), (128, (64, 512), 2), (2**19, (1, 1), 0)],
)
def test_levels_of_several_panels(panels: int, shape: tuple[int, int], count: int) -> None:
    """Their pixels count together; however many there are, none has less than a pixel."""
    grid = TileGrid(shape, shape, panels)
    assert level_count(grid) == count
    assert level_grid(grid, 1).panels == panels


def test_a_store_without_a_pyramid(store: Path) -> None:
    """Has the image alone."""
    levels = Levels(store)
    assert (levels.kinds, levels.count, levels.grid) == ((), 0, GRID)
    assert levels.pixel_size == 2e-4
    assert levels.top(MAX) == 0
    assert pyramid_attributes(place_of(store)) is None
    assert level_path(MEAN, 0) == level_path(MAX, 0) == "image"


def test_what_is_made(store: Path) -> None:
    """Arrays of NaN for each kind and level, metadata in the store and in each kind's group."""
    before = StoreReader(store).attributes
    levels = create_levels(place_of(store), [MEAN], smallest=8)
    assert (levels.kinds, levels.count) == ((MEAN,), 3)
    assert (levels.top(MEAN), levels.top(MAX)) == (3, 0)
    assert pyramid_attributes(place_of(store)) == {"kinds": [MEAN], "levels": 3, "layout": LAYOUT}
    for level, shape in enumerate(((40, 26), (20, 13), (10, 7), (5, 4))):
        assert levels.level_grid(level).shape == shape
        if level:
            array = zarr.open_array(store, path=f"pyramid/mean/{level}/image", mode="r")
            assert array.shape == shape
            assert np.isnan(np.asarray(array[:])).all()
            text = f"photons per pixel, mean of {2**level} x {2**level} pixels"
            assert array.attrs.asdict() == {"long_name": text, "units": "photon"}
            assert not levels.done([MEAN], level).any()
    after = StoreReader(store).attributes
    assert after.pop("ome") == root_metadata(("slow", "fast"), 2e-4)
    # The manifest covers the new arrays too.
    made = {f"pyramid/mean/{level}" for level in (1, 2, 3)}
    nodes = {"pyramid", "pyramid/mean", *made, *(f"{level}/image" for level in made)}
    assert set(after.pop("manifest")["nodes"]) - set(before.pop("manifest")["nodes"]) == nodes
    assert after == before


def test_a_second_kind_is_added_to_the_first(store: Path) -> None:
    """What is there stays, its number of levels counts, and the order is always the same."""
    first = create_levels(place_of(store), [MEAN], smallest=8)
    values = np.full((8, 8), 3.0, dtype=np.float32)
    first.write(MEAN, 1, 0, values)
    both = create_levels(place_of(store), [MAX], smallest=1)
    assert (both.kinds, both.count) == (KINDS, 3)
    assert np.array_equal(both.read(MEAN, 1, Tile(0, 8, 0, 8)), values)
    assert both.done([MEAN], 1).sum() == 1
    assert both.done(KINDS, 1).sum() == 0
    again = create_levels(place_of(store), KINDS)
    assert (again.kinds, again.count) == (KINDS, 3)


def test_an_image_that_is_small_enough_has_no_levels(store: Path) -> None:
    """The pyramid is there, with the image as its only level."""
    levels = create_levels(place_of(store), KINDS)
    assert (levels.kinds, levels.count) == (KINDS, 0)
    assert StoreReader(store).attributes["ome"] == root_metadata(("slow", "fast"), 2e-4)


def test_written_chunks_come_back(store: Path) -> None:
    """One by one, at the edges too, zeros and NaN as well; each is one file and counts as done."""
    levels = create_levels(place_of(store), [MAX], smallest=8)
    grid, random = levels.level_grid(1), np.random.default_rng(1)
    whole = np.full(grid.shape, np.nan, dtype=np.float32)
    for number, index in enumerate(random.permutation(len(grid)).tolist()):
        tile = grid[index]
        values = random.random(tile.shape).astype(np.float32) * (index != 2)
        values[0, 0] = np.nan if index == 3 else 0.0
        levels.write(MAX, 1, index, values)
        whole[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = values
        assert levels.done([MAX], 1).sum() == number + 1
        assert levels.done([MAX], 1)[grid.place(index)]
    found = Levels(store).read(MAX, 1, Tile(0, 20, 0, 13))
    assert np.array_equal(found, whole, equal_nan=True)
    assert np.array_equal(Levels(store).read(MAX, 1, Tile(5, 9, 7, 8)), whole[5:9, 7:8])
    assert not Levels(store).done([MAX], 2).any()


def test_level_0_is_the_image(store: Path) -> None:
    """Its tiles count by their records; what is not there is NaN."""
    levels = Levels(store)
    done = levels.done(KINDS, 0)
    assert done.shape == (5, 4)
    assert (done.sum(), done[4, 3]) == (19, False)
    found = levels.read(MAX, 0, Tile(30, 40, 20, 26))
    assert np.array_equal(found[:2], IMAGE[30:32, 20:26])
    assert np.isnan(found[2:, 4:]).all()


def test_a_damaged_chunk_is_named_with_what_to_do(store: Path) -> None:
    """By level, number and file; chunks beside it are read."""
    levels = create_levels(place_of(store), [MEAN], smallest=8)
    for index in range(6):
        levels.write(MEAN, 1, index, np.ones(levels.level_grid(1)[index].shape, np.float32))
    file = store / "pyramid/mean/1/image/c/1/0"
    content = bytearray(file.read_bytes())
    content[-3] ^= 0x10
    file.write_bytes(content)
    damaged = Levels(store)
    with pytest.raises(DamageError) as caught:
        damaged.read(MEAN, 1, Tile(0, 20, 0, 13))
    assert (caught.value.level, caught.value.index) == (1, 2)
    text = str(caught.value)
    assert text.startswith(
        f"{store}: pyramid/mean/1/image/c/1/0, a part of its pyramid, is damaged ("
    )
    assert text.endswith(f"; delete it, then nbdask pyramid {store} builds it again")
    assert "\n" not in text
    assert (damaged.read(MEAN, 1, Tile(0, 8, 0, 13)) == 1).all()
    file.unlink()
    assert np.isnan(damaged.read(MEAN, 1, Tile(8, 16, 0, 8))).all()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"attributes": {}}', '{"attributes": {"kinds": 1, "levels": 2}}',
             '{"attributes": {"kinds": ["max"], "levels": "many"}}']
)  # fmt: skip
def test_damaged_metadata_of_a_pyramid(store: Path, text: str) -> None:
    """The store is named; the image can still be read without it."""
    create_levels(place_of(store), [MAX], smallest=8)
    (store / "pyramid/zarr.json").write_text(text)
    with pytest.raises(StoreError) as caught:
        Levels(store)
    assert str(caught.value) == f"{store}: the metadata of its pyramid is damaged"
    assert StoreReader(store).grid == GRID


def test_a_level_whose_array_is_gone_or_garbled(store: Path) -> None:
    """Reading and writing name the level."""
    create_levels(place_of(store), [MAX], smallest=8)
    shutil.rmtree(store / "pyramid/max/2")
    (store / "pyramid/max/1/image/zarr.json").write_text("{")
    for level in (1, 2):
        with pytest.raises(StoreError, match=f"level {level} of its pyramid cannot be read"):
            Levels(store).read(MAX, level, Tile(0, 1, 0, 1))
    with pytest.raises(StoreError, match="level 2 of its pyramid cannot be read"):
        Levels(store, writable=True).write(MAX, 2, 0, np.zeros((8, 7), np.float32))


def test_nothing_is_written_into_a_store_that_is_gone(store: Path) -> None:
    """Nor is it made anew."""
    levels = create_levels(place_of(store), [MAX], smallest=8)
    shutil.rmtree(store)
    with pytest.raises(StoreError, match="cannot write level 1 of its pyramid: No such file"):
        levels.write(MAX, 1, 0, np.zeros((8, 8), np.float32))
    assert not store.exists()
    with pytest.raises(StoreError, match="does not exist"):
        create_levels(place_of(store), [MAX])
