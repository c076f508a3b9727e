"""Rotations: senses, axes, lengths."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nbdask.geometry.vectors import array, cross, length, rotate_about, rotate_xyz, unit

ANGLES = st.floats(-10, 10, allow_subnormal=False)
COMPONENTS = st.floats(-100, 100, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3)
VECTORS = st.tuples(COMPONENTS, COMPONENTS, COMPONENTS).map(array)


def test_positive_rotations_are_right_handed() -> None:
    """Turning x to y about z, y to z about x, z to x about y."""
    quarter = math.pi / 2
    x, y, z = np.eye(3)
    assert np.allclose(rotate_xyz(x, 0, 0, quarter), y)
    assert np.allclose(rotate_xyz(y, quarter, 0, 0), z)
    assert np.allclose(rotate_xyz(z, 0, quarter, 0), x)
    assert np.allclose(rotate_about(x, z, quarter), y)


def test_the_three_rotations_are_applied_in_the_order_x_y_z() -> None:
    """A vector turned about x first ends elsewhere than one turned about z first."""
    turned = rotate_xyz(array([0, 1, 0]), math.pi / 2, math.pi / 2, 0.0)
    assert np.allclose(turned, [1, 0, 0])


@given(VECTORS, VECTORS.filter(lambda v: length(v) > 0.1), ANGLES)
def test_rotation_about_an_axis_keeps_length_and_axial_part(v, axis, angle) -> None:
    """What a rotation keeps: the length, and the component along the axis."""
    axis = unit(axis)
    turned = rotate_about(v, axis, angle)
    assert math.isclose(length(turned), length(v), rel_tol=1e-12, abs_tol=1e-12)
    assert math.isclose(float(turned @ axis), float(v @ axis), rel_tol=1e-9, abs_tol=1e-9)


def test_rotation_about_a_lab_axis_equals_the_lab_rotation() -> None:
    """Rodrigues' formula and the lab rotations agree."""
    v = array([0.3, -2.0, 1.5])
    assert np.allclose(rotate_about(v, array([0, 1, 0]), 0.7), rotate_xyz(v, 0, 0.7, 0))


def test_unit_leaves_the_zero_vector_alone() -> None:
    """A zero vector has no direction; it stays zero instead of becoming NaN."""
    assert not unit(np.zeros(3)).any()
    assert np.allclose(cross(array([1, 0, 0]), array([0, 1, 0])), [0, 0, 1])
