"""Ends of colour scales, places of names, files of pictures: laws and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.errors import InputError
from nbdask.plan.tiles import Tile
from nbdask.view.contrast import Contrast, centre_of, choose
from nbdask.view.labels import label_positions
from nbdask.view.picture import preview

QUICK = settings(max_examples=40, deadline=None)
IMAGES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.one_of(
        st.floats(0, 1e6, width=32, allow_subnormal=False).map(lambda x: x if x > 1e-6 else 0.0),
        st.sampled_from([np.nan, np.inf, -1.0]),
    ),
)


def numbers(image: np.ndarray) -> np.ndarray:
    """The pixels that count."""
    return np.asarray(image[np.isfinite(image) & (image > 0)], dtype=np.float64)


@QUICK
@given(IMAGES, st.booleans(), st.one_of(st.none(), st.floats(1, 100)))
def test_ends_can_be_drawn(image: np.ndarray, log: bool, percentile: float | None) -> None:
    """Finite, in order, not below 0, above it on a logarithm."""
    low, high = choose(image, log=log, percentile=percentile)
    assert np.isfinite([low, high]).all()
    assert low < high
    if log:
        assert low > 0.0
    else:
        assert low >= 0.0
    bright = numbers(image)
    if 0 < bright.size < 50:
        assert high <= bright.max() * (1 + 1e-9)
    elif not bright.size:
        assert (low, high) == (0.1 if log else 0.0, 1.0)


@QUICK
@given(IMAGES)
def test_width_of_a_logarithmic_scale(image: np.ndarray) -> None:
    """From one and a half to four powers of ten, in too few pixels for a background."""
    low, high = choose(image)
    if 0 < numbers(image).size < 50:
        assert 10**1.5 * (1 - 1e-9) <= high / low <= 1e4 * (1 + 1e-9)


@QUICK
@given(IMAGES, st.integers(-6, 6))
def test_scales_follow_the_unit(image: np.ndarray, power: int) -> None:
    """Twice the light, twice the ends."""
    factor = np.float32(2.0**power)
    for log in (True, False):
        one, other = choose(image, log=log), choose(image * factor, log=log)
        if numbers(image).size:
            np.testing.assert_allclose(np.array(other), float(factor) * np.array(one), rtol=1e-6)


@pytest.mark.parametrize(("percentile", "high"), [(50.0, 50.5), (100.0, 100.0), (99.0, 99.01)])
def test_percentiles_of_what_is_above_0(percentile: float, high: float) -> None:
    """Zeros, however many, do not count."""
    values = np.zeros((20, 20), np.float32)
    values.flat[:100] = np.arange(1, 101)
    for log in (True, False):
        assert choose(values, log=log, percentile=percentile).high == pytest.approx(high)


def test_few_spots_on_a_background_are_not_all_white() -> None:
    """The upper end lies halfway, in powers of ten, between the percentile and the maximum."""
    values = np.ones((200, 200), np.float32)
    values[5, 5] = 1e4
    assert choose(values).high == pytest.approx(101.0, rel=0.01)


def test_a_background_is_dark_in_every_ring() -> None:
    """Up to the rings of water, if it is told where the beam is; no noise ends as bright."""
    slow, fast = np.indices((200, 200))
    radius = np.hypot(slow - 100.0, fast - 80.0)
    level = 5.0 + 60.0 * np.exp(-(((radius - 60.0) / 8.0) ** 2))
    values = np.random.default_rng(1).poisson(level).astype(np.float32)
    low, high = choose(values, centre=(100.0, 80.0))
    assert 5.0 < low < 15.0
    assert high > 65.0 + 8.0 * 65.0**0.5 - 5.0
    assert high > values.max()


def test_where_the_beam_is_in_a_reduced_region() -> None:
    """The centre of a picture's pixel is that of the pixels it stands for."""
    assert centre_of(Tile(0, 8, 0, 8), 1, (3.0, 5.0)) == (3.0, 5.0)
    assert centre_of(Tile(8, 40, 16, 48), 4, (9.5, 17.5)) == (0.0, 0.0)


@QUICK
@given(st.data())
def test_names_of_rings_lie_on_their_lines(data: Any) -> None:
    """Each is on the ring's longest line, or its middle, moved inside, where there is no room."""
    region = Tile(10, 110, 20, 180)
    rings = []
    for _ in range(data.draw(st.integers(1, 4))):
        lines = []
        for _ in range(data.draw(st.integers(1, 3))):
            n = data.draw(st.integers(1, 30))
            start = data.draw(st.tuples(st.floats(10, 110), st.floats(20, 180)))
            steps = np.arange(n)[:, None] * np.array(data.draw(st.sampled_from([(0, 3), (2, 1)])))
            lines.append(np.array(start) + steps)
        rings.append(lines)
    values = np.zeros((50, 80), np.float32)
    places = label_positions(rings, values, region, Contrast(1.0, 10.0), (10.0, 25.0))
    assert len(places) == len(rings)
    for place, lines in zip(places, rings, strict=True):
        longest = max(lines, key=len)
        moved = np.clip(longest[len(longest) // 2], (14.5, 32.0), (104.5, 167.0))
        assert (longest == place).all(axis=1).any() or np.array_equal(place, moved)


def test_higher_up_is_better_where_it_is_equally_dark() -> None:
    """So that names keep together."""
    line = np.stack([np.arange(30.0, 90.0), np.full(60, 50.0)], axis=1)
    values = np.zeros((100, 100), np.float32)
    (place,) = label_positions([[line]], values, Tile(0, 100, 0, 100), Contrast(1, 10), (6.0, 20.0))
    assert place[0] == 30.0


def test_pictures_that_may_not_be_written(tmp_path: Path) -> None:
    """One line each; a link counts by what it names, a store is kept whole."""
    (tmp_path / "a.png").write_text("x")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.png").mkdir()
    store = tmp_path / "run.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    (tmp_path / "link").symlink_to(store)
    for path, message in (
        (tmp_path / "a", "the name must end in .png, .svg, .pdf"),
        (tmp_path / "a.jpeg", "the name must end in"),
        (tmp_path / "none" / "a.png", f"the folder {tmp_path}/none does not exist"),
        (tmp_path / "c.png", "is a folder: give the path of a file"),
        (store / "a.png", f"must lie outside the store {store}"),
        (tmp_path / "link" / "a.png", f"must lie outside the store {store}"),
        (tmp_path / "a.png", "exists already: --overwrite replaces it"),
        (tmp_path / "b.png", "exists already: --overwrite replaces it"),
    ):
        with pytest.raises(InputError) as caught:
            preview(store, path)
        assert str(caught.value).startswith(f"-o {path}")
        assert message in str(caught.value)
