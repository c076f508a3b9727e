"""The Numba kernel against the NumPy one, and against itself however the work is cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import BackendError, PlanError
from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.numba_finish import finish_pixels
from nbdask.kernels.numba_inputs import inputs_of
from nbdask.kernels.numba_kernel import NumbaKernel
from nbdask.kernels.numba_loops import sum_steps
from nbdask.kernels.numba_work import BLOCK
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import (
    deviation,
    reflections,
    small_experiment,
    tile_image,
    tile_sum,
    ulps,
    whole,
)

CELL = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
LIST = StructureFactors(reflections=reflections(4), default_F=3.0)
EVERY = {"oversample_thick": True, "oversample_polar": True, "oversample_omega": True}


def crystal(cells=(5, 5, 5), **parts):
    """Return a crystal with two mosaic domains."""
    values = {"mosaic_spread": 0.01, "mosaic_domains": 2, **parts}
    return Crystal(cell=CELL, n_cells=cells, **values)


def sensor(**parts):
    """Return a detector with three absorbing layers."""
    values = {"thickness": 4e-4, "attenuation": 2e3, "thick_steps": 3, **parts}
    return Detector(pixels_fast=24, pixels_slow=32, pixel_size=4e-4, **values)


FEATURES = {
    "few cells, odd": {"crystal": crystal()},
    "few cells, even": {"crystal": crystal((4, 5, 6))},
    "one and two cells": {"crystal": crystal((1, 2, 1))},
    "up to ten cells": {"crystal": crystal((9, 10, 3))},
    "nine cells": {"crystal": crystal((9, 7, 1))},
    "many cells": {"crystal": crystal((40, 1, 23))},
    "round": {"crystal": crystal((7, 8, 9), shape="round", fudge=1.3)},
    "gauss": {"crystal": crystal(shape="gauss", fudge=0.7)},
    "tophat": {"crystal": crystal(shape="tophat", fudge=0.3)},
    "list": {"structure": LIST},
    "list, even": {"structure": LIST, "crystal": crystal((4, 4, 3))},
    "list, many cells": {"structure": LIST, "crystal": crystal((12, 13, 14))},
    "list, round": {"structure": LIST, "crystal": crystal(shape="round")},
    "list, gauss": {"structure": LIST, "crystal": crystal(shape="gauss")},
    "list, tophat": {"structure": LIST, "crystal": crystal(shape="tophat", fudge=0.2)},
    "interpolated": {"structure": LIST, "sampling": Sampling(oversample=1, interpolate=True)},
    "interpolated, tophat": {
        "structure": LIST,
        "crystal": crystal(shape="tophat", fudge=0.2),
        "sampling": Sampling(oversample=1, interpolate=True, dmin=1.2e-10),
    },
    "sources, phi and sub-pixels": {
        "crystal": crystal(),
        "sources": Sources(horizontal=Spread(range=0.004, count=3), dispersion=Spread(0.01, None)),
        "scan": Scan(phi0=0.1, osc=0.02, count=2),
        "sampling": Sampling(oversample=3),
    },
    "weighted sources": {
        "sources": Sources(
            points=(SourcePoint(-1.0, 0.0, 0.0, 3.0), SourcePoint(-1.0, 0.01, 0.0, 1.0)),
            weights="apply",
        )
    },
    "layers": {"detector": sensor(), "background": Background(water=1e-6)},
    "dmin": {
        "sources": Sources(horizontal=Spread(range=0.2, count=5)),
        "sampling": Sampling(oversample=2, dmin=3.2e-10),
        "background": Background(water=1e-6),
    },
    "polarized": {"beam": Beam(polarization=0.9)},
    "unpolarized": {"beam": Beam(polarized=False)},
    "curved": {"detector": sensor(curved=True)},
    "point pixel": {"detector": sensor(point_pixel=True, rotx=0.1, twotheta=0.2)},
    "all factors": {
        "crystal": crystal(),
        "sources": Sources(horizontal=Spread(range=0.1, count=3)),
        "detector": sensor(),
        "beam": Beam(polarization=0.5),
        "sampling": Sampling(oversample=2, dmin=2e-10, **EVERY),
        "background": Background(water=1e-6),
    },
    "no sensor": {"sampling": Sampling(oversample=1, oversample_thick=True)},
    "factors, list": {
        "structure": LIST,
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
    "factors, interpolated tophat": {
        "structure": LIST,
        "crystal": crystal(shape="tophat", fudge=0.2),
        "sampling": Sampling(oversample=1, interpolate=True, oversample_omega=True),
    },
    "factors, gauss": {
        "crystal": crystal((30, 30, 30), shape="gauss"),
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
    "factors, round": {
        "crystal": crystal(shape="round"),
        "sampling": Sampling(oversample=1, oversample_polar=True),
    },
}
PRODUCTS = ["all factors", *(name for name in FEATURES if name.startswith("factors,"))]


def model_of(name, semantics="spec"):
    """Return the model of one feature."""
    return build_model(small_experiment(**FEATURES[name], semantics=semantics))


def compare(model, precision, bound):
    """Check sums, gains, outside counts and finished pixels of a whole detector."""
    kernel, reference = NumbaKernel(precision), ReferenceKernel()
    everything = [StepRange(0, model.n_steps)]
    ours = tile_sum(model, kernel, whole(model), everything)
    theirs = tile_sum(model, reference, whole(model), everything)
    assert deviation(ours.total, theirs.total) <= bound
    assert ours.outside == theirs.outside
    assert (ours.gain is None) == (theirs.gain is None)
    if ours.gain is not None:
        assert deviation(ours.gain, theirs.gain) <= 1e-12
    image = tile_image(model, kernel)
    assert image.dtype == np.float32
    assert deviation(image, tile_image(model, reference)) <= bound + 1.2e-7


@pytest.mark.parametrize("name", FEATURES)
def test_float64_equals_the_reference_kernel(name):
    """Every feature, under the semantics of the specification."""
    compare(model_of(name), "float64", 1e-9)


@pytest.mark.parametrize("name", PRODUCTS)
def test_running_products_equal_the_reference_kernel(name):
    """Factors under C semantics, where the running sum is multiplied after every term."""
    model = model_of(name, "c")
    assert model.running_product
    compare(model, "float64", 1e-9)


@pytest.mark.parametrize("name", FEATURES)
def test_mixed_precision_stays_within_its_bound(name):
    """No pixel is off by more than 1e-5, whatever the feature."""
    compare(model_of(name), "mixed", 1e-5)


def test_interpolation_counts_what_leaves_the_list():
    """The case where the count is compared does have some evaluations outside."""
    model = model_of("interpolated")
    partial = NumbaKernel().partial(model, whole(model), StepRange(0, model.n_steps), None)
    assert 0 < partial.outside < model.n_steps * whole(model).pixels


@pytest.mark.parametrize("precision", ["float64", "mixed"])
@pytest.mark.parametrize("shape", [(1, 24), (32, 1), (7, 5), (3, 24)])
def test_tiles_join_to_the_whole(shape, precision):
    """Rows, columns and ragged tiles give every pixel the same value to the bit."""
    model = model_of("sources, phi and sub-pixels")
    kernel = NumbaKernel(precision)
    full = tile_image(model, kernel)
    joined = np.full(full.shape, np.nan, dtype=np.float32)
    for tile in TileGrid(full.shape, shape):
        joined[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = tile_image(model, kernel, tile)
    assert np.array_equal(joined, full)


@pytest.mark.parametrize("per_task", [1, 7, 31])
@pytest.mark.parametrize("semantics", ["spec", "c"])
@pytest.mark.parametrize("name", ["sources, phi and sub-pixels", "all factors"])
def test_step_ranges_merge_to_the_whole(name, semantics, per_task):
    """Ranges that begin and end anywhere give the same image to 1 ulp."""
    model = model_of(name, semantics)
    kernel = NumbaKernel()
    full = tile_image(model, kernel)
    ranges = split_steps(model.n_steps, per_task)
    assert len(ranges) > 1
    assert ulps(tile_image(model, kernel, ranges=ranges), full) <= 1


@pytest.mark.parametrize("name", ["layers", "all factors"])
@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_masked_pixels_are_left_out(name, semantics):
    """Total 0, gain 1, photons 0 where the mask is False; unchanged where it is True."""
    model = model_of(name, semantics)
    kernel, tile, steps = NumbaKernel(), whole(model), StepRange(0, model.n_steps)
    mask = np.random.default_rng(3).random(tile.shape) < 0.3
    mask[5:9] = False
    full, part = kernel.partial(model, tile, steps, None), kernel.partial(model, tile, steps, mask)
    assert np.array_equal(part.total, np.where(mask, full.total, 0.0))
    if part.gain is not None:
        assert full.gain is not None
        assert np.array_equal(part.gain, np.where(mask, full.gain, 1.0))
    image = kernel.finish(model, tile, part, mask)
    assert np.array_equal(image, np.where(mask, kernel.finish(model, tile, full, None), 0.0))


def test_nothing_is_evaluated_under_a_closed_mask():
    """A tile without a single pixel to do is all zeros."""
    model = model_of("layers")
    kernel, tile = NumbaKernel(), whole(model)
    closed = np.zeros(tile.shape, dtype=np.bool_)
    partial = kernel.partial(model, tile, StepRange(0, model.n_steps), closed)
    assert not partial.total.any()
    assert not kernel.finish(model, tile, partial, closed).any()


def test_tiles_longer_than_a_block():
    """Blocks inside a tile meet without a seam, whatever is left over for the last one."""
    detector = Detector(pixels_fast=BLOCK + 37, pixels_slow=5, pixel_size=5e-5)
    model = build_model(small_experiment(detector=detector))
    assert deviation(tile_image(model, NumbaKernel()), tile_image(model)) <= 2e-7


def test_a_tile_at_the_far_corner_of_a_huge_detector():
    """Pixel indices beyond 32 bits of flat index, 70000 x 70000 pixels."""
    detector = Detector(pixels_fast=70000, pixels_slow=70000, pixel_size=1e-5)
    model = build_model(small_experiment(detector=detector))
    tile = Tile(69990, 70000, 69960, 70000)
    assert deviation(tile_image(model, NumbaKernel(), tile), tile_image(model, tile=tile)) <= 2e-7


@pytest.mark.parametrize("name", ["few cells, odd", "interpolated", "all factors"])
def test_threads_repeat_the_bits(name):
    """Many tasks at once in one process, twice: always the same numbers."""
    model = model_of(name, "c")
    kernel = NumbaKernel()
    tiles = list(TileGrid(whole(model).shape, (8, 24))) * 4
    alone = [tile_image(model, kernel, tile) for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tile: tile_image(model, kernel, tile), tiles))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_arrays_from_another_process_compile_nothing_new():
    """They are often read-only, and numbers may be of other types; the loops stay the same."""
    model = model_of("interpolated")
    kernel, tile, steps = NumbaKernel(), whole(model), StepRange(0, model.n_steps)
    partial = kernel.partial(model, tile, steps, None)
    image = kernel.finish(model, tile, partial, None)
    changed = {"kahn": 0, "dmin": np.float32(0), "fudge": 1, "curved": np.False_, "layers": 1}
    for name in ("axes", "f_grid", "incident", "fast", "origin", "n_cells", "star"):
        changed[name] = getattr(model, name).copy()
        changed[name].setflags(write=False)
    partial.total.setflags(write=False)
    compiled = len(sum_steps.signatures), len(finish_pixels.signatures)
    other = replace(model, **changed)
    again = kernel.partial(other, tile, StepRange(np.int64(0), model.n_steps), None)
    assert np.array_equal(again.total, partial.total)
    assert np.array_equal(kernel.finish(other, tile, partial, None), image)
    assert (len(sum_steps.signatures), len(finish_pixels.signatures)) == compiled


def test_a_gauss_spot_far_away_is_exactly_zero():
    """Its terms vanish rather than become garbage, in both precisions."""
    model = model_of("factors, gauss")
    model = replace(model, n_cells=np.array([300.0, 300.0, 300.0]), each_polar=False)
    for precision in ("float64", "mixed"):
        total = (
            NumbaKernel(precision)
            .partial(model, whole(model), StepRange(0, model.n_steps), None)
            .total
        )
        assert np.isfinite(total).all()
        assert (total == 0.0).mean() > 0.9


def test_unknown_precision_is_refused():
    """The message names the flag and what is allowed."""
    with pytest.raises(BackendError, match=r"--precision = 'float16': must be float64 or mixed"):
        NumbaKernel("float16")


def test_a_grid_that_cannot_be_indexed_is_refused():
    """More than 2^31 amplitudes, with the way out."""
    model = model_of("list")
    wide = np.broadcast_to(np.zeros((1, 1, 1)), (2000, 1000, 1100))
    with pytest.raises(PlanError, match=r"2000 x 1000 x 1100 indices.*leave out reflections"):
        inputs_of(replace(model, f_grid=wide, interpolate=False), "float64")


def test_working_memory_counts_the_list_of_pixels():
    """It grows with the tile only where some pixels are left out."""
    model = model_of("list")
    kernel = NumbaKernel()
    assert kernel.working_bytes(model, 10**6) == kernel.working_bytes(model, 1)
    part = replace(model, roi=(3, 8, 3, 8))
    assert kernel.working_bytes(part, 10**6) >= kernel.working_bytes(part, 1) + 10**7
