"""Laws of rotation series and sources: what is settled, in which order, about which middle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import FieldError
from nbdask.experiment import Scan, SourcePoint, Sources, Spread
from nbdask.geometry.rotation import (
    MAX_STEPS,
    carried_angles,
    check_table,
    orientation_table,
    phi_angles,
    settle_scan,
)
from nbdask.geometry.source_grid import SourceTable, build_sources, settle_spread
from nbdask.geometry.vectors import dot, rotate_about

X, Z = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
WAVE = 1.2e-10
positive = st.floats(1e-4, 10.0)
maybe = st.none() | positive
quick = settings(max_examples=20, deadline=None)


def built(sources: Sources) -> SourceTable:
    """Return the sources of a beam along x, polarized along z."""
    return build_sources(sources, WAVE, X, Z)


#: Ranges and steps; none so small that a quotient of two vanishes.
WIDTHS = st.just(0.0) | st.floats(1e-9, 5)


@given(maybe, maybe, st.none() | st.integers(0, 200))
@quick
def test_a_series_is_settled_for_whatever_is_given(
    osc: float | None, step: float | None, count: int | None
) -> None:
    """At least one step, at phi0 and then evenly; settling it again changes nothing."""
    scan = Scan(phi0=0.3, osc=osc, step=step, count=count)
    number, width, each = settle_scan(scan)
    assert number >= 1
    assert settle_scan(Scan(osc=width, step=each, count=number)) == (number, width, each)
    phi = phi_angles(scan)
    assert phi.shape == (number,)
    assert phi[0] == 0.3
    np.testing.assert_allclose(np.diff(phi), each, rtol=1e-12, atol=1e-13 * max(1.0, phi[-1]))
    if osc is not None and step is None:
        assert each * number == pytest.approx(osc)
    if osc is not None and step is not None and count is None:
        assert (number - 1) * step < osc <= number * step * (1 + 1e-12)


def test_the_greatest_number_of_steps() -> None:
    """A million steps are a series; more are refused with the limit, and so is a range of 0."""
    assert settle_scan(Scan(osc=1.0, step=1.0 / MAX_STEPS))[0] == MAX_STEPS
    with pytest.raises(FieldError) as caught:
        settle_scan(Scan(osc=1.0, step=0.99 / MAX_STEPS))
    assert caught.value.field == "scan.step"
    assert caught.value.allowed == "large enough for at most 1000000 steps"
    with pytest.raises(FieldError, match=r"scan\.osc = 0\.0: must be above 0 when a step is given"):
        settle_scan(Scan(osc=0.0, step=0.1))


@pytest.mark.parametrize(
    ("steps", "domains", "told"),
    [(10**6, 120, "8 GiB, not 8 GiB"), (10**6, 10**6, "8 GiB, not 67055 GiB")],
)
def test_a_table_that_no_memory_holds_is_refused(steps: int, domains: int, told: str) -> None:
    """By the product of steps and domains, with both numbers."""
    check_table(10**6, 119)
    with pytest.raises(FieldError) as caught:
        check_table(steps, domains)
    assert caught.value.field == "scan.count"
    assert caught.value.given == f"{steps} rotation steps x {domains} mosaic domains"
    assert caught.value.allowed == f"few enough for a table of {told}"


@given(st.lists(st.sampled_from([0.0, -0.0, 0.5, -1.0, 2.0]), min_size=1, max_size=12))
@quick
def test_a_carried_angle_is_the_last_that_was_not_zero(angles: list) -> None:
    """Going round: what comes before the first is the last; nothing else changes."""
    phi = np.array(angles)
    carried = carried_angles(phi)
    for place, angle in enumerate(angles):
        before = [a for a in angles[place + 1 :] + angles[: place + 1] if a != 0.0]
        assert carried[place] == (before[-1] if before else angle)
    assert np.array_equal(carried_angles(carried), carried)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
@quick
def test_every_orientation_is_a_rotated_crystal(steps: int, domains: int, seed: int) -> None:
    """Phi outermost; lengths, angles and handedness of the axes stay in all of them."""
    random = np.random.default_rng(seed)
    axes = random.normal(size=(3, 3))
    phi = random.uniform(-3, 3, steps)
    turns = np.array([rotate_about(np.eye(3), X, a) for a in random.uniform(-1, 1, domains)])
    table = orientation_table(axes, Z, phi, turns)
    assert table.shape == (steps * domains, 3, 3)
    assert table.flags.c_contiguous
    for number, turned in enumerate(table):
        np.testing.assert_allclose(turned @ turned.T, axes @ axes.T, atol=1e-12)
        assert np.linalg.det(turned) == pytest.approx(np.linalg.det(axes), rel=1e-9)
        step, domain = divmod(number, domains)
        expected = rotate_about(axes, Z, float(phi[step])) @ turns[domain].T
        np.testing.assert_allclose(turned, expected, atol=1e-13)
    alone = orientation_table(axes, Z, phi, None)
    assert alone.shape == (steps, 3, 3)
    np.testing.assert_allclose(orientation_table(axes, Z, phi, np.eye(3)[None]), alone)


@given(st.none() | WIDTHS, st.none() | WIDTHS, st.none() | st.integers(1, 30))
@quick
def test_a_spread_is_settled_for_whatever_is_given(
    width: float | None, step: float | None, count: int | None
) -> None:
    """One point without range and step, or a count, a range and a step that are above 0."""
    if width and step and width / step > 1e6:
        return
    number, settled, each = settle_spread(Spread(width, step, count))
    if number == 1 and settled == 0.0:
        assert each == 0.0
    else:
        assert number >= 1
        assert settled > 0.0
        assert each > 0.0
        assert settle_spread(Spread(settled, each, number)) == (number, settled, each)
    if width and step and count is None:
        assert (number, settled, each) == (math.ceil(width / step), width, step)


@given(
    st.floats(1e-4, 0.2),
    st.integers(2, 7),
    st.booleans(),
    st.floats(0.0, 0.2, allow_subnormal=False),
)
@settings(max_examples=12, deadline=None)
def test_a_square_or_round_grid_surrounds_the_beam(
    width: float, count: int, round_: bool, spectrum: float
) -> None:
    """Points mirrored through the beam; the round grid is a part of the square one."""
    spread, waves = Spread(width, None, count), Spread(spectrum, None, 2)
    square = built(Sources(spread, spread, waves, round=False))
    n_waves = 2 if spectrum else 1
    assert len(square.wavelength) == count * count * n_waves
    table = built(Sources(spread, spread, waves, round=round_))
    mean = table.incident.mean(axis=0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), X, atol=1e-12)
    assert table.wavelength.mean() == pytest.approx(WAVE)
    assert {tuple(row) for row in table.incident} <= {tuple(row) for row in square.incident}
    np.testing.assert_allclose(np.linalg.norm(table.incident, axis=1), 1.0, rtol=1e-14)


@given(st.floats(0.001, 0.4), st.integers(2, 9))
@quick
def test_the_ends_of_a_range_are_sources(width: float, count: int) -> None:
    """Without a step the first and the last point are half a range from the beam."""
    for name, across in (("horizontal", 1), ("vertical", 1)):
        table = built(Sources(**{name: Spread(width, None, count)}))
        if name == "horizontal":
            across = 2
        angles = np.arctan2(table.incident[:, across], table.incident[:, 0])
        assert np.ptp(angles) == pytest.approx(width)
        assert np.abs(angles).max() == pytest.approx(width / 2)


def test_directions_of_divergence() -> None:
    """Horizontal turns about beam x polarization, vertical about the polarization."""
    horizontal = built(Sources(horizontal=Spread(0.1, None, 2))).incident
    vertical = built(Sources(vertical=Spread(0.1, None, 2))).incident
    assert np.abs(horizontal[:, 1]).max() < 1e-15
    assert np.abs(horizontal[:, 2]).min() > 0.04
    assert np.abs(vertical[:, 2]).max() < 1e-15
    assert np.abs(vertical[:, 1]).min() > 0.04


@given(
    st.lists(st.tuples(*[st.floats(-5.0, 5.0, allow_subnormal=False)] * 3), min_size=1, max_size=5)
)
@quick
def test_fields_of_every_source_are_orthonormal(places: list) -> None:
    """Photon direction, electric and magnetic field, unless polarized along the beam."""
    places = [p for p in places if np.hypot(p[0], p[1]) > 0.01] or [(1.0, 0.0, 0.0)]
    table = built(Sources(points=tuple(SourcePoint(*p) for p in places)))
    for place, v, e, b in zip(places, table.incident, table.polar_e, table.polar_b, strict=True):
        np.testing.assert_allclose(v, -np.array(place) / np.linalg.norm(place), atol=1e-14)
        frame = np.array([v, e, b])
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
        assert dot(b, Z) == pytest.approx(0.0, abs=1e-12)


@given(
    st.floats(0.01, 1e6),
    st.lists(st.floats(0.0, 100.0, allow_subnormal=False), min_size=2, max_size=5),
)
@quick
def test_only_directions_and_ratios_of_weights_count(scale: float, weights: list) -> None:
    """Places and weights in other units give the same sources."""
    if sum(weights) < 1e-3:
        weights[0] = 1.0

    def listed(place: float, weight: float, use: str) -> SourceTable:
        points = tuple(
            SourcePoint(-10 * place, n * place, 1.0 * place, weight=w * weight)
            for n, w in enumerate(weights)
        )
        return built(Sources(points=points, weights=use))

    one, other = listed(1.0, 1.0, "apply"), listed(scale, scale, "apply")
    np.testing.assert_allclose(other.incident, one.incident, atol=1e-14)
    np.testing.assert_allclose(other.weight, one.weight, rtol=1e-9)
    assert one.weight.mean() == pytest.approx(1.0)
    assert listed(1.0, 1.0, "ignore").weight.tolist() == [1.0] * len(weights)


def test_missing_components_are_those_of_a_source_far_upstream() -> None:
    """All of them missing: the beam itself, with its wavelength."""
    table = built(
        Sources(points=(SourcePoint(), SourcePoint(y=10.0), SourcePoint(wavelength=1e-9)))
    )
    half = math.sqrt(0.5)
    np.testing.assert_allclose(table.incident, [X, [half, -half, 0.0], X], atol=1e-15)
    assert table.wavelength.tolist() == [WAVE, WAVE, 1e-9]


def test_a_round_grid_without_a_point_is_refused() -> None:
    """The message says how many steps were asked for, and the flags that help."""
    lone: dict[str, Any] = {"horizontal": Spread(count=1), "vertical": Spread(count=1)}
    with pytest.raises(FieldError) as caught:
        built(Sources(**lone))
    assert caught.value.field == "sources"
    assert str(caught.value) == (
        "sources = '1 x 1 divergence steps': must be a grid of which at least one point lies inside"
        " the ellipse of round divergence: give ranges (-hdivrange, -vdivrange) or -square_div"
    )
    assert len(built(Sources(**lone, round=False)).wavelength) == 1
