"""Rotation series: counts and steps, the carry-over, the orientation table."""

import math

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Scan
from nbdask.geometry.rotation import carried_angles, orientation_table, phi_angles, settle_scan

DEGREE = math.radians(1)


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (Scan(), (1, 0.0, 0.0)),
        (Scan(step=0.2), (2, 0.2, 0.2)),
        (Scan(osc=0.4), (2, 0.4, 0.2)),
        (Scan(osc=0.4, step=0.15), (3, 0.4, 0.15)),
        (Scan(count=4), (4, DEGREE, DEGREE / 4)),
        (Scan(count=0), (1, DEGREE, DEGREE)),
        (Scan(count=7, step=0.2), (2, 0.2, 0.2)),
        (Scan(count=5, osc=0.4), (5, 0.4, 0.08)),
        (Scan(count=5, osc=0.4, step=0.3), (5, 0.4, 0.3)),
    ],
)
def test_what_prevails_of_range_step_and_count(
    scan: Scan, expected: tuple[int, float, float]
) -> None:
    """Every combination of given and not given."""
    assert settle_scan(scan) == pytest.approx(expected)


@pytest.mark.parametrize("scan", [Scan(osc=0.0, step=0.1), Scan(osc=1.0, step=1e-300)])
def test_ranges_without_a_step_or_with_too_many_are_refused(scan: Scan) -> None:
    """Counts that follow from range and step are checked too."""
    with pytest.raises(FieldError, match="scan"):
        settle_scan(scan)


def test_angles_start_at_phi0() -> None:
    """phi0 + step * t."""
    assert phi_angles(Scan(phi0=0.5, osc=0.3, count=3)) == pytest.approx([0.5, 0.6, 0.7])


def test_carry_over_replaces_an_exact_zero_by_the_angle_before_it() -> None:
    """The first step takes the last one's angle; an inner zero its predecessor's."""
    assert carried_angles(np.array([0.0, 0.1, 0.2])).tolist() == [0.2, 0.1, 0.2]
    assert carried_angles(np.array([-0.2, 0.0, 0.2])).tolist() == [-0.2, -0.2, 0.2]
    assert carried_angles(np.array([0.0, 0.0])).tolist() == [0.0, 0.0]
    assert carried_angles(np.array([1e-17, 0.1])).tolist() == [1e-17, 0.1]


def test_table_turns_by_phi_first_then_by_the_domain() -> None:
    """Orientation (phi, domain) is domain @ spindle rotation @ axis, phi outermost."""
    axes = np.eye(3)
    quarter = math.pi / 2
    about_x = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    table = orientation_table(
        axes, np.array([0.0, 0, 1]), np.array([0.0, quarter]), np.array([np.eye(3), about_x])
    )
    assert table.shape == (4, 3, 3)
    assert np.allclose(table[2, 0], [0, 1, 0])
    assert np.allclose(table[3, 0], [0, 0, 1])
