"""Texts of job scripts on every batch system, and laws of times, sizes and counts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import dask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.cluster.jobs import (
    LEAST_MARGIN,
    LEAST_WALLTIME,
    MOST_MARGIN,
    job_keywords,
    job_script,
    lifetime,
)
from nbdask.cluster.options import (
    KEYS,
    JobOptions,
    adapt_of,
    configured,
    count_of,
    memory_of,
    seconds_of,
)
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import QUEUES, ClusterSpec
from nbdask.errors import ClusterError

pytest.importorskip("dask_jobqueue")

QUICK = settings(max_examples=50, deadline=None)


def spec_of(kind: str, folder: Path, jobs: JobOptions | None = None, **section: Any) -> ClusterSpec:
    """Two workers of three threads."""
    jobs = jobs or JobOptions(memory="4GiB")
    with dask.config.set({"nbdask": {"job-directory": str(folder / "logs"), **section}}):
        return parse_cluster(kind, workers=2, threads=3, jobs=jobs)


def scripted(kind: str, folder: Path, jobs: JobOptions | None = None, **section: Any) -> str:
    """The script of a job."""
    return job_script(spec_of(kind, folder, jobs, **section))


@pytest.mark.parametrize("kind", QUEUES)
def test_every_script_starts_one_worker(kind: str, tmp_path: Path) -> None:
    """With its threads and memory, told the scheduler; its pages are on its own node."""
    text = scripted(kind, tmp_path)
    assert text.count("distributed.cli.dask_worker") == 1
    for directives in (
        "tls://SCHEDULER:8786",
        "--nthreads 3",
        "--memory-limit 4.00GiB",
        "--dashboard-address 127.0.0.1:0 --no-dashboard",
        "--name nbdask-0",
    ):
        assert directives in text


@pytest.mark.parametrize("kind", QUEUES)
def test_every_script_keeps_libraries_to_one_thread(kind: str, tmp_path: Path) -> None:
    """Each of their variables, and what dask is to forget."""
    text = scripted(kind, tmp_path)
    for line in (
        "export OMP_NUM_THREADS=1",
        "export OPENBLAS_NUM_THREADS=1",
        "export MKL_NUM_THREADS=1",
        "export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False",
    ):
        assert line in text


@pytest.mark.parametrize("kind", QUEUES)
@pytest.mark.parametrize("value", ["/a b/c", "it's", '"x"', "$HOME", "a;rm b"])
def test_values_of_the_environment_are_quoted(
    kind: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a shell makes of the line is the value."""
    monkeypatch.setenv("NBDASK_CACHE_DIR", value)
    lines = job_keywords(spec_of(kind, tmp_path))["job_script_prologue"]
    (line,) = [line for line in lines if "NBDASK_CACHE_DIR" in line]
    assert shlex.split(line) == ["export", f"NBDASK_CACHE_DIR={value}"]
    monkeypatch.delenv("NBDASK_CACHE_DIR")
    assert "NBDASK_CACHE_DIR" not in scripted(kind, tmp_path)


@pytest.mark.parametrize("kind", ["slurm", "pbs", "sge", "lsf"])
def test_prologue_comes_after_variables_and_before_the_worker(kind: str, tmp_path: Path) -> None:
    """In its own order."""
    prologue = ["module load python", "source ~/venv/bin/activate"]
    lines = scripted(kind, tmp_path, prologue=prologue).splitlines()
    places = [lines.index(line) for line in prologue]
    exports = [n for n, line in enumerate(lines) if line.startswith("export ")]
    worker = next(n for n, line in enumerate(lines) if "dask_worker" in line)
    assert max(exports) < places[0] < places[1] < worker


@pytest.mark.parametrize("kind", QUEUES)
def test_interpreter_and_folder_of_the_workers(kind: str, tmp_path: Path) -> None:
    """As configured, where they are."""
    text = scripted(kind, tmp_path, python="/opt/py/bin/python", **{"local-directory": "/scratch"})
    assert "/opt/py/bin/python -m distributed.cli.dask_worker" in text
    assert "--local-directory /scratch" in text
    assert "--local-directory" not in scripted(kind, tmp_path)


@pytest.mark.parametrize(
    ("kind", "walltime", "line"),
    [
        ("slurm", "90min", "#SBATCH -t 01:30:00"),
        ("slurm", "2-00:00:00", "#SBATCH -t 48:00:00"),
        ("slurm", "61s", "#SBATCH -t 00:01:01"),
        ("pbs", "36h", "#PBS -l walltime=36:00:00"),
        ("sge", "100:00:59", "#$ -l h_rt=100:00:59"),
        ("lsf", "90min", "#BSUB -W 01:30"),
        ("lsf", "61s", "#BSUB -W 00:02"),
        ("lsf", "3d", "#BSUB -W 72:00"),
        ("htcondor", "90min", "allowed_job_duration = 5400"),
    ],
)
def test_times_in_the_words_of_each_system(
    kind: str, walltime: str, line: str, tmp_path: Path
) -> None:
    """LSF has no seconds, so they are rounded up."""
    text = scripted(kind, tmp_path, JobOptions(memory="1GB", walltime=walltime))
    assert line in text.splitlines()


