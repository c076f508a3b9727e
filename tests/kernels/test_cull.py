"""What is skipped is exactly 0: no bit changes, and nothing that is lit is left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nbdask.experiment import (
    Crystal,
    Detector,
    Sampling,
    Scan,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.cull import CullInputs, banded, make_inputs
from nbdask.kernels.pack import lattice_values, spot_triangle
from nbdask.native import library
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import reflections, small_experiment, whole
from tests.kernels.features import CELL, CUBIC, LIST, MOVING
from tests.kernels.suite import all_steps, same

CUBE = (1e-8, 1e-8, 1e-8, np.pi / 2, np.pi / 2, np.pi / 2)
DETECTOR = Detector(pixels_fast=37, pixels_slow=45, pixel_size=1e-4)


def narrow(shape="gauss", cells=(36, 36, 36), cell=CUBE, **parts):
    """Return a crystal whose spots are small, with some domains."""
    values = {"mosaic_spread": 0.05, "mosaic_domains": 12, **parts}
    return Crystal(cell=cell, n_cells=cells, shape=shape, **values)


def experiment(crystal, **parts):
    """Return an experiment whose pixels are near the beam."""
    return small_experiment(**{"crystal": crystal, "detector": DETECTOR, **parts})


LIT = Sources(dispersion=Spread(range=0.05, count=5))
SPREAD = Sources(horizontal=Spread(range=4e-3, count=3), vertical=Spread(range=4e-3, count=3))
EXPERIMENTS = {
    "gauss": experiment(narrow()),
    "gauss, list": experiment(narrow(), structure=LIST),
    "gauss, interpolated": experiment(narrow(), **CUBIC),
    "gauss, triclinic": experiment(narrow(cell=CELL, cells=(24, 50, 31))),
    "tophat": experiment(narrow("tophat", (10, 10, 10))),
    "tophat, list": experiment(narrow("tophat", (12, 14, 9)), structure=LIST),
    "spherical": experiment(narrow("spherical", (90, 90, 90), centring="I")),
    "energies": experiment(narrow(), sources=LIT),
    "directions": experiment(narrow(mosaic_domains=40), sources=SPREAD, structure=LIST),
    "many domains": experiment(narrow(mosaic_domains=300)),
    "phi and sub-pixels": experiment(
        narrow(), scan=Scan(osc=0.02, count=3), sampling=Sampling(oversample=2)
    ),
    "layers and factors": experiment(
        narrow(),
        detector=dataclasses.replace(
            DETECTOR, thickness=4e-4, attenuation=2e3, thick_steps=2, curved=True
        ),
        sampling=Sampling(oversample=1, oversample_thick=True, oversample_omega=True),
    ),
    "dmin": experiment(narrow(), sampling=Sampling(oversample=1, dmin=2.5e-9)),
    "diffuse": experiment(narrow(diffuse=MOVING)),
}
ABSENT = StructureFactors(reflections=tuple(row for row in reflections(5) if sum(row[:3]) % 2 == 0))
EXPERIMENTS |= {
    f"absences, {shape}": experiment(narrow(shape, cells), structure=ABSENT)
    for shape, cells in (("gauss", (36, 36, 36)), ("tophat", (10, 10, 10)))
}
EXPERIMENTS["absences, energies"] = experiment(narrow(), structure=ABSENT, sources=LIT)
FAR = Detector(pixels_fast=70, pixels_slow=60, pixel_size=2e-3)
EDGED = StructureFactors(reflections=reflections(4))
EXPERIMENTS |= {
    f"beyond the list, {shape}": experiment(
        narrow(shape, (5, 6, 4), mosaic_domains=3), detector=FAR, structure=EDGED
    )
    for shape in ("square", "round", "gauss")
}
EXPERIMENTS["beyond the list, energies"] = experiment(
    narrow("square"), detector=FAR, structure=EDGED, sources=LIT
)
MODELS = {name: build_model(made) for name, made in EXPERIMENTS.items()}
MODELS["weighted domains"] = dataclasses.replace(
    MODELS["gauss"], domain_weight=np.repeat([0.5, 1.0, 2.0, 1.5], 3)
)
each_model = pytest.mark.parametrize("name", MODELS)


def found(kernel, model, tile, steps=None, mask=None):
    """Return sums of a tile and the count of what is outside the list."""
    partial = kernel.partial(model, tile, steps or all_steps(model), mask)
    return partial.total, partial.outside


def inputs_of(model) -> CullInputs:
    """Return what a test of groups reads; there is one."""
    inputs = make_inputs(model, narrow=False)
    assert inputs is not None
    return inputs


@each_model
@pytest.mark.parametrize("precision", ["float64", "mixed"])
@pytest.mark.parametrize("level", library.levels())
def test_no_bit_changes(name, precision, level):
    """On every level, in both precisions."""
    model = MODELS[name]
    inputs_of(model)
    ours, all_of_it = (
        found(CpuKernel(precision, level, skips), model, whole(model)) for skips in (True, False)
    )
    assert all_of_it[0].any()
    assert same(ours[0], all_of_it[0])
    assert ours[1] == all_of_it[1]


@each_model
def test_no_bit_changes_however_cut(name):
    """Tiles, ranges of steps, masks."""
    model = MODELS[name]
    skipping, plain = CpuKernel(), CpuKernel(skips=False)
    total, _ = found(plain, model, whole(model))
    for tile in TileGrid(whole(model).shape, (19, 13)):
        place = slice(tile.slow0, tile.slow1), slice(tile.fast0, tile.fast1)
        assert same(found(skipping, model, tile)[0], np.ascontiguousarray(total[place]))
    mask = np.random.default_rng(3).random(total.shape) < 0.3
    assert same(found(skipping, model, whole(model), mask=mask)[0], np.where(mask, total, 0.0))
    some = StepRange(model.n_steps // 3, model.n_steps - 1)
    ours, all_of_it = (found(k, model, whole(model), some)[0] for k in (skipping, plain))
    assert same(ours, all_of_it)


@pytest.mark.parametrize("name", ["gauss", "gauss, triclinic", "tophat", "spherical"])
def test_no_pixel_that_is_lit_is_skipped(name):
    """Spots at all places: small tiles are groups with corners everywhere."""
    model = MODELS[name]
    skipping, plain = CpuKernel(), CpuKernel(skips=False)
    lit = 0
    for slow in range(0, 40, 4):
        tile = Tile(slow, slow + 4, 3, 36)
        total = found(plain, model, tile)[0]
        assert same(found(skipping, model, tile)[0], total)
        lit += int(np.count_nonzero(total))
    assert lit > 0


@pytest.mark.parametrize("name", ["gauss", "tophat", "spherical"])
def test_spots_end_where_it_is_said(name):
    """A lattice factor beyond the reach is 0, and just within it is not."""
    model = MODELS[name]
    values = lattice_values(model)[0]
    triangle = np.zeros((3, 3))
    triangle[np.triu_indices(3)] = spot_triangle(model)
    assert np.array_equal(values["triangle"], spot_triangle(model))
    end = 1.0 if name == "tophat" else 1020.0
    inputs = inputs_of(model)
    for turn in inputs.turns[:3]:
        forward, back = turn.reshape(2, 3, 4)[:, :, :3]
        forward = forward.T
        assert np.allclose(forward @ back, np.eye(3), atol=1e-12)
        # The furthest place that a spot reaches.
        _, stretched, rows = np.linalg.svd(triangle @ forward)
        furthest = rows[-1] * np.sqrt(end) / stretched[-1]
        length = np.sum((triangle @ forward @ furthest) ** 2)
        assert length == pytest.approx(end, rel=1e-9)
        reach = np.linalg.norm(furthest)
        assert reach * (1.0 + 1e-6) < inputs.struct.reach < reach * 1.001


def test_orientations_stand_side_by_side():
    """Sixteen by sixteen, as what is read of one alone; zeros after the last."""
    inputs = inputs_of(MODELS["directions"])
    assert len(inputs.turns) == 40
    assert inputs.lanes.shape == (3,)
    alone = inputs.turns.reshape(40, 2, 3, 4)[..., :3]
    for name, rows in (
        ("forward", alone[:, 0].transpose(0, 2, 1)),
        ("narrow", alone[:, 0].transpose(0, 2, 1).astype(np.float32)),
        ("back", alone[:, 1].astype(np.float32)),
    ):
        columns = inputs.lanes[name].transpose(0, 2, 1).reshape(48, 3, 3)
        assert np.array_equal(columns[:40], rows)
        assert not columns[40:].any()


@pytest.mark.parametrize("name", ["many domains", "directions", "energies"])
@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_ranges_begin_at_any_orientation(name, precision):
    """Of tests side by side and one by one, of a source and across several."""
    model = MODELS[name]
    skipping, plain = CpuKernel(precision), CpuKernel(precision, skips=False)
    tile = Tile(0, 16, 0, 37)
    for first, last in ((0, 3), (5, 6), (1, 8), (13, 38), (15, 17), (16, 60), (30, 57)):
        steps = StepRange(first, last)
        ours, all_of_it = (found(k, model, tile, steps)[0] for k in (skipping, plain))
        assert same(ours, all_of_it), (first, last)


def test_absent_nodes_are_looked_for():
    """Where half of a list is absent; not where each node has an amplitude."""
    for name, absent in (("absences, gauss", 1), ("gauss, list", 0), ("gauss", 0)):
        assert inputs_of(MODELS[name]).struct.absent == absent


def test_what_lies_beyond_a_list_is_skipped():
    """Far from the beam nothing is done, which is where the longest vector of the list says."""
    model = MODELS["beyond the list, square"]
    kernel = CpuKernel()
    inputs = kernel.cull_inputs(model)
    assert inputs is not None
    longest = np.linalg.norm(4.0 * model.star * 1e10, axis=1)
    assert longest.max() < inputs.struct.beyond < 5.0 * longest.sum()
    assert 0.1 < kernel.share(model)[0] < 0.8
    total = found(kernel, model, whole(model))[0]
    assert not total[0, 0]
    assert total.any()
    for change in ({"default_F": 1e-3}, {"interpolate": True}, {"f_min": model.f_min - 200}):
        other = make_inputs(dataclasses.replace(model, **change), narrow=False)
        assert other is None


def test_the_share_is_that_of_the_groups_that_are_reached():
    """At least that of the terms that are not 0, and not many times as much."""
    model = build_model(experiment(narrow(mosaic_domains=60)))
    share, time = CpuKernel().share(model)
    # Each domain for itself: how many of a group's pixels it lights makes no difference.
    lit = 0
    for domain in range(0, 60, 6):
        steps = StepRange(domain, domain + 1)
        total = found(CpuKernel(skips=False), model, whole(model), steps)[0][:44, :36]
        lit += int((total.reshape(11, 4, 9, 4) != 0.0).any(axis=(1, 3)).sum())
    real = lit / (10 * 99)
    assert 0.3 * real < share < 8.0 * real
    assert share < time < 1.0
    assert CpuKernel(skips=False).share(model) == (1.0, 1.0)


def test_bands_hold_every_pixel_once():
    """Of a list; those of a band stand together, column by column."""
    active = np.flatnonzero(np.random.default_rng(1).random((10, 7)) < 0.6).astype(np.int32)
    ordered = banded(active, 7, 4)
    assert np.array_equal(np.sort(ordered), active)
    keys = [(flat // 7 // 4, flat % 7, flat // 7) for flat in ordered.tolist()]
    assert keys == sorted(keys)


def test_what_is_never_skipped():
    """Fringes without end, spots that reach one another, spots without a width."""
    for crystal in (
        narrow("square"),
        narrow("round"),
        narrow(cells=(3, 3, 3)),
        narrow(fudge=0.0),
    ):
        assert make_inputs(build_model(experiment(crystal)), narrow=False) is None
