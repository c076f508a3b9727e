"""Lattice factors: limits, periods, shapes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbdask.errors import FieldError
from nbdask.experiment import Crystal
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel
from nbdask.physics.lattice import grating, lattice_factor, sphere
from nbdask.plan.tiles import Tile
from tests.helpers import small_experiment

CELL = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)


def model_of(shape: str, cells: tuple[int, int, int] = (3, 4, 5), fudge: float = 1.0):
    return build_model(
        small_experiment(crystal=Crystal(cell=CELL, n_cells=cells, shape=shape, fudge=fudge))
    )


@given(st.floats(-60, 60, allow_subnormal=False), st.integers(1, 80))
def test_grating_is_the_quotient_of_sines(h: float, cells: int) -> None:
    """Squared, it equals sin(N pi h)^2 / sin(pi h)^2 wherever that is well conditioned."""
    away = abs(h - round(h))
    value = float(grating(np.array(h), float(cells))) ** 2
    if away > 1e-3:
        expected = (math.sin(cells * math.pi * h) / math.sin(math.pi * h)) ** 2
        assert value == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert value <= cells**2 * (1 + 1e-12)


def test_grating_is_the_number_of_cells_at_whole_indices() -> None:
    """At Bragg peaks the factor is N, however large the index."""
    assert grating(np.array([0.0, 1.0, -7.0, 12345.0]), 36.0).tolist() == [36.0] * 4


def test_sphere_series_meets_the_direct_form() -> None:
    """The two forms agree where they meet, and the value at 0 is 1."""
    x = np.array([0.0, 0.0499999, 0.0500001])
    values = sphere(x)
    assert values[0] == 1.0
    assert values[1] == pytest.approx(values[2], rel=1e-7)
    assert sphere(np.array([2.0]))[0] == pytest.approx(3 * (math.sin(2) / 2 - math.cos(2)) / 4)


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_every_shape_repeats_with_whole_indices(shape: str) -> None:
    """Spots of a perfect lattice are all alike."""
    model = model_of(shape)
    random = np.random.default_rng(3)
    h, k, el = random.uniform(-0.49, 0.49, (3, 50)) * 0.3
    here = lattice_factor(model, h, k, el) ** 2
    there = lattice_factor(model, h + 3, k - 2, el + 5) ** 2
    assert np.allclose(here, there, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "peak"), [("square", 60.0), ("round", 60 * 0.723601254558268), ("gauss", 60.0)]
)
def test_peak_heights(shape: str, peak: float) -> None:
    """At a Bragg peak: the number of cells (scaled for the sphere)."""
    zero = np.zeros(1)
    assert lattice_factor(model_of(shape), zero, zero, zero)[0] == pytest.approx(peak)


def test_tophat_is_all_or_nothing_and_fudge_narrows_it() -> None:
    """Inside the radius the number of cells, outside nothing; a larger fudge, a smaller spot."""
    h = np.linspace(0, 0.49, 400)
    zero = np.zeros_like(h)
    cells = (8, 9, 10)
    wide = lattice_factor(model_of("tophat", cells), h, zero, zero)
    narrow = lattice_factor(model_of("tophat", cells, fudge=9.0), h, zero, zero)
    assert set(np.unique(wide)) == {0.0, 720.0}
    assert 0 < np.count_nonzero(narrow) < np.count_nonzero(wide)


def test_a_single_cell_along_an_axis_has_no_grating_there() -> None:
    """Na = 1: the factor does not depend on h."""
    model = model_of("square", cells=(1, 4, 5))
    k, el = np.full(5, 0.1), np.full(5, 0.2)
    values = lattice_factor(model, np.linspace(0, 1, 5), k, el)
    assert np.allclose(values, values[0], rtol=1e-14)


MATRIX = (9.0, 1.0, 0.5, -1.0, 7.0, 0.2, 0.0, 0.3, 8.0)


def matrix_crystal(matrix: tuple[float, ...] = MATRIX, **more: object) -> Crystal:
    return Crystal(cell=CELL, shape="gauss", cells_matrix=matrix, **more)


def test_gauss_with_a_matrix_of_cells() -> None:
    """det(N) exp(-|N dh|^2 / 0.63), which a turn of N's rows does not change."""
    n = np.array(MATRIX).reshape(3, 3)
    away = np.array([0.03, -0.02, 0.04])
    expected = np.linalg.det(n) * math.exp(-float(np.sum((n @ away) ** 2)) / 0.63)
    c, s = math.cos(0.7), math.sin(0.7)
    turned = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ n
    for matrix in (n, turned):
        model = build_model(small_experiment(crystal=matrix_crystal(tuple(matrix.ravel()))))
        found = lattice_factor(model, *(np.array(2.0 + x) for x in away))
        assert found == pytest.approx(expected, rel=1e-12)


def test_matrix_of_cells_in_every_kernel() -> None:
    """Compiled loops, in both precisions, give the image of the reference."""
    experiment = small_experiment(crystal=matrix_crystal(mosaic_spread=0.01, mosaic_domains=3))
    model = build_model(experiment)
    tile = Tile(0, model.n_slow, 0, model.n_fast)
    expected, _ = get_kernel("numpy").image(model, tile, None)
    assert expected.max() > 0
    for precision, bound in (("float64", 2e-7), ("mixed", 1e-5)):
        found, _ = get_kernel("cpu", precision).image(model, tile, None)
        assert np.abs(found - expected).max() <= bound * expected.max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "square"}, 'only with shape "gauss"'),
        ({"cells_matrix": (1.0,) * 9}, "determinant above 0"),
        ({"cells_matrix": (1.0, 2.0)}, "must be 9 finite numbers"),
        ({"cells_matrix": (3e9, 0, 0, 0, 5, 0, 0, 0, 5)}, "a length of at most 2147483647"),
        ({"cells_matrix": (1.7e308, 1.7e308, 0, -1.7e308, 1.7e308, 0, 0, 0, 1)}, "at most 214"),
        ({"cells_matrix": None, "n_cells": (2**31, 1, 1)}, "at least 1 and at most 2147483647"),
        ({"n_cells": (4, 4, 4)}, "left out with crystal.cells_matrix"),
        ({"size": (1e-6, 0.0, 0.0)}, "without crystal.size"),
    ],
)
def test_matrix_of_cells_is_checked(change: dict[str, object], message: str) -> None:
    """What contradicts the matrix is refused, and names the field."""
    given = {"cell": CELL, "shape": "gauss", "cells_matrix": MATRIX} | change
    with pytest.raises(FieldError, match=message):
        Crystal(**given)