@pytest.mark.parametrize("kind", QUEUES)
def test_what_is_not_asked_for_is_not_there(kind: str, tmp_path: Path) -> None:
    """No queue, account or interface of somebody's default."""
    text = scripted(kind, tmp_path)
    for directives in ("-p ", "-A ", "-q ", "-P "):
        assert not re.search(rf"^#\S* {re.escape(directives)}", text, re.MULTILINE)
    assert "--interface" not in text
    assert "accounting_group" not in text


#: System, its walltime in dask-jobqueue's own configuration, and how long workers stay then.
USUAL = [
    ("slurm", "00:30:00", "--lifetime 1530s --lifetime-stagger 90s"),
    ("pbs", "1-00:00:00", "--lifetime 85800s --lifetime-stagger 300s"),
    ("sge", "02:00:00", "--lifetime 6600s --lifetime-stagger 300s"),
    ("lsf", "00:30", "--lifetime 1530s --lifetime-stagger 90s"),
    ("slurm", None, None),
    ("slurm", "30", None),
    ("slurm", "00:00:30", None),
    ("pbs", "a:b:c", None),
    ("htcondor", None, None),
]


@pytest.mark.parametrize(("kind", "usual", "directives"), USUAL)
def test_workers_leave_before_the_usual_end(
    kind: str, usual: str | None, directives: str | None, tmp_path: Path
) -> None:
    """dask-jobqueue has a walltime of its own for jobs that are given none."""
    with dask.config.set({f"jobqueue.{kind}.walltime": usual}):
        text = scripted(kind, tmp_path)
        other = scripted(kind, tmp_path, JobOptions(memory="1GB", walltime="4h"))
    assert "--lifetime 13800s --lifetime-stagger 300s" in other
    if directives is None:
        assert "--lifetime" not in text
    else:
        assert directives in text


@pytest.mark.parametrize("kind", QUEUES)
def test_several_processes_in_a_job(kind: str, tmp_path: Path) -> None:
    """They share memory and cores of the job, and each finds its share of the node."""
    spec = spec_of(kind, tmp_path, JobOptions(memory="4GiB", processes=4))
    assert (spec.workers, spec.threads, spec.memory) == (8, 3, 1 << 30)
    text = job_script(spec)
    assert text.count("distributed.cli.dask_worker") == 1
    for words in ("--nworkers 4", "--nthreads 3", "--memory-limit 1.00GiB", "NBDASK_PROCESSES=4"):
        assert words in text
    assert "DASK_DISTRIBUTED__WORKER__PRELOAD=" in text
    assert "--preload-nanny nbdask.cluster.share" in text
    if kind == "slurm":
        assert "#SBATCH --cpus-per-task=12" in text
        assert "#SBATCH --mem=4G" in text
    alone = scripted(kind, tmp_path)
    assert "PRELOAD" not in alone
    assert "--preload-nanny" not in alone
    assert "--nworkers" not in alone


def test_what_is_loaded_in_workers_already_stays(tmp_path: Path) -> None:
    """A site's own preloads come too."""
    spec = spec_of("slurm", tmp_path, JobOptions(memory="4GiB", processes=2))
    with dask.config.set({"distributed.worker.preload": ["site"]}):
        text = job_script(spec)
    (line,) = [line for line in text.splitlines() if "WORKER__PRELOAD" in line]
    assert shlex.split(line)[1].endswith("=['nbdask.cluster.share', 'site']")


@pytest.mark.parametrize("value", [0, True, "2", 1.5])
def test_processes_are_counted(value: Any, tmp_path: Path) -> None:
    """A whole number of at least 1."""
    with pytest.raises(ClusterError, match=r"--processes = .* whole number of at least 1"):
        spec_of("slurm", tmp_path, JobOptions(memory="4GiB", processes=value))


def test_further_directives_keep_their_order(tmp_path: Path) -> None:
    """Word for word, spaces and quotes too."""
    extra = ("--comment='a b'", "--gres=gpu:1", "--exclusive")
    text = scripted("slurm", tmp_path, JobOptions(memory="1GB", job_extra=extra))
    found = [line.removeprefix("#SBATCH ") for line in text.splitlines() if "#SBATCH" in line]
    assert found[-3:] == list(extra)


@pytest.mark.parametrize("line", ["--x", "= 3", " = ", ""])
def test_htcondor_wants_pairs(line: str, tmp_path: Path) -> None:
    """A name, an equals sign, a value; the line is repeated."""
    spec = spec_of("htcondor", tmp_path, JobOptions(memory="1GB", job_extra=(line,)))
    with pytest.raises(ClusterError, match="for HTCondor it must be NAME = VALUE") as caught:
        job_keywords(spec)
    assert repr(line) in str(caught.value)


def test_htcondor_values_may_hold_equals_signs(tmp_path: Path) -> None:
    """Only the first one separates; the disk is configured."""
    jobs = JobOptions(memory="1GB", job_extra=("requirements = (a == b)",))
    found = job_keywords(spec_of("htcondor", tmp_path, jobs, disk="5GB"))
    assert found["job_extra_directives"] == {"requirements": "(a == b)"}
    assert found["disk"] == "5GB"


