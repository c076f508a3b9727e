"""Weighted means of pixels: kernels against each other, and against runs of single sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import PlanError
from nbdask.experiment import Lattice, Sampling, Scan, SourcePoint, Sources, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.interface import merge_moments
from nbdask.kernels.planes import LEAST, means, moments_of, planes_of
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.native.library import levels
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.scattering import miller_index, nearest, scattering_vector
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import small_experiment, whole
from tests.kernels.features import CASES, LIST, crystal, model_of

RICH = "sources, phi and sub-pixels"
NAMES = ("wavelength", "h", "k", "l")
#: Colours of a beam that lie far apart, with weights.
COLOURS = tuple(
    SourcePoint(-1.0, 0.0, 0.0, weight, wavelength)
    for weight, wavelength in ((1.0, 0.95e-10), (3.0, 1.0e-10), (0.5, 1.08e-10))
)


def worst(ours, theirs):
    """Return the worst deviation of planes where there is intensity, relative to their size."""
    found = []
    for name in NAMES:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert (np.isnan(one) == np.isnan(other)).all(), name
        scale = 1e-10 if name == "wavelength" else 1.0
        found.append(float(np.nanmax(np.abs(one - other), initial=0.0)) / scale)
    return max(found)


@pytest.mark.parametrize(("name", "semantics"), CASES)
def test_compiled_moments_are_those_of_the_formulas(name, semantics):
    """S-PLANE-01: every shape, amplitude and factor, under both semantics."""
    model = model_of(name, semantics)
    tile = Tile(3, 17, 5, 19)
    ours, theirs = (planes_of(k, model, tile) for k in (get_kernel("cpu"), ReferenceKernel()))
    scale = np.abs(theirs.weight).max()
    assert np.abs(ours.weight - theirs.weight).max() <= 1e-9 * scale
    # Beside zeros of the lattice factor its last bits decide: pixels of some intensity count.
    bright = theirs.weight > 1e-12 * scale
    kept = [type(p)(*(np.where(bright, plane, np.nan) for plane in p)) for p in (ours, theirs)]
    assert worst(*kept) <= 1e-6
    # Gaussian spots of many cells are so narrow that nothing is left between them.
    assert bright.any() or scale < LEAST


@pytest.mark.parametrize("name", ["list", "all factors", RICH, "layers", "dmin"])
def test_weights_are_what_the_sum_of_a_pixel_has(name):
    """S-PLANE-01: the first moment is the sum that the image is made of."""
    model = model_of(name)
    total = ReferenceKernel().partial(model, whole(model), StepRange(0, model.n_steps), None).total
    assert planes_of(get_kernel("cpu"), model, whole(model)).weight == pytest.approx(total, 1e-9)


def single(point, **parts):
    """Return the model of one colour of the beam."""
    sources = Sources(points=(replace(point, weight=1.0),), weights="apply")
    return build_model(small_experiment(sources=sources, **parts))


def brute_force(tile, parts):
    """Return the moments of a tile, one evaluation of one colour after another."""
    reference, sums = ReferenceKernel(), np.zeros((5, *tile.shape))
    for point in COLOURS:
        one = single(point, **parts)
        for step in range(one.n_steps):
            outer, orientation = divmod(step, one.n_inner)
            weight = reference.partial(one, tile, StepRange(step, step + 1), None).total
            q = scattering_vector(one, 0, sub_pixel_rays(one, tile, 0, *divmod(outer, 2)))
            near = [nearest(miller_index(axis, q)) for axis in one.axes[orientation]]
            for i, value in enumerate((1.0, one.wavelength[0], *near)):
                sums[i] += weight * (point.weight or 0.0) * value
    return sums


@pytest.mark.parametrize("kernel", ["cpu", "numpy"])
def test_means_are_those_of_runs_of_single_sources(kernel):
    """S-PLANE-01, S-PLANE-02: brute force over colours, orientations and sub-pixels."""
    parts = {
        "structure": LIST,
        "crystal": crystal((4, 5, 6)),
        "scan": Scan(phi0=0.1, osc=0.02, count=2),
        "sampling": Sampling(oversample=2),
    }
    sources = Sources(points=COLOURS, weights="apply")
    model = build_model(small_experiment(sources=sources, **parts))
    tile = Tile(3, 20, 2, 23)
    sums = brute_force(tile, parts)
    found = planes_of(get_kernel(kernel), model, tile)
    for plane, total in zip(found[1:], sums[1:], strict=True):
        assert plane == pytest.approx(total / sums[0], rel=1e-9, abs=1e-9 * np.abs(plane).max())
    assert np.ptp(found.wavelength) > 0.05e-10
    indices = np.stack(found[2:])
    fractional = np.abs(indices - np.rint(indices))
    assert (fractional > 0.01).any()


def test_one_colour_has_its_own_wavelength_and_whole_indices():
    """S-PLANE-02: a mean of equal numbers is that number, to the bit in single precision."""
    model = model_of("list")
    found = planes_of(get_kernel("cpu"), model, whole(model))
    wavelength = np.float32(model.wavelength[0])
    assert (found.wavelength.astype(np.float32) == wavelength).all()
    assert model.n_steps == 1
    assert (found.h.astype(np.float32) == np.rint(found.h)).all()


@pytest.mark.parametrize("kernel", ["cpu", "numpy"])
def test_tiles_and_masks_change_no_bit(kernel):
    """S-PLANE-03: tiles of any shape join to the whole; what a mask leaves out is NaN."""
    model, made = model_of(RICH), get_kernel(kernel)
    full = planes_of(made, model, whole(model))
    for tile in TileGrid((model.n_slow, model.n_fast), (14, 11)):
        part = planes_of(made, model, tile)
        rows = slice(tile.slow0, tile.slow1), slice(tile.fast0, tile.fast1)
        assert all(a.tobytes() == b[rows].tobytes() for a, b in zip(part, full, strict=True))
    mask = np.random.default_rng(3).random(full.h.shape) < 0.3
    some = planes_of(made, model, whole(model), mask)
    assert all((a[mask] == b[mask]).all() for a, b in zip(some, full, strict=True))
    assert np.isnan(np.stack(some[1:])[:, ~mask]).all()


@pytest.mark.parametrize(
    ("name", "semantics"),
    [(RICH, "spec"), ("all factors", "spec"), ("all factors", "c"), ("factors, tophat", "c")],
)
@pytest.mark.parametrize("per_task", [1, 7])
def test_step_ranges_merge_to_the_whole(name, semantics, per_task):
    """S-PLANE-03: also where C's product of factors runs through them."""
    model, tile = model_of(name, semantics), Tile(12, 17, 7, 14)
    for kernel in (get_kernel("cpu"), ReferenceKernel()):
        everything = StepRange(0, model.n_steps)
        full = means(moments_of(kernel, model, tile, everything, None))
        total = None
        for steps in split_steps(model.n_steps, per_task):
            part = moments_of(kernel, model, tile, steps, None)
            total = part if total is None else merge_moments(total, part)
        assert worst(means(total), full) <= 1e-9


