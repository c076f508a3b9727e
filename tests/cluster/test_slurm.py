"""Workers as jobs of a real Slurm."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cluster import slurm
from tests.cluster.pools import alone, pixels, run, running, slow_workers, tiles_done
from tests.helpers import PATIENCE, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.long]

#: A worker of one thread per job, on loopback.
JOB = ["--cluster", "slurm", "--queue", slurm.PARTITION, "--memory", "600MB", "--workers", "2"]


@pytest.fixture(scope="module")
def system() -> Iterator[dict[str, str]]:
    """Slurm, for all tests of this file; skips with the reason where it cannot be started."""
    reason = slurm.missing()
    if reason is not None:
        pytest.skip(reason)
    # Not pytest's folder: the daemon munged runs as another user and must be able to enter.
    folder = Path(tempfile.mkdtemp(prefix="nbdask-slurm-"))
    folder.chmod(0o755)
    try:
        with slurm.slurm(folder / "slurm") as environment:
            yield {"SLURM_CONF": environment["SLURM_CONF"], "DASK_NBDASK__INTERFACE": "lo"}
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def variables(system: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Environment of a run: Slurm, a folder for its jobs, which take their time for each tile."""
    return {
        **system,
        **slow_workers(tmp_path / "hold"),
        "DASK_NBDASK__JOB_DIRECTORY": str(tmp_path / "jobs"),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The image, computed by threads of one process."""
    return alone(tmp_path_factory.mktemp("expected") / "a.zarr")


def workers_said(folder: Path) -> str:
    """All that the jobs printed."""
    return "\n".join(path.read_text() for path in sorted(folder.glob("nbdask-*.err")))


def test_cancelled_job_is_replaced(
    variables: dict[str, str], tmp_path: Path, expected: np.ndarray
) -> None:
    """scancel of every job in the middle: new ones come, the pixels are the same, TLS is used."""
    out = tmp_path / "a.zarr"
    (tmp_path / "hold").write_text("2")
    with running(out, *JOB, "--walltime", "10min", **variables) as process:
        wait_until(lambda: tiles_done(out) >= 2)
        first = slurm.jobs(variables)
        slurm.cancel(variables, *first)
        (tmp_path / "hold").unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert np.array_equal(pixels(out), expected)
    logs = workers_said(tmp_path / "jobs")
    assert len(list((tmp_path / "jobs").glob("nbdask-*.err"))) > len(first) >= 1
    assert "tls://127.0.0.1" in logs
    assert "tcp://" not in logs
    # The keys went with the run.
    assert [p.name for p in (tmp_path / "jobs").iterdir() if "key" in p.name] == []
    wait_until(lambda: slurm.jobs(variables) == [])


def test_interrupt_ends_the_jobs(variables: dict[str, str], tmp_path: Path) -> None:
    """After Ctrl-C no job is left in the queue."""
    out = tmp_path / "a.zarr"
    (tmp_path / "hold").write_text("2")
    with running(out, *JOB, **variables) as process:
        wait_until(lambda: tiles_done(out) >= 2)
        process.send_signal(signal.SIGINT)
        (tmp_path / "hold").unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    wait_until(lambda: slurm.jobs(variables) == [])


def test_killed_client_leaves_no_jobs(
    variables: dict[str, str], tmp_path: Path, expected: np.ndarray
) -> None:
    """kill -9 of the process that holds the scheduler: the workers end, the run is resumed."""
    out = tmp_path / "a.zarr"
    (tmp_path / "hold").write_text("2")
    with running(out, *JOB, **variables) as process:
        wait_until(lambda: tiles_done(out) >= 2)
        process.send_signal(signal.SIGKILL)
    (tmp_path / "hold").unlink()
    wait_until(lambda: slurm.jobs(variables) == [])
    done = run(out, *JOB, "--resume", **variables)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(pixels(out), expected)


def test_several_processes_in_jobs_of_an_array(
    variables: dict[str, str], tmp_path: Path, expected: np.ndarray
) -> None:
    """Two jobs of two processes each, submitted at once; all four work, and the jobs end."""
    out = tmp_path / "a.zarr"
    (tmp_path / "hold").write_text("1")
    with running(out, *JOB, "--processes", "2", "--memory", "1200MB", **variables) as process:
        wait_until(lambda: tiles_done(out) >= 4)
        numbers = slurm.jobs(variables)
        (tmp_path / "hold").unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert np.array_equal(pixels(out), expected)
    assert len({number.partition("_")[0] for number in numbers}) == 1
    assert sorted(number.partition("_")[2] for number in numbers) == ["0", "1"]
    wait_until(lambda: slurm.jobs(variables) == [])


def test_jobs_follow_the_work(
    variables: dict[str, str], tmp_path: Path, expected: np.ndarray
) -> None:
    """From one job to three, once there is work in hand; none is left at the end."""
    out = tmp_path / "a.zarr"
    (tmp_path / "hold").write_text("2")
    argv = [*JOB[:-2], "--adapt", "1", "3"]
    with running(out, *argv, **variables) as process:
        wait_until(lambda: tiles_done(out) >= 2)
        wait_until(lambda: tiles_done(out) >= 6)
        assert len(slurm.jobs(variables)) == 3
        (tmp_path / "hold").unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert np.array_equal(pixels(out), expected)


def test_jobs_that_wait_are_told_with_slurms_reason(
    variables: dict[str, str], tmp_path: Path
) -> None:
    """No worker comes: the numbers of the jobs, and why they wait; nothing is written."""
    argv = [*JOB, "--job-extra=--hold", "--wait", "10s"]
    done = run(tmp_path / "a.zarr", *argv, **variables)
    assert done.returncode == 1
    assert re.search(r"no worker for 10 s: jobs? \d+.* pending \(JobHeldUser\)", done.stderr)
    assert not (tmp_path / "a.zarr").exists()
    wait_until(lambda: slurm.jobs(variables) == [])


def test_refused_job_is_told(variables: dict[str, str], tmp_path: Path) -> None:
    """What sbatch says comes to the user, soon; nothing is written."""
    argv = [*JOB, "--job-extra=--partition=nowhere"]
    done = run(tmp_path / "a.zarr", *argv, **variables)
    assert done.returncode == 2
    assert "jobs are refused: sbatch: error:" in done.stderr
    assert "invalid partition" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a.zarr").exists()


def test_workers_leave_before_their_wall_time(
    variables: dict[str, str], tmp_path: Path, expected: np.ndarray
) -> None:
    """With jobs of one minute workers leave by themselves, and later jobs finish the image."""
    # Tiles slow enough for the one worker to need more than a job's time.
    argv = [*JOB, "--workers", "1", "--walltime", "60s"]
    done = run(tmp_path / "a.zarr", *argv, **{**variables, **slow_workers(tmp_path / "hold", 1.2)})
    assert done.returncode == 0, done.stderr
    assert np.array_equal(pixels(tmp_path / "a.zarr"), expected)
    logs = workers_said(tmp_path / "jobs")
    assert "worker-lifetime-reached" in logs
    assert "DUE TO TIME LIMIT" not in logs
    assert len(list((tmp_path / "jobs").glob("nbdask-*.err"))) >= 2
