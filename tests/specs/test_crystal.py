"""specs/crystal.md."""

from __future__ import annotations

import math
from dataclasses import replace

import gemmi
import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Beam, Crystal
from nbdask.geometry.crystal_frame import (
    orient_crystal,
    reciprocal_from_cell,
    recommended_oversample,
)
from nbdask.geometry.lcg import MinimalStandard
from nbdask.geometry.mosaic import cap_rotation, mosaic_rotations, random_misset
from nbdask.geometry.vectors import rotate_xyz
from tests.specs.support import CUBE, SKEW, experiment

BEAM = Beam(wavelength=1.2e-10)
MONOCLINIC = (30e-10, 40e-10, 50e-10, math.pi / 2, 1.8, math.pi / 2)
HEXAGONAL = (30e-10, 30e-10, 50e-10, math.pi / 2, math.pi / 2, 2 * math.pi / 3)


def built(**fields) -> np.ndarray:
    """Direct axes [Angstrom] of a crystal."""
    return orient_crystal(Crystal(**fields), BEAM).axes * 1e10


def typed(cell: tuple) -> tuple[float, ...]:
    """Return a cell in Angstrom and radians."""
    return (*(x * 1e10 for x in cell[:3]), *cell[3:])


@pytest.mark.parametrize("cell", [CUBE, MONOCLINIC, HEXAGONAL])
def test_volume_and_reciprocal_cell(cell: tuple) -> None:
    """The same volume and reciprocal cell as gemmi finds."""
    star, volume = reciprocal_from_cell(typed(cell))
    other = gemmi.UnitCell(*typed(cell)[:3], *(math.degrees(x) for x in cell[3:]))
    assert volume == pytest.approx(other.volume, rel=1e-12)
    lengths = np.linalg.norm(star, axis=1)
    reciprocal = other.reciprocal()
    assert lengths == pytest.approx([reciprocal.a, reciprocal.b, reciprocal.c], rel=1e-12)
    unit = star / lengths[:, None]
    angles = [math.degrees(math.acos(unit[i] @ unit[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
    assert angles == pytest.approx([reciprocal.alpha, reciprocal.beta, reciprocal.gamma], rel=1e-10)


def test_triclinic_reciprocal_axes() -> None:
    """a*, b* and the x and y components of c* are exact; z takes V/(abc)."""
    star, volume = reciprocal_from_cell(typed(SKEW))
    other = gemmi.UnitCell(*typed(SKEW)[:3], *(math.degrees(x) for x in SKEW[3:]))
    reciprocal = other.reciprocal()
    assert volume == pytest.approx(other.volume, rel=1e-12)
    cos_a, cos_b, cos_g = (
        math.cos(math.radians(x)) for x in (reciprocal.alpha, reciprocal.beta, reciprocal.gamma)
    )
    sin_g = math.sqrt(1 - cos_g**2)
    expected = [
        (reciprocal.a, 0, 0),
        (reciprocal.b * cos_g, reciprocal.b * sin_g, 0),
        (
            reciprocal.c * cos_b,
            reciprocal.c * (cos_a - cos_b * cos_g) / sin_g,
            reciprocal.c * volume / (30 * 40 * 50 * sin_g),
        ),
    ]
    np.testing.assert_allclose(star, expected, rtol=1e-12, atol=1e-16)


def test_default_orientation() -> None:
    """a* along x, b* in the x-y plane, the axes right-handed."""
    star = orient_crystal(Crystal(cell=SKEW), BEAM).star
    assert star[0, 0] > 0
    np.testing.assert_allclose(star[0, 1:], 0, atol=1e-16)
    assert star[1, 1] > 0
    assert star[1, 2] == pytest.approx(0, abs=1e-16)
    assert np.linalg.det(star) > 0


@pytest.mark.parametrize("cell", [CUBE, MONOCLINIC, HEXAGONAL, SKEW])
def test_direct_and_reciprocal_axes(cell: tuple) -> None:
    """Given lengths; angles too unless triclinic; both sets of axes dual to each other."""
    frame = orient_crystal(Crystal(cell=cell, misset=(0.1, 0.2, 0.3)), BEAM)
    axes = frame.axes * 1e10
    lengths = np.linalg.norm(axes, axis=1)
    assert lengths == pytest.approx(typed(cell)[:3], rel=1e-12)
    unit = axes / lengths[:, None]
    angles = [math.acos(unit[i] @ unit[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    assert angles == pytest.approx(cell[3:], abs=3e-3 if cell == SKEW else 1e-12)
    tolerance = 1e-2 if cell == SKEW else 1e-12
    np.testing.assert_allclose(axes @ frame.star.T, np.eye(3), atol=tolerance)


def test_matrix_is_scaled_by_the_wavelength() -> None:
    """Columns of the matrix over the wavelength in Angstrom are the reciprocal axes."""
    matrix = np.array([[0.03, 0.01, 0.002], [-0.01, 0.02, 0.004], [0.003, -0.005, 0.03]])
    frame = orient_crystal(Crystal(matrix=tuple(matrix.ravel().tolist())), BEAM)
    np.testing.assert_allclose(frame.star, matrix.T / 1.2, rtol=1e-10, atol=1e-12)


def test_cell_prevails_over_the_matrix() -> None:
    """Directions from the matrix, lengths and volume from the cell."""
    turned = np.array([rotate_xyz(v, 0.3, 0.2, 0.1) for v in np.eye(3)])  # rows a*, b*, c*
    matrix = (turned * 0.05).T
    axes = built(matrix=tuple(matrix.ravel().tolist()), cell=CUBE)
    assert np.linalg.norm(axes, axis=1) == pytest.approx([50, 50, 50], rel=1e-12)
    np.testing.assert_allclose(axes / 50.0, turned, atol=1e-12)


def test_misset_order_and_sense() -> None:
    """About lab x first, then y, then z, right-handed."""
    axes = built(cell=CUBE, misset=(math.pi / 2, 0.0, 0.0))
    np.testing.assert_allclose(axes[1], [0, 0, 50], atol=1e-9)  # y goes to z
    turned = built(cell=CUBE, misset=(math.pi / 2, math.pi / 2, 0.0))
    np.testing.assert_allclose(turned[1], [50, 0, 0], atol=1e-9)  # and then z to x
    last = built(cell=CUBE, misset=(math.pi / 2, math.pi / 2, math.pi / 2))
    np.testing.assert_allclose(last[1], [0, 50, 0], atol=1e-9)  # and x to y


@pytest.mark.parametrize(
    "cell",
    [
        (0.0, *CUBE[1:]),
        (-1e-9, *CUBE[1:]),
        (*CUBE[:3], 1.0, 1.0, 2.5),
        (*CUBE[:3], 2.2, 2.2, 2.2),
        (*CUBE[:3], math.pi, 1.0, 1.0),
        CUBE[:5],
    ],
)
def test_impossible_cells(cell: tuple) -> None:
    """Lengths must be positive and the angles those of three directions."""
    with pytest.raises(FieldError, match=r"crystal\.cell"):
        Crystal(cell=cell)


def test_random_misset_is_a_rotation_by_ninety_radians() -> None:
    """Its three angles rebuild the mosaic rotation of a spread of 90."""
    angles = random_misset(12345)
    rebuilt = np.array([rotate_xyz(v, *angles) for v in np.eye(3)]).T
    expected = cap_rotation(90.0, MinimalStandard(12345))
    np.testing.assert_allclose(rebuilt, expected, atol=1e-12)


@pytest.mark.parametrize(("size", "cells"), [(0.0, 1), (49e-10, 1), (51e-10, 2), (5e-7, 100)])
def test_sample_size_sets_the_number_of_cells(size: float, cells: int) -> None:
    """Rounded up, and at least one."""
    frame = orient_crystal(Crystal(cell=CUBE, size=(size, 0.0, 0.0), n_cells=(1, 7, 7)), BEAM)
    assert frame.n_cells == (cells, 7, 7)


def test_beam_clips_the_sample() -> None:
    """y and z dimensions, not x; and the user is told of each."""
    crystal = Crystal(cell=CUBE, size=(1e-6, 1e-6, 1e-6))
    frame = orient_crystal(crystal, replace(BEAM, beamsize=1e-7))
    assert frame.n_cells == (200, 20, 20)
    assert len(frame.notes) == 2
    assert orient_crystal(crystal, replace(BEAM, beamsize=-1.0)).n_cells == (200, 200, 200)


def test_random_numbers_against_a_direct_implementation() -> None:
    """Multiplicative generator, table of 32, single-precision deviates."""
    state = 54321
    draws = []
    for _ in range(40 + 200):
        state = 16807 * state % (2**31 - 1)
        draws.append(state)
    table = draws[:40][::-1][:32]  # the table is filled from its end, after eight throw-aways
    last, expected = table[0], []
    for new in draws[40:]:
        place = last // (1 + (2**31 - 2) // 32)
        last, table[place] = table[place], new
        expected.append(np.float32(last / (2**31 - 1)))
    random = MinimalStandard(54321)
    found = [random.uniform() for _ in range(200)]
    np.testing.assert_allclose(found, expected, rtol=1.2e-7)
    assert all(isinstance(u, np.float32) and 0.0 < u < 1.0 for u in found)


def test_first_deviate_of_the_plain_generator() -> None:
    """After 10000 steps from 1, Park and Miller's check value."""
    random = MinimalStandard(1)
    for _ in range(10000 - 40):
        random.uniform()
    assert random._state == 1043618065


@pytest.mark.parametrize("seed", [0, -1, -99])
def test_seeds_below_one_act_as_one(seed: int) -> None:
    """The generator would stand still at 0."""
    assert MinimalStandard(seed).uniform() == MinimalStandard(1).uniform()


def test_mosaic_rotation_from_its_deviates() -> None:
    """Axis and angle as the specification builds them."""
    random = MinimalStandard(7)
    r1, r2, r3 = (2.0 * float(random.uniform()) - 1.0 for _ in range(3))
    found = cap_rotation(0.02, MinimalStandard(7))
    angle = 0.02 * (1 - r3 * r3) ** (1 / 3)
    rim = math.sqrt(1 - r2 * r2)
    axis = np.array([rim * math.sin(math.pi * r1), rim * math.cos(math.pi * r1), r2])
    np.testing.assert_allclose(found @ axis, axis, atol=1e-15)
    assert math.acos((np.trace(found) - 1) / 2) == pytest.approx(angle, rel=1e-6)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-15)
    skew = np.array([found[2, 1] - found[1, 2], found[0, 2] - found[2, 0]])
    np.testing.assert_allclose(skew, 2 * math.sin(angle) * axis[:2], rtol=1e-6)


def test_first_domain_is_not_rotated_but_consumes_deviates() -> None:
    """Domain 1 is the second rotation that the generator gives."""
    domains = mosaic_rotations(0.02, 3, 7)
    np.testing.assert_array_equal(domains[0], np.eye(3))
    random = MinimalStandard(7)
    cap_rotation(0.02, random)
    np.testing.assert_array_equal(domains[1], cap_rotation(0.02, random))


@pytest.mark.parametrize(
    ("spread", "count", "domains", "noted"),
    [
        (None, None, 1, False),
        (None, 20, 1, True),
        (0.0, 20, 1, True),
        (0.01, None, 10, True),
        (0.01, 20, 20, False),
    ],
)
def test_number_of_domains(
    spread: float | None, count: int | None, domains: int, noted: bool
) -> None:
    """What is used, and whether the user is told."""
    from nbdask.geometry.build import build_model

    crystal = replace(experiment().crystal, mosaic_spread=spread, mosaic_domains=count)
    model = build_model(experiment(crystal=crystal))
    assert model.n_domains == domains
    assert any("mosaic" in note for note in model.notes) == noted


@pytest.mark.parametrize(("cells", "expected"), [(1, 1), (10, 2), (40, 6), (100, 15)])
def test_recommended_oversampling(cells: int, expected: int) -> None:
    """Three samples per fringe of the largest dimension: 50 A * N over 1 A * 0.1 m / 1e-4 m."""
    frame = orient_crystal(Crystal(cell=CUBE, n_cells=(1, cells, 1)), BEAM)
    assert recommended_oversample(frame, 1e-10, 0.1, 1e-4) == expected
