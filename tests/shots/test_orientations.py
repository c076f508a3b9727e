"""Orientations: uniform in SO(3), a grid that covers it, rotations and their forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from nbdask.errors import FieldError
from nbdask.shots.orientations import Grid, Orientations, uniform_quaternions
from nbdask.shots.rotations import (
    matrices,
    misset_angles,
    misset_matrix,
    quaternions,
    turn_matrix,
)
from nbdask.shots.variation import Array, Shots

SHOTS = np.arange(5000)


def drawn(variation: Orientations | Grid, shots: Shots = SHOTS) -> Array:
    """Quaternions of shots, (n, 4)."""
    return np.array(list(variation.values(3, shots).values())).T


def test_random_orientations_are_uniform() -> None:
    """The angle has the density (1 - cos w)/pi; axes and turned vectors are on a sphere evenly."""
    rotations = matrices(drawn(Orientations()))
    trace = np.trace(rotations, axis1=1, axis2=2)
    angle = np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0))
    assert stats.kstest(angle, lambda w: (w - np.sin(w)) / np.pi).pvalue > 1e-3
    for place in np.ndindex(3, 3):
        # A component of a direction on a sphere is uniform.
        assert stats.kstest(rotations[:, *place], stats.uniform(-1.0, 2.0).cdf).pvalue > 1e-3
    other = matrices(drawn(Orientations(seed=9)))
    turned = np.trace(rotations.transpose(0, 2, 1) @ other, axis1=1, axis2=2)
    angle = np.arccos(np.clip((turned - 1.0) / 2.0, -1.0, 1.0))
    assert stats.kstest(angle, lambda w: (w - np.sin(w)) / np.pi).pvalue > 1e-3


def test_quaternions_follow_the_formula() -> None:
    """Shoemake's, as the specification has it."""
    u = np.random.default_rng(2).random((50, 3))
    u1, u2, u3 = u.T
    wanted = [
        np.sqrt(u1) * np.cos(2 * np.pi * u3),
        np.sqrt(1 - u1) * np.sin(2 * np.pi * u2),
        np.sqrt(1 - u1) * np.cos(2 * np.pi * u2),
        np.sqrt(u1) * np.sin(2 * np.pi * u3),
    ]
    assert np.abs(uniform_quaternions(u) - np.array(wanted).T).max() < 1e-15
    assert np.abs(np.linalg.norm(uniform_quaternions(u), axis=1) - 1.0).max() < 1e-15


def test_an_own_seed_takes_the_place_of_the_series() -> None:
    """And says so."""
    assert np.array_equal(drawn(Orientations(3)), drawn(Orientations()))
    assert not np.array_equal(drawn(Orientations(4)), drawn(Orientations()))
    assert (Orientations(3).is_random, Orientations().is_random) == (False, True)


@pytest.mark.parametrize("count", [100, 2000])
def test_a_grid_covers_all_rotations(count: int) -> None:
    """No rotation is farther than the bound from a point; the points are all different."""
    grid = drawn(Grid(count), np.arange(count))
    sought = drawn(Orientations())
    nearest = np.abs(sought @ grid.T).max(axis=1)
    farthest = np.degrees(2.0 * np.arccos(np.minimum(nearest, 1.0))).max()
    assert farthest < 250.0 * count ** (-1.0 / 3.0)
    between = np.abs(grid @ grid.T) - np.eye(count)
    assert np.degrees(2.0 * np.arccos(between.max())) > 50.0 * count ** (-1.0 / 3.0)


def test_a_grid_belongs_to_its_number_of_points() -> None:
    """The first shots of a grid are its first points."""
    assert np.array_equal(drawn(Grid(500), np.arange(7)), drawn(Grid(500), np.arange(500))[:7])
    assert Grid(500).rows == 500
    with pytest.raises(FieldError, match=r"orientations\.grid"):
        Grid(0)


def test_forms_of_rotations_agree() -> None:
    """Matrices, quaternions, rotation vectors and missets, against SciPy's."""
    found = drawn(Orientations())[:200]
    rotations = Rotation.from_quat(found, scalar_first=True)
    assert np.abs(matrices(found) - rotations.as_matrix()).max() < 1e-14
    back = quaternions(matrices(found))
    assert np.abs(np.abs((back * found).sum(axis=1)) - 1.0).max() < 1e-14
    for matrix, vector in zip(rotations.as_matrix(), rotations.as_rotvec(), strict=True):
        assert np.abs(turn_matrix(vector) - matrix).max() < 1e-14
        angles = misset_angles(matrix)
        assert np.abs(misset_matrix(angles) - matrix).max() < 1e-14
        assert np.abs(Rotation.from_euler("xyz", angles).as_matrix() - matrix).max() < 1e-14
    assert np.array_equal(turn_matrix(np.zeros(3)), np.eye(3))


@pytest.mark.parametrize("about_y", [np.pi / 2.0, -np.pi / 2.0])
def test_missets_hold_where_two_axes_fall_together(about_y: float) -> None:
    """A quarter turn about y."""
    matrix = misset_matrix((0.3, about_y, -1.1))
    assert np.abs(misset_matrix(misset_angles(matrix)) - matrix).max() < 1e-15
