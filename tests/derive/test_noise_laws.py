"""Laws of noise and detector effects: means, variances, seeds, and what the order of steps does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask import derive
from nbdask.plan.tiles import TileGrid

SIDE = 120
N = SIDE * SIDE
QUICK = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**64 - 1)
#: Steps that draw random numbers, and one parameter each.
RANDOM_STEPS = [
    derive.Poisson(),
    derive.Flicker(pixel_rms=0.1),
    derive.Calibration(0.1),
    derive.Readout(3.0),
]
PLAIN_STEPS = [
    derive.Gain(1.5),
    derive.Offset(10.0),
    derive.Rounding(),
    derive.Saturation(90.0, 5.0),
    derive.GaussianPSF(1.3),
    derive.FibrePSF(0.8, radius=4),
]


def flat(value: float, side: int = SIDE) -> np.ndarray:
    """An image of equal pixels."""
    return np.full((side, side), value, dtype=np.float32)


def sure(value: float, wanted: float, error: float) -> bool:
    """Within five standard errors: missed once in two million draws."""
    return abs(value - wanted) < 5.0 * error + 1e-9


@pytest.mark.parametrize("mean", [0.05, 0.7, 3.0, 9.9, 10.1, 60.0, 2500.0])
def test_photons_have_the_variance_of_their_mean(mean) -> None:
    """On both sides of the change of method; the third moment is the mean too."""
    counts = derive.poisson(flat(mean), seed=11).astype(np.float64)
    assert np.array_equal(counts, np.rint(counts))
    assert sure(counts.mean(), mean, math.sqrt(mean / N))
    assert sure(counts.var(), mean, math.sqrt((mean + 2 * mean**2) / N))
    third = ((counts - mean) ** 3).mean()
    # Variance of the third central moment of N draws, from the Poisson distribution's moments.
    error = math.sqrt((mean + 30 * mean**2 + 105 * mean**3) / N)
    assert sure(third, mean, error)


@QUICK
@given(SEEDS, st.integers(0, 2**32 - 1))
def test_any_seed_and_frame_will_do(seed: int, frame: int) -> None:
    """Equal ones give equal counts; a neighbour of either gives others."""
    image = flat(20.0, 24)
    one = derive.poisson(image, seed=seed, frame=frame)
    assert np.array_equal(one, derive.poisson(image, seed=seed, frame=frame))
    assert not np.array_equal(one, derive.poisson(image, seed=seed ^ 1, frame=frame))
    assert not np.array_equal(one, derive.poisson(image, seed=seed, frame=frame ^ 1))
    assert not np.array_equal(one, derive.poisson(image, seed=seed ^ (1 << 63), frame=frame))
    assert sure(float(one.mean()), 20.0, math.sqrt(20.0) / 24)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 7.0])
def test_readout_is_normal(sigma) -> None:
    """Mean, deviation, kurtosis; independent of what is in the pixel."""
    noise = derive.readout(flat(0.0), sigma, seed=4).astype(np.float64)
    assert sure(noise.mean(), 0.0, sigma / math.sqrt(N))
    assert sure(noise.std(), sigma, sigma / math.sqrt(2 * N))
    if sigma:
        assert sure(((noise / sigma) ** 4).mean(), 3.0, math.sqrt(96 / N))
        bright = derive.readout(flat(1000.0), sigma, seed=4)
        assert np.allclose(bright - 1000.0, noise, atol=1e-3)


@pytest.mark.parametrize("rms", [0.01, 0.2])
def test_relative_errors_grow_with_the_value(rms) -> None:
    """Calibration and flicker are factors: twice the light, twice the deviation."""
    for make in (
        lambda image: derive.calibration(image, rms, seed=3),
        lambda image: derive.flicker(image, seed=3, pixel_rms=rms),
    ):
        one, two = (make(flat(value)).astype(np.float64) for value in (50.0, 100.0))
        assert np.allclose(two, 2.0 * one, rtol=1e-6)
        assert sure(one.std(), 50.0 * rms, 50.0 * rms / math.sqrt(2 * N))
        assert sure(one.mean(), 50.0, 50.0 * rms / math.sqrt(N))


def test_frame_flicker_is_one_factor_for_all_pixels() -> None:
    """The same for a part of the detector as for all of it."""
    random = np.random.default_rng(1)
    image = random.uniform(1, 100, (30, 40)).astype(np.float32)
    pipeline = derive.Pipeline((derive.Flicker(0.2),), seed=9, frame=4)
    whole = pipeline.apply(image)
    ratio = whole / image
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-6)
    part = pipeline.apply(image[10:20, 5:9], corner=(10, 5))
    assert np.array_equal(part, whole[10:20, 5:9])
    # It is no pixel's own deviate.
    pixels = derive.Pipeline((derive.Flicker(pixel_rms=0.2),), seed=9, frame=4).apply(image)
    assert abs(pixels[0, 0] / image[0, 0] - ratio[0, 0]) > 1e-3


def test_independent_noises_add_their_variances() -> None:
    """Photons, calibration and readout after a gain: the sum of the three."""
    mean, gain, sigma, rms = 400.0, 2.0, 15.0, 0.03
    steps = (
        derive.Poisson(),
        derive.Calibration(rms),
        derive.Gain(gain),
        derive.Readout(sigma),
        derive.Offset(100.0),
    )
    found = derive.Pipeline(steps, seed=6).apply(flat(mean)).astype(np.float64)
    # The factor acts on the counts that were drawn: E[k^2] = mean + mean^2.
    variance = gain**2 * (mean + rms**2 * (mean + mean**2)) + sigma**2
    assert sure(found.mean(), gain * mean + 100.0, math.sqrt(variance / N))
    assert sure(found.var(), variance, 1.1 * variance * math.sqrt(2 / N))


def test_photons_of_a_sum_are_sums_of_photons() -> None:
    """Two frames of half the exposure have mean and variance of one of the whole."""
    half = [derive.poisson(flat(15.0), seed=2, frame=n).astype(np.float64) for n in (0, 1)]
    both = half[0] + half[1]
    assert sure(both.mean(), 30.0, math.sqrt(30.0 / N))
    assert sure(both.var(), 30.0, 30.0 * math.sqrt((2 + 1 / 30) / N))
    assert abs(np.corrcoef(half[0].ravel(), half[1].ravel())[0, 1]) < 5 / math.sqrt(N)


def test_steps_of_one_pipeline_are_independent() -> None:
    """Different kinds, and the same kind twice: no correlation between what they add."""
    readout = derive.readout(flat(0.0), 1.0, seed=5).ravel()
    calibration = derive.calibration(flat(1.0), 0.1, seed=5).ravel()
    flicker = derive.flicker(flat(1.0), seed=5, pixel_rms=0.1).ravel()
    twice = derive.Pipeline((derive.Readout(1.0), derive.Readout(1.0)), seed=5).apply(flat(0.0))
    second = twice.ravel() - readout
    seen = [readout, calibration, flicker, second]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(N)
    assert sure(float(second.std()), 1.0, 1 / math.sqrt(2 * N))


def test_neighbours_and_distant_pixels_are_independent() -> None:
    """No correlation along rows, columns or diagonals."""
    noise = derive.readout(flat(0.0), 1.0, seed=8)
    for slow, fast in ((0, 1), (1, 0), (1, 1), (0, 16), (16, 0), (64, 3)):
        moved = np.roll(noise, (slow, fast), axis=(0, 1))
        assert abs((moved * noise).mean()) < 5 / math.sqrt(N)


@pytest.mark.long
@pytest.mark.parametrize("step", [*RANDOM_STEPS, *PLAIN_STEPS], ids=lambda s: s.kind)
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_every_step_is_free_of_the_tiling(step: derive.Step, data: Any) -> None:
    """Any cut into tiles gives the bits of the whole."""
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = random.exponential(30.0, (21, 26)).astype(np.float32)
    pipeline = derive.Pipeline((step,), seed=data.draw(st.integers(0, 99)))
    whole = pipeline.apply(image)
    tile = (data.draw(st.integers(1, 21)), data.draw(st.integers(1, 26)))
    for part in TileGrid((21, 26), tile):
        need = pipeline.needs(part, (21, 26))
        values = image[need.slow0 : need.slow1, need.fast0 : need.fast1]
        found = pipeline.block(values, part, (21, 26))
        assert np.array_equal(found, whole[part.slow0 : part.slow1, part.fast0 : part.fast1])


@pytest.mark.parametrize("step", [*RANDOM_STEPS, *PLAIN_STEPS], ids=lambda s: s.kind)
def test_compiled_and_numpy_give_the_same_bits(step: derive.Step) -> None:
    """Of every step by itself, on an image whose sides are odd; the source is left alone."""
    image = np.random.default_rng(3).exponential(30.0, (37, 53)).astype(np.float32)
    before = image.copy()
    pipeline = derive.Pipeline((step,), seed=12, frame=3)
    one, other = (pipeline.apply(image, backend=name) for name in ("cpu", "numpy"))
    assert one.tobytes() == other.tobytes()
    assert one.dtype == np.float32
    assert np.array_equal(image, before)


@pytest.mark.parametrize("step", [*RANDOM_STEPS, *PLAIN_STEPS], ids=lambda s: s.kind)
def test_steps_say_whether_the_seed_matters(step: derive.Step) -> None:
    """Those that draw give other pixels with another seed, the others the same ones."""
    image = flat(30.0, 12)
    one, other = (derive.Pipeline((step,), seed=seed).apply(image) for seed in (1, 2))
    assert step.random == (step in RANDOM_STEPS)
    assert np.array_equal(one, other) != step.random
    assert derive.Pipeline((step,)).random == step.random


@pytest.mark.parametrize("step", [*RANDOM_STEPS, *PLAIN_STEPS], ids=lambda s: s.kind)
def test_dict_form_of_every_step(step: derive.Step) -> None:
    """There and back, equal and with the same fingerprint; fields by their names."""
    pipeline = derive.Pipeline((step,), seed=3)
    data = pipeline.to_dict()
    assert data["steps"][0]["step"] == step.kind
    again = derive.Pipeline.from_dict(data)
    assert again == pipeline
    assert again.fingerprint() == pipeline.fingerprint()


def test_fingerprints_tell_all_of_it_apart() -> None:
    """Steps, their order, their numbers, seed and frame."""
    made = [
        derive.Pipeline((derive.Poisson(),)),
        derive.Pipeline((derive.Poisson(),), 1),
        derive.Pipeline((derive.Poisson(),), 0, 1),
        derive.Pipeline((derive.Poisson(), derive.Gain(2.0))),
        derive.Pipeline((derive.Gain(2.0), derive.Poisson())),
        derive.Pipeline((derive.Gain(2.5), derive.Poisson())),
        derive.Pipeline((derive.GaussianPSF(2.0),)),
        derive.Pipeline((derive.FibrePSF(2.0),)),
        derive.Pipeline((derive.GaussianPSF(2.0, radius=3),)),
    ]
    assert len({pipeline.fingerprint() for pipeline in made}) == len(made)


@QUICK
@given(
    st.floats(0.1, 10),
    st.floats(-100, 100, allow_subnormal=False),
    st.floats(0, 500, allow_subnormal=False),
)
def test_plain_arithmetic_of_one_pixel(gain: float, offset: float, value: float) -> None:
    """Gain, then offset; in double precision, rounded to single once."""
    pipeline = derive.Pipeline((derive.Gain(gain), derive.Offset(offset)))
    found = pipeline.apply(np.array([[value]], np.float32))[0, 0]
    assert found == np.float32(np.float64(np.float32(value)) * gain + offset)


@QUICK
@given(st.floats(-50, 50, width=32, allow_subnormal=False))
def test_rounding_is_half_up(value: float) -> None:
    """floor(x + 1/2); whole numbers stay, twice is once."""
    image = np.array([[value]], np.float32)
    found = derive.rounding(image)
    assert found[0, 0] == np.float32(math.floor(float(value) + 0.5))
    assert np.array_equal(derive.rounding(found), found)


@QUICK
@given(
    st.floats(-10, 10, allow_subnormal=False),
    st.floats(0, 10, allow_subnormal=False),
    st.lists(st.floats(-30, 30, allow_subnormal=False), min_size=1, max_size=5),
)
def test_saturation_clips(minimum: float, width: float, values: list[float]) -> None:
    """Nothing is beyond either limit; what lies between stays; twice is once."""
    image = np.array([values], np.float32)
    found = derive.saturation(image, minimum + width, minimum=minimum)
    low, high = np.float32(minimum), np.float32(minimum + width)
    assert (found >= low).all()
    assert (found <= high).all()
    inside = (image > low) & (image < high)
    assert np.array_equal(found[inside], image[inside])
    assert np.array_equal(derive.saturation(found, minimum + width, minimum=minimum), found)


@pytest.mark.parametrize(
    "make", [lambda i: derive.gaussian_psf(i, 2.0), lambda i: derive.fibre_psf(i, 1.2)]
)
def test_spreading_is_linear_and_does_not_move_the_light(make) -> None:
    """Of a sum the sum; the centre of gravity stays, no pixel is below 0."""
    random = np.random.default_rng(5)
    one, other = (np.zeros((70, 70), np.float32) for _ in range(2))
    one[30:40, 30:40] = random.uniform(0, 100, (10, 10))
    other[35, 33] = 500.0
    assert np.allclose(make(one + other), make(one) + make(other), rtol=1e-5, atol=1e-5)
    spread = make(one).astype(np.float64)
    assert (spread >= 0).all()
    for axis in (0, 1):
        before, after = (
            (values.sum(axis=1 - axis) * np.arange(70)).sum() / values.sum()
            for values in (one.astype(np.float64), spread)
        )
        assert after == pytest.approx(before, abs=0.05)


def test_widths_of_gaussians_add_in_squares() -> None:
    """Two spreads after another are one of the square root of the sum."""
    point = np.zeros((61, 61), np.float32)
    point[30, 30] = 1e4
    twice = derive.Pipeline((derive.GaussianPSF(3.0), derive.GaussianPSF(4.0))).apply(point)
    once = derive.gaussian_psf(point, 5.0)
    # Integrals over pixels are taken twice on one side: a twelfth of a square pixel more.
    assert np.allclose(twice, once, atol=0.02 * once.max())


def test_noise_after_spreading_is_white_and_before_it_is_not() -> None:
    """The correlation of neighbours tells the order of the two."""
    steps = (derive.GaussianPSF(2.0), derive.Poisson())
    after = derive.Pipeline(steps, seed=3).apply(flat(100.0))[20:100, 20:100]
    before = derive.Pipeline(steps[::-1], seed=3).apply(flat(100.0))[20:100, 20:100]

    def neighbours(image: np.ndarray) -> float:
        """Correlation of pixels that are next to each other."""
        return float(np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1])

    assert abs(neighbours(after)) < 5 / 80
    assert neighbours(before) > 0.6


def test_names_of_the_package() -> None:
    """Every public name can be had, is listed, and nothing else can."""
    assert dir(derive) == sorted(derive.__all__)
    for name in derive.__all__:
        assert getattr(derive, name).__name__ == name
    with pytest.raises(AttributeError, match=r"module 'nbdask\.derive' has no attribute 'blur'"):
        _ = derive.blur
