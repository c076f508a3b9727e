"""Stores in object storage behave as those in folders do."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from benchmarks.large_kill_job import HOLD
from nbdask.cli.main import main
from nbdask.errors import StoreError
from nbdask.export.floatfile import FloatFile
from nbdask.prepare import Settings
from nbdask.shards import simulate_shard, status
from nbdask.store import lock as lock_module
from nbdask.store.address import place_of, read_root
from nbdask.store.lock import Lock
from nbdask.store.open import open_store, read_summary
from nbdask.store.reader import StoreReader
from nbdask.store.schema import (
    CREATING,
    ENTRIES,
    FORMAT,
    FORMAT_VERSION,
    PANEL_COORDINATES,
    SOME,
)
from nbdask.store.write import TileWriter
from nbdask.verification import repair, verify
from tests.helpers import PATIENCE, ROOT, lose_records
from tests.s3server import BUCKET, SECRET, Server
from tests.test_run import EXPERIMENT, pixels, run

pytestmark = [pytest.mark.s3, pytest.mark.long]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A running S3 server."""
    server = Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def address(server, monkeypatch) -> str:
    """A new address in the bucket, with the environment that leads there."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid4().hex}/run.zarr"


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The same run in a folder."""
    path = tmp_path_factory.mktemp("local") / "run.zarr"
    run(path, tile=8, steps_per_task=5)
    return path


def objects(address: str) -> list[str]:
    """Names of all objects of a store."""
    place: Any = place_of(address)
    return sorted(place.keys(""))


def put(address: str, key: str, data: bytes) -> None:
    """Write an object of a store."""
    place: Any = place_of(address)
    place._put(key, data)


def test_a_run_writes_what_it_writes_on_disk(address, local, tmp_path) -> None:
    """The very same objects as files, but for times; read by xarray, info, and the float file."""
    result = run(address, tile=8, steps_per_task=5, outputs=[FloatFile(tmp_path / "image.bin")])
    assert result.path == address
    assert np.array_equal(pixels(address), pixels(local))
    files = [str(p.relative_to(local)) for p in local.rglob("*") if p.is_file()]
    assert objects(address) == sorted(files)
    image = local / "image"
    for file in image.rglob("*"):
        if file.is_file():
            assert place_of(address).read(f"image/{file.relative_to(image)}") == file.read_bytes()
    data = open_store(address)
    assert data.image.chunks == ((8, 8, 8, 8), (8, 8, 8))
    assert np.array_equal(data.image.values, pixels(local))
    assert read_summary(address)["tiles"] == read_summary(local)["tiles"]
    raw = np.fromfile(tmp_path / "image.bin", "<f4").reshape(32, 24)
    assert np.array_equal(raw, pixels(local))
    assert place_of(address).lock_file().read() is None


def test_the_commands_take_an_address(address, local, capsys) -> None:
    """simulate, info, verify, repair; a trailing slash does not matter."""
    flags = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 40 -pixel 0.3 -oversample 1"
    options = ["--backend", "numpy", "--tile", "16", "--out", address + "/"]
    assert main(["simulate", *flags.split(), *options]) == 0
    for argv in (["info"], ["verify", "--recompute", "2"], ["repair"]):
        assert main([argv[0], address, *argv[1:]]) == 0
        assert address in capsys.readouterr().out
    assert main(["simulate", *flags.split(), *options]) == 2
    assert "exists already: --overwrite replaces it" in capsys.readouterr().err


def test_worker_processes_write_to_it(address, local) -> None:
    """Each opens its own connection; the keys come from its environment, not with the task."""
    writer = TileWriter(place_of(address))
    run(address, tile=8, steps_per_task=5, cluster="local", workers=1, threads=2)
    assert np.array_equal(pixels(address), pixels(local))
    place_of(address).exists()
    assert SECRET.encode() not in pickle.dumps(writer)
    assert pickle.loads(pickle.dumps(writer)).place == place_of(address)