@QUICK
@given(st.integers(LEAST_WALLTIME, 30 * 86400))
def test_workers_leave_before_their_job_ends(walltime: int) -> None:
    """All of them, with a margin that grows with the job up to a bound; and they do work."""
    duration, stagger = lifetime(walltime)
    left = walltime - duration - stagger
    assert LEAST_MARGIN <= left <= MOST_MARGIN + 1
    assert stagger >= 0
    assert duration - stagger > 0
    assert duration >= walltime // 4


@QUICK
@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_clocks(days: int, hours: int, minutes: int, seconds: int) -> None:
    """Days before a dash; as many hours as there are without."""
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total == 0:
        return
    assert seconds_of(f"{days}-{hours:02d}:{minutes:02d}:{seconds:02d}") == total
    assert seconds_of(f" {days * 24 + hours}:{minutes:02d}:{seconds:02d} ") == total


@QUICK
@given(st.integers(1, 10**6), st.sampled_from(["", "s", "m", "min", "h", "d", " H", "Min"]))
def test_times_with_units(number: int, unit: str) -> None:
    """Seconds where there is none; capitals do not matter."""
    factor = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[unit.strip().lower()]
    assert seconds_of(f"{number}{unit}") == number * factor


@pytest.mark.parametrize("value", ["1:2:3:4", "-5", "1e3", "5 min 3 s", "0.5", True, [], {}])
def test_times_that_are_none(value: Any) -> None:
    """The value is shown, with examples."""
    with pytest.raises(ClusterError, match="such as 04:00:00") as caught:
        seconds_of(value, "nbdask.worker-timeout")
    assert str(caught.value).startswith(f"nbdask.worker-timeout = {value!r}")


@QUICK
@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_fewest_and_most_workers(fewest: int, more: int) -> None:
    """In order; as a list or a tuple."""
    assert adapt_of([fewest, fewest + more]) == (fewest, fewest + more)
    if more:
        with pytest.raises(ClusterError, match="such as --adapt 2 20"):
            adapt_of((fewest + more, fewest))


@pytest.mark.parametrize("value", [0, -1, 1.0, "2", True, None, [1]])
def test_counts_are_whole_and_above_0(value: Any) -> None:
    """The name is told."""
    with pytest.raises(ClusterError, match=re.escape(f"--workers = {value!r}: must be a whole")):
        count_of("--workers", value)


@pytest.mark.parametrize(
    ("value", "size"),
    [("4GB", 4 * 10**9), ("1GiB", 1 << 30), (10**9, 10**9), ("512 MB", 512 * 10**6)],
)
def test_sizes_of_memory(value: Any, size: int) -> None:
    """Decimal and binary units."""
    assert memory_of(value) == size


@pytest.mark.parametrize("value", ["much", "-1GB", "", "4 parsec", 0])
def test_sizes_that_are_none(value: Any) -> None:
    """An error of the cluster, which names the option."""
    with pytest.raises(ClusterError, match="--memory"):
        memory_of(value)


@pytest.mark.parametrize("name", KEYS)
def test_every_name_of_the_configuration(name: str) -> None:
    """With dashes or underscores, in the section or in a profile, which comes first."""
    spelt = name.replace("-", "_")
    section = {spelt: "outer", "profiles": {"p": {spelt: "inner"}, "none": {spelt: None}}}
    with dask.config.set({"nbdask": section}):
        assert configured(None) == {name: "outer"}
        assert configured("p") == {name: "inner"}
        assert configured("none") == {name: "outer"}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"wrkers": 2}, "nbdask.wrkers: unknown; did you mean workers?"),
        ({"colour": 2}, "nbdask.colour: unknown; known are account, adapt"),
        ({"profiles": {"p": {"quue": 1}}}, "nbdask.profiles.p.quue: unknown; did you mean"),
        ({"profiles": {"p": 3}}, "nbdask.profiles.p: must hold names and values"),
        ({"profiles": [1]}, "--profile p: not under nbdask: profiles: of dask's configuration"),
        ("text", "nbdask: must hold names and values"),
    ],
)
def test_sections_that_mean_nothing(section: Any, message: str) -> None:
    """One line with where it stands."""
    with dask.config.set({"nbdask": section}), pytest.raises(ClusterError) as caught:
        configured("p")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_section_is_none() -> None:
    """Nothing is configured."""
    empty: list[Any] = [None, {}]
    for section in empty:
        with dask.config.set({"nbdask": section}):
            assert configured(None) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"memory": "1GB"},
        {"walltime": "1h"},
        {"queue": "q"},
        {"account": "a"},
        {"adapt": (1, 2)},
        {"processes": 2},
    ],
)
@pytest.mark.parametrize("kind", ["threads", "local"])
def test_options_of_jobs_need_jobs(kind: str, options: dict[str, Any]) -> None:
    """Each is refused by name."""
    (name,) = options
    with pytest.raises(ClusterError, match=f"^--{name} is for jobs of a batch system") as caught:
        parse_cluster(kind, jobs=JobOptions(**options))
    assert str(caught.value).endswith(f"not {kind}")
