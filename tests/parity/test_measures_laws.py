"""Laws of measures and peaks over random images: symmetry, scaling, cuts, what counts."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.parity.measures import FLOOR, Measures, Sums, measure, total
from nbdask.parity.peaks import PeakMatch, brightest_peaks, match_peaks

QUICK = settings(max_examples=40, deadline=None)
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=8)
PIXELS = st.floats(0, 1e4, width=32, allow_subnormal=False)
WILD = st.one_of(PIXELS, st.sampled_from([math.nan, math.inf, -math.inf]))


@st.composite
def pairs(draw: Any, elements: Any = PIXELS) -> tuple[np.ndarray, np.ndarray]:
    """Two images of one shape."""
    shape = draw(SHAPES)
    one, other = (draw(arrays.arrays(np.float32, shape, elements=elements)) for _ in range(2))
    return one, other


@QUICK
@given(pairs(WILD))
def test_pixels_are_counted_by_kind(images: tuple[np.ndarray, np.ndarray]) -> None:
    """NaN and infinite ones of either image, those that differ, those that one side lacks."""
    a, b = images
    found = measure(a, b, (0, 0))
    assert found.pixels == a.size
    assert (found.nan_a, found.nan_b) == (np.isnan(a).sum(), np.isnan(b).sum())
    assert (found.inf_a, found.inf_b) == (np.isinf(a).sum(), np.isinf(b).sum())
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    assert found.differing == (~same).sum()
    both = np.isfinite(a) & np.isfinite(b)
    assert found.one_sided == (~both & ~same).sum()
    assert found.sums.n == both.sum()
    assert math.isinf(found.max_rel) == bool(found.one_sided)


@QUICK
@given(pairs(WILD))
def test_the_record_is_json(images: tuple[np.ndarray, np.ndarray]) -> None:
    """No NaN, no infinity; null stands for them."""
    import json

    text = json.dumps(measure(*images, (0, 0)).to_dict(), allow_nan=False)
    assert json.loads(text)["pixels"] == images[0].size


@QUICK
@given(pairs())
def test_what_is_symmetric(images: tuple[np.ndarray, np.ndarray]) -> None:
    """Differences and correlation do not ask which image is the reference."""
    a, b = images
    one, other = measure(a, b, (0, 0)), measure(b, a, (0, 0))
    assert one.max_abs == other.max_abs
    assert one.rmse == other.rmse
    assert one.correlation == pytest.approx(other.correlation, abs=1e-9)
    assert one.differing == other.differing
    if min(a.sum(), b.sum()) > 1.0:
        assert one.sum_ratio * other.sum_ratio == pytest.approx(1.0)


@QUICK
@given(pairs(), st.integers(-8, 8))
def test_units_do_not_matter(images: tuple[np.ndarray, np.ndarray], power: int) -> None:
    """Relative measures of both images times a power of two are the same."""
    factor = np.float32(2.0**power)
    a, b = images
    if b.max() < 1e-20 or min(image[image > 0].min(initial=1.0) for image in images) < 1e-30:
        return
    one, other = measure(a, b, (0, 0)), measure(a * factor, b * factor, (0, 0))
    assert other.max_rel == one.max_rel
    assert other.max_rel_at == one.max_rel_at
    assert other.rmse == pytest.approx(float(factor) * one.rmse)
    assert other.correlation == pytest.approx(one.correlation, abs=1e-12)
    assert other.peaks == one.peaks


@QUICK
@given(pairs(), st.data())
def test_any_two_parts_add_up(images: tuple[np.ndarray, np.ndarray], data: Any) -> None:
    """Means, deviations and products; in either order; nothing added changes nothing."""
    a, b = images
    cut = data.draw(st.integers(0, a.shape[0]))
    parts = [measure(a[:cut], b[:cut], (0, 0)), measure(a[cut:], b[cut:], (cut, 0))]
    whole, joined = measure(a, b, (0, 0)), total(parts)
    assert joined.pixels == whole.pixels
    assert joined.max_abs == whole.max_abs
    assert joined.rmse == pytest.approx(whole.rmse, rel=1e-9, abs=1e-9)
    assert joined.differing == whole.differing
    for name, value in dataclasses.asdict(whole.sums).items():
        if name != "relative":  # each part has a floor of its own
            assert getattr(joined.sums, name) == pytest.approx(value, rel=1e-6, abs=1e-5)
    turned = total(parts[::-1])
    assert turned.sums.mean_a == pytest.approx(joined.sums.mean_a)
    assert total([*parts, Measures()]).sums == joined.sums


def test_nothing_compared_is_equal() -> None:
    """No pixel, no fault; the place is none."""
    empty = measure(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32), (3, 5))
    for found in (empty, Measures(), total([])):
        assert (found.pixels, found.max_rel, found.max_rel_at) == (0, 0.0, (-1, -1))
        assert (found.correlation, found.sum_ratio, found.rmse, found.mean_rel) == (1, 1, 0, 0)
    assert Sums() + Sums() == Sums()


@pytest.mark.parametrize(
    ("a", "b", "ratio", "correlation"),
    [
        ([[0.0, 0.0]], [[0.0, 0.0]], 1.0, 1.0),
        ([[1.0, 1.0]], [[0.0, 0.0]], math.inf, 0.0),
        ([[0.0, 0.0]], [[1.0, 1.0]], 0.0, 0.0),
        ([[5.0, 5.0]], [[5.0, 5.0]], 1.0, 1.0),
        ([[2.0, 4.0]], [[1.0, 2.0]], 2.0, 1.0),
        ([[4.0, 2.0]], [[1.0, 2.0]], 2.0, -1.0),
    ],
)
def test_ratios_of_special_images(a: Any, b: Any, ratio: float, correlation: float) -> None:
    """Dark ones, constant ones, proportional ones and opposite ones."""
    found = measure(np.array(a, np.float32), np.array(b, np.float32), (0, 0))
    assert found.sum_ratio == ratio
    assert found.correlation == pytest.approx(correlation)


def test_the_worst_pixel_of_all_parts_is_named() -> None:
    """The first where two are equally bad; a pixel that is lost before all others."""
    b = np.ones((4, 4), np.float32)
    parts: list[Measures] = []
    for place, value in (((1, 2), 1.5), ((3, 0), 1.5), ((0, 0), 1.25)):
        a = b.copy()
        a[place] = value
        parts.append(measure(a, b, (10 * len(parts), 0)))
    assert total(parts).max_rel_at == (1, 2)
    a = b.copy()
    a[2, 2] = np.nan
    parts.append(measure(a, b, (30, 0)))
    assert total(parts).max_rel_at == (32, 2)
    assert math.isinf(total(parts).max_rel)


@pytest.mark.parametrize("top", [1e-30, 1.0, 1e20])
def test_floor_follows_the_maximum(top: float) -> None:
    """A millionth of the reference's greatest pixel, whatever that is."""
    b = np.array([[top, 0.0]], np.float32)
    a = np.array([[top, top * 1e-9]], np.float32)
    assert measure(a, b, (0, 0)).max_rel == pytest.approx(1e-9 / FLOOR, rel=1e-5)