def test_resume_and_overwrite(address, local) -> None:
    """What is missing is computed; a store is replaced; another experiment is refused."""
    run(address, tile=8, steps_per_task=5)
    place = place_of(address)
    place.remove("image/c/0/1")
    lose_records(address, 1, 11)
    assert not StoreReader(address).done().all()
    run(address, resume=True)
    assert np.array_equal(pixels(address), pixels(local))
    with pytest.raises(StoreError, match=r"tile: \[8, 8\] -> \[16, 16\]"):
        run(address, tile=16, resume=True)
    with pytest.raises(StoreError, match="exists already: --overwrite replaces it"):
        run(address)
    run(address, tile=16, overwrite=True)
    assert len([key for key in objects(address) if key.startswith("image/c/")]) == 4
    with pytest.raises(StoreError, match="does not exist; leave --resume out"):
        run(address + "2", resume=True)


def test_a_lost_object_is_computed_again(address, local) -> None:
    """Also one of another size, of a complete store."""
    run(address, tile=8, steps_per_task=5)
    place_of(address).remove("image/c/0/1")
    put(address, "image/c/1/1", b"short")
    assert "computed again: 2 (the first is tile 1)" in run(address, resume=True).notes[-1]
    assert np.array_equal(pixels(address), pixels(local))
    assert verify(address).ok


def test_what_is_not_a_store_is_never_deleted(address) -> None:
    """Other objects under the prefix, alone or beside a store."""
    put(address, "thesis.tex", b"mine")
    with pytest.raises(StoreError, match="is not an nbdask store"):
        run(address, overwrite=True)
    with pytest.raises(StoreError, match="exists already: choose"):
        run(address)
    assert objects(address) == ["thesis.tex"]
    run(address + "2", tile=16)
    put(address + "2", "notes.txt", b"mine")
    with pytest.raises(StoreError, match=r"also holds notes\.txt"):
        run(address + "2", overwrite=True)
    assert "notes.txt" in objects(address + "2")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_store_appears_as_a_whole(address, monkeypatch, overwrite) -> None:
    """The root is written last; broken off before, there is nothing, or a store to be replaced."""
    from nbdask.store.remote import ObjectPlace

    if overwrite:
        run(address, tile=16)
    put_one = ObjectPlace._put
    keys: list[str] = []

    def broken(self, key, data):
        if len(keys) == 4:
            raise OSError("gone")
        keys.append(key)
        put_one(self, key, data)

    monkeypatch.setattr(ObjectPlace, "_put", broken)
    with pytest.raises(StoreError, match="cannot create the store: gone"):
        run(address, tile=8, overwrite=overwrite)
    monkeypatch.setattr(ObjectPlace, "_put", put_one)
    if not overwrite:
        assert objects(address) == []
        return
    for action in (lambda: StoreReader(address), lambda: run(address, resume=True)):
        with pytest.raises(StoreError, match=r"was being created .*start again with --overwrite"):
            action()
    run(address, tile=8, overwrite=True)
    assert {key.split("/")[0] for key in objects(address)} == ENTRIES - {
        *SOME,
        *PANEL_COORDINATES,
    }
    assert verify(address).ok


def test_a_creation_that_was_killed_can_be_started_again(address, monkeypatch) -> None:
    """Nothing cleans up after a kill; what is left is known as a store that was being created."""
    from nbdask.store.remote import ObjectPlace

    put_one = ObjectPlace._put
    keys: list[str] = []

    def killed(self, key, data):
        if len(keys) == 3:
            raise KeyboardInterrupt
        keys.append(key)
        put_one(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectPlace, "_put", killed)
        patch.setattr(ObjectPlace, "_delete", lambda self, names: None)
        with pytest.raises(KeyboardInterrupt):
            run(address)
    assert sorted(keys) == objects(address)
    with pytest.raises(StoreError, match="--overwrite replaces it"):
        run(address)
    run(address, tile=8, overwrite=True)
    assert verify(address).ok


def test_verify_and_repair(address, local) -> None:
    """Damaged and missing objects are found and computed again."""
    run(address, tile=8, steps_per_task=5)
    assert verify(address, recompute=3).ok
    data = bytearray(place_of(address).read("image/c/1/1") or b"")
    data[-2] ^= 4
    put(address, "image/c/1/1", bytes(data))
    lose_records(address, 6)
    found = [(fault.index, fault.kind) for fault in verify(address).faults]
    assert found == [(4, "corrupt"), (6, "missing")]
    assert [fault.index for fault in repair(address).faults] == [4, 6]
    assert verify(address).ok
    assert np.array_equal(pixels(address), pixels(local))


