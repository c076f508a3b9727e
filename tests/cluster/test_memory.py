"""Workers that have too little memory, killed by the system or by dask; the user is told."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from nbdask.cluster.distributed import DistributedExecutor
from nbdask.cluster.tries import NEED_LESS, Failure, OutOfMemoryError, attempt, is_final
from nbdask.graph.tasks import named
from nbdask.plan.tiles import Tile
from tests.cluster.pools import Pool, environment
from tests.cluster.test_executors import Item, Mark
from tests.helpers import PATIENCE

MIB = 1 << 20
_GROUPS = Path("/sys/fs/cgroup")


def test_a_tile_without_memory_says_what_to_change() -> None:
    """In one line, with the tile; another worker may have the memory."""

    def tile() -> None:
        with named(Tile(0, 8, 8, 16), 1, ""):
            raise MemoryError("unable to allocate 9 TiB")

    for function, begin in (
        (tile, "tile 1 (slow 0 to 8, fast 8 to 16): MemoryError: "),
        (_none, ""),
    ):
        failure = attempt(function)
        assert isinstance(failure, Failure)
        assert isinstance(failure.error, OutOfMemoryError)
        assert str(failure.error) == f"{begin}unable to allocate 9 TiB: {NEED_LESS}"
        assert not is_final(failure.error)


def _none() -> None:
    raise MemoryError("unable to allocate 9 TiB")


def greedy(once: str, amount: int, run: str, number: int) -> int:
    """Take memory for some seconds; only in the first process that is here."""
    if number == 3 and not os.path.exists(once):
        Path(once).touch()
        kept = []
        for _ in range(amount):
            kept.append(np.ones(MIB, dtype=np.uint8))
            time.sleep(0.005)
        time.sleep(PATIENCE)
    return number


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 400 MiB below our own; skips where none can be made."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    paths = {controllers: path for _, controllers, path in lines}
    if "memory" in paths:
        folder, limit = _GROUPS / "memory" / paths["memory"].lstrip("/"), "memory.limit_in_bytes"
    else:
        folder, limit = _GROUPS / paths.get("", "").lstrip("/"), "memory.max"
    group = folder / f"nbdask-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        (group / limit).write_text(str(400 * MIB))
    except OSError as error:
        group.rmdir()
        pytest.skip(f"the memory of a control group cannot be limited: {error}")
    yield group
    for _ in range(100):
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.1)


def enter(group: Path) -> None:
    """Put this process into a control group; between fork and exec."""
    (group / "cgroup.procs").write_text("0")


def lines_of(
    folder: Path, caplog: pytest.LogCaptureFixture, limit: str, begin: Any = None
) -> list[str]:
    """Run ten tiles on a worker under a nanny, one of which is greedy; return what is told."""
    pool = Pool(folder)
    found: list[int] = []
    try:
        argv = [sys.executable, "-m", "distributed.cli.dask_worker", pool.address, "--nanny"]
        argv += ["--nthreads", "1", "--host", "127.0.0.1", "--memory-limit", limit]
        argv += ["--local-directory", str(folder), "--no-dashboard"]
        with (folder / "worker.log").open("w") as log:
            worker = subprocess.Popen(
                argv, env=environment(), stdout=log, stderr=log, preexec_fn=begin, text=True
            )
            pool.processes.append(worker)
        tile = partial(greedy, str(folder / "once"), 600)
        graphs = (Item(("g", n), {("g", n): (tile, "g", n)}) for n in range(10))
        with Client(pool.address, set_as_default=False) as client:
            with caplog.at_level(logging.WARNING, "nbdask"):
                executor = DistributedExecutor(client, 1)
                thread = threading.Thread(
                    target=executor.run, args=(Mark("g", 0), graphs, found.append), daemon=True
                )
                thread.start()
                thread.join(PATIENCE)
            client.shutdown()
        worker.send_signal(signal.SIGTERM)
        worker.wait(PATIENCE)
    finally:
        pool.close()
    assert sorted(found) == list(range(10)), (folder / "worker.log").read_text()
    return [text for text in caplog.messages if "memory" in text]


@pytest.mark.long
def test_what_the_system_kills_is_told(
    small_group: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line with the limit and what to change; the run goes on with a new process."""
    said = lines_of(tmp_path, caplog, "0", partial(enter, small_group))
    assert [NEED_LESS in text for text in said] == [True]
    assert "the system killed a worker process on " in said[0]
    assert "for lack of memory (limit 400.0 MiB): the run goes on" in said[0]


@pytest.mark.long
def test_what_dask_ends_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same where dask is first, which ends workers near the limit that they were given."""
    said = lines_of(tmp_path, caplog, "400MiB")
    assert [NEED_LESS in text for text in said] == [True]
    assert "near its limit of memory: the run goes on" in said[0]
