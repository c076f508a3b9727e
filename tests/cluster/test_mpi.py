"""Ranks of mpirun as a cluster."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nbdask.cluster.parse import parse_cluster
from nbdask.errors import ClusterError
from tests.cluster.pools import alone, command, environment, pixels, run
from tests.helpers import PATIENCE

needs_mpi = pytest.mark.skipif(
    shutil.which("mpirun") is None or importlib.util.find_spec("dask_mpi") is None,
    reason="mpirun is not on the path, or dask-mpi is not installed",
)


def mpirun(ranks: int, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run on so many ranks."""
    argv = ["mpirun", "--oversubscribe", "-np", str(ranks)]
    if os.geteuid() == 0:
        argv.append("--allow-run-as-root")
    return subprocess.run(
        [*argv, *command(out, "--cluster", "mpi", *options)],
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
    assert "started with 1 rank(s) but needs 3 or more" in done.stderr


def test_mpi_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""

    def absent(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr("nbdask.cluster.mpi.import_module", absent)
    with pytest.raises(ClusterError, match=r"pip install 'nbdask\[hpc\]' \(no mpi4py.MPI\)"):
        parse_cluster("mpi")
