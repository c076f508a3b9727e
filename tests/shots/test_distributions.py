"""Distributions of values over the shots: statistics, limits, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nbdask.errors import FieldError
from nbdask.shots.distributions import Distribution, Steps
from nbdask.shots.variation import Array, Shots
from nbdask.units import from_degrees

SHOTS = np.arange(5000)


def drawn(distribution: Distribution | Steps, shots: Shots = SHOTS) -> Array:
    """Values of the first field."""
    return distribution.values(3, shots)[distribution.names[0]]


@pytest.mark.parametrize(
    ("form", "numbers", "cdf"),
    [
        ("normal", (0.1, 1e-3), stats.norm(0.1, 1e-3).cdf),
        ("lognormal", (0.1, 0.3), stats.lognorm(0.3, scale=0.1).cdf),
        ("uniform", (0.1, 0.2), stats.uniform(0.1, 0.1).cdf),
    ],
)
def test_values_follow_the_distribution(
    form: str, numbers: tuple[float, float], cdf: object
) -> None:
    """Kolmogorov and Smirnov's test."""
    found = drawn(Distribution(("detector.distance",), form, numbers))
    assert stats.kstest(found, cdf).pvalue > 1e-3


def test_constant_values_and_seeds() -> None:
    """A constant is exact; seeds are whole, below 2**31, and hardly ever twice."""
    assert (drawn(Distribution(("beam.flux",), "constant", (1e12,))) == 1e12).all()
    seeds = drawn(Distribution(("crystal.mosaic_seed",), "seed"))
    assert (seeds == np.floor(seeds)).all()
    assert seeds.min() >= 0
    assert seeds.max() < 2**31
    assert seeds.max() > 2**30
    assert len(np.unique(seeds)) > 4990


def test_whole_numbers_are_rounded() -> None:
    """Cells along an axis."""
    cells = drawn(Distribution(("crystal.n_cells.a",), "normal", (20.0, 2.0)))
    assert (cells == np.floor(cells)).all()
    assert abs(cells.mean() - 20.0) < 0.1
    assert abs(cells.std() - np.sqrt(4.0 + 1.0 / 12.0)) < 0.1


def test_fields_of_one_distribution_have_the_same_value() -> None:
    """Edges of a tetragonal cell stay equal."""
    values = Distribution(("crystal.cell.a", "crystal.cell.b"), "normal", (5e-9, 1e-11))
    both = values.values(3, SHOTS)
    assert np.array_equal(both["crystal.cell.a"], both["crystal.cell.b"])


def test_what_lies_beyond_the_limits_is_left_out() -> None:
    """Against the truncated distribution: no value at the limit itself."""
    mean, sigma = 3e-4, 1.25e-4
    found = drawn(Distribution(("crystal.mosaic_spread",), "normal", (mean, sigma)))
    assert found.min() > 0.0
    cut = stats.truncnorm(-mean / sigma, np.inf, mean, sigma)
    assert stats.kstest(found, cut.cdf).pvalue > 1e-3
    narrow = drawn(Distribution(("beam.flux",), "normal", (5.0, 1.0), 3.0, 7.5))
    assert 3.0 < narrow.min() < narrow.max() < 7.5


@pytest.mark.parametrize(
    ("field", "form", "numbers", "message"),
    [
        ("crystal.mosaic_spread", "normal", (1e-3, 1e-3), "15.9 % of it is not between 0"),
        ("beam.flux", "normal", (-1.0, 0.1), "narrower, or lognormal"),
        ("beam.flux", "lognormal", (-1.0, 0.1), "median of beam.flux"),
        ("beam.flux", "normal", (1.0, -0.1), "sigma of beam.flux"),
        ("beam.flux", "constant", (-1.0,), "between 0 and inf"),
        ("beam.flux", "uniform", (2.0, 1.0), "the lower limit"),
        ("beam.polarization", "uniform", (0.0, 2.0), "between -1 and 1"),
        ("beam.flux", "seed", (), "whole number"),
        ("beam.flux", "normal", (1.0,), "2 finite numbers"),
        ("beam.flux", "cauchy", (1.0, 1.0), "one of constant, normal"),
        ("beam.flax", "normal", (1.0, 1.0), "did you mean beam.flux"),
    ],
)
def test_impossible_distributions_are_refused(
    field: str, form: str, numbers: tuple[float, ...], message: str
) -> None:
    """In one line that says what is wrong."""
    with pytest.raises(FieldError, match=message):
        Distribution((field,), form, numbers)


def test_steps_have_the_angles_that_are_typed() -> None:
    """0.1 degrees at a time, to the last bit, though 3 * 0.1 is not 0.3."""
    found = drawn(Steps("scan.phi0", 10.0, 0.1))
    assert found[3] == from_degrees(10.3)
    assert found[:100].tolist() == [from_degrees(float(f"{10 + n / 10:.1f}")) for n in range(100)]
    with pytest.raises(FieldError, match="one of an angle"):
        Steps("detector.distance", 0.0, 1.0)
