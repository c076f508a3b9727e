"""Power cuts: nothing is on record that is not on the disk, and every cut can be resumed."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.derive import Pipeline, Poisson
from nbdask.derive.noise import noise
from nbdask.derive.pyramid import build_pyramid
from nbdask.errors import InputError
from nbdask.export.formats import export
from nbdask.store import lock as lock_module
from nbdask.store import schema
from nbdask.store.journal import is_journal, parsed, seed_of
from nbdask.store.reader import StoreReader
from tests.faults.power import Moment, Recorder, files, on_disk, restore
from tests.helpers import small_experiment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="follows files through /proc")
EXPERIMENT = small_experiment()


def run(store: Path, **options) -> None:
    """Simulate 6 tiles."""
    nbdask.simulate(EXPERIMENT, store, backend="numpy", tile=12, threads=2, **options)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recorder, Path]:
    """A run whose every call was noted, and its store."""
    folder = tmp_path_factory.mktemp("disk")
    recorder = Recorder(folder, tmp_path_factory.mktemp("side"))
    with recorder.recording():
        run(folder / "a.zarr")
    return recorder, folder / "a.zarr"


def records(moment: Moment, root: int, side: Path, seed: int) -> set[int]:
    """Return the tiles of which a program sees a record."""
    names = defaultdict(dict, moment.names)
    journals = {
        path: number
        for path, number in files(moment, root, names.__getitem__).items()
        if is_journal(path.removeprefix("a.zarr/"))
    }
    found = [parsed((side / str(number)).read_bytes(), seed) for number in journals.values()]
    return {int(index) for entries in found for index in entries["index"]}


def test_a_record_is_never_there_before_its_pixels(recorded) -> None:
    """Whenever a program sees a record, its pixels are on the disk as a whole."""
    recorder, store = recorded
    seen = 0
    reader = StoreReader(store)
    seed = seed_of(reader.attributes)
    for moment in recorder.moments:
        durable = on_disk(moment, recorder.root)
        for tile in records(moment, recorder.root, recorder.side, seed):
            pixels = schema.chunk_key(reader.image, reader.grid.place(tile))
            assert durable.get(f"a.zarr/{pixels}") == (store / pixels).read_bytes()
            seen += 1
    assert seen > 0


def test_a_complete_store_is_on_the_disk(recorded) -> None:
    """Every file of it, at the end of the run; its status is the last thing."""
    recorder, store = recorded
    for moment in recorder.moments:
        root = on_disk(moment, recorder.root).get("a.zarr/zarr.json", b"{}")
        if json.loads(root).get("attributes", {}).get("status") != "complete":
            continue
        durable = on_disk(moment, recorder.root)
        for path in store.rglob("*"):
            if path.is_file():
                assert durable[f"a.zarr/{path.relative_to(store)}"] == path.read_bytes()
        return
    pytest.fail("the store is not complete on the disk")


def test_all_that_is_made_from_a_store_is_on_the_disk(tmp_path) -> None:
    """Pyramids, noise, exported files: whatever is there in the end, and the lock meanwhile."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "side").mkdir()
    recorder = Recorder(tmp_path / "disk", tmp_path / "side")
    store = tmp_path / "disk" / "a.zarr"
    with recorder.recording():
        run(store)
        build_pyramid(store, smallest=8)
        noise(store, store.with_name("n.zarr"), Pipeline((Poisson(),), seed=1), backend="numpy")
        export(store, store.with_name("a.img"))
    durable = on_disk(recorder.moments[-1], recorder.root)
    for path in (tmp_path / "disk").rglob("*"):
        if path.is_file():
            assert durable[str(path.relative_to(tmp_path / "disk"))] == path.read_bytes()
    locks = [on_disk(moment, recorder.root).get(".a.zarr.lock") for moment in recorder.moments]
    assert any(locks)


def test_fast_syncs_nothing_of_a_store(tmp_path) -> None:
    """And says what is allowed otherwise."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "side").mkdir()
    recorder = Recorder(tmp_path / "disk", tmp_path / "side")
    with recorder.recording():
        run(tmp_path / "disk" / "a.zarr", durability="fast")
    assert not any(
        path.startswith("a.zarr/") for path in on_disk(recorder.moments[-1], recorder.root)
    )
    with pytest.raises(InputError, match="--durability never: must be full or fast"):
        run(tmp_path / "b.zarr", durability="never")


def test_a_store_that_is_replaced_is_there_until_the_new_one_is(tmp_path) -> None:
    """Names in the folder of stores may be older on the disk than those in the stores."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "side").mkdir()
    recorder = Recorder(tmp_path / "disk", tmp_path / "side")
    store = tmp_path / "disk" / "a.zarr"
    with recorder.recording():
        run(store)
        first = len(recorder.moments)
        run(store, overwrite=True)
    for moment in recorder.moments[first:]:
        names = {**moment.names, recorder.root: moment.synced[recorder.root]}
        left = files(moment, recorder.root, defaultdict(dict, names).__getitem__)
        roots = [path for path in left if path.endswith(("a.zarr/zarr.json", ".old/zarr.json"))]
        assert roots, f"no store after {moment.call}"


@pytest.mark.parametrize(
    ("start", "count"), [(0, 10), pytest.param(10, 200, marks=pytest.mark.long)]
)
def test_whatever_a_power_cut_leaves_can_be_finished(
    recorded, tmp_path, monkeypatch, start, count
) -> None:
    """To the bits of an unbroken run; half of the cuts lose all that was not synced."""
    recorder, store = recorded
    monkeypatch.setattr(lock_module, "PATIENCE", 0.02)
    whole = np.asarray(StoreReader(store).image[:])
    draw = random.Random(start)
    for number in range(start, start + count):
        moment: Moment = draw.choice(recorder.moments)
        folder = tmp_path / str(number)
        folder.mkdir()
        restore(moment, recorder.root, folder, None if number % 2 else number)
        lock = folder / ".a.zarr.lock"
        if lock.exists() and lock.stat().st_size:
            # The machine was started anew.
            lock.write_text(json.dumps({**json.loads(lock.read_bytes()), "machine": "before"}))
        run(folder / "a.zarr", resume=(folder / "a.zarr").exists())
        assert nbdask.verify(folder / "a.zarr").ok
        assert np.asarray(StoreReader(folder / "a.zarr").image[:]).tobytes() == whole.tobytes()
        assert [path.name for path in folder.iterdir()] == ["a.zarr"]
        shutil.rmtree(folder)
