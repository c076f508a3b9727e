"""The scalar formulas of the Numba kernels against the same functions in extended precision."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from nbdask.kernels import numba_formulas as formulas
from nbdask.kernels.numba_inputs import grating_polynomial

# 64 bits of mantissa where the platform has them; elsewhere the bounds below still hold.
WIDE = np.longdouble
PI = WIDE("3.14159265358979323846264338327950288")
HALVES = np.linspace(-0.5, 0.5, 2001)


def evaluate(function, values, kind=np.float64):
    """Return a scalar formula at many places, called from compiled code as the kernels do."""

    @numba.njit
    def loop(values, out):
        for i in range(values.size):
            out[i] = function(values[i])

    out = np.empty(len(values), dtype=kind)
    loop(np.ascontiguousarray(values), out)
    return out


def at(function, value):
    """Return a scalar formula at one place."""
    return evaluate(function, np.array([value]))[0]


def test_sine_ratio_is_exact_to_rounding():
    """sin(pi x) / x, over the whole interval and at 0."""
    x = HALVES[HALVES != 0.0]
    ours = evaluate(formulas.sine_ratio, x * x)
    wide = WIDE(x)
    assert np.max(np.abs(ours / (np.sin(PI * wide) / wide) - 1)) < 7e-16
    assert at(formulas.sine_ratio, 0.0) == pytest.approx(math.pi, rel=3e-16)


def test_cosine_is_exact_to_rounding():
    """cos(pi x); the error is absolute, since the cosine is 0 at both ends."""
    ours = evaluate(formulas.cosine, HALVES * HALVES)
    assert np.max(np.abs(ours - np.cos(PI * WIDE(HALVES)))) < 4e-16


def test_sphere_part_keeps_its_digits_where_the_difference_cancels():
    """(sin X - X cos X) / x^3 by its Taylor series, down to x = 0."""
    x = WIDE(np.concatenate([HALVES, 10.0 ** np.arange(-12.0, 0.0)]))
    x = x[np.abs(x) <= 0.5]
    series = np.zeros_like(x)
    for n in range(1, 16):
        term = 2 * n * (-1) ** (n + 1) / WIDE(math.factorial(2 * n + 1))
        series += term * PI ** (2 * n + 1) * x ** (2 * n - 2)
    ours = evaluate(formulas.sphere_part, np.float64(x) ** 2)
    assert np.max(np.abs(ours / series - 1)) < 1e-15


@pytest.mark.parametrize(("low", "high", "bound"), [(-1, 1, 5e-16), (-700, 600, 9e-14)])
def test_exponential(low, high, bound):
    """exp(x) near 0 and over most of the range of its results."""
    x = np.linspace(low, high, 3001)
    ours = evaluate(formulas.exponential, x)
    assert np.max(np.abs(ours / np.exp(WIDE(x)) - 1)) < bound


def test_exponential_at_its_ends():
    """Exactly 1 at 0, exactly 0 far below it, infinite far above."""
    assert at(formulas.exponential, 0.0) == 1.0
    assert at(formulas.exponential, -0.0) == 1.0
    assert at(formulas.exponential, -800.0) == 0.0
    assert at(formulas.exponential, -1e300) == 0.0
    assert at(formulas.exponential, 1e4) == math.inf


def test_power_of_two_is_exact_for_whole_numbers():
    """2^k for every k whose power is normal."""
    powers = np.arange(-1019.0, 1000.0)
    assert np.array_equal(evaluate(formulas.power_of_two, powers), 2.0**powers)


def test_polarization_needs_no_angle():
    """The algebraic form equals the one with psi = -atan2(b, e), both components 0 included."""
    ours = numba.njit(lambda c, e, b, kahn: formulas.polarization(c, e, b, kahn))
    for e, b in [(0.3, 0.4), (-0.2, 0.9), (0.0, 0.5), (0.7, 0.0), (0.0, 0.0)]:
        psi = -math.atan2(b, e)
        c = 0.6
        expected = 0.5 * (1 + c * c - 0.8 * math.cos(2 * psi) * (1 - c * c))
        assert ours(c, e, b, 0.8) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("cells", range(1, 11))
def test_grating_polynomial_is_the_grating_function(cells):
    """Its square, with the cosine of even numbers, is (sin(N pi x) / sin(pi x))^2."""
    degree = 2 if cells <= 6 else 4
    coefficients = grating_polynomial(cells, degree)
    assert len(coefficients) == degree + 1
    assert all(c == round(c) for c in coefficients)
    x = np.linspace(0.001, 0.5, 400)
    s = np.sin(np.pi * x) ** 2
    ours = np.polynomial.Polynomial(coefficients)(s) ** 2
    if cells % 2 == 0:
        ours *= 1 - s
    expected = (np.sin(cells * np.pi * x) / np.sin(np.pi * x)) ** 2
    assert np.allclose(ours, expected, rtol=1e-11, atol=1e-10)
    assert coefficients[0] == cells
