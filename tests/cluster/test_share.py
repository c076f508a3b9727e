"""Which cores and which GPU each process of a job gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbdask.cluster import share
from tests.cluster.pools import Pool, environment
from tests.helpers import wait_until


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_cores_are_shared_out(count: int) -> None:
    """Each core to one process, neighbours together, and as evenly as can be."""
    cores = [4, 5, 6, 7, 0, 1, 2]
    parts = [share.share(cores, number, count) for number in range(count)]
    assert [core for part in parts for core in part] == cores
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_too_few_cores_are_everybodys() -> None:
    """They are not divided."""
    assert share.share([3], 1, 2) == [3]


def test_cores_of_one_memory_node_come_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system numbers them in turn; what is not known is no error."""
    monkeypatch.setattr(share, "_NODES", tmp_path)
    assert share.in_order_of_nodes({3, 1, 2}) == [1, 2, 3]
    for node, text in enumerate(("0,2,4-5\n", "1,3\n")):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "cpulist").write_text(text)
    assert share.in_order_of_nodes({0, 1, 2, 3, 5}) == [0, 2, 5, 1, 3]


def test_each_process_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the job in turn; without any the variable stays away."""
    monkeypatch.setattr(share, "_DEVICES", tmp_path)
    assert share.own_first(share.visible({}), 0) == []
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert share.visible({}) == ["0", "1"]
    devices = share.visible({"CUDA_VISIBLE_DEVICES": "4, GPU-a"})
    assert [share.own_first(devices, n) for n in range(3)] == [
        ["4", "GPU-a"],
        ["GPU-a", "4"],
        ["4", "GPU-a"],
    ]


@pytest.mark.long
def test_real_workers_settle(tmp_path: Path) -> None:
    """Two processes of one ``dask worker``: other cores if there are two, another GPU first."""
    from distributed import Client

    pool = Pool(tmp_path)
    try:
        argv = [sys.executable, "-m", "distributed.cli.dask_worker", pool.address, "--nanny"]
        argv += ["--nworkers", "2", "--nthreads", "1", "--name", "job-0", "--host", "127.0.0.1"]
        argv += ["--local-directory", str(tmp_path), "--no-dashboard"]
        argv += ["--preload-nanny", "nbdask.cluster.share"]
        more = {"DASK_DISTRIBUTED__WORKER__PRELOAD": "['nbdask.cluster.share']"}
        more |= {"NBDASK_PROCESSES": "2", "CUDA_VISIBLE_DEVICES": "0,1"}
        log = (tmp_path / "job.log").open("w")
        with log:
            job = subprocess.Popen(argv, env=environment(**more), stdout=log, stderr=log)
            pool.processes.append(job)  # type: ignore[arg-type]
            with Client(pool.address, set_as_default=False) as client:
                wait_until(lambda: len(client.nthreads()) == 2)
                found = client.run(
                    lambda: (os.environ["CUDA_VISIBLE_DEVICES"], sorted(os.sched_getaffinity(0)))
                )
                inside = client.run(_in_a_task_thread)
                client.shutdown()
            job.wait(30)
    finally:
        pool.close()
    assert sorted(devices for devices, _ in found.values()) == ["0,1", "1,0"]
    first, second = (set(cores) for _, cores in found.values())
    if len(os.sched_getaffinity(0)) > 1:
        assert first.isdisjoint(second)
    assert {worker: cores for worker, (_, cores) in found.items()} == inside


def _in_a_task_thread(dask_worker: object) -> list[int]:
    executor = dask_worker.executors["default"]  # type: ignore[attr-defined]
    return sorted(executor.submit(os.sched_getaffinity, 0).result())
