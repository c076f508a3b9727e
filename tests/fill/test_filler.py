"""started, resumed, repaired: the same for every kind of work, and what listeners hear of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask import derive
from nbdask.derive.noise import noise
from nbdask.errors import StoreError
from nbdask.fill.listen import Listener, Start
from nbdask.fill.target import Target
from nbdask.graph.tasks import TileResult
from nbdask.store.address import place_of
from nbdask.store.create import update_attributes
from nbdask.store.reader import StoreReader
from tests.helpers import small_experiment

PIPELINE = derive.Pipeline((derive.Poisson(), derive.Readout(2.0)), seed=3)
DAMAGED = "image/c/0/0"
#: A quarter of 32 x 24 pixels.
EDGE = 16


class Diary(Listener):
    """Writes down what it hears; ends the run at a tile."""

    def __init__(self, last: int = 0) -> None:
        self.heard: list[object] = []
        self.start: Start | None = None
        self._last = last

    def begin(self, start: Start) -> None:
        self.start = start
        self.heard.append("begin")

    def tile(self, result: TileResult, done: int) -> None:
        assert result.image is None
        self.heard.append(done)
        if done == self._last:
            raise KeyboardInterrupt

    def end(self, complete: bool) -> None:
        self.heard.append("complete" if complete else "cut off")


def simulate(path: Path, *listeners: Listener, resume: bool = False) -> None:
    """Simulate 4 tiles."""
    nbdask.simulate(
        small_experiment(),
        path,
        backend="numpy",
        tile=EDGE,
        threads=1,
        resume=resume,
        listeners=listeners,
    )


def test_listeners_hear_of_the_run_and_of_its_end(tmp_path) -> None:
    """Each tile once, also where a run is cut off, goes on, or has nothing left to do."""
    store = tmp_path / "a.zarr"
    cut, rest, none = Diary(last=2), Diary(), Diary()
    with pytest.raises(KeyboardInterrupt):
        simulate(store, cut)
    assert cut.heard == ["begin", 1, 2, "cut off"]
    assert StoreReader(store).attributes["status"] == "running"
    done = int(StoreReader(store).done().sum())
    simulate(store, rest, resume=True)
    tiles = len(StoreReader(store).grid)
    assert rest.heard == ["begin", *range(done + 1, tiles + 1), "complete"]
    simulate(store, none, resume=True)
    assert none.heard == ["begin", "complete"]
    assert none.start is not None
    assert (none.start.store, none.start.tiles, none.start.done) == (store, tiles, tiles)


def test_who_has_begun_hears_of_the_end(tmp_path) -> None:
    """Also where another listener cannot begin."""

    class Refuses(Listener):
        def begin(self, start: Start) -> None:
            raise StoreError("no room")

    first, last = Diary(), Diary()
    with pytest.raises(StoreError, match="no room"):
        simulate(tmp_path / "a.zarr", first, Refuses(), last)
    assert first.heard == ["begin", "cut off"]
    assert last.heard == []


@pytest.mark.parametrize("noisy", [False, True], ids=["simulated", "derived"])
def test_mended_tiles_have_the_same_bits(tmp_path, noisy) -> None:
    """A lost chunk, a lost status: both kinds of store are whole again, with the same records."""
    store = tmp_path / "a.zarr"
    simulate(store)
    if noisy:
        noise(store, tmp_path / "b.zarr", PIPELINE)
        store = tmp_path / "b.zarr"
    pixels, statistics = np.asarray(StoreReader(store).image[:]), StoreReader(store).attributes
    (store / DAMAGED).unlink()
    told: list[tuple[int, int]] = []
    repaired = nbdask.repair(store, threads=2, progress=lambda *counts: told.append(counts))
    assert [fault.index for fault in repaired.faults] == [0]
    assert told == [(1, 1)]
    assert np.array_equal(np.asarray(StoreReader(store).image[:]), pixels)
    update_attributes(store, {"status": "running", "statistics": None})
    assert nbdask.repair(store).faults == ()
    after = StoreReader(store).attributes
    assert (after["status"], after["statistics"]) == ("complete", statistics["statistics"])
    assert len(after["repaired"]) == 2
    assert nbdask.verify(store).ok


def test_a_target_is_free_replaced_or_finished(tmp_path) -> None:
    """And nothing else."""
    place = place_of(tmp_path / "a.zarr")
    Target(place).check()
    with pytest.raises(StoreError, match="leave --resume out"):
        Target(place, resume=True).check()
    simulate(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="exists already"):
        Target(place).check()
    with pytest.raises(StoreError, match="exclude each other"):
        Target(place, overwrite=True, resume=True).check()
    Target(place, overwrite=True).check()
    Target(place, resume=True).check()
