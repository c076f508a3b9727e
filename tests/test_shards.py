"""Shards: independent runs that fill one store, in any order, at once, again, or killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbdask
from nbdask.errors import ClusterError, NbdaskError, PlanError, StoreError
from nbdask.experiment import Experiment
from nbdask.fill import shard as fill_shard_module
from nbdask.fill.listen import listening
from nbdask.fill.shard import Share
from nbdask.plan.shards import Shard
from nbdask.prepare import Settings
from nbdask.shards import finish, simulate_shard, status
from nbdask.store import create, lock
from nbdask.store.address import read_root
from nbdask.store.reader import StoreReader
from tests.helpers import ROOT, lose_records, records_of, small_experiment

SETTINGS = Settings(backend="numpy", tile=8, threads=2)
TILES = 12


def run(store: Path, shard: str, experiment: Experiment | None = None, **more: Any) -> Share:
    """Compute a shard of the small experiment."""
    return simulate_shard(experiment or small_experiment(), store, shard, SETTINGS, **more)


def pixels(store: Path) -> bytes:
    """Return the image's bytes."""
    return np.asarray(StoreReader(store).image[:]).tobytes()


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an ordinary run."""
    store = tmp_path_factory.mktemp("ordinary") / "run.zarr"
    nbdask.simulate(small_experiment(), store, backend="numpy", tile=8)
    return store


def storm(folder: Path, *words: str) -> dict[str, Any]:
    """Run the benchmark; return what happened."""
    command = [sys.executable, "-m", "benchmarks.shards", *words, "--json", str(folder / "a.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((folder / "a.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_kills_and_doubles_change_no_bit(tmp_path, monkeypatch) -> None:
    """12 shards in random order, two at once, some killed: pixels, records, files as usual."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = storm(tmp_path, "--shards", "12", "--size", "64", "--at-once", "2", "--seed", "3")
    assert found["equal"]
    assert found["left"] == []
    assert found["killed"] >= 1
    assert found["doubles"] >= 2
    assert found["most"] == 2


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_many_shards_under_fire(tmp_path, monkeypatch, seed) -> None:
    """More of them, more at once."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = storm(tmp_path, "--shards", "50", "--size", "120", "--at-once", "5", f"--seed={seed}")
    assert found["equal"]
    assert found["left"] == []


def test_all_may_begin_at_once(tmp_path, ordinary) -> None:
    """One makes the store, the others find it; the last one closes it."""
    store = tmp_path / "run.zarr"
    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(lambda number: run(store, f"{number}/4"), [2, 4, 3, 1]))
    assert sum(share.computed for share in shares) == TILES
    assert sum(share.closed is not None for share in shares) <= 1
    assert finish(store).status == "complete"
    assert pixels(store) == pixels(ordinary)
    attributes, usual = StoreReader(store).attributes, StoreReader(ordinary).attributes
    assert attributes["statistics"] == usual["statistics"]
    assert attributes["notes"] == usual["notes"]
    assert attributes["shards"] == 4
    assert nbdask.verify(store).ok
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_tiles_that_are_there_are_left_alone(tmp_path) -> None:
    """Also those of a run before; of its own, damaged ones are computed again, others' are not."""
    store = tmp_path / "run.zarr"
    mine = list(Shard(2, 3).tiles(TILES))
    assert run(store, "2/3") == (4, 4, None, run(store, "2/3").notes)
    before = {path: path.stat().st_mtime_ns for path in (store / "image" / "c").rglob("*")}
    assert run(store, "2/3")[:2] == (4, 0)
    assert {path: path.stat().st_mtime_ns for path in (store / "image" / "c").rglob("*")} == before
    (store / f"image/c/{mine[0] // 3}/{mine[0] % 3}").unlink()
    (store / f"image/c/{mine[1] // 3}/{mine[1] % 3}").write_bytes(b"rubbish")
    lose_records(store, mine[2])
    assert run(store, "1/3")[:2] == (4, 4)
    assert run(store, "2/3")[:2] == (4, 3)
    assert run(store, "3/3").closed is not None
    assert nbdask.verify(store).ok


def test_more_shards_than_tiles(tmp_path) -> None:
    """Some have nothing to do, and are complete at once."""
    store = tmp_path / "run.zarr"
    for number in range(1, 16):
        share = run(store, f"{number}/15")
        assert share.tiles == share.computed <= 1
    assert status(store).status == "complete"


