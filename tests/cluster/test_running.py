"""Runs on a scheduler that is there already, and what they survive: real processes, killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.security import write_credentials
from nbdask.errors import ClusterError
from tests.cluster.pools import (
    TILES,
    Pool,
    alone,
    command,
    pixels,
    pool,
    run,
    running,
    tiles_done,
)
from tests.helpers import PATIENCE, wait_until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The image, computed by threads of one process."""
    return alone(tmp_path_factory.mktemp("expected") / "a.zarr")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A scheduler for all tests; the last of them kills it."""
    with pool(tmp_path_factory.mktemp("pool"), 0) as made:
        yield made


@pytest.fixture
def two(shared: Pool) -> Pool:
    """The scheduler with two workers, new ones for those that a test before has killed."""
    shared.hold.unlink(missing_ok=True)
    shared.top_up(2)
    return shared


def hold_after(two: Pool, tiles: int) -> None:
    """Let each worker begin so many tiles and no more, until the file is removed."""
    two.hold.write_text(str(tiles))


def here(out: Path, *options: str) -> int:
    """Run in this process; return the exit code."""
    return main(command(out, *options)[3:])


def test_tls_scheduler(
    tmp_path: Path, expected: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the credentials of the pool a run works and is bit-equal; without them it is refused."""
    variables = write_credentials(tmp_path / "credentials")
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "credentials").iterdir()} == {0o600}
    with pool(tmp_path, 1, variables) as made:
        assert made.address.startswith("tls://127.0.0.1:")
        without = here(tmp_path / "b.zarr", "--cluster", made.address)
        done = run(tmp_path / "a.zarr", "--cluster", made.address, "--quiet", **variables)
        listening = {
            c.laddr.ip
            for process in made.processes
            for c in psutil.Process(process.pid).net_connections("inet")
            if c.status == psutil.CONN_LISTEN
        }
    assert done.returncode == 0, done.stderr
    assert np.array_equal(pixels(tmp_path / "a.zarr"), expected)
    assert without == 2
    assert "no credentials: set distributed.comm.tls" in capsys.readouterr().err
    assert not (tmp_path / "b.zarr").exists()
    assert listening == {"127.0.0.1"}


def test_killed_worker(two: Pool, tmp_path: Path, expected: np.ndarray) -> None:
    """Its tiles are computed by the other one."""
    out = tmp_path / "a.zarr"
    hold_after(two, 3)
    with running(out, "--cluster", f"scheduler-file:{two.file}", "--workers", "2") as process:
        wait_until(lambda: tiles_done(out) >= 3)
        two.workers[0].send_signal(signal.SIGKILL)
        two.hold.unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert np.array_equal(pixels(out), expected)


def test_all_workers_killed(two: Pool, tmp_path: Path, expected: np.ndarray) -> None:
    """The run ends with a message after the configured time; another one finishes it."""
    out = tmp_path / "a.zarr"
    more = {"DASK_NBDASK__WORKER_TIMEOUT": "3"}
    hold_after(two, 3)
    with running(out, "--cluster", two.address, **more) as process:
        wait_until(lambda: tiles_done(out) >= 3)
        for worker in two.workers:
            worker.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "no worker for 3 s" in said
    assert "--resume" in said
    two.hold.unlink()
    two.top_up(1)
    assert here(out, "--cluster", two.address, "--resume", "--quiet") == 0
    assert np.array_equal(pixels(out), expected)


def test_interrupt_leaves_the_pool_usable(two: Pool, tmp_path: Path) -> None:
    """After Ctrl-C the workers hold nothing of the run."""
    out = tmp_path / "a.zarr"
    hold_after(two, 3)
    with running(out, "--cluster", two.address) as process:
        wait_until(lambda: tiles_done(out) >= 3)
        process.send_signal(signal.SIGINT)
        two.hold.unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    from distributed import Client

    with Client(two.address, set_as_default=False) as client:
        found = client.run(lambda dask_worker: [n for n in dask_worker.plugins if "nbdask" in n])
        assert list(found.values()) == [[], []]


@pytest.fixture
def other_version(tmp_path: Path) -> str:
    """Folder of a package nbdask that says it is version 0.0.1."""
    package = tmp_path / "other" / "nbdask"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "version.py").write_text('__version__ = "0.0.1"\n')
    return str(package.parent)


def test_other_version_is_refused(
    shared: Pool, tmp_path: Path, other_version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names worker, versions and what to do; nothing is written."""
    shared.top_up(0)
    shared.add_worker(PYTHONPATH=other_version)
    code = here(tmp_path / "a.zarr", "--cluster", shared.address)
    shared.top_up(0)
    assert code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "worker tcp://127.0.0.1:" in line
    assert f"nbdask is version 0.0.1 there, {nbdask.__version__} here: install nbdask" in line
    assert not (tmp_path / "a.zarr").exists()


def test_other_version_that_joins_later_is_refused(
    two: Pool, tmp_path: Path, other_version: str
) -> None:
    """It reports, ends, and computes nothing; the run goes on."""
    out = tmp_path / "a.zarr"
    with running(out, "--cluster", two.address) as process:
        wait_until(lambda: tiles_done(out) >= 1)
        # The run must not end before the late worker has joined, however long that takes.
        for worker in two.workers:
            worker.send_signal(signal.SIGSTOP)
        late = two.add_worker(PYTHONPATH=other_version)
        late.wait(timeout=PATIENCE)
        for worker in two.workers[:-1]:
            worker.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "nbdask is version 0.0.1 there" in said
    assert tiles_done(out) == TILES


def test_running_scheduler_gives_the_counts(two: Pool) -> None:
    """Threads and memory are those of the workers; too few workers are told."""
    spec = parse_cluster(f"scheduler-file:{two.file}", workers=2)
    assert (spec.kind, spec.workers, spec.threads, spec.memory) == ("scheduler-file", 2, 1, 10**9)
    with (
        dask.config.set({"nbdask.worker-timeout": 5}),
        pytest.raises(ClusterError, match=r"2 of 5 workers came within 5 s"),
    ):
        parse_cluster(two.address, workers=5)
    with pytest.raises(ClusterError, match="--threads 3: the workers of a running scheduler"):
        parse_cluster(two.address, threads=3)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:9", "scheduler-file:/nowhere/scheduler.json"])
def test_nobody_there(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A clear line, soon."""
    monkeypatch.setattr("nbdask.cluster.running.ANSWER", 1)
    with pytest.raises(ClusterError, match=r"cannot be reached|does not exist"):
        parse_cluster(text)


def test_killed_scheduler(two: Pool, tmp_path: Path, expected: np.ndarray) -> None:
    """The run ends with a message; threads finish it."""
    out = tmp_path / "a.zarr"
    more = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "20"}
    hold_after(two, 3)
    with running(out, "--cluster", two.address, **more) as process:
        wait_until(lambda: tiles_done(out) >= 3)
        two.scheduler.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, said
    assert "the connection to the scheduler is lost" in said
    assert "Traceback" not in said
    assert 3 <= tiles_done(out) < TILES
    assert here(out, "--cluster", "threads", "--resume", "--quiet") == 0
    assert np.array_equal(pixels(out), expected)
