"""Measures of two images: by hand, by NumPy, and added up from parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nbdask.parity.errors import ShapeError
from nbdask.parity.measures import measure, total
from nbdask.parity.outcome import Outcome, RegionResult, Thresholds
from nbdask.parity.peaks import brightest_peaks, match_peaks
from nbdask.plan.tiles import Tile

Image = NDArray[np.float32]


def spots(shape: tuple[int, int] = (60, 50), seed: int = 3) -> Image:
    """Some Gaussian spots on a slope, float32."""
    random = np.random.default_rng(seed)
    slow, fast = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    image = 1.0 + 0.001 * slow
    for s, f, height in random.uniform((5, 5, 10), (shape[0] - 5, shape[1] - 5, 1000), (9, 3)):
        image += height * np.exp(-((slow - s) ** 2 + (fast - f) ** 2) / 3.0)
    return image.astype(np.float32)


def test_measures_are_those_of_numpy() -> None:
    """Correlation, RMSE, ratio of sums, worst and mean deviation, worst difference."""
    b = spots()
    a = (b * np.random.default_rng(1).normal(1.0, 1e-3, b.shape)).astype(np.float32)
    found = measure(a, b, (100, 200))
    x, y = a.astype(np.float64), b.astype(np.float64)
    relative = np.abs(x - y) / np.maximum(y, 1e-6 * y.max())
    assert math.isclose(found.correlation, np.corrcoef(x.ravel(), y.ravel())[0, 1], rel_tol=1e-12)
    assert math.isclose(found.rmse, np.sqrt(np.mean((x - y) ** 2)), rel_tol=1e-12)
    assert math.isclose(found.sum_ratio, x.sum() / y.sum(), rel_tol=1e-12)
    assert math.isclose(found.mean_rel, relative.mean(), rel_tol=1e-12)
    assert found.max_rel == relative.max()
    assert found.max_abs == np.abs(x - y).max()
    slow, fast = np.unravel_index(relative.argmax(), b.shape)
    assert found.max_rel_at == (100 + slow, 200 + fast)
    assert found.differing == (a != b).sum()


def test_floor_is_a_millionth_of_the_maximum() -> None:
    """A faint pixel counts relative to the floor, a bright one relative to itself."""
    b = np.full((4, 4), 1e-9, np.float32)
    b[0, 0] = 1.0
    a = b.copy()
    a[1, 1] = 2e-9
    assert measure(a, b, (0, 0)).max_rel == pytest.approx(1e-9 / 1e-6, rel=1e-6)


def test_parts_add_up_to_the_whole() -> None:
    """Four quarters give the sums of the whole, wherever the cuts are."""
    b = spots()
    a = (b * np.random.default_rng(2).normal(1.0, 1e-4, b.shape)).astype(np.float32)
    whole = measure(a, b, (0, 0))
    parts = [
        measure(a[s, f], b[s, f], (s.start, f.start))
        for s in (slice(0, 23), slice(23, 60))
        for f in (slice(0, 11), slice(11, 50))
    ]
    joined = total(parts)
    assert joined.pixels == whole.pixels
    assert joined.max_abs == whole.max_abs
    assert math.isclose(joined.correlation, whole.correlation, rel_tol=1e-12)
    assert math.isclose(joined.rmse, whole.rmse, rel_tol=1e-12)
    assert math.isclose(joined.sum_ratio, whole.sum_ratio, rel_tol=1e-12)


def test_equal_images_are_equal_in_every_measure() -> None:
    """Also empty ones and constant ones."""
    for image in (spots(), np.zeros((3, 3), np.float32), np.full((3, 3), 7.0, np.float32)):
        found = measure(image, image.copy(), (0, 0))
        assert (found.max_rel, found.rmse, found.differing) == (0.0, 0.0, 0)
        assert (found.correlation, found.sum_ratio) == (1.0, 1.0)
        assert Thresholds().beyond(found) == ()


def test_nan_is_counted_and_must_be_in_both() -> None:
    """NaN at the same place is no difference; NaN in one image only always is one."""
    b = spots()
    b[3, 4] = np.nan
    found = measure(b.copy(), b, (0, 0))
    assert (found.nan_a, found.nan_b, found.one_sided, found.max_rel) == (1, 1, 0, 0.0)
    a = b.copy()
    a[7, 8] = np.nan
    found = measure(a, b, (10, 10))
    assert (found.nan_a, found.nan_b, found.one_sided) == (2, 1, 1)
    assert math.isinf(found.max_rel)
    assert found.max_rel_at == (17, 18)
    assert "pixels that are finite in one image only: 1" in Thresholds(max_rel=1e9).beyond(found)
    assert found.to_dict()["max_rel"] is None


def test_shapes_must_be_equal() -> None:
    """Nothing is broadcast."""
    with pytest.raises(ShapeError, match="shapes differ"):
        measure(np.zeros((3, 4), np.float32), np.zeros((1, 4), np.float32), (0, 0))


def test_each_threshold_is_enforced() -> None:
    """A deviation that passes one bound is caught by the one meant for it."""
    b = spots()
    loose = {"max_rel": 1e9, "min_corr": -1.0, "sum_tol": 1e9, "peak_tol": 1e9}
    shifted = np.roll(b, 2, axis=1)
    scaled = (b * np.float32(1.01)).astype(np.float32)
    for a, name, bound, word in (
        (scaled, "max_rel", 1e-3, "deviation"),
        (shifted, "min_corr", 0.999, "correlation"),
        (scaled, "sum_tol", 1e-3, "ratio of sums"),
        (shifted, "peak_tol", 0.5, "a peak is 2 pixels away"),
    ):
        found = measure(a, b, (0, 0))
        assert Thresholds(**loose).beyond(found) == ()
        (fault,) = Thresholds(**(loose | {name: bound})).beyond(found)
        assert fault.startswith(word)


def test_rounding_of_a_flat_image_is_no_fault() -> None:
    """Where pixels vary by rounding only, correlation and peaks say nothing."""
    random = np.random.default_rng(4)
    b, a = ((100.0 * (1 + random.uniform(-4e-8, 4e-8, (40, 40)))).astype(np.float32) for _ in "ba")
    found = measure(a, b, (0, 0))
    assert found.differing > 100
    assert found.correlation < 0.9
    assert found.peaks.count == 0
    assert Thresholds().beyond(found) == ()


def test_peaks_are_the_brightest_local_maxima() -> None:
    """In order of height; a plateau counts once; the edge of the image may hold one."""
    image = np.zeros((9, 9))
    image[0, 0], image[4, 4], image[4, 5], image[8, 3] = 3.0, 5.0, 5.0, 1.0
    assert brightest_peaks(image, 10).tolist() == [[4, 4], [0, 0], [8, 3]]
    assert brightest_peaks(image, 1).tolist() == [[4, 4]]


def test_evenly_shared_spots_match_whatever_the_last_digit_says() -> None:
    """Two pixels that differ by rounding swap their order without a distance."""
    b = np.zeros((9, 9))
    b[4, 4], b[4, 5] = 1.0, 1.0 + 1e-7
    found = match_peaks(b[:, ::-1][:, ::-1], b, 5)
    assert (found.count, found.distance_max) == (1, 0.0)
    a = b.copy()
    a[4, 4], a[4, 5] = b[4, 5], b[4, 4]
    assert match_peaks(a, b, 5).distance_max == 0.0
    assert match_peaks(np.zeros((9, 9)), b, 5).missing == 1


def test_outcome_fails_with_its_worst_region() -> None:
    """One region beyond a threshold decides, and the JSON form says which."""
    b = spots((16, 16))
    good = RegionResult(Tile(0, 16, 0, 16), "drawn", measure(b, b, (0, 0)))
    bad = RegionResult(Tile(16, 32, 0, 16), "drawn", measure((b * np.float32(1.001)), b, (16, 0)))
    outcome = Outcome("compare", "a", "b", (32, 16), Thresholds(), (good, bad))
    assert not outcome.ok
    assert outcome.exit_code == 3
    assert [item["ok"] for item in outcome.to_dict()["regions"]] == [True, False]
    assert outcome.total.max_rel == bad.measures.max_rel
