"""The formulas of the C++ headers against the same functions in extended precision."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from nbdask.kernels.pack import grating_polynomial
from tests.kernels.compiled import Formulas, needs_compiler

pytestmark = needs_compiler

# 64 bits of mantissa where the platform has them; elsewhere the bounds below still hold.
WIDE = np.longdouble
PI = WIDE("3.14159265358979323846264338327950288")
HALVES = np.linspace(-0.5, 0.5, 2001)


@pytest.fixture(scope="module")
def formulas(tmp_path_factory):
    """The headers' formulas."""
    return Formulas(tmp_path_factory.mktemp("formulas"))


def test_sine_ratio_is_exact_to_rounding(formulas):
    """sin(pi x) / x, over the whole interval and at 0."""
    x = HALVES[HALVES != 0.0]
    wide = WIDE(x)
    assert np.max(np.abs(formulas.sine_ratio(x * x) / (np.sin(PI * wide) / wide) - 1)) < 7e-16
    assert formulas.sine_ratio([0.0])[0] == pytest.approx(math.pi, rel=3e-16)


def test_cosine_is_exact_to_rounding(formulas):
    """cos(pi x); the error is absolute, since the cosine is 0 at both ends."""
    ours = formulas.cosine(HALVES * HALVES)
    assert np.max(np.abs(ours - np.cos(PI * WIDE(HALVES)))) < 4e-16


def test_sphere_part_keeps_its_digits_where_the_difference_cancels(formulas):
    """(sin X - X cos X) / x^3 by its Taylor series, down to x = 0."""
    x = WIDE(np.concatenate([HALVES, 10.0 ** np.arange(-12.0, 0.0)]))
    x = x[np.abs(x) <= 0.5]
    series = np.zeros_like(x)
    for n in range(1, 16):
        term = 2 * n * (-1) ** (n + 1) / WIDE(math.factorial(2 * n + 1))
        series += term * PI ** (2 * n + 1) * x ** (2 * n - 2)
    assert np.max(np.abs(formulas.sphere_part(np.float64(x) ** 2) / series - 1)) < 1e-15


def test_sine_squared(formulas):
    """sin^2(pi x), relative."""
    x = HALVES[HALVES != 0.0]
    assert np.max(np.abs(formulas.sine_squared(x) / np.sin(PI * WIDE(x)) ** 2 - 1)) < 2e-15


@pytest.mark.parametrize(("low", "high", "bound"), [(-1, 1, 5e-16), (-700, 600, 9e-14)])
def test_exponential(formulas, low, high, bound):
    """exp(x) near 0 and over most of the range of its results."""
    x = np.linspace(low, high, 3001)
    assert np.max(np.abs(formulas.exponential(x) / np.exp(WIDE(x)) - 1)) < bound


def test_exponential_at_its_ends(formulas):
    """Exactly 1 at 0, exactly 0 far below it, infinite far above; not a number stays one."""
    x = [0.0, -0.0, -800.0, -1e300, -math.inf, 690.0, 1e4, 1e300, math.inf]
    expected = [1.0, 1.0, 0.0, 0.0, 0.0, math.inf, math.inf, math.inf, math.inf]
    assert formulas.exponential(x).tolist() == expected
    assert math.isnan(formulas.exponential([math.nan])[0])


def test_power_of_two_is_exact_for_whole_numbers(formulas):
    """2^k for every k whose power is normal, and 0 from where it says."""
    powers = np.arange(-1019.0, 1001.0)
    assert np.array_equal(formulas.power_of_two(powers), 2.0**powers)
    assert formulas.power_of_two([-1020.0, -1020.5, -1e308, -math.inf]).tolist() == [0.0] * 4


def test_power_of_two_in_between(formulas):
    """Relative error of any exponent."""
    x = np.random.default_rng(1).uniform(-1019.0, 1000.0, 20000)
    assert np.max(np.abs(formulas.power_of_two(x) / np.exp2(WIDE(x)) - 1)) < 4e-16


def test_sine_and_cosine_of_a_few_turns(formulas):
    """The error grows with the angle, as its product with 1 / pi is rounded."""
    x = np.concatenate([np.linspace(-20.0, 20.0, 4001), math.pi / 2 * np.arange(-9, 10)])
    bound = 3e-16 * (1.0 + np.abs(x))
    assert np.all(np.abs(formulas.sine(x) - np.sin(WIDE(x))) < bound)
    assert np.all(np.abs(formulas.cosine_of(x) - np.cos(WIDE(x))) < bound)
    assert formulas.sine([0.0])[0] == 0.0
    assert formulas.cosine_of([0.0])[0] == 1.0


