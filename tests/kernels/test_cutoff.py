"""What a cutoff leaves out is at most what is allowed, and no bit depends on how work is cut."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Lattice,
    Sampling,
    Scan,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.cutoff import cutoff_inputs
from nbdask.kernels.interface import Partial
from nbdask.kernels.lattices import image_of, partial_of
from nbdask.native import library
from nbdask.physics.lattice import lattice_factor
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.helpers import reflections, small_experiment, whole
from tests.kernels.features import CELL, CUBIC, EVERY, MOVING
from tests.kernels.suite import all_steps, random_mask, same

LIST = StructureFactors(reflections=reflections(9), default_F=3.0)
DETECTOR = Detector(pixels_fast=29, pixels_slow=23, pixel_size=2e-4)
SMALL = Detector(pixels_fast=9, pixels_slow=8, pixel_size=2e-4)
BRIGHT = Beam(fluence=1e27)


def crystal(shape="square", cells=(36, 47, 29), **parts):
    """Return a crystal with some domains."""
    values = {"mosaic_spread": 0.01, "mosaic_domains": 9, "cell": CELL, **parts}
    return Crystal(n_cells=cells, shape=shape, **values)


def experiment(made, **parts):
    """Return an experiment with a list of amplitudes."""
    values = {"crystal": made, "detector": DETECTOR, "structure": LIST, "beam": BRIGHT, **parts}
    return small_experiment(**values)


LIT = Sources(dispersion=Spread(range=0.05, count=3))
EXPERIMENTS = {
    "square": experiment(crystal()),
    "square, one amplitude": experiment(crystal(), structure=StructureFactors(default_F=70.0)),
    "few cells": experiment(crystal(cells=(9, 8, 7))),
    "five cells": experiment(crystal(cells=(5, 5, 3))),
    "round": experiment(crystal("round", (20, 30, 25))),
    "gauss": experiment(crystal("gauss", (3, 4, 5))),
    "spherical": experiment(crystal("spherical", (6, 6, 6), centring="I")),
    "energies": experiment(crystal(), sources=LIT),
    "wide domains": experiment(crystal(mosaic_spread=0.4)),
    "any orientation": experiment(crystal(mosaic_spread=3.0)),
    "many domains": experiment(crystal(mosaic_domains=150), detector=SMALL),
    "phi and two sub-pixels": experiment(
        crystal(), scan=Scan(osc=0.02, count=2), sampling=Sampling(oversample=2)
    ),
    "five sub-pixels": experiment(crystal(), sampling=Sampling(oversample=5)),
    "seven sub-pixels": experiment(crystal(mosaic_domains=3), sampling=Sampling(oversample=7)),
    "layers and factors": experiment(
        crystal(),
        detector=dataclasses.replace(
            DETECTOR, thickness=4e-4, attenuation=2e3, thick_steps=2, curved=True
        ),
        sampling=Sampling(oversample=2, **EVERY),
    ),
    "dmin": experiment(crystal(), sampling=Sampling(oversample=1, dmin=6e-10)),
}


def with_cutoff(made, photons):
    """Return an experiment with a cutoff."""
    return made.replace(sampling=dataclasses.replace(made.sampling, cutoff=photons))


def photons_of(kernel, model, total):
    """Return the photons of sums, in float64."""
    tile = whole(model)
    one = kernel.finish(model, tile, Partial(np.full(tile.shape, 1e9), None, 0), None)
    return total * one.astype(np.float64) / 1e9


def sums(kernel, model, tile=None, steps=None, mask=None):
    """Return the sums of a tile."""
    return kernel.partial(model, tile or whole(model), steps or all_steps(model), mask).total


@pytest.fixture
def taken(monkeypatch):
    """Leave terms out wherever that is possible, however much of them is kept."""
    monkeypatch.setattr("nbdask.kernels.cpu.is_worthwhile", lambda kept, exact: True)


def cutoff_for(made, kernel, model):
    """Return the photons below which most pixels are, so that something is left out."""
    return max(1e-3, float(np.quantile(photons_of(kernel, model, sums(kernel, model)), 0.3)))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_pixel_lacks_more_than_it_may(name, taken):
    """And most terms are left out with a great cutoff, some with a small one."""
    kernel = CpuKernel()
    made = EXPERIMENTS[name]
    full = build_model(made)
    all_of_it = sums(kernel, full)
    some = cutoff_for(made, kernel, full)
    for photons in (some, 30.0 * some, 3000.0 * some):
        model = build_model(with_cutoff(made, photons))
        assert cutoff_inputs(model) is not None
        lacking = photons_of(kernel, model, all_of_it - sums(kernel, model))
        assert lacking.max() <= photons
        assert lacking.min() >= -1e-9 * photons_of(kernel, model, all_of_it).max()
    assert lacking.max() > 0.0
    assert kernel.share(model)[0] < 0.7


def test_bounds_are_above_lattice_factors():
    """Of each shape, as the specification has them, at random distances and near nodes."""
    random = np.random.default_rng(1)
    d = random.uniform(-0.5, 0.5, (3, 20000)) * random.choice([1.0, 0.1, 0.01], (3, 20000))
    model = build_model(experiment(crystal()))
    u = np.maximum(d * d, (1.0 / (9.0 * model.n_cells**2))[:, None])
    bound = 1.0 / np.prod(u * (3.0 - 4.0 * u) ** 2, axis=0)
    assert (lattice_factor(model, *d) ** 2 <= bound * (1.0 + 1e-9)).all()
    model = build_model(experiment(crystal("round", (20, 30, 25))))
    s = model.fudge * ((model.n_cells[:, None] * d) ** 2).sum(axis=0)
    bound = np.where(s >= 7.0, 13.0 / np.maximum(s, 1.0) ** 2, 1.0 / 0.00936)
    peak = lattice_factor(model, np.zeros(1), np.zeros(1), np.zeros(1))[0] ** 2
    height = peak / (np.pi**3 / 3.0) ** 2
    assert (lattice_factor(model, *d) ** 2 <= height * bound).all()


@pytest.mark.parametrize("name", ["square", "seven sub-pixels", "energies", "round"])
def test_no_bit_depends_on_tiles_and_masks(name, taken):
    """Tiles, rectangles and single pixels have the sums of the whole."""
    kernel = CpuKernel()
    made = EXPERIMENTS[name]
    model = build_model(with_cutoff(made, cutoff_for(made, kernel, build_model(made))))
    image = sums(kernel, model)
    for tile in (Tile(0, 7, 3, 20), Tile(5, 23, 10, 29), Tile(11, 12, 13, 14)):
        part = image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        assert same(sums(kernel, model, tile), part)
        mask = random_mask(tile)
        assert same(sums(kernel, model, tile, mask=mask), np.where(mask, part, 0.0))


@pytest.mark.parametrize("name", ["many domains", "seven sub-pixels", "energies"])
def test_ranges_of_steps_leave_out_the_same(name, taken):
    """Their sums are those of all steps, but for rounding."""
    kernel = CpuKernel()
    made = EXPERIMENTS[name]
    model = build_model(with_cutoff(made, cutoff_for(made, kernel, build_model(made))))
    cuts = [0, 1, model.n_steps // 3, model.n_steps // 3 + 1, model.n_steps - 2, model.n_steps]
    parts = [sums(kernel, model, steps=StepRange(a, b)) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_allclose(sum(parts), sums(kernel, model), rtol=1e-13)


@pytest.mark.parametrize("name", ["square", "five sub-pixels", "round", "gauss", "spherical"])
def test_levels_have_the_same_bits(name, taken):
    """So that a store may be computed on several kinds of processors."""
    made = EXPERIMENTS[name]
    first = CpuKernel(level=library.levels()[0])
    model = build_model(with_cutoff(made, cutoff_for(made, first, build_model(made))))
    image = sums(first, model)
    for level in library.levels()[1:]:
        assert same(sums(CpuKernel(level=level), model), image)
    assert same(sums(CpuKernel("mixed"), model), image)


def test_auto_follows_the_background(taken):
    """A thousandth of its noise, or 1e-4 photons."""
    kernel = CpuKernel()
    plain = EXPERIMENTS["square"].replace(beam=Beam(fluence=1e20))
    made, full = with_cutoff(plain, "auto"), sums(kernel, build_model(plain))
    dark = build_model(made)
    lacking = photons_of(kernel, dark, full - sums(kernel, dark))
    assert 0.0 < lacking.max() <= 1e-4
    wet = made.replace(background=Background(water=0.5))
    lit = build_model(wet)
    alone = kernel.finish(lit, whole(lit), Partial(np.zeros(whole(lit).shape), None, 0), None)
    assert alone.min() > 1.0
    more = photons_of(kernel, dark, full - sums(kernel, lit))
    assert (more <= 1e-3 * np.sqrt(alone)).all()
    assert more.max() > 1e-4


def test_several_crystals_share_a_cutoff(taken):
    """The image of both lacks no more than that of one may."""
    kernel = CpuKernel()
    first = crystal()
    both = experiment(first, lattices=(Lattice(crystal("round", (20, 30, 25)), weight=3.0),))
    full = image_of(kernel, build_model(both), Tile(0, 23, 0, 29), None)[0].astype(float)
    model = build_model(with_cutoff(both, 50.0))
    cut = image_of(kernel, model, Tile(0, 23, 0, 29), None)[0].astype(float)
    assert 0.0 < (full - cut).max() <= 50.0 + 1e-6 * full.max()
    assert partial_of(kernel, model, Tile(0, 1, 0, 1), all_steps(model), None).total.shape == (1, 1)


@pytest.mark.parametrize(
    "made",
    [
        experiment(crystal("tophat", (5, 5, 5))),
        experiment(crystal(cells=(2, 2, 2)), **CUBIC),
        experiment(crystal(diffuse=MOVING)),
        experiment(crystal(), sampling=Sampling(oversample=1, **EVERY), semantics="c"),
        experiment(crystal("gauss", (3, 4, 5), fudge=0.0)),
        experiment(crystal(cells=(10**5, 5, 5))),
    ],
)
def test_where_nothing_is_left_out(made):
    """The bits are those without a cutoff."""
    kernel = CpuKernel()
    model = build_model(with_cutoff(made, 1e9))
    assert cutoff_inputs(model) is None
    assert same(sums(kernel, model), sums(kernel, build_model(made)))


def test_a_cutoff_that_gains_no_time_is_not_taken():
    """Where nearly all terms are kept, all are added."""
    kernel, made = CpuKernel(), EXPERIMENTS["square"]
    model = build_model(with_cutoff(made, 1e-12))
    assert kernel.share(model) == (1.0, 1.0)
    assert same(sums(kernel, model), sums(kernel, build_model(made)))
    share, time = kernel.share(build_model(with_cutoff(made, 1e9)))
    assert share < 0.1
    assert share < time < 0.5
