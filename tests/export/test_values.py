"""Photons become the numbers of files: laws over any scale, offset and pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.export.values import (
    GREY_MAX,
    INT32_MAX,
    UINT16_MAX,
    Clipped,
    counts16,
    counts32,
    grey8,
    noise16,
    scaled,
)

PIXELS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)
ANYTHING = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)
QUICK = settings(max_examples=40, deadline=None)
SCALES = st.floats(1e-3, 1e3)
OFFSETS = st.floats(-1e3, 1e3, allow_subnormal=False)


def one(value: float) -> np.ndarray:
    """An image of a single pixel."""
    return np.array([[value]], dtype=np.float32)


@QUICK
@given(PIXELS, SCALES, OFFSETS)
def test_sixteen_bits_are_the_nearest_whole_number(pixels, scale, adc) -> None:
    """Within the range the count is within a half of the scaled pixel, and never beyond it."""
    counts, _ = counts16(pixels, scale, adc)
    value = np.clip(pixels.astype(np.float64) * scale + adc, 0, UINT16_MAX)
    # The sum of value and 1/2 is rounded to single precision before the floor, as in C.
    slack = 2.0**-8
    assert (np.abs(counts.astype(np.float64) - value) <= 0.5 + slack).all()
    assert counts.dtype == np.uint16
    assert counts.shape == pixels.shape


@pytest.mark.parametrize(
    ("value", "count"),
    [(0.49, 0), (0.5, 1), (1.5, 2), (2.5, 3), (65534.4, 65534), (65535.0, 65535), (7e4, 65535)],
)
def test_halves_go_up_in_sixteen_bits(value, count) -> None:
    """floor(x + 1/2), as C does, not to the even neighbour."""
    assert int(counts16(one(value), 1.0, 0.0)[0][0, 0]) == count


@pytest.mark.parametrize(
    ("value", "count"), [(0.5, 0), (1.5, 2), (2.5, 2), (3.5, 4), (-0.5, 0), (-0.51, 0), (1e12, -1)]
)
def test_halves_go_to_the_even_number_in_32_bits(value, count) -> None:
    """rint; what is beyond 32 bits is the greatest of them."""
    wanted = INT32_MAX if count < 0 else count
    assert int(counts32(one(value), 1.0, 0.0)[0][0, 0]) == wanted


@QUICK
@given(ANYTHING, SCALES, OFFSETS)
def test_what_is_lost_is_counted(pixels, scale, adc) -> None:
    """Pixels above and below are as many as are reported; NaN is 0 and counts as neither."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = pixels.astype(np.float64) * scale + adc
    for function, most in ((counts16, UINT16_MAX), (grey8, GREY_MAX)):
        numbers, lost = function(pixels, scale, adc)
        assert lost == Clipped(int((value > most).sum()), int((value < 0).sum()))
        assert (numbers[value > most] == most).all()
        assert (numbers[value < 0] == 0).all()
        assert (numbers[np.isnan(value)] == 0).all()


@pytest.mark.parametrize(
    ("function", "most"), [(counts16, UINT16_MAX), (noise16, UINT16_MAX), (grey8, GREY_MAX)]
)
def test_the_greatest_number_itself_fits(function, most) -> None:
    """Nothing is lost at either end."""
    image = np.array([[0.0, most]], dtype=np.float32)
    extra = (0.0,) if function is noise16 else (1.0, 0.0)
    numbers, lost = function(np.append(image, [[-1.0, 1.0]], axis=0).astype(np.float32), *extra)
    assert numbers[0].tolist() == [0, most]
    assert lost == Clipped(0, 1)


@QUICK
@given(ANYTHING)
def test_greatest_of_32_bits_can_be_lower(pixels) -> None:
    """Formats that keep a number for "nothing" take one less."""
    for most in (INT32_MAX, INT32_MAX - 1):
        numbers, lost = counts32(pixels, 1.0, 0.0, most)
        assert numbers.max() <= most
        assert numbers.min() >= 0
        with np.errstate(invalid="ignore"):
            near = np.rint(pixels.astype(np.float64))
        assert lost.above == int((near > most).sum())


