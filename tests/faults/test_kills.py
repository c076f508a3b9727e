"""Runs that are killed with SIGKILL at some moment, and resumed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import zarr

from benchmarks import large_kills
from benchmarks.large_kill_job import TILES

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="follows processes through /proc"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an unbroken run."""
    return large_kills.whole(tmp_path_factory.mktemp("whole"))


#: Cluster, who is killed, whether threads resume the run instead of such a cluster.
CASES = (
    ("threads", "all", True),
    ("local", "worker", True),
    ("local", "all", False),
    ("running", "scheduler", True),
    # The same scheduler and workers take the resumed run.
    ("running", "client", False),
    ("running", "all", True),
)


@pytest.mark.parametrize(
    ("seed", "cluster", "victim", "threads"),
    [
        # The first kills all of a run, and is quick.
        pytest.param(seed, *case, marks=[pytest.mark.long] if seed > 11 else [])
        for seed, case in enumerate(CASES, start=11)
    ],
)
def test_a_killed_run_resumes_to_the_same_bits(
    tmp_path, whole, seed, cluster, victim, threads
) -> None:
    """Pixels and records are an unbroken run's; at most what was in flight is done again."""
    outcome = large_kills.kill_once(tmp_path, whole, (cluster, victim), seed, threads)
    assert outcome.moment >= 1
    assert outcome.recorded <= TILES
    assert outcome.redone <= outcome.allowed
    assert large_kills.differences(whole, next(tmp_path.glob("*.zarr"))) == []
    assert outcome.good
    if victim == "worker":
        assert outcome.recorded == TILES, "a run survives the loss of a worker"


def test_a_difference_between_stores_is_seen(tmp_path, whole) -> None:
    """The comparison does find another pixel, record or experiment."""
    other = tmp_path / "other.zarr"
    shutil.copytree(whole, other)
    assert large_kills.differences(whole, other) == []
    image = zarr.open_array(other / "image", mode="r+")
    image[5, 7] = -1.0
    assert large_kills.differences(whole, other) == ["pixels"]
