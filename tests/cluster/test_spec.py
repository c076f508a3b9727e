"""The text of --cluster."""

from __future__ import annotations

import dask
import pytest

from nbdask.cluster import local
from nbdask.cluster import threads as threads_module
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import ClusterError
from nbdask.plan.estimate import Workers
from nbdask.plan.machine import available_cores


@pytest.mark.parametrize(
    ("text", "workers", "threads", "expected"),
    [
        ("threads", None, None, ClusterSpec("threads", 1, 6)),
        ("threads", 1, 3, ClusterSpec("threads", 1, 3)),
        ("local", None, None, ClusterSpec("local", 6, 1)),
        ("local", 2, None, ClusterSpec("local", 2, 3)),
        ("local", None, 2, ClusterSpec("local", 3, 2)),
        ("local", None, 20, ClusterSpec("local", 1, 20)),
        ("local", 9, None, ClusterSpec("local", 9, 1)),
        ("local", 4, 5, ClusterSpec("local", 4, 5)),
    ],
)
def test_counts_come_from_cores(monkeypatch, text, workers, threads, expected) -> None:
    """What is given is taken; the rest fills the six cores."""
    for module in (local, threads_module):
        monkeypatch.setattr(module, "available_cores", lambda: 6)
    assert parse_cluster(text, workers, threads) == expected


def test_layout_counts_processes() -> None:
    """Worker processes have a leading process beside them."""
    cores = available_cores()
    assert ClusterSpec("threads", 1, 4).layout == Workers(1, 4, 1, cores)
    assert ClusterSpec("local", 3, 2).layout == Workers(3, 2, 4, cores)
    assert ClusterSpec("slurm", 3, 2).layout == Workers(3, 2, 4, queued=True)


@pytest.mark.parametrize(
    "text", ["", "thread", "local:2", "tcp", "tcp:", "tls://", "scheduler-file", "scheduler-file:"]
)
def test_unknown_clusters_are_refused(text) -> None:
    """The message says what there is."""
    with pytest.raises(
        ClusterError, match=r"must be threads, local, cuda, slurm.*scheduler-file:PATH"
    ):
        parse_cluster(text)


@pytest.mark.parametrize("options", [{"workers": 0}, {"threads": -1}, {"threads": 1.5}])
def test_impossible_counts_are_refused(options) -> None:
    """At least one of each."""
    with pytest.raises(ClusterError, match="whole number of at least 1"):
        parse_cluster("local", **options)


def test_threads_is_one_process() -> None:
    """More workers need processes, and the message says how."""
    with pytest.raises(ClusterError, match="--cluster local"):
        parse_cluster("threads", workers=4)


def test_the_configuration_reaches_processes_of_this_machine() -> None:
    """What is for every cluster counts; what is for jobs does not."""
    given = {"workers": 2, "tls": False, "dashboard": True, "worker-timeout": "5 min", "queue": "q"}
    with dask.config.set({"nbdask": given}):
        spec = parse_cluster("local")
    assert (spec.workers, spec.tls, spec.dashboard, spec.wait) == (2, False, True, 300)
