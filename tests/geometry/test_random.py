"""The generator of nanoBragg C, mosaic rotations, random orientation."""

import math

import numpy as np
import pytest

from nbdask.geometry.lcg import MinimalStandard
from nbdask.geometry.mosaic import mosaic_rotations, random_misset


def test_generator_is_the_minimal_standard() -> None:
    """Park and Miller's check: from 1, the 10000th unshuffled state is 1043618065."""
    stream = MinimalStandard(1)
    stream._state = 1
    for _ in range(10000):
        stream._advance()
    assert stream._state == 1043618065


def test_deviates_are_single_precision_between_zero_and_one() -> None:
    """Type, range and mean of many deviates."""
    stream = MinimalStandard(12345678)
    values = [stream.uniform() for _ in range(20000)]
    assert all(isinstance(v, np.float32) for v in values)
    assert 0.0 < min(values) < max(values) < 1.0
    assert float(np.mean(values)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("seed", [0, -5, 1])
def test_seeds_below_one_act_as_one(seed: int) -> None:
    """There is no stream for 0 or a negative number."""
    assert MinimalStandard(seed).uniform() == MinimalStandard(1).uniform()


def test_mosaic_rotations_are_rotations_within_the_spread() -> None:
    """Orthonormal, right-handed, angle at most the spread; the first is the identity."""
    spread = math.radians(0.7)
    matrices = mosaic_rotations(spread, 40, 777)
    assert np.array_equal(matrices[0], np.eye(3))
    for u in matrices:
        assert np.allclose(u @ u.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(u) == pytest.approx(1.0)
        assert math.acos(min(1.0, (np.trace(u) - 1) / 2)) <= spread * (1 + 1e-6)


def test_first_domain_consumes_its_deviates() -> None:
    """Domain 1 is the same whether or not more domains follow, and differs from a fresh start."""
    two, five = mosaic_rotations(0.01, 2, 9), mosaic_rotations(0.01, 5, 9)
    assert np.array_equal(two[1], five[1])
    assert not np.allclose(two[1], np.eye(3), atol=1e-9)


def test_negative_mosaic_seed_goes_on_with_the_stream_of_a_random_misset() -> None:
    """The program negates seeds and starts anew only for what is not positive then."""
    fresh = mosaic_rotations(0.01, 3, 5)
    assert np.array_equal(mosaic_rotations(0.01, 3, 5, misset_seed=3), fresh)
    going_on = mosaic_rotations(0.01, 3, -5, misset_seed=3)
    assert not np.allclose(going_on[1], mosaic_rotations(0.01, 3, -5)[1], atol=1e-9)
    assert not np.allclose(going_on[1], mosaic_rotations(0.01, 3, -5, misset_seed=4)[1], atol=1e-9)


def test_random_misset_angles_rebuild_the_same_rotation_for_the_same_seed() -> None:
    """Angles lie within their ranges and depend on the seed."""
    x, y, z = random_misset(12345)
    assert -math.pi <= x <= math.pi
    assert -math.pi / 2 <= y <= math.pi / 2
    assert -math.pi <= z <= math.pi
    assert random_misset(12345) == (x, y, z)
    assert random_misset(54321) != (x, y, z)