def test_the_lock(address, monkeypatch) -> None:
    """The second run is refused; a dead holder's lock is taken over; all is tidy afterwards."""
    file = place_of(address).lock_file()
    with Lock(place_of(address)):
        for action in (lambda: run(address), lambda: run(address, tile=8)):
            with pytest.raises(StoreError, match=f"another run writes.*process {os.getpid()}"):
                action()
        with pytest.raises(StoreError, match="does not exist"):
            repair(address)
    assert file.read() is None
    monkeypatch.setattr(lock_module, "PATIENCE", 0.5)
    holder = {"host": "node7", "pid": 1, "since": "then", "machine": "elsewhere"}
    assert file.create(json.dumps(holder).encode())
    assert not file.create(b"{}")
    stale = file.read()
    assert stale is not None
    with Lock(place_of(address)):
        assert not file.replace(stale, b"{}")
    assert file.read() is None


def test_a_renewed_lock_is_alive(address, monkeypatch) -> None:
    """Renewals change the object's tag, and not what it says."""
    monkeypatch.setattr(lock_module, "PATIENCE", PATIENCE)
    file, text = place_of(address).lock_file(), b'{"host": "node7", "pid": 1}'
    file.create(text)
    seen = []
    for _ in range(4):
        found = file.read()
        assert found is not None
        assert found.text == text
        seen.append(found.stamp)
        file.renew(text)
    assert len(set(seen)) == 4
    timer = threading.Timer(0.3, file.renew, (text,))
    timer.start()
    with pytest.raises(StoreError, match="host node7, process 1"), Lock(place_of(address)):
        pass
    timer.join()
    file.delete()


def test_clear_errors(address, server, monkeypatch) -> None:
    """Missing bucket, wrong key, no server, no package: one line that says what to change."""
    with pytest.raises(StoreError, match=r"bucket of s3://nowhere-at-all/a\.zarr does not exist"):
        run("s3://nowhere-at-all/a.zarr")
    with pytest.raises(StoreError, match=r"run\.zarr does not exist"):
        open_store(address)
    if server.real:
        with monkeypatch.context() as wrong:
            wrong.setenv("AWS_SECRET_ACCESS_KEY", "another")
            with pytest.raises(StoreError, match=r"access refused .*AWS_SECRET_ACCESS_KEY"):
                run(address)
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(StoreError, match="is AWS_ENDPOINT_URL right") as caught:
            run(address)
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)


def test_settings_from_files(address, server, monkeypatch, tmp_path) -> None:
    """Profiles of the files that AWS's tools keep are used where the environment has no keys."""
    for name in server.environment():
        monkeypatch.delenv(name)
    found = server.environment()
    (tmp_path / "config").write_text(f"[profile beamline]\nendpoint_url = {server.endpoint}\n")
    (tmp_path / "credentials").write_text(
        f"[beamline]\naws_access_key_id = {found['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "beamline")
    put(address, "a", b"x")
    assert objects(address) == ["a"]


def test_a_missing_package_is_named() -> None:
    """With the command that installs it."""
    code = (
        "import sys\n"
        "sys.modules['obstore'] = None\n"
        "from nbdask.cli.main import main\n"
        "sys.exit(main(['info', 's3://bucket/run.zarr']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 2
    assert "needs the package obstore: pip install 'nbdask[s3]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_outage_of_some_seconds(address, server, local) -> None:
    """The server is killed in the middle and comes back: the run goes on, nothing is lost."""
    if not server.real:
        pytest.skip("moto's server keeps its data in memory; SeaweedFS is not installed")

    def come_back() -> None:
        time.sleep(2.0)
        server.start()

    restart = threading.Thread(target=come_back)

    def progress(done: int, total: int) -> None:
        if done == 4:
            server.kill()
            restart.start()

    run(address, tile=8, steps_per_task=5, threads=1, progress=progress)
    restart.join()
    assert verify(address).ok
    assert np.array_equal(pixels(address), pixels(local))
    root = read_root(address)
    assert root is not None
    assert root["status"] == "complete"


_JOB = """
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
simulate(EXPERIMENT, sys.argv[1], backend="numpy", tile=8, steps_per_task=5, threads=1,
         progress=lambda *a: print(*a, flush=True))
"""


@pytest.mark.parametrize("tiles", [1, 4, 9])
def test_a_killed_run_is_resumed(address, local, tmp_path, tiles) -> None:
    """kill -9 at some moment: whole tiles only, the lock is taken over, the bits are the same."""
    hold = tmp_path / "hold"
    hold.write_text(str(5 * tiles))  # a tile is five pieces of work
    job = subprocess.Popen(
        [sys.executable, "-c", _JOB, address],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), HOLD: str(hold)},
    )
    assert job.stdout is not None
    for line in job.stdout:
        if line.startswith(f"{tiles} 12"):
            break
    job.kill()
    job.communicate()
    found = verify(address)
    assert 0 < len(found.faults) < 12
    assert {fault.kind for fault in found.faults} == {"missing"}
    done: list[int] = []
    run(address, resume=True, progress=lambda count, total: done.append(count))
    assert len(done) == len(found.faults)
    assert np.array_equal(pixels(address), pixels(local))


