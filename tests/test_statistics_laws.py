"""Statistics of any tiles are those of all their pixels: laws over random images and cuts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.plan.tiles import TileGrid
from nbdask.statistics import EMPTY, Statistics, TileSummary, combine, summarise

IMAGES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(0, 1e6, width=32, allow_subnormal=False),
)
QUICK = settings(max_examples=50, deadline=None)


def tiles_of(image: np.ndarray, tile: tuple[int, int], mask: Any = None) -> list[TileSummary]:
    """Summaries of an image cut into tiles."""
    return [
        summarise(
            np.ascontiguousarray(image[t.slow0 : t.slow1, t.fast0 : t.fast1]),
            (t.slow0, t.fast0),
            None if mask is None else mask[t.slow0 : t.slow1, t.fast0 : t.fast1],
        )
        for t in TileGrid((image.shape[0], image.shape[1]), tile)
    ]


@QUICK
@given(IMAGES, st.integers(1, 9), st.integers(1, 9))
def test_any_cut_gives_the_same(image: np.ndarray, slow: int, fast: int) -> None:
    """To rounding; the maximum and its place exactly."""
    whole = combine(tiles_of(image, image.shape))
    cut = combine(tiles_of(image, (slow, fast)))
    assert (cut.max, cut.max_slow, cut.max_fast) == (whole.max, whole.max_slow, whole.max_fast)
    assert cut.pixels == whole.pixels == image.size
    for name in ("mean", "rms", "rmsd"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=1e-11, abs=1e-7)


@QUICK
@given(IMAGES)
def test_definitions(image: np.ndarray) -> None:
    """Mean over n, rms and rmsd over n - 1, as nanoBragg C has them."""
    found = combine(tiles_of(image, (4, 4)))
    values, n = image.astype(np.float64), image.size
    assert found.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-12)
    assert found.rms == pytest.approx(math.sqrt((values**2).sum() / max(1, n - 1)), rel=1e-9)
    wanted = math.sqrt(((values - values.mean()) ** 2).sum() / max(1, n - 1))
    assert found.rmsd == pytest.approx(wanted, rel=1e-8, abs=1e-7)


@QUICK
@given(IMAGES, st.data())
def test_masked_pixels(image: np.ndarray, data: Any) -> None:
    """Left out of mean and rms; zeros in rmsd; both numbers are kept."""
    mask = data.draw(arrays.arrays(np.bool_, image.shape))
    dark = np.where(mask, image, np.float32(0))
    parts = tiles_of(dark, (3, 5), mask)
    assert sum(t.n_evaluated for t in parts) == int(mask.sum())
    assert sum(t.n_masked for t in parts) == int((~mask).sum())
    found = combine(parts)
    values = image[mask].astype(np.float64)
    mean = values.mean() if values.size else 0.0
    assert found.mean == pytest.approx(mean, rel=1e-12, abs=1e-12)
    squares = ((values - mean) ** 2).sum() + int((~mask).sum()) * mean**2
    wanted = math.sqrt(squares / max(1, image.size - 1))
    assert found.rmsd == pytest.approx(wanted, rel=1e-8, abs=1e-7)


@QUICK
@given(IMAGES, st.floats(0.25, 64.0).map(lambda x: 2.0 ** round(math.log2(x))))
def test_a_power_of_two_scales_all_of_it(image: np.ndarray, factor: float) -> None:
    """Exactly, since no digit is lost."""
    scaled = (image * np.float32(factor)).astype(np.float32)
    one, other = combine(tiles_of(image, (4, 4))), combine(tiles_of(scaled, (4, 4)))
    normal = image[image > 0]
    if normal.size and normal.min() < 1e-30:
        return  # digits are lost below the normal numbers
    assert other.max == factor * one.max
    assert other.mean == factor * one.mean
    assert other.rms == pytest.approx(factor * one.rms, rel=1e-15)


@QUICK
@given(IMAGES, st.permutations(range(6)))
def test_the_order_of_tiles_does_not_move_the_maximum(image: np.ndarray, order: list[int]) -> None:
    """Of equal ones the first in raster order counts, whatever comes in first."""
    coarse = np.rint(image / 2e5).astype(np.float32)  # many equal pixels
    parts = tiles_of(coarse, (4, 3))
    mixed = [parts[i] for i in order if i < len(parts)] + parts[6:]
    one, other = combine(parts), combine(mixed)
    assert (one.max, one.max_slow, one.max_fast) == (other.max, other.max_slow, other.max_fast)
    if one.max > 0:
        slow, fast = np.unravel_index(coarse.argmax(), coarse.shape)
        assert (one.max_slow, one.max_fast) == (slow, fast)


@pytest.mark.parametrize("value", [0.0, -3.0, -math.inf])
def test_nothing_above_0_is_no_maximum(value: float) -> None:
    """Its place is -1, -1."""
    found = summarise(np.full((3, 4), value, np.float32), (10, 20), None)
    assert (found.max, found.max_slow, found.max_fast) == (0.0, -1, -1)


def test_infinite_pixels_make_infinite_statistics_quietly() -> None:
    """The maximum is told with its place; no warning is raised."""
    image = np.ones((4, 4), np.float32)
    image[2, 1] = np.inf
    found = summarise(image, (0, 0), None)
    assert (found.max, found.max_slow, found.max_fast) == (math.inf, 2, 1)
    assert math.isinf(found.mean)
    assert math.isnan(combine([found]).rmsd)


def test_tall_tiles_are_summed_block_by_block() -> None:
    """Longer than what is in memory at once: the same numbers, the place counted from the top."""
    random = np.random.default_rng(8)
    image = random.exponential(5.0, (300, 700)).astype(np.float32)
    image[299, 699] = 1e6
    found = summarise(image, (1000, 2000), None, outside=7, seconds=1.5)
    values = image.astype(np.float64)
    assert (found.max_slow, found.max_fast) == (1299, 2699)
    assert found.mean == pytest.approx(values.mean(), rel=1e-13)
    assert found.m2 == pytest.approx(np.square(values - values.mean()).sum(), rel=1e-12)
    assert (found.outside, found.seconds) == (7, 1.5)


def test_a_wide_tile_has_one_row_at_a_time() -> None:
    """Rows longer than a block."""
    image = np.arange(2 * 70000, dtype=np.float32).reshape(2, 70000)
    found = summarise(image, (0, 0), None)
    assert (found.max_slow, found.max_fast) == (1, 69999)
    assert found.mean == pytest.approx((2 * 70000 - 1) / 2, rel=1e-12)


def test_empty_tiles_change_nothing() -> None:
    """Before, between and behind others; alone they are all zeros."""
    part = summarise(np.full((2, 2), 3.0, np.float32), (0, 0), None)
    assert combine([EMPTY, part, EMPTY]) == combine([part])
    assert combine([]) == Statistics(0.0, -1, -1, 0.0, 0.0, 0.0, 0)
    assert summarise(np.full((2, 2), 3.0, np.float32), (0, 0), np.zeros((2, 2), np.bool_))[0] == 0


def test_one_pixel_has_no_deviation() -> None:
    """Divided by one, not by none."""
    found = combine([summarise(np.array([[7.0]], np.float32), (3, 4), None)])
    assert found == Statistics(7.0, 3, 4, 7.0, 7.0, 0.0, 1)


def test_a_large_mean_does_not_drown_the_deviations() -> None:
    """A spread of 1 about 1e7 is found, where a difference of squares would lose it."""
    random = np.random.default_rng(2)
    image = (1e6 + random.integers(0, 2, (64, 64))).astype(np.float32)
    found = combine(tiles_of(image, (16, 16)))
    assert found.rmsd == pytest.approx(image.astype(np.float64).std(ddof=1), rel=1e-10)
