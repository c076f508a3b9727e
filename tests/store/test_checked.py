"""Reading against the records of tiles: what is damaged is named, however it is read."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile
from nbdask.store import checked
from nbdask.store.checked import CheckedImage
from nbdask.store.reader import StoreReader
from tests.export.stores import store_of
from tests.helpers import lose_records, sampled, small_experiment
from tests.pictured import flip

IMAGE = np.random.default_rng(3).gamma(0.5, 40.0, (32, 24)).astype(np.float32)
WHOLE = Tile(0, 32, 0, 24)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Tiles 0 to 3 of 16 x 16 and 16 x 8 pixels."""
    return store_of(tmp_path / "a.zarr", small_experiment(), IMAGE, tile=(16, 16))


def damage(store: Path, number: int) -> None:
    """Replace a chunk by one of other pixels that decodes."""
    other = store_of(store.with_name("b.zarr"), small_experiment(), IMAGE + 1, tile=(16, 16))
    chunk = f"image/c/{number // 2}/{number % 2}"
    (store / chunk).write_bytes((other / chunk).read_bytes())


@pytest.mark.parametrize("rows", sampled([3, 1, 16, 20, 32], 2))
@pytest.mark.parametrize("columns", [(0, 24), (3, 24), (5, 11)])
@pytest.mark.parametrize("first", [0, 5])
def test_pixels_in_order(store, monkeypatch, rows, columns, first) -> None:
    """Bands of any height and width; what is wrong is found at the latest in the end."""
    monkeypatch.setattr(checked, "_PIECE_BYTES", 100)
    reader = StoreReader(store)

    def read(image: CheckedImage) -> np.ndarray:
        parts = [Tile(r, min(r + rows, 30), *columns) for r in range(first, 30, rows)]
        pixels = np.concatenate([image.read_next(part) for part in parts])
        image.finish()
        return pixels

    assert np.array_equal(read(CheckedImage(reader)), IMAGE[first:30, slice(*columns)])
    damage(store, 2)
    with pytest.raises(StoreError, match=r"tile 2 \(slow 16 to 32, fast 0 to 16\) is damaged: CRC"):
        read(CheckedImage(reader))


@pytest.mark.parametrize("part", [WHOLE, Tile(20, 21, 3, 4), Tile(0, 17, 0, 24)])
def test_a_part_is_sound_before_it_is_returned(store, part) -> None:
    """Tiles that it holds in part are read as a whole."""
    image = CheckedImage(StoreReader(store))
    wanted = IMAGE[part.slow0 : part.slow1, part.fast0 : part.fast1]
    assert np.array_equal(image.read(part), wanted)
    assert np.array_equal(image.read(part), wanted)
    damage(store, 2)
    fresh = CheckedImage(StoreReader(store))
    with pytest.raises(StoreError, match=r"tile 2 .*nbdask repair"):
        fresh.read(part)
    assert np.array_equal(fresh.read(Tile(0, 16, 0, 24)), IMAGE[:16])


def test_what_is_missing_and_what_cannot_be_decoded(store) -> None:
    """A missing record, unless unfinished stores are wanted; a chunk or record of rubbish."""
    lose_records(store, 1)
    reader = StoreReader(store)
    with pytest.raises(StoreError, match=r"tile 1 .* is damaged: it has no record"):
        CheckedImage(reader).read(WHOLE)
    assert np.array_equal(CheckedImage(reader, missing=True).read(WHOLE), IMAGE)
    (store / "image" / "c" / "1" / "0").write_bytes(b"rubbish")
    with pytest.raises(StoreError, match=r"tile 2 .* is damaged: its pixels cannot be read"):
        CheckedImage(reader, missing=True).read(WHOLE)
    (store / "tiles" / "c" / "0" / "0" / "0").write_bytes(b"rubbish")
    with pytest.raises(StoreError, match=r"tile 0 .* is damaged: its record cannot be read"):
        CheckedImage(StoreReader(store)).read(Tile(0, 1, 0, 1))


PARTS = [np.s_[5], np.s_[5:9, 3], np.s_[::-1, 4:20:3], np.s_[30:2:-7, ::2], np.s_[3, 4], np.s_[7:7]]


@pytest.mark.parametrize("part", PARTS)
def test_a_checked_image_is_the_image(store, part) -> None:
    """Lazily, one chunk for each tile, for whatever is selected; also after pickling."""
    image = nbdask.open(store, check=True)["image"]
    assert image.chunks == ((16, 16), (16, 8))
    assert image.attrs.keys() == nbdask.open(store)["image"].attrs.keys()
    assert np.array_equal(image[part].values, IMAGE[part])
    assert np.array_equal(pickle.loads(pickle.dumps(image))[part].values, IMAGE[part])


@pytest.mark.parametrize("place", [0.0, 0.5])
def test_a_flipped_bit_is_an_error_when_it_is_computed(store, place) -> None:
    """Only with ``check`` for a chunk that still decodes; other tiles are not in the way."""
    image = nbdask.open(store, check=True)["image"]
    assert np.array_equal(image.values, IMAGE)
    flip(store / "image" / "c" / "1" / "0", place)
    assert np.array_equal(image[:16].values, IMAGE[:16])
    with pytest.raises(StoreError, match=r"tile 2 \(slow 16 to 32, .*nbdask repair"):
        image[20, 3].compute()
    if place:
        assert not np.array_equal(nbdask.open(store)["image"].values, IMAGE)


def test_what_is_not_computed_yet_is_nan_when_checked(store) -> None:
    """As without the check."""
    lose_records(store, 1)
    (store / "image" / "c" / "0" / "1").unlink()
    image = nbdask.open(store, check=True)["image"].values
    assert np.isnan(image[:16, 16:]).all()
    assert np.array_equal(image[:, :16], IMAGE[:, :16])


def test_a_file_that_is_whole_by_now_is_read_again(store, monkeypatch) -> None:
    """Read while it was half written: no error of zarr's own, the pixels as they are now."""
    reader = StoreReader(store)
    checked, whole = CheckedImage(reader), Tile(0, reader.grid.shape[0], 0, reader.grid.shape[1])
    expected = np.asarray(reader.image[:])
    chunk = next(path for path in sorted((store / "image" / "c").rglob("*")) if path.is_file())
    content = chunk.read_bytes()
    chunk.write_bytes(b"")
    read, calls = type(reader.image).__getitem__, []

    def half_written(array, selection):
        calls.append(selection)
        if len(calls) == 2:
            chunk.write_bytes(content)
        return read(array, selection)

    monkeypatch.setattr(type(reader.image), "__getitem__", half_written)
    np.testing.assert_array_equal(checked.read(whole), expected)
    assert len(calls) > 2
