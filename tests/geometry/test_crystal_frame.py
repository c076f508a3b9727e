"""Cell vectors, matrix, misset, sizes, oversampling."""

import math

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Beam, Crystal
from nbdask.geometry.crystal_frame import orient_crystal, recommended_oversample
from nbdask.geometry.vectors import length, rotate_xyz

CELL = (7e-9, 8e-9, 9e-9, math.radians(75), math.radians(85), math.radians(95))
BEAM = Beam(wavelength=1e-10)


def angles_of(axes: np.ndarray) -> list[float]:
    a, b, c = axes
    return [math.acos(float(u @ v) / length(u) / length(v)) for u, v in ((b, c), (a, c), (a, b))]


def test_cell_lengths_come_back() -> None:
    """The real-space vectors have the lengths of the cell."""
    axes = orient_crystal(Crystal(cell=CELL), BEAM).axes
    assert [length(v) for v in axes] == pytest.approx(CELL[:3], rel=1e-14)


@pytest.mark.parametrize("angles", [(90, 90, 90), (90, 103, 90), (90, 90, 120), (70, 90, 90)])
def test_cell_angles_come_back_with_one_oblique_angle(angles: tuple[float, ...]) -> None:
    """Up to monoclinic and hexagonal cells the angles are exact, and nothing is said."""
    wanted = tuple(math.radians(x) for x in angles)
    frame = orient_crystal(Crystal(cell=(5e-9, 6e-9, 7e-9, *wanted)), BEAM)
    assert angles_of(frame.axes) == pytest.approx(wanted, rel=1e-12)
    assert not frame.notes


def test_cell_with_several_oblique_angles_is_that_of_nanobragg_and_says_so() -> None:
    """The program's c* misses a triclinic cell's angles a little; those realised are told."""
    frame = orient_crystal(Crystal(cell=CELL), BEAM)
    found = [math.degrees(x) for x in angles_of(frame.axes)]
    assert found == pytest.approx([75.039, 85.014, 95.008], abs=2e-3)
    assert " ".join(f"{x:.4f}" for x in found) in frame.notes[0]


def test_default_orientation_has_a_star_along_x_and_b_star_in_the_xy_plane() -> None:
    """The orientation that a cell alone fixes."""
    star = orient_crystal(Crystal(cell=CELL), BEAM).star
    assert star[0, 0] > 0
    assert np.allclose(star[0, 1:], 0, atol=1e-15)
    assert abs(star[1, 2]) < 1e-15


def test_reciprocal_axes_are_dual_to_the_real_ones() -> None:
    """That is, a . a* = 1, a . b* = 0 and so on, for a monoclinic cell in a general orientation."""
    cell = (7e-9, 8e-9, 9e-9, math.pi / 2, math.radians(104), math.pi / 2)
    frame = orient_crystal(Crystal(cell=cell, misset=(0.1, 0.2, 0.3)), BEAM)
    assert np.allclose(frame.axes * 1e10 @ frame.star.T, np.eye(3), atol=1e-13)


def test_matrix_is_divided_by_the_wavelength() -> None:
    """MOSFLM's matrix holds reciprocal vectors times the wavelength."""
    matrix = (0.01, 0.0, 0.0, 0.0, 0.0125, 0.0, 0.0, 0.0, 0.02)
    frame = orient_crystal(Crystal(matrix=matrix), Beam(wavelength=0.5e-10))
    assert np.allclose(frame.star, np.diag([0.02, 0.025, 0.04]))
    assert np.allclose(frame.axes, np.diag([50e-10, 40e-10, 25e-10]), rtol=1e-12, atol=1e-22)


def test_with_matrix_and_cell_the_cell_gives_lengths_and_the_matrix_the_orientation() -> None:
    """Both given: directions of the matrix, lengths and volume of the cell."""
    right = math.pi / 2
    matrix = (0.0, 0.02, 0.0, 0.01, 0.0, 0.0, 0.0, 0.0, -0.03)
    crystal = Crystal(cell=(5e-9, 6e-9, 7e-9, right, right, right), matrix=matrix)
    a, b, c = orient_crystal(crystal, BEAM).axes
    assert np.allclose(a, [0, 5e-9, 0], atol=1e-20)
    assert np.allclose(b, [6e-9, 0, 0], atol=1e-20)
    assert np.allclose(c, [0, 0, -7e-9], atol=1e-20)


def test_misset_turns_the_crystal_about_lab_x_then_y_then_z() -> None:
    """The axes of a misset crystal are the rotated axes."""
    angles = (0.2, -0.4, 0.7)
    plain = orient_crystal(Crystal(cell=CELL), BEAM).axes
    turned = orient_crystal(Crystal(cell=CELL, misset=angles), BEAM).axes
    expected = [rotate_xyz(v, *angles) for v in plain]
    assert np.allclose(turned, expected, rtol=1e-12, atol=1e-22)


def test_random_misset_depends_on_its_seed_only() -> None:
    """The same seed, the same orientation; another seed, another one; lengths stay."""

    def axes(seed: int) -> np.ndarray:
        return orient_crystal(Crystal(cell=CELL, misset="random", misset_seed=seed), BEAM).axes

    assert np.array_equal(axes(7), axes(7))
    assert np.abs(axes(7) - axes(8)).max() > 1e-9
    assert length(axes(8)[1]) == pytest.approx(8e-9)


def test_sample_size_sets_the_number_of_cells_and_the_beam_clips_it() -> None:
    """Cells are rounded up; y and z sizes beyond the beam are cut, with a note."""
    crystal = Crystal(cell=CELL, n_cells=(3, 3, 3), size=(0.0, 50e-9, 70e-9))
    frame = orient_crystal(crystal, Beam(beamsize=40e-9))
    assert frame.n_cells == (3, 5, 5)
    assert sum("clipped" in note for note in frame.notes) == 2


def test_a_sample_of_more_cells_than_the_kernels_count_is_refused() -> None:
    """Not cast to 32 bits with a warning."""
    with pytest.raises(FieldError, match=r"crystal\.size = .*: must be at most 2147483647 cells"):
        orient_crystal(Crystal(cell=CELL, size=(1000.0, 0.0, 0.0)), BEAM)


def test_recommended_oversample_grows_with_crystal_and_pixel() -> None:
    """ceil(3 * size * pixel / (wavelength * distance)), at least 1."""
    frame = orient_crystal(Crystal(cell=CELL, n_cells=(5, 5, 50)), BEAM)
    assert recommended_oversample(frame, 1e-10, 0.1, 1e-4) == 14
    assert recommended_oversample(frame, 1e-10, 10.0, 1e-5) == 1
