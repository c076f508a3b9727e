"""Sampled ranges, the divergence grid, source lists, weights."""

import math

import numpy as np
import pytest

from nbdask.experiment import SourcePoint, Sources, Spread
from nbdask.geometry.source_grid import build_sources, settle_spread

BEAM, POLAR = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        (Spread(), (1, 0.0, 0.0)),
        (Spread(step=0.2), (2, 0.2, 0.2)),
        (Spread(range=0.4), (2, 0.4, 0.4)),
        (Spread(range=0.4, step=0.15), (3, 0.4, 0.15)),
        (Spread(count=4), (4, 1.0, 0.25)),
        (Spread(step=0.2, count=7), (2, 0.2, 0.2)),
        (Spread(range=0.4, count=5), (5, 0.4, 0.1)),
        (Spread(range=0.4, count=1), (2, 0.4, 0.4)),
        (Spread(range=0.4, step=0.3, count=5), (5, 0.4, 0.3)),
        (Spread(range=0.0, count=5), (1, 0.0, 0.0)),
    ],
)
def test_what_prevails_of_range_step_and_count(
    spread: Spread, expected: tuple[int, float, float]
) -> None:
    """Every combination of given and not given."""
    assert settle_spread(spread) == pytest.approx(expected)


def test_one_source_along_the_beam_by_default() -> None:
    """No divergence, no dispersion: the beam itself."""
    table = build_sources(Sources(), 1e-10, BEAM, POLAR)
    assert np.allclose(table.incident, [BEAM])
    assert table.wavelength == pytest.approx([1e-10])
    assert np.allclose(table.polar_e, [POLAR])


def test_grid_order_and_angles() -> None:
    """Horizontal outermost, wavelength innermost; angles symmetric about the beam."""
    sources = Sources(
        horizontal=Spread(range=0.02, count=2),
        vertical=Spread(range=0.01, count=2),
        dispersion=Spread(range=0.1, count=2),
        round=False,
    )
    table = build_sources(sources, 1e-10, BEAM, POLAR)
    assert table.wavelength[:3] == pytest.approx([0.95e-10, 1.05e-10, 0.95e-10])
    assert np.allclose(table.incident[0], table.incident[1])
    vertical = np.arctan2(table.incident[::2, 1], table.incident[::2, 0])
    assert vertical == pytest.approx([-0.005, 0.005, -0.005, 0.005], rel=1e-3)
    assert np.allclose(table.incident.mean(axis=0)[1:], 0, atol=1e-12)


def test_round_divergence_drops_the_corners() -> None:
    """A 5 x 5 grid loses its corners, a square one does not."""
    spread = Spread(range=0.01, count=5)
    full = Sources(horizontal=spread, vertical=spread, round=False)
    cut = Sources(horizontal=spread, vertical=spread)
    assert len(build_sources(full, 1e-10, BEAM, POLAR).wavelength) == 25
    assert len(build_sources(cut, 1e-10, BEAM, POLAR).wavelength) == 13


def test_source_list_takes_defaults_and_switches_the_grid_off() -> None:
    """Missing columns: the far beam position, weight 1, the beam's wavelength."""
    points = (SourcePoint(-10.0, 1.0), SourcePoint(0.0, -3.0, 4.0, 0.5, 2e-10))
    table = build_sources(Sources(Spread(range=0.1), points=points), 1e-10, BEAM, POLAR)
    assert np.allclose(table.incident[0], np.array([10.0, -1.0, 0.0]) / math.sqrt(101.0))
    assert np.allclose(table.incident[1], [0.0, 0.6, -0.8])
    assert table.wavelength == pytest.approx([1e-10, 2e-10])


def test_weights_are_ignored_unless_applied_and_then_have_a_mean_of_one() -> None:
    """Equal weights change nothing, whatever their size."""
    points = (SourcePoint(-1.0, 0.0, 0.0, 3.0), SourcePoint(-1.0, 0.1, 0.0, 1.0))
    ignored = build_sources(Sources(points=points), 1e-10, BEAM, POLAR)
    applied = build_sources(Sources(points=points, weights="apply"), 1e-10, BEAM, POLAR)
    assert ignored.weight.tolist() == [1.0, 1.0]
    assert applied.weight.tolist() == [1.5, 0.5]
