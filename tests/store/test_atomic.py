"""A file of a store is there as a whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from nbdask.store.local import LocalPlace
from nbdask.store.reader import StoreReader
from tests.store.test_store import make, write


def half_written(store: Path) -> list[Path]:
    """Files that were never renamed."""
    return list(store.rglob("*.partial"))


@pytest.mark.long
def test_a_reader_never_sees_a_half_written_tile(tmp_path) -> None:
    """While a tile is written again and again, its file is always one version or the other."""
    grid, writer, image = make(tmp_path / "a.zarr", (1024, 1024), (1024, 1024))
    file = tmp_path / "a.zarr" / "image" / "c" / "0" / "0"
    versions = []
    for part in (image, np.zeros_like(image)):
        write(writer, grid, 0, part)
        versions.append(file.read_bytes())
    stop = threading.Event()

    def rewrite() -> None:
        try:
            for number in range(30):
                write(writer, grid, 0, image if number % 2 == 0 else np.zeros_like(image))
        finally:
            stop.set()

    thread = threading.Thread(target=rewrite)
    thread.start()
    found = []
    while not stop.is_set():
        found.append(versions.index(file.read_bytes()))
    thread.join()
    assert set(found) <= {0, 1}
    assert len(found) > 10


class Killed(BaseException):
    """Stands for a kill: nothing cleans up after it."""


@pytest.mark.parametrize(("number", "done"), [(1, False), (2, False), (3, True)])
def test_what_a_killed_writer_leaves_is_not_taken_for_a_tile(
    tmp_path, monkeypatch, number, done
) -> None:
    """Killed before the pixels' file gets its name, before the record's, and after both."""
    grid, writer, image = make(tmp_path / "a.zarr")
    replace, calls = os.replace, []

    def killed(source, target):
        calls.append(target)
        if len(calls) == number:
            raise Killed
        return replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    if done:
        write(writer, grid, 3, image)
    else:
        with pytest.raises(Killed):
            write(writer, grid, 3, image)
    monkeypatch.undo()
    reader = StoreReader(tmp_path / "a.zarr")
    assert reader.done().tolist() == [False, False, False, done, False, False]
    assert np.isnan(reader.tile(3)).all() == (number == 1)
    assert len(half_written(tmp_path)) == (0 if done else 1)
    assert LocalPlace(tmp_path / "a.zarr").sweep() == (0 if done else 1)
    assert half_written(tmp_path) == []
    write(writer, grid, 3, image)
    assert np.array_equal(StoreReader(tmp_path / "a.zarr").tile(3), image[8:16, 16:])


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 300])
def test_damaged_files_do_not_keep_a_tile_from_being_written(tmp_path, content) -> None:
    """Also at the edge of the image, where zarr looks at what is there first."""
    grid, writer, image = make(tmp_path / "a.zarr", (300, 1200), (256, 1024))
    for index in range(len(grid)):
        write(writer, grid, index, image)
    store = tmp_path / "a.zarr"
    StoreReader(store).records.settle()
    for name in ("image/c/1/1", "tiles/c/0/0/0"):
        (store / name).write_bytes(content)
    assert not StoreReader(store).done().any()
    for index in range(len(grid)):
        write(writer, grid, index, image)
    reader = StoreReader(store)
    assert reader.done().all()
    reader.records.settle()
    assert StoreReader(store).done().all()
    assert np.array_equal(np.asarray(reader.image[:]), image)
