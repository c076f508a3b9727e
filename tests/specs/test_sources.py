"""specs/sources.md."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nbdask.experiment import SourcePoint, Sources, Spread
from nbdask.experiment.spectrum import Spectrum
from nbdask.geometry.source_grid import build_sources, settle_spread
from nbdask.geometry.vectors import unit
from tests.specs.support import experiment, pixels

X, Z = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
WAVE = 1.1e-10


@pytest.mark.parametrize(
    ("count", "width", "step", "expected"),
    [
        (None, None, None, (1, 0.0, 0.0)),
        (None, None, 0.0, (1, 0.0, 0.0)),
        (None, None, 0.01, (2, 0.01, 0.01)),
        (None, 0.03, None, (2, 0.03, 0.03)),
        (None, 0.03, 0.0, (2, 0.03, 0.03)),
        (None, 0.03, 0.007, (5, 0.03, 0.007)),
        (4, None, None, (4, 1.0, 0.25)),
        (4, None, 0.01, (2, 0.01, 0.01)),
        (4, 0.03, None, (4, 0.03, 0.01)),
        (1, 0.03, None, (2, 0.03, 0.03)),
        (4, 0.03, 0.02, (4, 0.03, 0.02)),
        (4, 0.0, None, (1, 0.0, 0.0)),
        (None, 0.0, 0.01, (1, 0.0, 0.0)),
    ],
)
def test_settling_of_ranges(count, width, step, expected: tuple) -> None:
    """Each row of the table, and the collapse to one point."""
    assert settle_spread(Spread(width, step, count)) == pytest.approx(expected)


def test_dispersion_without_range_has_range_zero() -> None:
    """A number of wavelengths alone spreads nothing."""
    found = build_sources(Sources(dispersion=Spread(count=5)), WAVE, X, Z)
    assert found.wavelength.tolist() == [WAVE]


def test_order_and_places() -> None:
    """Horizontal outermost, vertical, wavelengths innermost; each at its angle."""
    sources = Sources(
        horizontal=Spread(0.02, None, 2),
        vertical=Spread(0.04, None, 2),
        dispersion=Spread(0.1, None, 3),
        round=False,
    )
    found = build_sources(sources, WAVE, X, Z)
    assert found.wavelength == pytest.approx(WAVE * np.tile([0.95, 1.0, 1.05], 4))
    # Photons come from -x: turning the source by v about +z moves it to -y for v > 0.
    v = np.repeat([-0.02, 0.02, -0.02, 0.02], 3)
    np.testing.assert_allclose(found.incident[:, 1] / found.incident[:, 0], np.tan(v), atol=1e-4)
    h = np.repeat([-0.01, -0.01, 0.01, 0.01], 3)
    # Then by h about unit(x cross z) = -y: from -x towards -z for h > 0.
    signs = np.sign(found.incident[:, 2])
    np.testing.assert_array_equal(signs, -np.sign(h) * -np.sign(np.cross(X, Z)[1]) * -1)
    np.testing.assert_allclose(np.abs(found.incident[:, 2]), np.sin(0.01), rtol=1e-3)


def test_round_grid_cuts_the_corners() -> None:
    """A 5 x 5 grid keeps the points inside the ellipse, a square one keeps all."""
    grid: dict[str, Any] = {"horizontal": Spread(0.02, None, 5), "vertical": Spread(0.04, None, 5)}
    square = build_sources(Sources(**grid, round=False), WAVE, X, Z)
    assert len(square.wavelength) == 25
    points = [(i - 2) ** 2 + (j - 2) ** 2 for i in range(5) for j in range(5)]
    # 4 ((x/w)^2 + (y/w)^2) = (i^2 + j^2) / 4 of at most 1.1
    inside = sum(p / 4 <= 1.1 for p in points)
    assert len(build_sources(Sources(**grid), WAVE, X, Z).wavelength) == inside


def test_round_grid_of_even_counts() -> None:
    """Even counts have no point on the axes; a quarter step is allowed for."""
    grid: dict[str, Any] = {"horizontal": Spread(0.03, None, 4), "vertical": Spread(0.03, None, 4)}
    squares = [(i - 1.5) ** 2 - 0.25 + (j - 1.5) ** 2 - 0.25 for i in range(4) for j in range(4)]
    inside = sum(4 * s / 9 <= 1.1 for s in squares)
    assert 0 < inside < 16
    assert len(build_sources(Sources(**grid), WAVE, X, Z).wavelength) == inside


def test_one_dimensional_divergence_is_never_cut() -> None:
    """Round or square, a line of sources is complete."""
    found = build_sources(Sources(vertical=Spread(0.03, None, 7)), WAVE, X, Z)
    assert len(found.wavelength) == 7


def test_spectrum_takes_the_place_of_dispersion() -> None:
    """Each direction has all wavelengths; weights have a mean of 1; tables follow them."""
    spectrum = Spectrum((1.2e-10, 1.0e-10), (1.0, 3.0))
    spread = Spread(0.02, None, 3)
    found = build_sources(Sources(vertical=spread, spectrum=spectrum), WAVE, X, Z)
    assert found.wavelength.tolist() == [1.2e-10, 1.0e-10] * 3
    assert found.weight.tolist() == [0.5, 1.5] * 3
    assert found.f_table.tolist() == [0, 1] * 3
    np.testing.assert_array_equal(found.incident[0], found.incident[1])
    assert build_sources(Sources(dispersion=spread), WAVE, X, Z).f_table.tolist() == [0, 0, 0]


def test_source_list_switches_the_grid_off() -> None:
    """Directions, wavelengths and defaults of an explicit list."""
    points = (
        SourcePoint(-3.0, 0.3, 0.1, 2.0, 1.2e-10),
        SourcePoint(-1.0),
        SourcePoint(),
    )
    spread = Spread(0.02, None, 3)
    found = build_sources(Sources(points=points, horizontal=spread, dispersion=spread), WAVE, X, Z)
    np.testing.assert_allclose(found.incident[0], unit(np.array([3.0, -0.3, -0.1])), atol=1e-15)
    np.testing.assert_allclose(found.incident[1:], [X, X], atol=1e-15)
    assert found.wavelength.tolist() == [1.2e-10, WAVE, WAVE]


def test_weights_are_ignored_unless_applied() -> None:
    """Applied weights have a mean of 1, so that equal ones change nothing."""
    points = (SourcePoint(-1.0, weight=1.0), SourcePoint(-1.0, 0.02, weight=3.0))
    assert build_sources(Sources(points=points), WAVE, X, Z).weight.tolist() == [1.0, 1.0]
    applied = build_sources(Sources(points=points, weights="apply"), WAVE, X, Z)
    assert applied.weight.tolist() == [0.5, 1.5]


def test_weighted_image_is_the_weighted_mean() -> None:
    """Weights 1 and 3 give a quarter of one source's image and three quarters of the other's."""
    first = SourcePoint(-1.0, 0.0, 0.0, 1.0)
    second = SourcePoint(-1.0, 0.02, 0.0, 3.0)
    both = pixels(experiment(sources=Sources(points=(first, second), weights="apply")))
    single = [pixels(experiment(sources=Sources(points=(p,)))) for p in (first, second)]
    polarized_once = both / (0.25 * single[0] + 0.75 * single[1])
    # Both terms take the first source's polarization factor: 20 mrad change it by a few percent.
    np.testing.assert_allclose(polarized_once, 1.0, rtol=0.05)


def test_field_directions() -> None:
    """B = unit(polarization x incident), E = unit(incident x B), for every source."""
    found = build_sources(Sources(vertical=Spread(0.4, None, 3)), WAVE, X, Z)
    for ray, e, b in zip(found.incident, found.polar_e, found.polar_b, strict=True):
        np.testing.assert_allclose(b, unit(np.cross(Z, ray)), atol=1e-15)
        np.testing.assert_allclose(e, unit(np.cross(ray, b)), atol=1e-15)
        assert math.isclose(float(e @ Z), 1.0, rel_tol=1e-12)
