"""Reduced images equal what all pixels give, whatever the region, the factor and the levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.derive.canvas import Finished, factor_for, pieces, reduce_image
from nbdask.derive.pyramid import build_pyramid
from nbdask.plan.tiles import Tile
from nbdask.store.levels import KINDS, Levels
from tests.helpers import sampled
from tests.pictured import SHAPE, forget, image_of, make, reduced

WHOLE = Tile(0, SHAPE[0], 0, SHAPE[1])


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A store without a pyramid, its tiles of odd size."""
    return make(tmp_path_factory.mktemp("plain") / "run.zarr", tile=9)


@pytest.fixture(scope="module")
def layered(tmp_path_factory) -> Path:
    """A store with a pyramid."""
    store = make(tmp_path_factory.mktemp("layered") / "run.zarr", tile=8)
    build_pyramid(store, smallest=10)
    return store


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    """A store with a pyramid, both unfinished."""
    store = make(tmp_path_factory.mktemp("broken") / "run.zarr", tile=8)
    forget(store, 0, 33, 34, 79)
    build_pyramid(store, smallest=10)
    return store


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", sampled([8, 1, 2, 3, 12, 100], 6))
@pytest.mark.parametrize("name", ["plain", "layered", "broken"])
def test_whole_image(name, factor, kind, request) -> None:
    """With a pyramid, without, with half of one: the same as from all pixels that are there."""
    store = request.getfixturevalue(name)
    found = reduce_image(Levels(store), WHOLE, factor, kind).values()
    np.testing.assert_allclose(found, reduced(image_of(store), factor, kind), rtol=1e-6)


@pytest.mark.parametrize("region", [(10, 31, 5, 60), (74, 75, 60, 61), (8, 16, 8, 24)])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_regions(layered, region, factor) -> None:
    """Every pixel inside a region is right, and the canvas says what it covers."""
    part = Tile(*region)
    canvas = reduce_image(Levels(layered), part, factor, "max")
    expected = reduced(image_of(layered), factor, "max")
    corner = canvas.region
    assert corner.slow0 <= part.slow0
    assert corner.slow1 >= part.slow1
    found = canvas.values()
    slow, fast = corner.slow0 // factor, corner.fast0 // factor
    assert found.shape == (corner.shape[0] // factor, corner.shape[1] // factor)
    assert np.array_equal(
        found, expected[slow : slow + found.shape[0], fast : fast + found.shape[1]]
    )


def test_the_coarsest_level_that_is_there_is_read(layered, broken) -> None:
    """A whole pyramid gives one level; holes in one lead down to tiles, and only there."""
    levels = Levels(layered)
    found = list(pieces(levels, Finished(levels, "max"), WHOLE, 8))
    assert {piece.level for piece in found} == {3}
    levels = Levels(broken)
    found = list(pieces(levels, Finished(levels, "max"), WHOLE, 8))
    assert {piece.level for piece in found} == {0, 1, 2}
    read = sum(piece.part.pixels for piece in found)
    assert read < SHAPE[0] * SHAPE[1] / 2
    covered = sum(piece.part.pixels * 4**piece.level for piece in found)
    assert covered >= SHAPE[0] * SHAPE[1] - 4 * 64


@pytest.mark.parametrize(
    ("side", "pixels", "factor"), [(512, 1000, 1), (1500, 1000, 2), (65536, 1200, 64), (10, 3, 4)]
)
def test_factors_suit_the_levels(side, pixels, factor) -> None:
    """Small enough a picture, and a multiple of a power of two near the factor."""
    assert factor_for(Tile(0, side, 0, side // 2), pixels) == factor
    assert -(-side // factor) <= pixels