def test_polarization_needs_no_angle(formulas):
    """The algebraic form equals the one with psi = -atan2(b, e), both components 0 included."""
    for e, b in [(0.3, 0.4), (-0.2, 0.9), (0.0, 0.5), (0.7, 0.0), (0.0, 0.0)]:
        psi = -math.atan2(b, e)
        for c in (0.6, -0.99, 1.0, 0.0):
            for kahn in (0.8, 0.0, -1.0):
                part = kahn * math.cos(2 * psi) * (1 - c * c)
                expected = 0.5 * (1 + c * c - part)
                ours = formulas.number("polarization", c, e, b, kahn)
                assert ours == pytest.approx(expected, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("layer", [0, 1, 7, 100])
@pytest.mark.parametrize("depth", [0.0, 1e-9, 0.02, 1.0, 30.0])
def test_captured_share(formulas, layer, depth):
    """The difference of two exponentials, also along the sensor."""
    for rho in (1.0, 0.3, 1e-3):
        one = WIDE(depth) / WIDE(rho)
        expected = np.exp(-layer * one) - np.exp(-(layer + 1) * one)
        ours = formulas.number("captured", layer, depth, rho)
        size = max(1.0, float((layer + 1) * one)) * float(np.exp(-layer * one))
        assert abs(ours - expected) < 1e-15 * size + 1e-300
    along = formulas.number("captured", layer, 0.5, 0.0)
    assert along == (1.0 if layer == 0 else 0.0)


def test_cubic_weights_are_those_of_lagrange(formulas):
    """Exact products of fractions, at places of either sign; together they are 1."""
    places = (-1, 0, 1, 2)
    for index in (0.0, 0.25, 0.7, 0.9999, -0.3, -12.6, 31.125, 5.0):
        t = Fraction(index) - math.floor(index)
        expected = [
            math.prod(((t - n) / Fraction(m - n) for n in places if n != m), start=Fraction(1))
            for m in places
        ]
        ours = formulas.fill("cubic_weights", index, count=4)
        assert np.allclose(ours, [float(x) for x in expected], rtol=1e-15, atol=1e-17)
        assert sum(ours) == pytest.approx(1.0, abs=4e-16)


def test_halves_go_down(formulas):
    """The nearest whole index is ceil(x - 1/2)."""
    x = [0.5, -0.5, 1.5, -1.5, 2.0, -2.0, 0.49, 0.51, -7.51]
    assert formulas.nearest(x).tolist() == [0.0, -1.0, 1.0, -2.0, 2.0, -2.0, 0.0, 1.0, -8.0]


def test_grating_of_any_cells(formulas):
    """The squared product of three quotients; near and at whole indices, and at the zeros."""
    random = np.random.default_rng(4)
    for cells in ((5, 1, 2), (1000, 36, 47), (70000, 1, 1)):
        for _ in range(200):
            away = random.choice([1.0, 1e-3, 1e-9], 3) * random.uniform(-0.5, 0.5, 3)
            wide = WIDE(1.0)
            for n, x in zip(cells, away, strict=True):
                many = n * WIDE(x)
                wide *= np.sin(PI * (many - np.rint(many))) / np.sin(PI * WIDE(x))
            ours = formulas.fill("grating", np.array(cells, dtype=float), away)[0]
            height = float(np.prod(cells)) ** 2
            assert abs(ours - wide**2) <= 1e-13 * float(wide**2) + 1e-25 * height
    peak = formulas.fill("grating", np.array([5.0, 7.0, 9.0]), np.zeros(3))[0]
    assert peak == pytest.approx((5 * 7 * 9) ** 2, rel=1e-14)
    # x = 1/4 and 4 cells: exactly between two peaks, which is told beside a value of nearly 0.
    zero = np.array([0.25, 0.1, 0.2])
    found = formulas.fill("grating", np.array([4.0, 1.0, 1.0]), zero, count=2)
    assert found[0] < 1e-190
    assert found[1] == 1.0
    assert formulas.fill("grating", np.array([4.0, 1.0, 1.0]), zero + 1e-9, count=2)[1] == 0.0


def test_sphere_of_any_cells(formulas):
    """(sin X - X cos X)^2 / x^6, through the centre, and far out."""
    random = np.random.default_rng(4)
    for _ in range(300):
        away = random.choice([1.0, 1e-2, 1e-5], 3) * random.uniform(-0.5, 0.5, 3)
        x = np.sqrt(WIDE(1.3) * np.sum((WIDE(away) * np.array([7, 8, 90])) ** 2))
        if x < 0.02:
            part = PI**3 * (WIDE(1) / 3 - (PI * x) ** 2 / 30 + (PI * x) ** 4 / 840)
            bound = 1e-9 * float(part) if x > 0.005 else 1e-12 * float(part)
        else:
            part = (np.sin(PI * x) - PI * x * np.cos(PI * x)) / x**3
            bound = 1e-15 * (1 + float(x)) / float(x) ** 2 + 1e-13 * abs(float(part))
        ours = formulas.fill("sphere", np.array([7.0, 8.0, 90.0]), 1.3, away)[0]
        assert abs(math.sqrt(ours) - abs(part)) <= bound
    centre = formulas.fill("sphere", np.ones(3), 1.0, np.zeros(3))[0]
    assert centre == pytest.approx((math.pi**3 / 3) ** 2, rel=1e-14)


def test_rotation_is_right_handed(formulas):
    """About z, x goes to y; about any axis as Rodrigues has it."""
    turned = formulas.fill("rotation", np.array([0.0, 0, 1]), math.pi / 2, np.array([1.0, 0, 0]),
                           count=3)  # fmt: skip
    assert np.allclose(turned, [0, 1, 0], atol=4e-16)
    axis, v = np.array([0.6, 0.0, 0.8]), np.array([0.3, -2.0, 0.5])
    for angle in (0.1, -1.2, 3.0):
        expected = (
            v * math.cos(angle)
            + np.cross(axis, v) * math.sin(angle)
            + axis * (axis @ v) * (1 - math.cos(angle))
        )
        assert np.allclose(formulas.fill("rotation", axis, angle, v, count=3), expected, atol=3e-15)


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
