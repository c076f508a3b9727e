"""The counter-based generator: known answers, range, independence of the place."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from nbdask import counter, elementary
from nbdask.errors import FieldError


@pytest.mark.parametrize(
    ("counts", "key", "answer"),
    [
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(counts, key, answer) -> None:
    """Those that the authors of Philox4x32-10 publish."""
    words = counter.philox(*(np.uint64(n) for n in (*counts, *key)))
    assert tuple(int(word) for word in words) == answer


def test_deviates_are_never_0_or_1() -> None:
    """The least and the greatest words give 2**-53 and 1 - 2**-53."""
    least, most = np.uint64(0), np.uint64(2**32 - 1)
    assert counter.uniform(least, least) == 2.0**-53
    assert counter.uniform(most, most) == 1.0 - 2.0**-53


def test_deviates_are_uniform_and_independent() -> None:
    """Both of a pixel, neighbours, frames, streams, draws and seeds are uncorrelated."""
    base = dict(shape=(200, 200), corner=(0, 0), seed=1, frame=0, stream=16, draw=0)
    u, v = counter.pixel_uniforms(**base)
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(v.ravel(), "uniform").pvalue > 1e-3
    others = [v, np.roll(u, 1, 0), np.roll(u, 1, 1)]
    for change in ({"seed": 2}, {"frame": 1}, {"stream": 17}, {"draw": 1}, {"seed": 1 + 2**32}):
        others.append(counter.pixel_uniforms(**{**base, **change})[0])
    for other in others:
        assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 0.02


def test_a_pixel_has_its_own_numbers() -> None:
    """They depend on its indices on the detector, not on the rectangle, far corners included."""
    whole, _ = counter.pixel_uniforms((30, 40), (2**32 - 30, 2**32 - 40), 9, 3, 16, 5)
    part, _ = counter.pixel_uniforms((3, 4), (2**32 - 20, 2**32 - 10), 9, 3, 16, 5)
    assert np.array_equal(part, whole[10:13, 30:34])


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True, None])
def test_seeds_out_of_range(seed) -> None:
    """One line with what is allowed."""
    with pytest.raises(FieldError, match="a whole number from 0 to 18446744073709551615"):
        counter.check_seed(seed)


def test_logarithm_and_exponential() -> None:
    """Within two units of the last place of the system's own."""
    random = np.random.default_rng(0)
    x = np.exp(random.uniform(-36, 80, 20000))
    scale = np.maximum(np.abs(np.log(x)), 1e-3)
    assert np.max(np.abs(elementary.log(x) - np.log(x)) / scale) < 5e-16
    x = random.uniform(0, 10, 20000)
    assert np.max(np.abs(elementary.exp_minus(x) * np.exp(x) - 1.0)) < 5e-16


def test_normal_quantile() -> None:
    """Relative accuracy 2e-15 over the whole range of deviates."""
    u = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 20001), 10.0 ** -np.linspace(2, 15.9, 200)])
    expected = special.ndtri(u)
    found = elementary.normal(u)
    assert np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-3)) < 2e-15


@pytest.mark.parametrize("mean", [1e-3, 0.5, 9.99, 10.0, 30.5, 1e3])
def test_poisson_probabilities(mean) -> None:
    """Those of SciPy, from 0 to far beyond the mean."""
    k = np.arange(0.0, mean + 12 * mean**0.5 + 30)
    found = elementary.log_probability(k, np.full_like(k, mean))
    assert np.max(np.abs(found - stats.poisson.logpmf(k, mean))) < 1e-11