def test_remote_modules_are_loaded_only_for_addresses() -> None:
    """A run on disk does not need the package."""
    code = "import sys, nbdask.store.local; print('obstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert importlib.util.find_spec("obstore") is not None


def test_noise_from_and_to_an_address(address, local, tmp_path, capsys) -> None:
    """A derived store is one as on disk, and so is its source; it is repaired from there."""
    argv = ["--seed", "1", "--psf-gauss", "1.5", "--backend", "numpy", "--quiet"]
    run(address, tile=8, steps_per_task=5)
    there, here = address.replace("run.zarr", "noisy.zarr"), tmp_path / "noisy.zarr"
    assert main(["noise", address, "--out", there, *argv]) == 0
    assert main(["noise", str(local), "--out", str(here), *argv]) == 0
    assert np.array_equal(pixels(there), pixels(here))
    lose_records(there, 4)
    assert main(["verify", there]) == 1
    assert main(["repair", there]) == 0
    assert np.array_equal(pixels(there), pixels(here))
    assert main(["noise", there, "--out", there, "--seed", "2"]) == 2
    assert "is the store that is read" in capsys.readouterr().err


def test_pyramid_and_picture(address, tmp_path) -> None:
    """Levels in object storage are the files of those on disk, and pictures are drawn of them."""
    from nbdask.derive.pyramid import build_pyramid
    from nbdask.view.picture import preview

    run(address, tile=8, steps_per_task=5)
    place: Any = place_of(address)
    kept = place.read("tiles/c/0/0/0")
    lose_records(address, 0)
    assert build_pyramid(address, smallest=8).missing > 0
    put(address, "tiles/c/0/0/0", kept)
    assert build_pyramid(address, smallest=8).missing == 0
    run(tmp_path / "run.zarr", tile=8, steps_per_task=5)
    build_pyramid(tmp_path / "run.zarr", smallest=8)
    chunks = [key for key in objects(address) if key.startswith("pyramid/")]
    assert len(chunks) > 8
    for key in chunks:
        assert place.read(key) == (tmp_path / "run.zarr" / key).read_bytes()
    assert preview(address, tmp_path / "a.png").missing == 0.0


def test_shards(address, local) -> None:
    """In any order, at once; a creation that was killed is done again; small objects go."""
    attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, "status": CREATING}
    root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    put(address, "zarr.json", json.dumps(root).encode())
    settings = Settings(backend="numpy", tile=8, steps_per_task=5, threads=1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: simulate_shard(EXPERIMENT, address, f"{n}/3", settings), (3, 1)))
    assert [key for key in objects(address) if "journal" in key]
    assert status(address).missing == (2,)
    assert simulate_shard(EXPERIMENT, address, "2/3", settings).closed is not None
    assert not [key for key in objects(address) if "journal" in key]
    assert np.array_equal(pixels(address), pixels(local))
    assert verify(address).ok
