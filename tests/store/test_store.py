"""The store on disk: layout, tiles, records, reading."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
import warnings
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr

from nbdask.errors import StoreError
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import summarise
from nbdask.store import schema
from nbdask.store.create import create_store, update_attributes
from nbdask.store.open import open_store, read_summary
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter, checksum
from tests.helpers import STRICT, root_of

RANDOM = np.random.default_rng(5)


def make(path, shape=(20, 30), tile=(8, 16)):
    """Create a store and return its grid, a writer and random pixels."""
    grid = TileGrid(shape, tile)
    create_store(path, grid, root_of(grid), pixel_size=2e-4)
    return grid, TileWriter(path), RANDOM.random(shape).astype(np.float32)


def write(writer, grid, index, image) -> None:
    """Write one tile of an image."""
    t = grid[index]
    part = image[t.slow0 : t.slow1, t.fast0 : t.fast1]
    writer(index, t, part, summarise(part, (t.slow0, t.fast0), None, 3, 0.5))


@pytest.mark.parametrize(
    ("tile", "chunks", "shards"),
    [
        ((1024, 1024), (512, 512), (1024, 1024)),
        ((2048, 2048), (512, 512), (2048, 2048)),
        ((512, 512), (512, 512), None),
        ((64, 64), (64, 64), None),
        ((1000, 1500), (500, 500), (1000, 1500)),
        ((300, 2048), (300, 512), (300, 2048)),
        ((1021, 1021), (1021, 1021), None),
        ((2463, 2527), (2463, 2527), None),
    ],
)
def test_chunks_follow_the_tile(tile, chunks, shards) -> None:
    """A tile is a shard of chunks of at most 512, or one chunk where nothing divides it."""
    found = schema.image_chunks(TileGrid((4096, 4096), tile))
    assert found == (chunks, shards)


def test_layout(tmp_path) -> None:
    """Names, dimensions, types and fill values of the arrays."""
    make(tmp_path / "a.zarr")
    root: Any = zarr.open_group(tmp_path / "a.zarr", mode="r")
    image, tiles, slow = root["image"], root["tiles"], root["slow"]
    assert image.metadata.zarr_format == 3
    assert (image.shape, image.dtype) == ((20, 30), np.float32)
    assert image.metadata.dimension_names == ("slow", "fast")
    assert np.isnan(image.fill_value)
    assert tiles.shape == (3, 2, len(schema.FIELDS))
    assert tiles.chunks == (3, 2, len(schema.FIELDS))
    assert tiles.attrs["fields"] == list(schema.FIELDS)
    assert slow[:].tolist() == list(range(20))
    assert slow.attrs["pixel_size_m"] == 2e-4
    assert set(p.name for p in (tmp_path / "a.zarr").iterdir()) == schema.ENTRIES - {
        *schema.SOME,
        *schema.PANEL_COORDINATES,
    }


@pytest.mark.parametrize(("shape", "tile"), [((20, 30), (8, 16)), ((300, 1200), (256, 1024))])
def test_tiles_come_back(tmp_path, shape, tile) -> None:
    """What was written is read, bit for bit, also from shards and at the edges."""
    grid, writer, image = make(tmp_path / "a.zarr", shape, tile)
    for index in reversed(range(len(grid))):
        write(writer, grid, index, image)
    reader = StoreReader(tmp_path / "a.zarr")
    assert np.array_equal(np.asarray(reader.image[:]), image)
    assert reader.done().all()
    for index in range(len(grid)):
        record = reader.record(index)
        assert record is not None
        assert record["crc32c"] == google_crc32c.value(reader.tile(index).tobytes())
    assert sum(s.n_evaluated for s in reader.summaries()) == image.size


def test_unfinished_tiles_are_nan_and_not_recorded(tmp_path) -> None:
    """Only the tile that was written has pixels and a record."""
    grid, writer, image = make(tmp_path / "a.zarr")
    write(writer, grid, 3, image)
    reader = StoreReader(tmp_path / "a.zarr")
    assert reader.done().tolist() == [False, False, False, True, False, False]
    assert reader.record(0) is None
    assert np.isnan(reader.tile(2)).all()
    assert not np.isnan(reader.tile(3)).any()


def test_a_tile_of_zeros_is_stored(tmp_path) -> None:
    """Zeros are pixels: they are on disk and read as 0, not as missing."""
    grid, writer, image = make(tmp_path / "a.zarr", (300, 1200), (256, 1024))
    write(writer, grid, 0, np.zeros_like(image))
    reader = StoreReader(tmp_path / "a.zarr")
    assert (reader.tile(0) == 0).all()
    assert reader.record(0) is not None
    assert [p.name for p in (tmp_path / "a.zarr" / "image" / "c" / "0").iterdir()] == ["0"]


def test_the_record_comes_after_the_pixels(tmp_path, monkeypatch) -> None:
    """Where writing pixels fails there is no record; the error names tile and reason."""
    grid, writer, image = make(tmp_path / "a.zarr")

    def full(store, key, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nbdask.store.write.put", full)
    with pytest.raises(StoreError, match=r"tile 4 .*No space left on device"):
        write(writer, grid, 4, image)
    monkeypatch.undo()
    assert not StoreReader(tmp_path / "a.zarr").done().any()


def test_a_store_deleted_under_us_is_an_error(tmp_path) -> None:
    """A writer does not recreate a store that is gone."""
    grid, writer, image = make(tmp_path / "a.zarr")
    write(writer, grid, 1, image)
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="cannot write tile 0"):
        write(writer, grid, 0, image)
    assert not (tmp_path / "a.zarr").exists()


def test_a_writer_can_be_pickled_while_open(tmp_path) -> None:
    """Another process gets the path only and opens the arrays itself."""
    grid, writer, image = make(tmp_path / "a.zarr")
    write(writer, grid, 0, image)
    data = pickle.dumps(writer)
    assert len(data) < 500
    write(pickle.loads(data), grid, 1, image)
    assert StoreReader(tmp_path / "a.zarr").done()[:2].all()


def test_many_threads_may_write(tmp_path) -> None:
    """Tiles written at the same time do not disturb each other."""
    grid, writer, image = make(tmp_path / "a.zarr", (64, 64), (8, 8))
    threads = [
        threading.Thread(target=write, args=(writer, grid, index, image))
        for index in range(len(grid))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.asarray(StoreReader(tmp_path / "a.zarr").image[:]), image)


def test_the_checksum_is_crc32c_of_little_endian_float32() -> None:
    """Known value of CRC-32C, and independence of byte order and layout in memory."""
    digits = np.frombuffer(b"12345678", dtype="<f4").reshape(1, 2)
    assert checksum(digits) == google_crc32c.value(b"12345678")
    image = RANDOM.random((5, 7)).astype(np.float32)
    assert checksum(image) == checksum(np.asfortranarray(image))
    assert checksum(image) == checksum(image.astype(">f4"))


def test_attributes_change_and_stay_consolidated(tmp_path) -> None:
    """Changed attributes are read back, others stay, and the arrays' metadata is still there."""
    make(tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        update_attributes(tmp_path / "a.zarr", {"status": "complete", "extra": [1, 2]})
        group: Any = zarr.open_consolidated(tmp_path / "a.zarr")
    assert group.attrs["status"] == "complete"
    assert group.attrs["extra"] == [1, 2]
    assert group.attrs["format"] == schema.FORMAT
    assert set(group.metadata.consolidated_metadata.metadata) == {"image", "slow", "fast", "tiles"}


@pytest.mark.long
def test_plain_xarray_opens_it_without_warnings(tmp_path) -> None:
    """xarray alone reads the store lazily; any warning would be an error."""
    grid, writer, image = make(tmp_path / "a.zarr")
    for index in range(len(grid)):
        write(writer, grid, index, image)
    np.save(tmp_path / "image.npy", image)
    code = (
        "import sys, numpy, xarray\n"
        "data = xarray.open_zarr(sys.argv[1])\n"
        "assert 'nbdask' not in sys.modules\n"
        "assert data.image.dims == ('slow', 'fast') and data.image.chunks is not None\n"
        "assert numpy.array_equal(data.image.values, numpy.load(sys.argv[2]))\n"
        "print(float(data.image.sel(slow=3, fast=5)))"
    )
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", code, tmp_path / "a.zarr", tmp_path / "image.npy"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stderr == ""
    assert np.float32(done.stdout) == image[3, 5]


def test_open_store_is_lazy(tmp_path) -> None:
    """The dataset is backed by dask and carries attributes and coordinates."""
    make(tmp_path / "a.zarr")
    data = open_store(tmp_path / "a.zarr")
    assert data.image.chunks == ((8, 8, 4), (16, 14))
    assert data.slow.values[-1] == 19
    assert data.attrs["status"] == "running"
    assert np.isnan(data.image.values).all()


def test_summary_counts_tiles(tmp_path) -> None:
    """How many tiles are done, of how many."""
    grid, writer, image = make(tmp_path / "a.zarr")
    write(writer, grid, 1, image)
    found = read_summary(tmp_path / "a.zarr")
    assert found["tiles"] == {"done": 1, "total": 6, "shape": [8, 16]}
    assert found["shape"] == [20, 30]


def test_what_is_no_store_is_refused(tmp_path) -> None:
    """A missing path, a folder, a later format: each says what it is."""
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(StoreError, match="is not an nbdask store"):
        read_summary(tmp_path / "b.zarr")
    grid = TileGrid((20, 30), (8, 16))
    later = {**root_of(grid), "format_version": schema.NEWEST_VERSION + 1}
    create_store(tmp_path / "c.zarr", grid, later, pixel_size=1e-4)
    with pytest.raises(StoreError, match="newer nbdask"):
        StoreReader(tmp_path / "c.zarr")
