"""Options of jobs: given, from a profile, from dask's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import pytest

from nbdask.cluster.options import JobOptions, adapt_of, seconds_of
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import WAIT, ClusterSpec
from nbdask.errors import ClusterError

SECTION = {
    "memory": "4GB",
    "queue": "short",
    "threads": 2,
    "profiles": {
        "big": {"cluster": "slurm", "queue": "long", "workers": 8, "job_directory": "/jobs"},
        "wide": {"cluster": "pbs", "adapt": [2, 20], "walltime": "2h"},
    },
}


def parsed(*args: Any, section: dict[str, Any] = SECTION, **kw: Any) -> ClusterSpec:
    """Parse under a configuration."""
    with dask.config.set({"nbdask": section}):
        return parse_cluster(*args, **kw)


def test_a_profile_names_its_kind() -> None:
    """Its values come before those of the section, which fill the rest."""
    spec = parsed(jobs=JobOptions("big"))
    assert (spec.kind, spec.workers, spec.threads, spec.memory) == ("slurm", 8, 2, 4 * 10**9)
    assert spec.job is not None
    assert (spec.job.queue, spec.job.directory) == ("long", Path("/jobs"))
    assert spec.memory_limit == int(0.8 * 4e9)


def test_the_caller_comes_first() -> None:
    """What is given replaces what is configured."""
    jobs = JobOptions("big", memory="1GiB", queue="debug", job_extra=("-x",), adapt=(1, 3))
    spec = parsed("slurm", 5, 7, jobs)
    assert (spec.workers, spec.threads, spec.memory, spec.adapt) == (3, 7, 1 << 30, (1, 3))
    assert spec.job is not None
    assert (spec.job.queue, spec.job.extra) == ("debug", ("-x",))


def test_adaptive_profile() -> None:
    """The plan is made for the most workers."""
    spec = parsed(jobs=JobOptions("wide"))
    assert (spec.kind, spec.adapt, spec.layout.total) == ("pbs", (2, 20), 40)
    assert spec.job is not None
    assert spec.job.walltime == 7200


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("30m", 1800), ("45s", 45), ("1-00:00:00", 86400)]
)
def test_the_time_to_wait_for_workers(text: str, seconds: int) -> None:
    """It may be given for every kind, and comes before what is configured."""
    section = {"worker-timeout": "5min"}
    for kind in ("slurm", "local", "threads"):
        jobs = JobOptions(memory="1GB" if kind == "slurm" else None, wait=text)
        assert parsed(kind, 1, 1, jobs, section=section).wait in (seconds, WAIT)
    assert parsed("local", 1, 1, jobs, section=section).wait == seconds
    with pytest.raises(ClusterError, match="--wait = 'soon': must be a time such as"):
        parsed("local", jobs=JobOptions(wait="soon"))


def test_the_section_may_name_the_kind() -> None:
    """Without --cluster it is the default."""
    section = {"cluster": "sge", "workers": 3, "memory": 10**9}
    assert parsed(section=section).kind == "sge"
    assert parsed("threads", section=section).kind == "threads"


def test_environment_variables_are_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """As dask reads them, with underscores."""
    monkeypatch.setenv("DASK_NBDASK__WORKERS", "3")
    monkeypatch.setenv("DASK_NBDASK__WORKER_TIMEOUT", "5min")
    found = dask.config.collect(paths=[])["nbdask"]
    spec = parsed("local", section=found)
    assert (spec.workers, spec.wait) == (3, 300)
    assert parsed("slurm", section={**found, "memory": "1GB"}).wait == 300


@pytest.mark.parametrize(
    ("args", "section", "message"),
    [
        (("slurm",), {}, r"the number of workers is missing: give --workers N"),
        (("slurm", 2), {}, r"the memory of a worker is missing: give --memory"),
        (("slurm", 2), {"memory": "lots"}, r"--memory = 'lots'"),
        (("slurm", 2), {"memory": "1GB", "walltime": "30s"}, r"must be 60 s or more"),
        (("slurm", 2), {"memory": "1GB", "tls": "no"}, r"nbdask.tls = 'no': must be true or"),
        (("slurm", 2), {"memory": "1GB", "prologue": 5}, r"must be a list of lines"),
        (("slurm", 2), {"memery": "1GB"}, r"nbdask.memery: unknown; did you mean memory\?"),
        (("slurm",), {"workers": "many"}, r"nbdask.workers = 'many'"),
        (("slurm",), [1], r"must hold names and values"),
        (("threads", None, 1, JobOptions("none")), SECTION, r"known: big, wide"),
        (("local", None, 1, JobOptions("none")), {}, r"none is defined"),
        (("local", None, 1, JobOptions("big")), SECTION, r"--profile big is for slurm"),
        (("local", 1, 1, JobOptions(queue="x")), {}, r"--queue is for jobs of a batch system"),
        (("local", 1, 1, JobOptions(job_extra=("x",))), {}, r"--job-extra is for jobs"),
    ],
)
def test_refused(args: tuple[Any, ...], section: Any, message: str) -> None:
    """One line says what was given and what is allowed."""
    with pytest.raises(ClusterError, match=message):
        parsed(*args, section=section)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("04:00:00", 14400),
        ("1-12:30:05", 131405),
        ("100:00:00", 360000),
        ("90min", 5400),
        ("1.5h", 5400),
        ("2 d", 172800),
        (600, 600),
    ],
)
def test_times(text: object, seconds: int) -> None:
    """Clocks with days, and numbers with units."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["10:00", "04:60:00", "", "soon", "3 weeks", "0s", "-1h", None])
def test_times_that_are_not(text: object) -> None:
    """Also 10:00, which could be minutes or hours."""
    with pytest.raises(ClusterError, match=r"must be a time such as 04:00:00"):
        seconds_of(text)


@pytest.mark.parametrize("value", [(0, 2), (3, 2), (1,), "1 2", (1, 2.5), (True, 2), None])
def test_adapt_is_two_numbers(value: object) -> None:
    """The fewest, at least 1, and the most."""
    with pytest.raises(ClusterError, match=r"--adapt = .*such as --adapt 2 20"):
        adapt_of(value)
