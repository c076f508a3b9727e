"""Several crystals: the sum of their images, whatever the steps, tiles and kernel."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError, InputError
from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Lattice,
    Sampling,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
from nbdask.kernels.interface import merge
from nbdask.kernels.lattices import image_of, partial_of
from nbdask.kernels.registry import default_costs, get_kernel
from nbdask.native import library
from nbdask.plan.cost import Costs
from nbdask.plan.memory import model_bytes
from nbdask.plan.steps import split_steps
from nbdask.trace.walk import trace_pixel
from tests.helpers import deviation, small_experiment, tile_image, whole
from tests.kernels.features import CELL, LIST, crystal

KERNELS = [("numpy", "float64")]
KERNELS += [("cpu", precision) for precision in ("float64", "mixed") if library.levels()]
KERNELS += [("cuda-host", "float64")] if shutil.which("g++") else []
OTHER = Crystal(cell=(5e-9, 6e-9, 9e-9, 1.5, 1.5, 1.5), n_cells=(3, 4, 7), shape="round")
LATTICES = (
    Lattice(Crystal(cell=CELL, n_cells=(5, 5, 5), misset=(0.3, 0.2, 0.1)), 0.5),
    Lattice(OTHER, 2.0, StructureFactors(default_F=40.0)),
)


def experiment_of(**parts):
    """Return an experiment of three crystals, two of one kind."""
    values = {
        "crystal": crystal((4, 5, 6)),
        "structure": LIST,
        "sampling": Sampling(oversample=2, interpolate=False),
        "beam": Beam(polarization=0.4),
        "lattices": LATTICES,
        "weight": 0.7,
    }
    return small_experiment(**{**values, **parts})


@pytest.mark.parametrize(("name", "precision"), KERNELS)
def test_image_is_the_sum_of_the_crystals(name, precision):
    """Each with its weight, cell, shape, orientation and amplitudes."""
    experiment, kernel = experiment_of(), get_kernel(name, precision)
    total = np.zeros(experiment.shape)
    for single, weight in zip(experiment.singles, (0.7, 0.5, 2.0), strict=True):
        total += weight * tile_image(build_model(single), kernel).astype(np.float64)
    model = build_model(experiment)
    found, _ = image_of(kernel, model, whole(model), None)
    assert deviation(found, total) < 1e-6


def test_background_counts_once():
    """That of water, of three crystals of weight 0."""
    dark = tuple(replace(lattice, weight=0.0) for lattice in LATTICES)
    water = Background(water=1e-6)
    model = build_model(experiment_of(lattices=dark, weight=0.0, background=water))
    kernel = get_kernel("numpy")
    found, _ = image_of(kernel, model, whole(model), None)
    single = build_model(experiment_of(lattices=(), weight=1.0, background=water))
    bare = kernel.finish(single, whole(single), merge_of_nothing(single), None)
    assert np.array_equal(found, bare)
    assert found.min() > 0.0


def merge_of_nothing(model):
    """Return sums of no terms."""
    found = get_kernel("numpy").partial(model, whole(model), split_steps(1, 1)[0], None)
    return found._replace(total=np.zeros_like(found.total))


def test_ranges_that_cut_crystals_add_up():
    """In the order of the crystals, wherever ranges begin."""
    model, kernel = build_model(experiment_of()), get_kernel("numpy")
    tile = whole(model)
    parts = [partial_of(kernel, model, tile, s, None) for s in split_steps(model.n_steps, 5)]
    assert len(parts) > 3
    total = parts[0]
    for part in parts[1:]:
        total = merge(total, part)
    one = partial_of(kernel, model, tile, split_steps(model.n_steps, model.n_steps)[0], None)
    assert deviation(total.total, one.total) < 1e-13
    assert model.n_steps == sum(share.model.n_steps for share in model.lattices)


def test_all_take_the_sub_pixels_of_the_most_demanding():
    """Unless a number is given."""
    model = build_model(experiment_of(sampling=Sampling(interpolate=False)))
    counts = {share.model.oversample for share in model.lattices}
    assert counts == {model.oversample}
    alone = [
        build_model(single).oversample
        for single in experiment_of(sampling=Sampling(interpolate=False)).singles
    ]
    assert model.oversample == max(alone)


def test_one_crystal_keeps_its_bits_in_a_store(tmp_path):
    """And so does a run of several whatever tiles and tasks; the record gives them again."""
    experiment = experiment_of()
    results = []
    for number, steps in enumerate((None, 5)):
        path = tmp_path / f"{number}.zarr"
        nbdask.simulate(experiment, path, backend="numpy", tile=(16, 16), steps_per_task=steps)
        results.append(nbdask.open(path).image.values)
    model = build_model(experiment)
    direct, _ = image_of(get_kernel("numpy"), model, whole(model), None)
    assert np.array_equal(results[0], direct)
    assert deviation(results[1], direct) < 1e-6
    assert nbdask.verify(tmp_path / "0.zarr", recompute=2).ok
    assert type(experiment).from_dict(experiment.to_dict()) == experiment


def test_plan_counts_every_crystal(monkeypatch, tmp_path):
    """Memory, the mean cost of an evaluation, and tables that are mapped."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = build_model(experiment_of())
    assert model_bytes(model) == sum(model_bytes(share.model) for share in model.lattices)
    costs = Costs(default_costs())
    each = [costs.per_evaluation(share.model, "cpu", "float64") for share in model.lattices]
    assert min(each) < costs.per_evaluation(model, "cpu", "float64") < max(each)
    monkeypatch.setattr("nbdask.graph.mapped.MAPPED_BYTES", 100)
    mapped = map_amplitudes(model, "run[1]")
    assert len(list(tmp_path.rglob("*.npy"))) == 2
    image, _ = image_of(get_kernel("numpy"), model, whole(model), None)
    again, _ = image_of(get_kernel("numpy"), mapped, whole(model), None)
    assert np.array_equal(image, again)
    forget_amplitudes("run[1]")
    assert not list(tmp_path.rglob("*.npy"))


def test_what_needs_one_crystal_is_refused():
    """C semantics, a weight without others, and traces."""
    with pytest.raises(FieldError, match='left out with the semantics "c"'):
        experiment_of(semantics="c")
    with pytest.raises(FieldError, match="1 for a single crystal"):
        experiment_of(lattices=())
    with pytest.raises(FieldError, match=r"lattices\.weight"):
        Lattice(OTHER, -1.0)
    with pytest.raises(InputError, match="a trace of 3 crystals"):
        trace_pixel(experiment_of(), 3, 4)
