"""Random numbers of shots: known values, functions, independence."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from nbdask.counter import pixel_uniforms
from nbdask.shots.draw import circle, cut_normal, exponential, share_below, uniforms

SHOTS = np.arange(4000)


def test_deviates_are_uniform_and_differ_by_seed_purpose_and_shot() -> None:
    """Kolmogorov and Smirnov's test; neighbours and other purposes are not correlated."""
    drawn = uniforms(3, "crystal.cell.a", SHOTS, 3)
    for column in drawn.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    other = uniforms(3, "crystal.cell.b", SHOTS, 3)
    seed = uniforms(4, "crystal.cell.a", SHOTS, 3)
    for first, second in ((drawn[:, 0], drawn[:, 1]), (drawn[:-1, 0], drawn[1:, 0])):
        assert abs(stats.pearsonr(first, second).statistic) < 0.06
    for second in (other, seed):
        assert abs(stats.pearsonr(drawn[:, 0], second[:, 0]).statistic) < 0.06


def test_a_known_shot_keeps_its_numbers() -> None:
    """Stored data sets are recomputed from them; also of shots beyond 32 bits."""
    found = uniforms(7, "crystal.orientation", np.array([0, 5, 2**32 + 5]), 2)
    known = [
        [0.7487824799735047, 0.38860535439096144],
        [0.8952638199233905, 0.09454152306139407],
        [0.0743219959020992, 0.9495903370966333],
    ]
    assert found.tolist() == known


def test_noise_with_the_same_seed_draws_other_numbers() -> None:
    """No stream of the noise has the counter of a shot."""
    noise = pixel_uniforms((1, 64), (0, 0), 3, 0, 0, 0)[0][0]
    assert not np.isin(uniforms(3, "beam.flux", np.arange(64), 2), noise).any()


def test_functions_agree_with_the_library() -> None:
    """Of few last bits, and exactly where a quarter of a turn is."""
    turns = np.linspace(0.0, 1.0, 10001)
    cosine, sine = circle(turns)
    assert np.abs(cosine - np.cos(2.0 * np.pi * turns)).max() < 1e-15
    assert np.abs(sine - np.sin(2.0 * np.pi * turns)).max() < 1e-15
    quarters = np.arange(5) / 4.0
    assert np.array_equal(circle(quarters)[0], [1.0, 0.0, -1.0, 0.0, 1.0])
    assert np.array_equal(circle(quarters)[1], [0.0, 1.0, 0.0, -1.0, 0.0])
    x = np.linspace(-30.0, 30.0, 1001)
    assert np.abs(exponential(x) / np.exp(x) - 1.0).max() < 1e-14
    assert share_below(1.0) == round(stats.norm.cdf(1.0), 12)


def test_a_cut_normal_distribution_is_that_within_its_limits() -> None:
    """Against the truncated distribution; without limits against the whole one."""
    deviates = uniforms(3, "beam.flux", SHOTS, 1)[:, 0]
    low, high = -1.0, 0.5
    found = cut_normal(deviates, low, high)
    assert found.min() >= low
    assert found.max() <= high
    assert stats.kstest(found, stats.truncnorm(low, high).cdf).pvalue > 1e-3
    whole = cut_normal(deviates, -math.inf, math.inf)
    assert np.abs(whole - stats.norm.ppf(deviates)).max() < 1e-12
