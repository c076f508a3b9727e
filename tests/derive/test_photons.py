"""Poisson deviates: the distribution, special values."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.derive import photons
from nbdask.derive.block import Block
from tests.derive.support import chi_square, moments

BLOCK = Block((7, 2**32 - 400), 2**63 + 12345, 3, 16)
MEANS = [1e-4, 1e-3, 0.03, 0.7, 3.0, 9.99, 10.0, 12.5, 40.0, 1e3, 1e5, 1e7, 1e9]


@pytest.mark.parametrize("mean", MEANS)
def test_distribution(mean) -> None:
    """Chi-square, mean and variance against the Poisson distribution."""
    counts = BLOCK.poisson(np.full((600, 400), mean))
    assert chi_square(counts, mean) > 1e-3
    assert np.abs(moments(counts, mean)).max() < 3.5
    assert np.array_equal(counts, np.floor(counts))


@pytest.mark.parametrize("mean", [1e12, 1e15, 1e30])
def test_means_beyond_whole_doubles(mean) -> None:
    """Where doubles are far apart, mean and deviation are still those of the distribution."""
    counts = BLOCK.poisson(np.full((300, 300), mean))
    first = (counts - mean).mean() / np.sqrt(mean)
    # Spacing of doubles over the standard deviation: nothing is left of the noise at 1e32.
    grain = np.spacing(mean) / np.sqrt(mean)
    assert abs(first) < 3.5 / 300 + grain
    if grain < 0.1:
        assert np.std(counts - mean) / np.sqrt(mean) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("backend", ["cpu", "numpy"])
def test_special_values(backend) -> None:
    """No photons give none; NaN and infinity stay what they are; tiny means are never negative."""
    values = np.array([[0.0, -0.0, -3.0, -np.inf, np.nan, np.inf, 1e-300, 5e-324]])
    found = BLOCK._replace(backend=backend).poisson(values)
    assert np.array_equal(found, [[0, 0, 0, 0, np.nan, np.inf, 0, 0]], equal_nan=True)


def test_search_ends_where_nothing_is_left() -> None:
    """The greatest deviate, 1 - 2**-53, gives a count that is not absurd."""
    u = np.array([1.0 - 2.0**-53])
    place = photons._Pixels(np.array([0]), np.array([0]), 0, 0, 16)
    original = photons._Pixels.uniforms
    try:
        photons._Pixels.uniforms = lambda self, draw: (u, u)  # type: ignore[method-assign]
        assert 30 < photons._by_inversion(np.array([9.9]), place)[0] < 60
    finally:
        photons._Pixels.uniforms = original  # type: ignore[method-assign]