def test_several_crystals_add_up():
    """S-PLANE-01: each crystal's moments by its weight, as its sum in the image."""
    other = replace(crystal((4, 5, 6)), misset=(0.3, 0.1, 0.2))
    shares = (Lattice(other, 2.5, LIST),)
    model = build_model(small_experiment(structure=LIST, crystal=crystal(), lattices=shares))
    for kernel in (get_kernel("cpu"), ReferenceKernel()):
        found = planes_of(kernel, model, whole(model))
        sums = np.zeros((5, *found.h.shape))
        for factor, own in model.lattices:
            everything = StepRange(0, own.n_steps)
            sums += factor * kernel.moments(own, whole(own), everything, None).sums
        assert np.allclose(found.h, sums[2] / sums[0], rtol=1e-12)
        assert len(model.lattices) == 2


def test_diffuse_scattering_and_background_do_not_count():
    """S-PLANE-04: the means are those without them, to the bit."""
    moving = model_of("list, diffuse")
    still = build_model(small_experiment(structure=LIST, crystal=crystal((4, 40, 6))))
    kernel = get_kernel("cpu")
    for a, b in zip(*(planes_of(kernel, m, whole(m)) for m in (moving, still)), strict=True):
        assert a.tobytes() == b.tobytes()


def test_no_intensity_is_nan():
    """S-PLANE-02: where all amplitudes are 0 no mean exists."""
    nothing = StructureFactors(reflections=((0, 0, 0, 5.0),), default_F=0.0)
    model = build_model(small_experiment(structure=nothing))
    for kernel in (get_kernel("cpu"), ReferenceKernel()):
        found = planes_of(kernel, model, whole(model))
        dark = found.weight == 0.0
        assert dark.any()
        assert np.isnan(np.stack(found[1:])[:, dark]).all()


def test_the_first_evaluation_under_c_semantics():
    """S-PLANE-01, S-SEM-01: the pixel that is not rotated first has the means of its own steps."""
    scan = Scan(phi0=0.0, osc=0.5, count=3)
    parts = {"structure": LIST, "scan": scan, "crystal": crystal((4, 5, 6), misset=(0.1, 0.2, 0.3))}
    model = build_model(small_experiment(**parts, semantics="c"))
    tile, kernel = Tile(0, 3, 0, 4), get_kernel("cpu")
    if model.first_axes is None:
        pytest.fail("the experiment has no first evaluation of its own")
    plain = means(moments_of(kernel, model, tile, StepRange(0, model.n_steps), None))
    found = planes_of(kernel, model, tile)
    differs = found.weight != plain.weight
    assert differs[0, 0]
    assert differs.sum() == 1
    assert worst(found, planes_of(ReferenceKernel(), model, tile)) <= 1e-9


def test_other_kernels_refuse():
    """S-PLANE-05: in one line that says which ones do it."""
    model = model_of("list")
    with pytest.raises(PlanError, match=r"--planes .* are computed by cpu and numpy"):
        planes_of(get_kernel("cuda-host"), model, whole(model))


@pytest.mark.parametrize("name", ["list", "all factors", "round", "gauss", "list, spherical"])
def test_levels_of_processors_have_the_same_bits(name):
    """S-PLANE-03: with every library that this processor can run."""
    model, tile = model_of(name), Tile(3, 9, 5, 15)
    found = [
        CpuKernel(level=level).moments(model, tile, StepRange(0, model.n_steps), None).sums
        for level in levels()
    ]
    assert all(sums.tobytes() == found[0].tobytes() for sums in found)
    assert found[0].any()
