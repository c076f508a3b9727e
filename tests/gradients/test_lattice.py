"""Slopes of lattice factors against complex steps of the plain formulas, and at their kinks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbdask.geometry.build import build_model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.lattice import form_slope, grating_slopes, lattice_slopes, sphere_slope
from nbdask.gradients.parameters import parameters_of
from nbdask.physics.lattice import lattice_factor
from tests.gradients.support import KINDS

H = 1e-30
PLACES = np.array([-0.5, -0.31, -0.1, -1e-3, -1e-7, -1e-12, 1e-9, 0.02, 0.25, 0.499])


def squared_grating(x: np.ndarray, cells: complex) -> np.ndarray:
    return (np.sin(cells * np.pi * x) / np.sin(np.pi * x)) ** 2


@pytest.mark.parametrize("cells", [1.0, 2.0, 5.0, 12.0, 101.0, 3999.0])
def test_grating_slopes_are_those_of_a_complex_step(cells: float) -> None:
    """Near the peak the formula of this test cancels."""
    squared, slope, by_cells = grating_slopes(PLACES, cells)
    assert np.allclose(squared, squared_grating(PLACES, cells).real, rtol=1e-9, atol=1e-9)
    step = squared_grating(PLACES + 1j * H, cells).imag / H
    far = np.abs(PLACES) > 1e-4
    top = np.abs(step[far]).max()
    assert np.abs(slope - step)[far].max() <= 1e-9 * top
    step = squared_grating(PLACES, cells + 1j * H).imag / H
    assert np.abs(by_cells - step)[far].max() <= 1e-9 * np.abs(step).max() + 1e-10


@pytest.mark.parametrize("cells", [2.0, 9.0, 200.0])
def test_the_series_near_a_peak_joins_the_direct_form(cells: float) -> None:
    """On both sides of the switch the slope is that of the parabola with its next terms."""
    x = np.array([0.01999, 0.02001]) / cells
    _, slope, _ = grating_slopes(x, cells)
    u, n2 = np.pi * x, cells**2
    log = -2 * np.pi * ((n2 - 1) * u / 3 + (n2**2 - 1) * u**3 / 45 + 2 * (n2**3 - 1) * u**5 / 945)
    expected = log * (np.sin(cells * u) / np.sin(u)) ** 2
    assert np.allclose(slope, expected, rtol=1e-10)


def test_slopes_at_whole_and_half_indices_are_numbers() -> None:
    """At the peak 0 by the index and 2 N by the cells; an axis of one cell is flat."""
    squared, slope, by_cells = grating_slopes(np.array([0.0, 0.5, -0.5]), 7.0)
    assert squared[0] == 49.0
    assert slope[0] == 0.0
    assert by_cells[0] == 14.0
    assert np.isfinite([squared, slope, by_cells]).all()
    _, slope, by_cells = grating_slopes(PLACES, 1.0)
    assert not slope.any()
    assert np.isfinite(by_cells).all()


def test_the_sphere_series_joins_the_direct_form() -> None:
    """f'/x is -1/5 at 0, and a complex step of f elsewhere."""
    assert sphere_slope(np.zeros(1))[0] == -0.2
    x = np.array([0.3, 0.7, 0.999999, 1.000001, 2.0, 4.4934, 30.0])
    z = x + 1j * H
    step = (3.0 * (np.sin(z) - z * np.cos(z)) / z**3).imag / H / x
    assert np.allclose(sphere_slope(x), step, rtol=2e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["square", "many cells", "round", "gauss"])
def test_lattice_slopes_are_those_of_differences(kind: str) -> None:
    """By the indices, by the width of spots, by real numbers of cells."""
    model = build_model(KINDS[kind])
    random = np.random.default_rng(3)
    indices = list(random.uniform(-4.4, 4.4, (3, 40)))
    found = lattice_slopes(model, *indices)
    assert np.allclose(found.squared, lattice_factor(model, *indices) ** 2, rtol=1e-9)
    for axis in range(3):
        along, step = np.eye(3)[axis], 1e-6

        def moved(by: float, along: np.ndarray = along) -> np.ndarray:
            places = (x + by * d for x, d in zip(indices, along, strict=True))
            return lattice_factor(model, *places) ** 2

        def grown(by: float, along: np.ndarray = along) -> np.ndarray:
            cells = model.n_cells + by * along
            return lattice_factor(replace(model, n_cells=cells), *indices) ** 2

        slope = (moved(step) - moved(-step)) / 2 / step
        assert np.abs(found.by_index[axis] - slope).max() <= 1e-5 * np.abs(slope).max() + 1e-9
        if model.n_cells[axis] > 1:
            slope = (grown(10 * step) - grown(-10 * step)) / 20 / step
            assert np.abs(found.by_cells[axis] - slope).max() <= 1e-5 * np.abs(slope).max()


@pytest.mark.parametrize("kind", ["round", "gauss"])
def test_wider_spots(kind: str) -> None:
    """By the factor on their squared radius."""
    model = build_model(KINDS[kind])
    indices = list(np.random.default_rng(3).uniform(-4.4, 4.4, (3, 40)))

    def wide(by: float) -> np.ndarray:
        return lattice_factor(replace(model, fudge=model.fudge + by), *indices) ** 2

    slope = (wide(1e-6) - wide(-1e-6)) / 2e-6
    found = lattice_slopes(model, *indices).by_fudge
    assert np.abs(found - slope).max() <= 1e-6 * np.abs(slope).max()


@pytest.mark.parametrize("kind", ["square", "round", "gauss"])
def test_a_peak_is_flat(kind: str) -> None:
    """At whole indices nothing is lost and nothing is infinite."""
    model = build_model(KINDS[kind])
    found = lattice_slopes(model, *(np.array([1.0]) for _ in range(3)))
    assert not np.any(found.by_index)
    assert np.isfinite([*found.by_cells, found.by_fudge, found.by_form]).all()


@pytest.mark.parametrize("kind", ["gauss", "spherical"])
def test_turns_leave_spots_as_they_are(kind: str) -> None:
    """What rounding leaves of a change is none."""
    model, turns = build_model(KINDS[kind]), "crystal.misset,crystal.turn"
    cell = basis_of(KINDS[kind], model, parameters_of("crystal.cell")).slopes
    assert all(form_slope(model, entry) is not None for entry in cell)
    for entry in basis_of(KINDS[kind], model, parameters_of(turns)).slopes:
        assert form_slope(model, entry) is None
