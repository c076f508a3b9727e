"""What comes before the first tile: a plan that writes nothing, or takes up that of a store."""

from __future__ import annotations

import os

import pytest

from nbdask.errors import BackendError, InputError
from nbdask.experiment import Sampling, Scan
from nbdask.prepare import Settings, as_recorded, prepare
from nbdask.run import simulate
from nbdask.store.address import place_of
from tests.helpers import small_experiment

#: Three phi steps, 2 x 2 sub-pixels: 12 steps.
EXPERIMENT = small_experiment(
    scan=Scan(phi0=0.1, osc=0.02, count=3), sampling=Sampling(oversample=2)
)


def test_prepare_writes_nothing(tmp_path, monkeypatch) -> None:
    """Model, plan and cluster without a store."""
    monkeypatch.chdir(tmp_path)
    found = prepare(EXPERIMENT, Settings(backend="numpy", tile=8, threads=3))
    assert (found.model.n_steps, len(found.plan.grid), found.cluster.threads) == (12, 12, 3)
    assert os.listdir(tmp_path) == []


def test_shards_are_planned_as_so_many_machines() -> None:
    """The model is that of one; only the time of a run and the cutting of tiles follow them."""
    one, many = (prepare(EXPERIMENT, Settings(threads=2), shards=n).plan for n in (1, 50))
    assert (one.workers.total, many.workers.total) == (2, 100)


def test_what_a_store_was_begun_with_counts_unless_it_is_given(tmp_path) -> None:
    """So that another machine, or a newer planner, computes the same tiles."""
    settings = Settings(backend="numpy", tile=8, steps_per_task=5, planes="wavelength")
    options = {"backend": "numpy", "tile": 8, "steps_per_task": 5, "planes": "wavelength"}
    simulate(EXPERIMENT, tmp_path / "a.zarr", **options, progress=None)
    place = place_of(tmp_path / "a.zarr")
    found = as_recorded(place, Settings())
    assert (found.backend, found.tile, found.planes) == ("numpy", (8, 8), ["wavelength"])
    ours, theirs = (prepare(EXPERIMENT, s).plan for s in (found, settings))
    assert (ours.grid, ours.steps, ours.planes) == (theirs.grid, theirs.steps, theirs.planes)
    given = as_recorded(place, Settings(backend="cpu", tile=16, steps_per_task=3))
    assert (given.backend, given.tile, given.steps_per_task) == ("cpu", 16, 3)


def test_what_cannot_be_prepared_is_refused() -> None:
    """In one line that says what is allowed."""
    with pytest.raises(InputError, match=r"experiment = 'a.toml': must be an nbdask.Experiment"):
        prepare("a.toml")
    with pytest.raises(BackendError, match="backend"):
        prepare(EXPERIMENT, Settings(backend="abacus"))
