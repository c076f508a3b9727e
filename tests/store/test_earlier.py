"""Stores that were started with a discontinued kernel: read, verified, repaired, finished."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.run import simulate
from nbdask.statistics import summarise
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter
from nbdask.verification import repair, verify
from tests.helpers import small_experiment

EXPERIMENT = small_experiment()
#: Tiles of 8 x 8 pixels.
COLUMNS = 3
NOTE = "begun with the kernel older and continued with cpu, version "


class Stop(Exception):
    """Ends a run."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A complete store, as an earlier version left it."""
    path = tmp_path / "a.zarr"
    simulate(EXPERIMENT, path, backend="cpu", tile=8)
    make_earlier(path)
    return path


def make_earlier(path: Path) -> None:
    """Put the earlier kernel on record."""
    then = {"backend": "older", "kernel_version": "1"}
    plan = {**StoreReader(path).attributes["plan"], **then}
    update_attributes(path, {**then, "plan": plan, "versions": {"older": "0.61.0"}})


def change(path: Path, index: int, factor: float) -> None:
    """Write a tile with other pixels, and with a record that fits them."""
    reader = StoreReader(path)
    tile, pixels = reader.grid[index], reader.tile(index) * np.float32(factor)
    summary = summarise(pixels, (tile.slow0, tile.fast0), None)
    TileWriter(place_of(path))(index, tile, pixels, summary)


def pixels_of(path: Path) -> np.ndarray:
    """Return the image."""
    return np.asarray(StoreReader(path).image[:])


def test_it_is_read_and_verified(store, capsys) -> None:
    """Its record is shown as it is; tiles computed again agree."""
    assert main(["info", str(store)]) == 0
    assert "backend      older" in capsys.readouterr().out
    assert main(["verify", str(store), "--recompute", "99"]) == 0
    assert "12 recomputed, all well" in capsys.readouterr().out


def test_a_last_digit_is_no_fault_but_more_is(store) -> None:
    """The bound is that of the precision; with the kernel of today every bit counts."""
    change(store, 5, 1.0 + 1e-7)
    assert [fault.index for fault in verify(store, recompute=99).faults] == []
    change(store, 5, 1.0 + 1e-5)
    found = verify(store, recompute=99).faults
    assert [(fault.index, fault.kind) for fault in found] == [(5, "different")]
    plan = StoreReader(store).attributes["plan"]
    now = {"backend": "cpu", "kernel_version": "2"}
    change(store, 5, 1.0 / (1.0 + 1e-5))
    update_attributes(store, {**now, "precision": "float64", "plan": {**plan, **now}})
    change(store, 5, 1.0 + 2e-7)
    assert [fault.index for fault in verify(store, recompute=99).faults] == [5]


def test_it_is_mended(store) -> None:
    """The tile is computed by today's kernel, the record keeps the earlier one and says so."""
    before = pixels_of(store)
    (store / "image" / "c" / "1" / "1").unlink()
    assert [fault.index for fault in repair(store).faults] == [4]
    assert np.array_equal(pixels_of(store), before)
    attributes = StoreReader(store).attributes
    assert attributes["backend"] == "older"
    assert [note for note in attributes["notes"] if note.startswith(NOTE)] != []


def test_it_is_finished(tmp_path) -> None:
    """--resume computes what is missing, without being told which kernel."""
    whole, path = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    simulate(EXPERIMENT, whole, backend="cpu", tile=8)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        simulate(EXPERIMENT, path, backend="cpu", tile=8, threads=1, progress=stop)
    make_earlier(path)
    result = simulate(EXPERIMENT, path, resume=True)
    assert np.array_equal(pixels_of(path), pixels_of(whole))
    assert [note for note in result.notes if note.startswith(NOTE)] != []
    attributes = StoreReader(path).attributes
    assert (attributes["backend"], attributes["status"]) == ("older", "complete")
    assert list(result.notes) == attributes["notes"]


def test_it_is_left_alone_when_it_is_complete(store) -> None:
    """Resumed with nothing to compute: no byte changes, the kernel on record least of all."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    simulate(EXPERIMENT, store, resume=True)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_it_is_compared_with_its_trace(store, capsys) -> None:
    """A pixel that is another one is computed by the kernel in its place."""
    assert main(["trace", "9", "9", str(store)]) == 0
    assert "(older, float64) holds" in capsys.readouterr().err
    change(store, 4, 1.01)
    assert main(["trace", "9", "9", str(store)]) == 1
    assert "the cpu kernel gives" in capsys.readouterr().err