def test_an_ordinary_run_finishes_what_shards_began_and_the_reverse(tmp_path, ordinary) -> None:
    """To the same bits."""
    one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
    run(one, "3/4")
    seen: list[int] = []
    nbdask.simulate(
        small_experiment(), one, backend="numpy", resume=True, progress=lambda d, _: seen.append(d)
    )
    assert seen == list(range(4, TILES + 1))

    def stop(done: int, _: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nbdask.simulate(small_experiment(), two, backend="numpy", tile=8, threads=1, progress=stop)
    assert status(two).shards is None
    for number in (2, 1):
        run(two, f"{number}/2")
    assert pixels(one) == pixels(two) == pixels(ordinary)
    assert status(one).status == status(two).status == "complete"


def test_another_experiment_or_plan_is_refused(tmp_path) -> None:
    """In one line, with every difference, and nothing is written."""
    store = tmp_path / "run.zarr"
    run(store, "1/3")
    before = sorted(path for path in store.rglob("*"))
    other = small_experiment(structure=nbdask.StructureFactors(default_F=99.0))
    with pytest.raises(StoreError, match=r"--shard 2/3: .*structure.default_F: 100.0 -> 99.0"):
        run(store, "2/3", other)
    with pytest.raises(StoreError, match=r"--shard 2/3: .*tile: \[8, 8\] -> \[16, 16\]"):
        simulate_shard(small_experiment(), store, "2/3", Settings(backend="numpy", tile=16))
    with pytest.raises(StoreError, match=r"--shard 2/4: .* begun with 3 shards, not 4: give"):
        run(store, "2/4")
    with pytest.raises(ClusterError, match="--shard 2/3 with --cluster local: a shard runs on"):
        simulate_shard(small_experiment(), store, "2/3", Settings(cluster="local"))
    with pytest.raises(PlanError, match="--shard 0/3: must be NUMBER/COUNT"):
        run(store, "0/3")
    assert sorted(path for path in store.rglob("*")) == before
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreError, match="other exists already: it is not a store"):
        run(tmp_path / "other", "1/3")
    with pytest.raises(StoreError, match="does not exist; create it first"):
        run(tmp_path / "no" / "a.zarr", "1/3")


def test_the_choice_of_the_first_counts(tmp_path) -> None:
    """One that was not told a tile takes that of the store, whoever made it."""
    store = tmp_path / "run.zarr"
    run(store, "1/3")
    other = Settings(backend="numpy", threads=1)
    assert simulate_shard(small_experiment(), store, "2/3", other).computed == 4


def test_one_that_was_beaten_to_it_takes_the_store_of_the_other(tmp_path, monkeypatch) -> None:
    """It looked, there was none, and when it has planned there is one."""
    store = tmp_path / "run.zarr"
    original = fill_shard_module.begin

    def late(work: Any, place: Any, shards: int) -> bool:
        monkeypatch.undo()
        run(store, "2/3")
        return original(work, place, shards)

    monkeypatch.setattr("nbdask.shards.begin", late)
    other = Settings(backend="numpy", threads=1, tile=None)
    assert simulate_shard(small_experiment(), store, "1/3", other).computed == 4
    assert list(StoreReader(store).grid.tile) == [8, 8]


def test_a_store_made_between_two_looks_is_joined(tmp_path, monkeypatch, ordinary) -> None:
    """Neither refused nor made again."""
    store, looks = tmp_path / "run.zarr", []

    def late(place: Any) -> Any:
        looks.append(place)
        if len(looks) == 1:
            run(store, "1/2")
            return None
        return read_root(place)

    monkeypatch.setattr(fill_shard_module, "read_root", late)
    assert run(store, "2/2").closed is not None
    assert pixels(store) == pixels(ordinary)


