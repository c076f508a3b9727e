"""One worker per GPU, tried with GPUs that are only names."""

from __future__ import annotations

import os

import numpy as np
import pytest

import nbdask
from nbdask.cluster import devices
from nbdask.cluster.devices import device_orders
from nbdask.cluster.open import open_cluster
from nbdask.cluster.parse import parse_cluster
from nbdask.errors import BackendError, ClusterError
from nbdask.kernels import cuda_device
from tests.cluster.pools import listening
from tests.helpers import small_experiment


@pytest.fixture
def two_devices(monkeypatch) -> None:
    """Pretend that the driver sees two GPUs."""
    monkeypatch.setattr(cuda_device, "visible_devices", lambda: ("4", "GPU-7f"))
    monkeypatch.setattr(devices, "available_cores", lambda: 16)


@pytest.mark.usefixtures("two_devices")
def test_one_worker_per_gpu() -> None:
    """Workers are as many as GPUs, with a few threads each; fewer may be asked for."""
    found = parse_cluster("cuda")
    assert (found.workers, found.threads, found.devices) == (2, 6, ("4", "GPU-7f"))
    assert parse_cluster("cuda", workers=1, threads=3).threads == 3
    with pytest.raises(ClusterError, match="one worker per GPU, and there are 2"):
        parse_cluster("cuda", workers=3)


def test_every_worker_has_its_own_gpu_first() -> None:
    """The others follow, so that a library that looks at all GPUs still finds them."""
    assert device_orders(("0", "1", "2"), 2) == ["0,1,2", "1,2,0"]


@pytest.mark.skipif(cuda_device.unusable() is None, reason="there is a GPU")
def test_without_gpus_the_cluster_is_refused() -> None:
    """Before anything starts."""
    with pytest.raises(BackendError, match="--cluster cuda") as caught:
        parse_cluster("cuda")
    assert "--backend" not in str(caught.value)


@pytest.mark.long
@pytest.mark.usefixtures("two_devices")
def test_workers_see_their_gpus_on_loopback() -> None:
    """CUDA_VISIBLE_DEVICES of the two processes, and where they listen."""
    before = listening()
    with open_cluster(parse_cluster("cuda", threads=1)) as executor:
        seen = executor.client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])  # type: ignore[attr-defined]
        opened = listening() - before
    assert sorted(seen.values()) == ["4,GPU-7f", "GPU-7f,4"]
    assert {address for _, address, _ in opened} == {"127.0.0.1"}


@pytest.mark.long
@pytest.mark.usefixtures("two_devices")
def test_a_run_on_the_cluster(tmp_path) -> None:
    """The workers compute a whole image; another backend may be named."""
    experiment = small_experiment()
    here = nbdask.simulate(experiment, tmp_path / "a.zarr", backend="numpy", tile=8)
    there = nbdask.simulate(
        experiment, tmp_path / "b.zarr", backend="numpy", tile=8, cluster="cuda", threads=1
    )
    assert there.statistics == here.statistics
    a, b = (nbdask.open(r.path).image.values for r in (here, there))
    np.testing.assert_array_equal(a, b)
