"""The scripts of jobs; no batch system is needed to write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pytest

from nbdask.cluster.jobs import job_script, lifetime
from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError
from tests.cluster.pools import environment

pytest.importorskip("dask_jobqueue")

OPTIONS = JobOptions(memory="6GiB", walltime="4h", queue="normal", account="abc123")


def made(kind: str, tmp_path: Path, jobs: JobOptions = OPTIONS, **section: Any) -> ClusterSpec:
    """Return the spec of two workers of four threads."""
    settings = {"job-directory": str(tmp_path / "logs"), **section}
    with dask.config.set({"nbdask": settings}):
        return parse_cluster(kind, workers=2, threads=4, jobs=jobs)


def directives(script: str, prefix: str) -> list[str]:
    """Lines that the batch system reads."""
    return [line for line in script.splitlines() if line.startswith(prefix)]


def test_slurm_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resources, further directives, environment, and a worker that leaves in time."""
    monkeypatch.setenv("NBDASK_CACHE_DIR", "/scratch/my cache")
    jobs = JobOptions("big", job_extra=("--constraint=avx512", "--exclusive"))
    profile = {"memory": "6GiB", "walltime": "4h", "queue": "normal", "account": "abc123"}
    section = {"interface": "ib0", "local-directory": "/local", "prologue": ["module load python"]}
    script = job_script(made("slurm", tmp_path, jobs, profiles={"big": profile}, **section))
    assert directives(script, "#SBATCH") == [
        "#SBATCH -J nbdask",
        f"#SBATCH -e {tmp_path}/logs/nbdask-%J.err",
        f"#SBATCH -o {tmp_path}/logs/nbdask-%J.out",
        "#SBATCH -p normal",
        "#SBATCH -A abc123",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=6G",
        "#SBATCH -t 04:00:00",
        "#SBATCH --constraint=avx512",
        "#SBATCH --exclusive",
    ]
    lines = script.splitlines()
    exported = [line.removeprefix("export ") for line in lines if line.startswith("export ")]
    assert {"OMP_NUM_THREADS=1", "NBDASK_CACHE_DIR='/scratch/my cache'"} <= set(exported)
    assert lines.index("module load python") < len(lines) - 1
    worker = lines[-1]
    assert "distributed.cli.dask_worker tls://SCHEDULER:8786 --name nbdask-0" in worker
    for argv in (
        "--nthreads 4",
        "--memory-limit 6.00GiB",
        "--local-directory /local",
        "--dashboard-address 127.0.0.1:0",
        "--lifetime 13800s --lifetime-stagger 300s",
        "--interface ib0",
    ):
        assert argv in worker


@pytest.mark.parametrize(
    ("kind", "prefix", "expected"),
    [
        (
            "pbs",
            "#PBS",
            [
                "#PBS -N nbdask",
                "#PBS -q normal",
                "#PBS -A abc123",
                "#PBS -l select=1:ncpus=4:mem=6144MB",
                "#PBS -l walltime=04:00:00",
                "#PBS -m n",
            ],
        ),
        (
            "sge",
            "#$",
            ["#$ -N nbdask", "#$ -q normal", "#$ -P abc123", "#$ -l h_rt=04:00:00", "#$ -m n"],
        ),
        (
            "lsf",
            "#BSUB",
            ["#BSUB -q normal", '#BSUB -P "abc123"', "#BSUB -n 4", "#BSUB -W 04:00", "#BSUB -m n"],
        ),
    ],
)
def test_scripts_of_other_systems(
    tmp_path: Path, kind: str, prefix: str, expected: list[str]
) -> None:
    """Each says queue, account, cores and time in its own words."""
    jobs = JobOptions(
        memory="6GiB", walltime="4h", queue="normal", account="abc123", job_extra=("-m n",)
    )
    script = job_script(made(kind, tmp_path, jobs))
    found = directives(script, prefix)
    assert [line for line in expected if line not in found] == []
    assert "--lifetime 13800s --lifetime-stagger 300s" in script


def test_htcondor_script(tmp_path: Path) -> None:
    """Directives are pairs; the environment is set within the command."""
    jobs = JobOptions(
        memory="6GiB",
        walltime="4h",
        account="group.abc",
        job_extra=('+JobFlavour = "longlunch"', "requirements = (OpSysAndVer == 9)"),
    )
    script = job_script(made("htcondor", tmp_path, jobs))
    for line in (
        "accounting_group = group.abc",
        "allowed_job_duration = 14400",
        '+JobFlavour = "longlunch"',
        "requirements = (OpSysAndVer == 9)",
        "RequestCpus = MY.DaskWorkerCores",
        "MY.DaskWorkerCores = 4",
    ):
        assert line in script.splitlines()
    assert "export OMP_NUM_THREADS=1;" in script


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        (OPTIONS, "HTCondor has no queues"),
        (JobOptions(memory="1GB", job_extra=("--x",)), "must be NAME = VALUE"),
    ],
)
def test_htcondor_refuses(tmp_path: Path, jobs: JobOptions, message: str) -> None:
    """What it does not have is told."""
    with pytest.raises(ClusterError, match=message):
        job_script(made("htcondor", tmp_path, jobs))


@pytest.mark.parametrize("walltime", [60, 120, 600, 3600, 86400])
def test_workers_leave_in_time(walltime: int) -> None:
    """The latest worker leaves half a minute or more before the end; the earliest has worked."""
    duration, stagger = lifetime(walltime)
    assert duration + stagger <= walltime - 30
    assert duration - stagger >= walltime // 3


def test_no_batch_system_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the command; nothing is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    spec = made("lsf", tmp_path)
    with (
        pytest.raises(ClusterError, match="the command bsub is not on the path"),
        open_cluster(spec),
    ):
        pass
    assert not (tmp_path / "logs").exists()


def test_jobqueue_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("nbdask.cluster.jobs.import_module", absent)
    with pytest.raises(ClusterError, match=r"needs the package dask-jobqueue: pip install"):
        job_script(made("pbs", tmp_path))


@pytest.mark.long
def test_ctrl_c_is_not_taken_over() -> None:
    """Importing dask-jobqueue leaves the handler of Ctrl-C as it was."""
    program = (
        "import signal; from nbdask.cluster.jobs import _jobqueue; _jobqueue('slurm');"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_python_below_a_folder_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell of the job gets it as one word; a Python that dask's configuration names stays."""
    monkeypatch.setattr(sys, "executable", "/opt/two words/bin/python")
    spec = made("slurm", tmp_path)
    assert "'/opt/two words/bin/python' -m distributed.cli" in job_script(spec)
    with dask.config.set({"jobqueue.slurm.python": "module-python"}):
        assert "\nmodule-python -m distributed.cli" in job_script(spec)