def test_below_normal_numbers_digits_run_out() -> None:
    """A difference there is relative to the smallest normal one."""
    tiny = np.finfo(np.float32).smallest_subnormal
    a, b = np.array([[tiny]]), np.array([[0.0]], np.float32)
    assert measure(a, b, (0, 0)).max_rel == pytest.approx(2.0**-23)


PLANES = arrays.arrays(np.float64, SHAPES, elements=st.integers(0, 6).map(float))


@QUICK
@given(PLANES, st.integers(0, 9))
def test_peaks_are_local_maxima(image: np.ndarray, count: int) -> None:
    """Above 0, below no neighbour, in falling order, none twice, never more than asked for."""
    found = brightest_peaks(image, count)
    values = [image[tuple(place)] for place in found]
    assert len(found) <= count
    assert len({tuple(place) for place in found}) == len(found)
    assert values == sorted(values, reverse=True)
    for slow, fast in found:
        near = image[max(slow - 1, 0) : slow + 2, max(fast - 1, 0) : fast + 2]
        assert image[slow, fast] == near.max() > 0
    assert np.array_equal(brightest_peaks(image, 99)[: len(found)], found)


@QUICK
@given(PLANES)
def test_an_image_has_its_own_peaks(image: np.ndarray) -> None:
    """At no distance, and none of them is missing."""
    found = match_peaks(image, image.copy(), 20)
    assert (found.missing, found.distance_max, found.distance_mean) == (0, 0.0, 0.0)
    assert found.count == len(brightest_peaks(image, 20))


@pytest.mark.parametrize(("slow", "fast"), [(0, 1), (2, 0), (1, 1), (-2, 3)])
def test_distance_of_a_moved_spot(slow: int, fast: int) -> None:
    """In pixels, along the straight line."""
    b = np.zeros((15, 15))
    b[7, 7] = 5.0
    a = np.roll(b, (slow, fast), axis=(0, 1))
    found = match_peaks(a, b, 3)
    assert found.distance_max == pytest.approx(math.hypot(slow, fast))
    assert found.distance_mean == found.distance_max


def test_matches_add_up() -> None:
    """Counts and sums add, the greatest distance stays; means leave out what is missing."""
    one, other = PeakMatch(3, 1, 4.0, 3.0), PeakMatch(2, 0, 1.0, 0.75)
    both = one + other
    assert both == PeakMatch(5, 1, 5.0, 3.0) == other + one
    assert both.distance_mean == 5.0 / 4
    assert PeakMatch(2, 2).distance_mean == 0.0
    assert both.to_dict() == {
        "count": 5,
        "missing": 1,
        "mean_distance": 1.25,
        "max_distance": 3.0,
    }


@pytest.mark.parametrize("count", [0, -1])
def test_no_peaks_are_asked_for(count: int) -> None:
    """None are found."""
    assert brightest_peaks(np.eye(5), count).shape == (0, 2)
    assert brightest_peaks(np.zeros((0, 0)), 3).shape == (0, 2)
