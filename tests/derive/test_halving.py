"""One level of a pyramid from the one below: laws of maxima and means."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.derive.halving import halved

QUICK = settings(max_examples=40, deadline=None)
IMAGES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.one_of(st.floats(0, 1e6, width=32, allow_subnormal=False), st.just(float("nan"))),
)


def ones(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Every row and column stands for one pixel."""
    return np.ones(shape[0]), np.ones(shape[1])


def fours(values: np.ndarray) -> np.ndarray:
    """The pixels under each one of the next level, NaN where the image has ended."""
    slow, fast = (side + side % 2 for side in values.shape)
    padded = np.full((slow, fast), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded.reshape(slow // 2, 2, fast // 2, 2).swapaxes(1, 2).reshape(slow // 2, -1, 4)


@QUICK
@given(IMAGES)
def test_maxima(values: np.ndarray) -> None:
    """The greatest number of four; NaN where there is none."""
    found = halved(values, "max", ones(values.shape))
    four = fours(values)
    known = ~np.isnan(four).all(axis=2)
    assert np.array_equal(np.isnan(found), ~known)
    assert np.array_equal(found[known], np.nanmax(four[known], axis=-1).astype(np.float32))


@QUICK
@given(IMAGES)
def test_means(values: np.ndarray) -> None:
    """Of the numbers among four, whatever the sides are."""
    found = halved(values, "mean", ones(values.shape))
    four = fours(values)
    known = ~np.isnan(four).all(axis=2)
    assert np.array_equal(np.isnan(found), ~known)
    wanted = np.nanmean(four[known], axis=-1)
    np.testing.assert_allclose(found[known], wanted, rtol=1e-6, atol=1e-30)


@QUICK
@given(IMAGES)
def test_a_mean_lies_between_the_least_and_the_greatest(values: np.ndarray) -> None:
    """Hence is never above the maximum of the same place."""
    mean = halved(values, "mean", ones(values.shape))
    greatest = halved(values, "max", ones(values.shape))
    known = ~np.isnan(mean)
    assert (mean[known] <= greatest[known] * np.float32(1 + 1e-6)).all()


@pytest.mark.parametrize("shape", [(4, 4), (6, 8), (5, 7), (1, 9)])
def test_levels_conserve_the_sum(shape) -> None:
    """Means times the pixels that they stand for, level by level down to one pixel."""
    random = np.random.default_rng(3)
    values = random.uniform(0, 100, shape).astype(np.float32)
    total = float(values.sum(dtype=np.float64))
    slow, fast = ones(shape)
    while values.size > 1:
        values = halved(values, "mean", (slow, fast))
        slow, fast = (np.add.reduceat(side, np.arange(0, len(side), 2)) for side in (slow, fast))
        assert values.shape == (len(slow), len(fast))
        held = (values.astype(np.float64) * np.outer(slow, fast)).sum()
        assert held == pytest.approx(total, rel=1e-5)
    assert slow.sum() * fast.sum() == shape[0] * shape[1]


def test_missing_pixels_do_not_darken_a_mean() -> None:
    """One number of four is their mean; weights decide between rows that stand for more."""
    values = np.array([[8.0, np.nan], [np.nan, np.nan]], np.float32)
    assert halved(values, "mean", ones((2, 2)))[0, 0] == 8.0
    values = np.array([[8.0], [2.0]], np.float32)
    assert halved(values, "mean", (np.array([2.0, 1.0]), np.array([1.0])))[0, 0] == 6.0


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_infinite_pixels_stay_so(kind) -> None:
    """They are numbers beyond single precision, not missing ones."""
    values = np.ones((4, 4), np.float32)
    values[1, 2] = np.inf
    found = halved(values, kind, ones((4, 4)))
    assert np.isinf(found[0, 1])
    assert np.isfinite(found).sum() == 3


def test_the_source_is_left_alone() -> None:
    """Levels are built from arrays that others read."""
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    before = values.copy()
    for kind in ("max", "mean"):
        halved(values, kind, ones((4, 4)))
    assert np.array_equal(values, before)


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("hole", [False, True])
def test_what_is_needed_on_the_way_is_small(kind: str, hole: bool) -> None:
    """Less than half of the image itself, though a mean that leaves pixels out is of doubles."""
    values = np.ones((4096, 256), dtype=np.float32)
    if hole:
        values[3, 3] = np.nan
    tracemalloc.start()
    found = halved(values, kind, ones(values.shape))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.min() == found.max() == 1.0
    assert peak - found.nbytes < values.nbytes / 2
