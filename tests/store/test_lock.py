"""One run at a time: who gets the lock of a store, and who is taken for dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nbdask.errors import StoreError
from nbdask.store import lock as lock_module
from nbdask.store.address import place_of
from nbdask.store.lock import Lock
from nbdask.store.place import Seen
from tests.helpers import PATIENCE, ROOT, wait_until

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
_HOLDER = """
import sys, time
from nbdask.store.lock import Lock
from nbdask.store.address import place_of
with Lock(place_of(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A path for a store."""
    return tmp_path / "a.zarr"


def lock_path(store: Path) -> Path:
    """Where the lock of a store is."""
    return store.with_name(f".{store.name}.lock")


def elsewhere(store: Path, **changes) -> None:
    """Leave the lock of a process on another machine."""
    holder = {"host": "node7", "pid": 4711, "since": "2026-01-01T00:00:00+00:00", "machine": "x"}
    lock_path(store).write_text(json.dumps({**holder, **changes}))


def test_the_lock_is_there_and_goes(store) -> None:
    """A small file next to the store that names host, process and time; gone afterwards."""
    with Lock(place_of(store)):
        found = json.loads(lock_path(store).read_text())
        assert found["pid"] == os.getpid()
        assert found["host"]
        assert found["since"]
    assert os.listdir(store.parent) == []


def test_the_second_is_refused(store) -> None:
    """With host, process, time, and the file to delete where the holder is surely dead."""
    with Lock(place_of(store)):
        wanted = rf"another run writes.*process {os.getpid()}, since 20.*delete .*\.a\.zarr\.lock"
        with pytest.raises(StoreError, match=wanted), Lock(place_of(store)):
            pass
        assert lock_path(store).exists()


def test_the_lock_of_a_killed_process_is_taken_over(store) -> None:
    """After kill -9 on this machine, at once and without a question."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, store], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=f"process {holder.pid}"), Lock(place_of(store)):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with Lock(place_of(store)):
        assert json.loads(lock_path(store).read_text())["pid"] == os.getpid()
    assert os.listdir(store.parent) == []


def test_a_number_that_another_process_has_now_does_not_keep_the_lock(store) -> None:
    """The process is told by its number and its beginning."""
    with Lock(place_of(store)):
        text = json.loads(lock_path(store).read_text())
    lock_path(store).write_text(json.dumps({**text, "birth": "1"}))
    with Lock(place_of(store)) as taken:
        taken.check()
    assert not lock_path(store).exists()


@pytest.mark.long
def test_a_silent_holder_elsewhere_is_taken_for_dead(store, monkeypatch, caplog) -> None:
    """Whatever times its file carries: only whether it changes while it is watched counts."""
    monkeypatch.setattr(lock_module, "PATIENCE", 0.3)
    for year in (1980, 2100):
        elsewhere(store, since=f"{year}-01-01T00:00:00+00:00")
        stamp = time.mktime((year, 1, 1, 0, 0, 0, 0, 0, 0))
        os.utime(lock_path(store), (stamp, stamp))
        with Lock(place_of(store)):
            assert json.loads(lock_path(store).read_text())["pid"] == os.getpid()
    assert "host node7, process 4711" in caplog.text


def test_a_holder_elsewhere_that_renews_is_alive(store, monkeypatch) -> None:
    """One renewal while it is watched, even by a clock that goes backwards, keeps the lock."""
    monkeypatch.setattr(lock_module, "PATIENCE", PATIENCE)
    elsewhere(store)
    timer = threading.Timer(0.2, os.utime, (lock_path(store), (1000, 1000)))
    timer.start()
    with pytest.raises(StoreError, match="host node7, process 4711"), Lock(place_of(store)):
        pass
    timer.join()
    assert json.loads(lock_path(store).read_text())["host"] == "node7"


def test_the_holder_renews(store, monkeypatch) -> None:
    """Others see its stamp change."""
    monkeypatch.setattr(lock_module, "RENEWAL", 0.05)
    with Lock(place_of(store)):
        os.utime(lock_path(store), (1000, 1000))
        first = lock_path(store).stat().st_mtime_ns
        wait_until(lambda: lock_path(store).stat().st_mtime_ns != first)


def test_a_holder_that_was_taken_over_notices(store, monkeypatch) -> None:
    """After a long suspension it stops, and leaves the other's lock alone."""
    monkeypatch.setattr(lock_module, "RENEWAL", 0.05)
    with Lock(place_of(store)) as mine:
        mine.check()
        elsewhere(store)
        assert mine._thread is not None
        mine._thread.join(PATIENCE)
        with pytest.raises(StoreError, match="another run took over"):
            mine.check()
    assert json.loads(lock_path(store).read_text())["host"] == "node7"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_one_of_many_gets_a_dead_lock(store, monkeypatch, seed) -> None:
    """However many find it dead at the same moment."""
    monkeypatch.setattr(lock_module, "PATIENCE", 0.2)
    elsewhere(store, token=seed)
    barrier, won, release = threading.Barrier(8), [], threading.Event()

    def challenge() -> None:
        barrier.wait()
        try:
            with Lock(place_of(store)):
                won.append(1)
                release.wait(PATIENCE)
        except StoreError:
            pass

    threads = [threading.Thread(target=challenge) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: won and sum(thread.is_alive() for thread in threads) == 1)
        assert len(won) == 1
    finally:
        release.set()
    for thread in threads:
        thread.join()
    assert os.listdir(store.parent) == []


def test_who_comes_late_leaves_nothing(store) -> None:
    """A dead lock was replaced by another run between a look at it and the try to take it."""
    file = place_of(store).lock_file()
    assert file.create(b"the other run")
    assert not file.replace(Seen(b"the dead one", ""), b"mine")
    assert os.listdir(store.parent) == [file.path.name]


def test_an_empty_lock_is_watched_like_any_other(store, monkeypatch) -> None:
    """As a crash of the machine may leave one."""
    monkeypatch.setattr(lock_module, "PATIENCE", 0.2)
    lock_path(store).write_bytes(b"")
    with Lock(place_of(store)):
        assert lock_path(store).stat().st_size > 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    """In one line, as an error for users."""
    with (
        pytest.raises(StoreError, match="cannot write the lock"),
        Lock(place_of(tmp_path / "none" / "a.zarr")),
    ):
        pass


@pytest.mark.parametrize("kind", ["link", "link to a lock", "pipe", "folder", "text", "other JSON"])
def test_what_is_no_lock_of_ours_is_not_touched(store, kind) -> None:
    """A user's file is neither followed, read for ever nor overwritten; the message says which."""
    path, mine = lock_path(store), store.with_name("thesis.tex")
    mine.write_text("mine")
    if kind.startswith("link"):
        if kind == "link to a lock":
            mine.write_text(json.dumps({"host": "node7", "pid": 1, "machine": "x"}))
        path.symlink_to(mine)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("mine" if kind == "text" else '{"title": "thesis"}')
    text, before = mine.read_text(), path.lstat()
    with pytest.raises(StoreError, match="no lock of nbdask: move it away"), Lock(place_of(store)):
        pass
    assert mine.read_text() == text
    after = path.lstat()  # reading may change the time of the last access
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_link_in_place_of_the_guard(store, monkeypatch) -> None:
    """Of a takeover."""
    monkeypatch.setattr(lock_module, "PATIENCE", 0.1)
    elsewhere(store)
    mine = store.with_name("thesis.tex")
    mine.write_text("mine")
    lock_path(store).with_name(f"{lock_path(store).name}.guard").symlink_to(mine)
    with (
        pytest.raises(StoreError, match=r"guard stands where .*move it away"),
        Lock(place_of(store)),
    ):
        pass
    assert mine.read_text() == "mine"


_NO_FCNTL = """
import sys
sys.modules["fcntl"] = None
import nbdask
from nbdask.store.address import place_of
from nbdask.store.lock import Lock
try:
    nbdask.verify(sys.argv[1])
except nbdask.NbdaskError as error:
    print(error)
with Lock(place_of(sys.argv[1])):
    print("held")
"""


def test_a_system_without_fcntl(store) -> None:
    """Stores are opened and locked there too."""
    done = subprocess.run(
        [sys.executable, "-c", _NO_FCNTL, store], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith(f"{store} does not exist")
    assert done.stdout.splitlines()[1] == "held"
