"""What can happen to a store: full and read-only disks, damage, two runs, clocks."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.large_kill_job import HOLD
from nbdask.cli.main import main
from nbdask.errors import StoreError, UnfinishedError
from nbdask.experiment import Detector
from nbdask.plan import leading
from nbdask.store import provenance
from nbdask.store.journal import entry_type
from nbdask.store.local import LocalPlace, WholeStore
from nbdask.store.reader import StoreReader
from nbdask.store.schema import FIELDS
from nbdask.verification import repair, verify
from tests.cluster.pools import workers_here
from tests.helpers import PATIENCE, ROOT, sampled, small_experiment
from tests.test_run import EXPERIMENT, pixels, run

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 40 -pixel 0.3 -oversample 1"
OPTIONS = "--backend numpy --threads 1 --tile 8"


class Stop(Exception):
    """Ends a run from its progress callback."""


def stop() -> None:
    """End the run."""
    raise Stop


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A complete store of 12 tiles."""
    run(tmp_path / "a.zarr", tile=8)
    return tmp_path / "a.zarr"


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk with one file but for some bytes; return the file."""
    free = os.statvfs(disk)
    filler = disk / "filler"
    # A worker that writes meanwhile makes it full the sooner.
    with suppress(OSError):
        filler.write_bytes(b"\0" * max(0, free.f_bavail * free.f_frsize - leave))
    return filler


def at_tile(number: int, action):
    """Return a progress callback that does something once so many tiles are done."""

    def progress(done: int, total: int) -> None:
        if done == number:
            action()

    return progress


@pytest.mark.parametrize("cluster", ["threads", pytest.param("local", marks=pytest.mark.long)])
def test_a_disk_that_fills_up_in_the_middle(tmp_path, monkeypatch, disk, cluster) -> None:
    """One clear line; what is done stays; with space again, resuming gives the same bits."""
    monkeypatch.setattr(leading, "MOST_TILES", 1)  # or all are done before the first is reported
    store, full = disk / "a.zarr", at_tile(4, lambda: fill(disk))
    with pytest.raises(StoreError, match=r"cannot write tile \d+ .*No space left.*--resume"):
        run(store, tile=8, threads=1, cluster=cluster, workers=1, progress=full)
    reader = StoreReader(store)
    assert reader.attributes["status"] == "running"
    assert 4 <= reader.done().sum() < 12
    (disk / "filler").unlink()
    run(store, resume=True)
    run(tmp_path / "b.zarr", tile=8)
    assert np.array_equal(pixels(store), pixels(tmp_path / "b.zarr"))
    assert verify(store).ok
    assert os.listdir(disk) == ["a.zarr"]


def test_the_command_says_so_in_one_line(disk, capsys) -> None:
    """Exit code 2 and no traceback, also where the disk is full at the start already."""
    fill(disk)
    assert main(["simulate", *FLAGS.split(), *OPTIONS.split(), "--out", str(disk / "a.zarr")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "No space left on device" in said[-1]
    assert said[-1].startswith("nbdask: error: --out")
    assert os.listdir(disk) == ["filler"]


def test_what_cannot_fit_is_refused_before_anything_is_computed(disk) -> None:
    """With both numbers; what may not fit is noted."""
    filler = fill(disk, leave=32 * 1024)
    with pytest.raises(StoreError, match=r"12 tiles need at least 51.* only [23][0-9].* are free"):
        run(disk / "a.zarr", tile=8)
    assert os.listdir(disk) == ["filler"]
    filler.unlink()
    notes = run(disk / "a.zarr", tile=8).notes
    assert not any("on disk" in note for note in notes)


def test_what_may_not_fit_is_noted(tmp_path, monkeypatch) -> None:
    """The image may compress, so the run goes on; the note is on record."""
    monkeypatch.setattr(LocalPlace, "free_bytes", lambda self: 53_000)
    result = run(tmp_path / "a.zarr", tile=8)
    assert [note for note in result.notes if "may need up to" in note and "are free" in note]
    assert StoreReader(tmp_path / "a.zarr").attributes["notes"] == list(result.notes)


def test_a_read_only_file_system(disk) -> None:
    """Named before anything is computed, when starting and when resuming."""
    store = disk / "a.zarr"
    with pytest.raises(Stop):
        run(store, tile=8, threads=1, progress=at_tile(3, stop))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StoreError, match="no permission to write in the folder"):
        run(disk / "b.zarr")
    with pytest.raises(StoreError, match=r"cannot write the lock .*Read-only file system"):
        run(store, resume=True)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    run(store, resume=True)
    assert verify(store).ok


@pytest.mark.long
@pytest.mark.parametrize("cluster", ["threads", pytest.param("local", marks=pytest.mark.long)])
def test_a_store_deleted_under_a_running_run(tmp_path, cluster) -> None:
    """The run ends with one line and does not make the folder anew."""
    store = tmp_path / "a.zarr"
    gone = at_tile(3, lambda: shutil.rmtree(store, ignore_errors=True))
    errors = (StoreError, UnfinishedError)
    with pytest.raises(errors, match=r"cannot write tile|records cannot be written"):
        run(store, tile=8, threads=1, cluster=cluster, workers=1, progress=gone)
    assert not (store / "zarr.json").exists()
    run(tmp_path / "b.zarr", tile=8)


def test_a_root_truncated_under_a_running_run(tmp_path) -> None:
    """The run does not call such a store complete; afterwards it is told what it is not."""
    store = tmp_path / "a.zarr"
    cut = at_tile(3, lambda: os.truncate(store / "zarr.json", 40))
    with pytest.raises(StoreError, match="is not an nbdask store"):
        run(store, tile=8, threads=1, progress=cut)
    for action in (lambda: run(store, resume=True), lambda: verify(store), lambda: repair(store)):
        with pytest.raises(StoreError, match="is not an nbdask store"):
            action()


def test_files_truncated_under_a_running_run(tmp_path) -> None:
    """Resume finds a tile without a readable record, and one whose file is too short."""
    store = tmp_path / "a.zarr"
    cut: list[int] = []

    def damage() -> None:
        cut[:] = np.flatnonzero(StoreReader(store).done())[:2]
        names = ["/".join(map(str, divmod(index, 3))) for index in cut]
        os.truncate(store / "image" / "c" / names[0], 7)
        (journal,) = (store / "tiles").glob("journal.*")
        data = journal.read_bytes()
        size = entry_type(len(FIELDS)).itemsize
        entries = [data[at : at + size] for at in range(0, len(data), size)]
        (short,) = [one for one in entries if one[0] == cut[1]]
        journal.write_bytes(b"".join(one for one in entries if one is not short) + short[:-7])
        raise Stop

    with pytest.raises(Stop):
        run(store, tile=8, threads=1, progress=at_tile(5, damage))
    notes = run(store, resume=True).notes
    assert f"computed again: 1 (the first is tile {cut[0]})" in notes[-1]
    assert verify(store).ok
    run(tmp_path / "b.zarr", tile=8)
    assert np.array_equal(pixels(store), pixels(tmp_path / "b.zarr"))


@pytest.mark.parametrize("seed", sampled(range(6), 3))
def test_damage_is_found_and_mended(tmp_path, made, seed) -> None:
    """Random bytes changed, files cut and deleted: repair brings back pixels and statistics."""
    rng, whole = random.Random(seed), pixels(made)
    before = StoreReader(made).attributes
    chunks = [p for folder in ("image", "tiles") for p in (made / folder / "c").rglob("*")]
    for file in rng.sample(sorted(p for p in chunks if p.is_file()), 4):
        data = bytearray(file.read_bytes())
        kind = rng.choice(["flip", "cut", "delete", "zeros"])
        if kind == "flip":
            # Not the record's last two numbers: time spent, and evaluations outside the list.
            place = rng.randrange(len(data) - 16 if "tiles" in file.parts else len(data))
            data[place] ^= 1 << rng.randrange(8)
            file.write_bytes(data)
        elif kind == "cut":
            os.truncate(file, rng.randrange(len(data)))
        elif kind == "delete":
            file.unlink()
        else:
            file.write_bytes(b"\0" * len(data))
    found = verify(made)
    damaged = [fault.index for fault in found.faults]
    sound = np.array_equal(whole, _readable(made), equal_nan=False)
    assert damaged or sound
    repaired = repair(made)
    assert [fault.index for fault in repaired.faults] == damaged
    assert np.array_equal(pixels(made), whole)
    again = verify(made, recompute=12)
    assert again.ok
    assert again.recomputed == 12
    after = StoreReader(made).attributes
    assert (after["status"], after["statistics"]) == ("complete", before["statistics"])
    assert len(after.get("repaired", [])) == (1 if damaged else 0)


def _readable(store: Path) -> np.ndarray:
    """Return the image, NaN where it cannot be read."""
    reader = StoreReader(store)
    image = np.full(reader.grid.shape, np.nan, dtype=np.float32)
    for index, tile in enumerate(reader.grid):
        try:
            image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = reader.tile(index)
        except (ValueError, RuntimeError):
            continue
    return image


@pytest.mark.parametrize("cluster", ["threads", pytest.param("workers", marks=pytest.mark.long)])
@pytest.mark.long
def test_a_store_that_fails_at_random(tmp_path, monkeypatch, cluster) -> None:
    """One call in a hundred at the border of the store fails: the bits are the same."""
    experiment = small_experiment(
        detector=Detector(pixels_fast=112, pixels_slow=96, pixel_size=4e-4)
    )
    run(tmp_path / "a.zarr", experiment, tile=8)
    rng, failed = random.Random(4), []
    errors = (OSError(errno.ESTALE, "stale"), OSError(errno.EIO, "lost"), RuntimeError("odd"))

    def unsure(plain):
        def call(self, key, *args, **keywords):
            if "/c/" in key and rng.random() < 0.01:
                failed.append(key)
                raise copy(rng.choice(errors))
            return plain(self, key, *args, **keywords)

        return call

    monkeypatch.setattr("nbdask.store.patience.pause", lambda attempt: 0.0)
    monkeypatch.setattr("nbdask.cluster.tries.PAUSE", 0.0)
    for name in ("get", "set", "set_sync"):
        monkeypatch.setattr(WholeStore, name, unsure(getattr(WholeStore, name)))
    if cluster == "threads":
        run(tmp_path / "b.zarr", experiment, tile=8)
    else:
        with workers_here(3) as client:
            options = {"cluster": client.cluster.scheduler_address, "threads": None}
            run(tmp_path / "b.zarr", experiment, tile=8, **options)
    monkeypatch.undo()
    assert failed
    assert np.array_equal(pixels(tmp_path / "a.zarr"), pixels(tmp_path / "b.zarr"))
    assert verify(tmp_path / "b.zarr").ok


_SLOW = """
import sys
from nbdask.kernels.reference import ReferenceKernel
from nbdask.run import simulate
from tests.test_run import EXPERIMENT
from benchmarks.large_kill_job import hold
partial = ReferenceKernel.partial
def slow(*a):
    hold()
    return partial(*a)
