"""The Numba kernel against the NumPy one, and against itself however the work is cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import BackendError, PlanError
from nbdask.experiment import Detector
from nbdask.geometry.build import build_model
from nbdask.geometry.model import ROUND, SQUARE, TOPHAT
from nbdask.kernels.numba_finish import finish_pixels
from nbdask.kernels.numba_inputs import inputs_of
from nbdask.kernels.numba_kernel import NumbaKernel
from nbdask.kernels.numba_loops import sum_steps
from nbdask.kernels.numba_work import BLOCK
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import deviation, small_experiment, tile_image, ulps, whole
from tests.kernels.features import FEATURES, PRODUCTS, compare, model_of

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", FEATURES)
def test_float64_equals_the_reference_kernel(name):
    """Every feature, under the semantics of the specification."""
    compare(model_of(name), NumbaKernel(), 1e-9)


@pytest.mark.parametrize("name", PRODUCTS)
def test_running_products_equal_the_reference_kernel(name):
    """Factors under C semantics, where the running sum is multiplied after every term."""
    model = model_of(name, "c")
    assert model.running_product
    compare(model, NumbaKernel(), 1e-9)


@pytest.mark.parametrize("name", FEATURES)
def test_mixed_precision_stays_within_its_bound(name):
    """No pixel is off by more than 1e-5, whatever the feature."""
    compare(model_of(name), NumbaKernel("mixed"), 1e-5)


def test_interpolation_counts_what_leaves_the_list():
    """The case where the count is compared does have some evaluations outside."""
    model = model_of("interpolated")
    partial = NumbaKernel().partial(model, whole(model), StepRange(0, model.n_steps), None)
    assert 0 < partial.outside < model.n_steps * whole(model).pixels


@pytest.mark.parametrize("shape", [SQUARE, ROUND, TOPHAT])
@pytest.mark.parametrize("listed", [False, True])
def test_sources_of_any_weight_and_wavelength_in_mixed_precision(shape, listed):
    """Orientations for each source in one table, against the reference kernel.

    Some have no light at all.
    """
    bright = model_of("sources, phi and sub-pixels")
    bright = replace(bright, oversample=1, weight=np.arange(len(bright.weight)) * 0.3)
    listing = model_of("list")
    parts = ("f_grid", "f_min") if listed else ()
    model = replace(
        bright,
        shape=shape,
        interpolate=False,
        **{name: getattr(listing, name) for name in parts},
    )
    assert inputs_of(model, "mixed").variant.endswith("-Lit")
    compare(model, NumbaKernel("mixed"), 1e-5)


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
