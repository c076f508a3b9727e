"""``image()``: only what is looked at is computed, with the bits of a run."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from dask.base import optimize
from distributed import Client, LocalCluster

import nbdask
from nbdask.errors import PlanError
from nbdask.experiment import StructureFactors
from nbdask.kernels.reference import ReferenceKernel
from nbdask.store.reader import StoreReader
from tests.helpers import reflections, small_experiment
from tests.test_run import EXPERIMENT


@pytest.fixture
def calls(monkeypatch) -> list:
    """The tiles that the kernel is asked for."""
    seen: list = []
    partial = ReferenceKernel.partial

    def watched(self, model, tile, steps, mask):
        seen.append((tile, steps))
        return partial(self, model, tile, steps, mask)

    monkeypatch.setattr(ReferenceKernel, "partial", watched)
    return seen


def lazy(experiment=EXPERIMENT, **options):
    """Return a lazy image with the reference kernel."""
    return nbdask.image(experiment, **{"backend": "numpy", "tile": 8, **options})


def test_nothing_is_computed_at_first(calls) -> None:
    """Shape, chunks, coordinates and attributes cost no evaluation."""
    image = lazy()
    assert image.dims == ("slow", "fast")
    assert image.shape == (32, 24)
    assert image.chunks == ((8, 8, 8, 8), (8, 8, 8))
    assert image.dtype == np.float32
    assert image.fast.values.tolist() == list(range(24))
    assert image.attrs["fingerprint"] == EXPERIMENT.fingerprint()
    assert calls == []


@pytest.mark.parametrize(
    ("region", "tiles"),
    [
        ((slice(0, 8), slice(0, 8)), 1),
        ((slice(10, 12), slice(3, 20)), 3),
        ((slice(7, 9), slice(7, 9)), 4),
        ((31, 23), 1),
        ((slice(None), slice(None)), 12),
    ],
)
def test_a_region_evaluates_the_tiles_it_touches(calls, region, tiles) -> None:
    """Each touched tile once, no other."""
    found = lazy()[region].values
    assert len(calls) == len({tile for tile, _ in calls}) == tiles
    assert np.array_equal(found, lazy().values[region])


@pytest.mark.parametrize("options", [{}, {"tile": (9, 24)}, {"steps_per_task": 5}])
def test_the_bits_of_a_run(tmp_path, options) -> None:
    """With the same tiles and ranges lazy and stored pixels are the same."""
    nbdask.simulate(EXPERIMENT, tmp_path / "a.zarr", **{"backend": "numpy", "tile": 8, **options})
    stored = np.asarray(StoreReader(tmp_path / "a.zarr").image[:])
    assert np.array_equal(lazy(**options).values, stored)


def test_names_follow_the_content() -> None:
    """Equal experiments share their names; another experiment or cut has another."""
    name = lazy().data.name
    assert lazy().data.name == name
    assert lazy(EXPERIMENT.replace(semantics="c")).data.name != name
    assert lazy(tile=16).data.name != name
    assert lazy(steps_per_task=3).data.name != name


@pytest.mark.long
def test_the_model_is_in_the_graph_once() -> None:
    """A large table of amplitudes is one node, not a part of every task, optimised or not."""
    experiment = small_experiment(structure=StructureFactors(reflections=reflections(20)))
    array = lazy(experiment).data
    table = 8 * 41**3
    for graph in (array.__dask_graph__(), optimize(array)[0].__dask_graph__()):
        sizes = [len(pickle.dumps(task)) for task in dict(graph).values()]
        assert sum(size > table / 2 for size in sizes) == 1
        assert sum(sizes) < 1.5 * table


def test_a_distributed_client_computes_it() -> None:
    """The array works with whatever scheduler its user has."""
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster),
    ):
        found = lazy().values
    assert np.array_equal(found, lazy().compute(scheduler="threads").values)


def test_an_impossible_tile_is_refused_at_once() -> None:
    """Before anything is computed."""
    with pytest.raises(PlanError, match="--tile"):
        lazy(tile=1)
