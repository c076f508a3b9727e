"""Everything that the host build shows, on a card."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.experiment.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import TileGrid
from tests.helpers import GOLDEN, PARITY, deviation, golden_cases, tile_image, ulps, whole
from tests.kernels.features import FEATURES, PRODUCTS, compare, model_of

pytestmark = pytest.mark.gpu

BOUNDS = {"float64": 1e-9, "mixed": 1e-5, "pairs": 1e-5}


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_equals_the_reference_kernel(name, precision):
    """Under the semantics of the specification."""
    compare(model_of(name), get_kernel("cuda", precision), BOUNDS[precision])


@pytest.mark.parametrize("name", PRODUCTS)
def test_running_products_equal_the_reference_kernel(name):
    """Under C semantics."""
    compare(model_of(name, "c"), get_kernel("cuda"), 1e-9)


@pytest.mark.parametrize(("precision", "bound"), [("float64", PARITY), ("mixed", 1e-5)])
@pytest.mark.parametrize("name", golden_cases())
def test_image_equals_that_of_the_c_program(name, precision, bound, monkeypatch):
    """The golden cases."""
    monkeypatch.chdir(GOLDEN / "inputs")
    parsed = parse_args(golden_cases()[name].split(), semantics="c")
    image = tile_image(build_model(parsed.experiment), get_kernel("cuda", precision))
    assert deviation(image, np.load(GOLDEN / "images.npz")[name]) <= bound


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("shape", [(1, 24), (7, 5)])
def test_tiles_join_to_the_whole(shape, precision):
    """To the bit."""
    model = model_of("sources, phi and sub-pixels")
    kernel = get_kernel("cuda", precision)
    full = tile_image(model, kernel)
    joined = np.full(full.shape, np.nan, dtype=np.float32)
    for tile in TileGrid(full.shape, shape):
        joined[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = tile_image(model, kernel, tile)
    assert np.array_equal(joined, full)


@pytest.mark.parametrize("name", ["sources, phi and sub-pixels", "all factors"])
def test_step_ranges_merge_to_the_whole(name):
    """To 1 ulp."""
    model = model_of(name, "c")
    kernel = get_kernel("cuda")
    ranges = split_steps(model.n_steps, 7)
    assert ulps(tile_image(model, kernel, ranges=ranges), tile_image(model, kernel)) <= 1


def test_the_card_and_the_host_build_agree():
    """The same text: no more apart than roots and first guesses differ."""
    model = model_of("list")
    steps = StepRange(0, model.n_steps)
    card = get_kernel("cuda").partial(model, whole(model), steps, None)
    host = get_kernel("cuda-host").partial(model, whole(model), steps, None)
    assert deviation(card.total, host.total) < 1e-10