def test_a_creation_that_was_killed_is_done_again(tmp_path, monkeypatch) -> None:
    """What it left goes, its lock is taken over."""
    store = tmp_path / "run.zarr"
    (tmp_path / ".run.zarr.0123456789ab.new").mkdir()
    (tmp_path / ".run.zarr.lock").write_text(json.dumps({"host": "other", "pid": 1}))
    monkeypatch.setattr(lock, "PATIENCE", 0.02)
    assert run(store, "1/1").closed is not None
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_a_store_that_is_replaced_meanwhile_stops_the_shard(tmp_path) -> None:
    """It writes no more than what was in hand; the records are none of the new store."""
    store = tmp_path / "run.zarr"
    run(store, "1/3")
    grid = StoreReader(store).grid

    def replace(done: int, total: int) -> None:
        attributes = StoreReader(store).attributes | {"started": "later"}
        create.create_store(store, grid, attributes, pixel_size=1e-4, overwrite=True)

    with pytest.raises(NbdaskError, match="was replaced by another run; this one stops"):
        simulate_shard(
            small_experiment(),
            store,
            "2/3",
            Settings(backend="numpy", threads=1),
            listeners=listening(replace),
        )
    assert not StoreReader(store).done().any()


def test_finish_closes_what_nobody_closed(tmp_path, monkeypatch, ordinary) -> None:
    """As when the last one was killed; two may do it at once, and once more."""
    store = tmp_path / "run.zarr"
    monkeypatch.setattr(fill_shard_module, "finish", lambda *_: None)
    for number in (1, 2):
        assert run(store, f"{number}/2").closed is None
        assert finish(store).status == "running" or number == 2
    monkeypatch.undo()
    with ThreadPoolExecutor(2) as pool:
        assert {found.done for found in pool.map(finish, [store, store])} == {TILES}
    assert finish(store).status == "complete"
    assert (
        StoreReader(store).attributes["statistics"]
        == (StoreReader(ordinary).attributes["statistics"])
    )
    assert not list((store / "tiles").glob("journal.*"))
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("call", ["replace", "unlink"])
def test_a_kill_while_closing_loses_nothing(tmp_path, monkeypatch, ordinary, call) -> None:
    """At every write and removal: the next one closes the store."""
    store, original = tmp_path / "run.zarr", getattr(os, call)
    with monkeypatch.context() as patch:
        patch.setattr(fill_shard_module, "finish", lambda *_: None)
        for number in (1, 2):
            run(store, f"{number}/2")
    kills = 0
    for number in range(1, 10):
        calls: list[Any] = []

        def killed(*words: Any, calls: list[Any] = calls, last: int = number, **more: Any) -> Any:
            calls.append(words)
            if len(calls) == last:
                raise Killed
            return original(*words, **more)

        copy = tmp_path / f"{number}.zarr"
        shutil.copytree(store, copy)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, killed)
            try:
                finish(copy)
            except Killed:
                kills += 1
        assert finish(copy).status == "complete"
        assert pixels(copy) == pixels(ordinary)
        statistics = StoreReader(copy).attributes["statistics"]
        assert statistics == StoreReader(ordinary).attributes["statistics"]
        assert not list((copy / "tiles").glob("journal.*"))
        if len(calls) < number:
            break
    assert kills >= 2


def test_finish_looks_whether_the_pixels_are_there(tmp_path, monkeypatch) -> None:
    """What is on record and gone is named; nothing is closed."""
    store = tmp_path / "run.zarr"
    monkeypatch.setattr(fill_shard_module, "finish", lambda *_: None)
    run(store, "1/1")
    (store / "image/c/0/1").unlink()
    with pytest.raises(StoreError, match=r"1 tile on record are gone .*first is tile 1\)"):
        finish(store)
    assert status(store).status == "running"


def test_what_a_double_leaves_in_a_complete_store_goes(tmp_path) -> None:
    """A journal of a process that did a tile again and was killed changes nothing."""
    store = tmp_path / "run.zarr"
    run(store, "1/2")
    (journal,) = (store / "tiles").glob("journal.*")
    kept = journal.read_bytes()
    run(store, "2/2")
    before = records_of(store)
    journal.write_bytes(kept)
    assert np.array_equal(records_of(store), before)
    assert nbdask.verify(store).ok
    finish(store)
    assert not journal.exists()
    assert np.array_equal(records_of(store), before)


def test_how_far_it_is(tmp_path) -> None:
    """By shard: complete, begun, missing; the command without its shard."""
    store = tmp_path / "run.zarr"
    run(store, "2/3", command=["nbdask", "simulate", "-N", "5"])
    run(store, "3/3")
    lose_records(store, next(Shard(3, 3).tiles(TILES)))
    found = status(store)
    assert (found.status, found.done, found.total, found.shards) == ("running", 7, TILES, 3)
    assert (found.complete, found.begun, found.missing) == ((2,), (3,), (1,))
    assert found.command == "nbdask simulate -N 5"