ReferenceKernel.partial = slow
simulate(EXPERIMENT, sys.argv[1], backend="numpy", tile=8, threads=1,
         progress=lambda *a: print(*a, flush=True))
"""


@pytest.mark.long
def test_two_runs_at_once(tmp_path) -> None:
    """The second is refused, whatever it wants; the first is not disturbed."""
    store, hold = tmp_path / "a.zarr", tmp_path / "hold"
    hold.write_text("1")
    first = subprocess.Popen(
        [sys.executable, "-c", _SLOW, store],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), HOLD: str(hold)},
    )
    assert first.stdout is not None
    first.stdout.readline()
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(StoreError, match=f"another run writes to it .*process {first.pid}"):
            run(store, tile=8, **options)
    with pytest.raises(StoreError, match=f"process {first.pid}"):
        repair(store)
    with pytest.raises(StoreError, match="exists already"):
        run(store, tile=8)
    hold.unlink()
    first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    assert verify(store).ok
    run(store, resume=True)


def test_clocks_that_jump(tmp_path, made, monkeypatch) -> None:
    """Records and pixels are the same when the time of day runs backwards by years."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 2e9 - 1e8 * next(jumps))
    monkeypatch.setattr(
        provenance, "now", lambda: datetime.fromtimestamp(time.time(), UTC).isoformat()
    )
    store = tmp_path / "b.zarr"
    with pytest.raises(Stop):
        run(store, tile=8, threads=1, progress=at_tile(5, stop))
    run(store, resume=True)
    first, second = StoreReader(made), StoreReader(store)
    assert np.array_equal(pixels(made), pixels(store))
    for index in range(12):
        one, other = first.record(index), second.record(index)
        assert one is not None
        assert other is not None
        assert other.pop("seconds") >= 0
        one.pop("seconds")
        assert one == other
    assert first.attributes["statistics"] == second.attributes["statistics"]
    assert EXPERIMENT.fingerprint() == second.attributes["fingerprint"]
