"""The raw float image, streamed from a store."""

from __future__ import annotations

import os

import numpy as np
import pytest

from nbdask.errors import StoreError
from nbdask.export import picture
from nbdask.export.floatfile import FloatFile
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import EMPTY
from nbdask.store import schema
from nbdask.store.create import create_store
from nbdask.store.write import TileWriter
from tests.helpers import root_of

GRID = TileGrid((300, 1200), (128, 1024))
IMAGE = np.random.default_rng(2).random(GRID.shape).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    """A complete store with shards and edges."""
    path = tmp_path / "a.zarr"
    create_store(path, GRID, root_of(GRID, status=schema.COMPLETE), pixel_size=1e-4)
    writer = TileWriter(path)
    for index, t in enumerate(GRID):
        writer(index, t, IMAGE[t.slow0 : t.slow1, t.fast0 : t.fast1], EMPTY)
    return path


@pytest.mark.parametrize("band", [1, 128 * 1200 * 4, 1 << 30])
def test_the_file_is_the_image(store, tmp_path, monkeypatch, band) -> None:
    """Whatever the height of the bands: little-endian, slow-major, no header."""
    monkeypatch.setattr(picture, "BAND_BYTES", band)
    FloatFile(tmp_path / "float.bin").write(store)
    assert (tmp_path / "float.bin").read_bytes() == IMAGE.astype("<f4").tobytes()


def test_an_older_file_is_replaced_as_a_whole(store, tmp_path, monkeypatch) -> None:
    """A failure in the middle leaves the old file, and nothing else."""
    target = tmp_path / "float.bin"
    target.write_bytes(b"old")

    def fail(source: object, destination: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nbdask.export.files.os.replace", fail)
    with pytest.raises(StoreError, match=r"-floatfile .*No space left"):
        FloatFile(target).write(store)
    assert target.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "float.bin"]
    monkeypatch.undo()
    FloatFile(target).write(store)
    assert target.stat().st_size == 4 * IMAGE.size


def test_impossible_paths_are_refused(tmp_path) -> None:
    """A folder, and a folder that is not there."""
    with pytest.raises(StoreError, match="is a folder"):
        FloatFile(tmp_path).check()
    with pytest.raises(StoreError, match="does not exist"):
        FloatFile(tmp_path / "no" / "float.bin").check()
