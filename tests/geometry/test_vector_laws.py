"""Laws of vectors and rotations, of the generator of random numbers, and of mosaic domains."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.geometry.lcg import MinimalStandard
from nbdask.geometry.mosaic import cap_rotation, mosaic_rotations, random_misset
from nbdask.geometry.vectors import array, cross, dot, length, rotate_about, rotate_xyz, unit

component = st.floats(-100.0, 100.0, allow_subnormal=False).map(
    lambda x: x if abs(x) > 1e-9 else 0.0
)
vectors = st.tuples(component, component, component).map(array)
directions = vectors.filter(lambda v: length(v) > 1e-3).map(unit)
angles = st.floats(-7.0, 7.0, allow_subnormal=False)
seeds = st.integers(1, 2**31 - 2)
quick = settings(max_examples=12, deadline=None)


def close(a: np.ndarray, b: np.ndarray, size: float = 1e4) -> None:
    """Assert that two vectors are equal to rounding."""
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13 * size)


@given(vectors, vectors, vectors)
@quick
def test_products_are_those_of_space(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """Orthogonal, antisymmetric, with Lagrange's and Jacobi's identities."""
    assert dot(a, b) == dot(b, a)
    close(cross(a, b), -cross(b, a))
    assert dot(cross(a, b), a) == pytest.approx(0.0, abs=1e-8)
    close(cross(a, cross(b, c)), b * dot(a, c) - c * dot(a, b), 1e6)
    jacobi = cross(a, cross(b, c)) + cross(b, cross(c, a)) + cross(c, cross(a, b))
    close(jacobi, np.zeros(3), 1e6)
    squares = dot(a, b) ** 2 + length(cross(a, b)) ** 2
    assert squares == pytest.approx((length(a) * length(b)) ** 2, rel=1e-9, abs=1e-9)


@given(vectors, st.floats(1e-3, 1e3))
@quick
def test_lengths_scale_and_units_do_not(v: np.ndarray, factor: float) -> None:
    """A unit vector has length 1, or 0 for the zero vector, whatever the length was."""
    assert length(v * factor) == pytest.approx(length(v) * factor, rel=1e-12, abs=1e-300)
    if length(v) > 0.0:
        assert length(unit(v)) == pytest.approx(1.0, rel=1e-14)
        close(unit(v * factor), unit(v), 1.0)


@given(vectors, vectors, directions, angles)
@quick
def test_a_rotation_keeps_products(
    a: np.ndarray, b: np.ndarray, axis: np.ndarray, angle: float
) -> None:
    """Scalar products stay, vector products turn along; the axis itself stays."""
    turned = [rotate_about(v, axis, angle) for v in (a, b)]
    assert dot(*turned) == pytest.approx(dot(a, b), rel=1e-9, abs=1e-9)
    close(cross(*turned), rotate_about(cross(a, b), axis, angle), 1e5)
    close(rotate_about(axis, axis, angle), axis, 1.0)


@given(vectors, directions, angles, angles)
@quick
def test_angles_about_one_axis_add(
    v: np.ndarray, axis: np.ndarray, one: float, other: float
) -> None:
    """Also when one is taken back, or is a whole turn; the opposite axis turns back."""
    close(rotate_about(rotate_about(v, axis, one), axis, other), rotate_about(v, axis, one + other))
    close(rotate_about(rotate_about(v, axis, one), axis, -one), v)
    close(rotate_about(v, axis, one + 2 * math.pi), rotate_about(v, axis, one))
    close(rotate_about(v, -axis, one), rotate_about(v, axis, -one))


@given(vectors, st.tuples(angles, angles, angles))
@quick
def test_three_lab_rotations_are_three_rotations_about_axes(v: np.ndarray, turn: tuple) -> None:
    """About x, y and z in this order; undone in the opposite one."""
    steps = v
    for axis, angle in zip(np.eye(3), turn, strict=True):
        steps = rotate_about(steps, axis, angle)
    close(rotate_xyz(v, *turn), steps)
    for axis, angle in reversed(list(zip(np.eye(3), turn, strict=True))):
        steps = rotate_about(steps, axis, -angle)
    close(steps, v)


@given(st.lists(vectors, min_size=1, max_size=4), directions, angles)
@quick
def test_many_vectors_turn_as_one(many: list, axis: np.ndarray, angle: float) -> None:
    """Rows of a table turn each by itself, to the bit."""
    table = rotate_about(np.array(many), axis, angle)
    for row, v in zip(table, many, strict=True):
        assert np.array_equal(row, rotate_about(v, axis, angle))


def test_arrays_are_copies() -> None:
    """What is made of given numbers does not change with them."""
    given_numbers = np.array([1.0, 2.0, 3.0])
    made = array(given_numbers)
    given_numbers[0] = 9.0
    assert made.tolist() == [1.0, 2.0, 3.0]
    assert array((1, 2, 3)).dtype == np.float64


@given(seeds)
@quick
def test_a_stream_is_its_seed(seed: int) -> None:
    """The same seed, the same deviates and inner numbers; the next seed, others."""
    one, same, other = MinimalStandard(seed), MinimalStandard(seed), MinimalStandard(seed + 1)
    deviates = [one.uniform() for _ in range(5)]
    assert deviates == [same.uniform() for _ in range(5)]
    assert (one.state, one.last, one.table) == (same.state, same.last, same.table)
    assert deviates != [other.uniform() for _ in range(5)]


@given(seeds, st.integers(0, 50))
@quick
def test_inner_numbers_are_seen_and_stay_within_the_generator(seed: int, draws: int) -> None:
    """Every number is that of the multiplicative generator, and the last one is the deviate."""
    stream = MinimalStandard(seed)
    value = np.float32(0.0)
    for _ in range(draws):
        before = stream.state
        value = stream.uniform()
        assert stream.state == before * 16807 % (2**31 - 1)
        assert stream.state in stream.table
    assert len(stream.table) == 32
    assert all(0 < number < 2**31 - 1 for number in (*stream.table, stream.state, stream.last))
    if draws:
        assert float(value) == pytest.approx(stream.last / (2**31 - 1), rel=1e-6)


def test_a_restart_by_a_seed_is_a_new_stream() -> None:
    """Whatever was drawn before; 0 acts as 1."""
    used = MinimalStandard(99)
    for _ in range(7):
        used.uniform()
    used.restart(5)
    fresh = MinimalStandard(5)
    assert [used.uniform() for _ in range(40)] == [fresh.uniform() for _ in range(40)]
    used.restart(0)
    assert used.uniform() == MinimalStandard(1).uniform()


def test_a_negative_restart_keeps_the_table() -> None:
    """Only the state changes: the next deviate is one that waited in the table."""
    used = MinimalStandard(99)
    for _ in range(7):
        used.uniform()
    table, last = used.table, used.last
    used.restart(-12345)
    assert (used.table, used.last, used.state) == (table, last, 12345)
    waiting = table[last // (1 + (2**31 - 2) // 32)]
    assert float(used.uniform()) == pytest.approx(waiting / (2**31 - 1), rel=1e-6)


def test_deviates_fill_the_unit_interval_evenly() -> None:
    """Mean, variance and the share below a third of 20000 deviates, and no drift between halves."""
    stream = MinimalStandard(2024)
    values = np.array([stream.uniform() for _ in range(20000)], dtype=np.float64)
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.var() == pytest.approx(1 / 12, abs=0.003)
    assert (values < 1 / 3).mean() == pytest.approx(1 / 3, abs=0.015)
    assert np.corrcoef(values[:-1], values[1:])[0, 1] == pytest.approx(0.0, abs=0.03)


@given(seeds, st.floats(1e-4, 0.5))
@quick
def test_the_spread_scales_the_angles_of_the_same_axes(seed: int, spread: float) -> None:
    """One seed gives one set of axes; angles are proportional to the spread."""
    wide = cap_rotation(spread, MinimalStandard(seed))
    narrow = cap_rotation(spread / 2, MinimalStandard(seed))
    close(wide @ wide.T, np.eye(3), 1.0)
    assert np.linalg.det(wide) == pytest.approx(1.0)
    np.testing.assert_allclose(narrow @ narrow, wide, atol=1e-6 * spread)


def test_domains_spread_evenly_about_the_crystal() -> None:
    """Their mean axis vanishes, and the angles fill the cap: half within 0.8 of the spread."""
    spread = 0.01
    domains = mosaic_rotations(spread, 2000, 4)
    axial = np.array([[u[2, 1] - u[1, 2], u[0, 2] - u[2, 0], u[1, 0] - u[0, 1]] for u in domains])
    turned = np.linalg.norm(axial, axis=1) / 2
    assert turned.max() <= spread * (1 + 1e-5)
    assert np.abs(axial.mean(axis=0) / 2).max() < 0.05 * spread
    # 1 - r^2 with r even in -1..1: a share of sqrt(1 - 0.8^3) lies above 0.8 of the spread.
    assert (turned > 0.8 * spread).mean() == pytest.approx(math.sqrt(1 - 0.8**3), abs=0.05)


@given(st.integers(-(2**31), 2**31))
@quick
def test_a_random_misset_is_the_rotation_of_its_three_angles(seed: int) -> None:
    """Applied about x, y and z they are the domain's rotation by 90 radians, for any seed."""
    turn = random_misset(seed)
    expected = cap_rotation(90.0, MinimalStandard(seed))
    rebuilt = np.array([rotate_xyz(v, *turn) for v in np.eye(3)]).T
    np.testing.assert_allclose(rebuilt, expected, atol=1e-12)
    assert abs(turn[0]) <= math.pi
    assert abs(turn[1]) <= math.pi / 2
    assert abs(turn[2]) <= math.pi
