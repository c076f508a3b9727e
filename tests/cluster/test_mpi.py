"""Ranks of mpirun as a cluster."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from nbdask.cluster.parse import parse_cluster
from nbdask.errors import ClusterError
from tests.cluster.pools import (
    TILES,
    alone,
    command,
    environment,
    pixels,
    run,
    slow_workers,
    tiles_done,
)
from tests.helpers import PATIENCE, wait_until

needs_mpi = pytest.mark.skipif(
    shutil.which("mpirun") is None or importlib.util.find_spec("dask_mpi") is None,
    reason="mpirun is not on the path, or dask-mpi is not installed",
)


def words_of(ranks: int) -> list[str]:
    """Return the words that start so many ranks."""
    argv = ["mpirun", "--oversubscribe", "-np", str(ranks)]
    return [*argv, "--allow-run-as-root"] if os.geteuid() == 0 else argv


def mpirun(ranks: int, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run on so many ranks."""
    return subprocess.run(
        [*words_of(ranks), *command(out, "--cluster", "mpi", *options)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.long
@needs_mpi
def test_mpi_run(tmp_path: Path) -> None:
    """Two of four ranks work, over TLS; the result is that of threads, told once."""
    done = mpirun(4, tmp_path / "a.zarr")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("48 x 48 pixels") == 1
    assert np.array_equal(pixels(tmp_path / "a.zarr"), alone(tmp_path / "b.zarr"))


@pytest.mark.long
@needs_mpi
def test_mpi_is_terminated(tmp_path: Path) -> None:
    """SIGTERM to mpirun, as batch systems send it: no rank stays, and the same again resumes."""
    out, hold = tmp_path / "a.zarr", tmp_path / "hold"
    hold.write_text("4")
    argv = ["--cluster", "mpi"]
    process = subprocess.Popen(
        [*words_of(4), *command(out, *argv)],
        env=environment(**slow_workers(hold)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: tiles_done(out) >= 4)
        ranks = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        hold.unlink()
        assert process.wait(PATIENCE) != 0
    finally:
        process.kill()
        process.wait()
    assert psutil.wait_procs(ranks, PATIENCE)[1] == []
    assert 4 <= tiles_done(out) < TILES
    done = mpirun(4, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(pixels(out), alone(tmp_path / "b.zarr"))


@pytest.mark.long
@needs_mpi
def test_mpi_builds_pyramids_and_verifies(tmp_path: Path) -> None:
    """Other commands work on ranks too, and say things once."""
    out = tmp_path / "a.zarr"
    alone(out)
    for words, said in (
        (["pyramid", str(out)], "the image needs no coarser levels"),
        (["verify", str(out), "--recompute", "5"], f"{TILES} tiles read, 5 recomputed, all well"),
    ):
        argv = [sys.executable, "-m", "nbdask", *words, "--cluster", "mpi"]
        done = subprocess.run(
            [*words_of(4), *argv],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(said) == 1


@pytest.mark.long
@needs_mpi
def test_mpi_error_ends_all_ranks(tmp_path: Path) -> None:
    """A refused plan is told by one rank, and no rank stays behind."""
    done = mpirun(3, tmp_path / "a.zarr", "--memory-limit", "1MB")
    assert done.returncode == 2
    assert done.stderr.count("nbdask: error: a process needs") == 1
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.long
@needs_mpi
def test_too_few_ranks(tmp_path: Path) -> None:
    """Without mpirun there is one rank."""
    done = run(tmp_path / "a.zarr", "--cluster", "mpi")
    assert done.returncode == 2
    assert "started with 1 rank but needs 3 or more" in done.stderr


def test_mpi_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""

    def absent(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr("nbdask.cluster.mpi.import_module", absent)
    with pytest.raises(ClusterError, match=r"pip install 'nbdask\[hpc\]' \(no mpi4py.MPI\)"):
        parse_cluster("mpi")