@QUICK
@given(PIXELS, OFFSETS)
def test_noise_is_cut_off_not_rounded(pixels, adc) -> None:
    """The noise image's count is the whole part of photons and offset."""
    counts, lost = noise16(pixels, adc)
    value = pixels.astype(np.float64) + adc
    inside = (value >= 0) & (value <= UINT16_MAX)
    assert np.array_equal(counts[inside], np.trunc(value[inside]))
    assert lost.below == int((value < 0).sum())


@QUICK
@given(PIXELS, SCALES)
def test_grey_is_cut_off_too(pixels, scale) -> None:
    """nanoBragg's greymap truncates; one half added gives the nearest."""
    value = pixels.astype(np.float64) * scale
    inside = (value >= 0) & (value < GREY_MAX)
    assert np.array_equal(grey8(pixels, scale)[0][inside], np.trunc(value[inside]))
    near = np.floor(value[inside] + 0.5)
    assert np.array_equal(grey8(pixels, scale, 0.5)[0][inside], np.minimum(near, GREY_MAX))


@QUICK
@given(ANYTHING)
def test_floats_without_scale_are_untouched(pixels) -> None:
    """The very array, NaN and infinity too."""
    assert scaled(pixels, 1.0, 0.0) is pixels


@QUICK
@given(PIXELS, SCALES, OFFSETS)
def test_scaled_floats_are_rounded_once(pixels, scale, adc) -> None:
    """Computed in double precision, then rounded to single; the shape stays."""
    found = scaled(pixels, scale, adc)
    assert found.dtype == np.float32
    assert np.array_equal(found, (pixels.astype(np.float64) * scale + adc).astype(np.float32))


def test_floats_beyond_single_precision_become_infinite() -> None:
    """Without a warning, which would end a run under strict filters."""
    assert math.isinf(scaled(one(3e38), 10.0, 0.0)[0, 0])
    assert math.isnan(scaled(one(math.nan), 2.0, 1.0)[0, 0])


def test_images_longer_than_a_block_are_converted_whole() -> None:
    """Blocks bound the memory only: the result is that of the pixels one by one."""
    random = np.random.default_rng(4)
    pixels = random.uniform(-10, 70000, (3, 100_001)).astype(np.float32)
    value = np.clip(pixels.astype(np.float64) * 1.5 + 3, 0, UINT16_MAX)
    counts, lost = counts16(pixels, 1.5, 3.0)
    assert np.array_equal(counts, np.floor((value + 0.5).astype(np.float32)).astype(np.uint16))
    assert lost.above == int((pixels.astype(np.float64) * 1.5 + 3 > UINT16_MAX).sum())
    near = np.clip(np.rint(pixels.astype(np.float64)), 0, None)
    assert np.array_equal(counts32(pixels, 1.0, 0.0)[0], near)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("function", [counts16, grey8, counts32, scaled])
def test_no_pixels_give_none(function, shape) -> None:
    """An empty band has nothing to lose."""
    empty = np.zeros(shape, np.float32)
    result = function(empty, 2.0, 1.0)
    if isinstance(result, tuple):
        assert result[1] == Clipped()
        result = result[0]
    assert result.shape == shape


@QUICK
@given(
    st.tuples(st.integers(0, 9), st.integers(0, 9)), st.tuples(st.integers(0, 9), st.integers(0, 9))
)
def test_losses_add_up(a, b) -> None:
    """The sum of two parts in either order; nothing added changes nothing."""
    one_, other = Clipped(*a), Clipped(*b)
    assert one_.plus(other) == other.plus(one_) == Clipped(a[0] + b[0], a[1] + b[1])
    assert one_.plus(Clipped()) == one_


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (Clipped(), []),
        (Clipped(1, 0), ["1 pixel above 255 set to 255"]),
        (Clipped(2, 0), ["2 pixels above 255 set to 255"]),
        (Clipped(0, 1), ["1 pixel below 0 set to 0"]),
        (Clipped(3, 4), ["3 pixels above 255 set to 255", "4 pixels below 0 set to 0"]),
    ],
)
def test_losses_in_words(lost, said) -> None:
    """One phrase for each end, with the right number."""
    assert lost.describe(255) == said
