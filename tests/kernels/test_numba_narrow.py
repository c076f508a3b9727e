"""The float32 lattice factors of the mixed precision against formulas in float64."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from nbdask.kernels.numba_inputs import narrow_sphere, spot_doubt
from nbdask.kernels.numba_lanes import WHOLE_ZERO
from nbdask.kernels.numba_lattice import add_orientations
from nbdask.kernels.numba_tables import SCALE, grating, grating_table
from nbdask.kernels.numba_types import (
    LEAST_DEGREE,
    ConstantAmplitude,
    NarrowAmplitude,
    NarrowFew,
    NarrowGauss,
    NarrowGrating,
    NarrowMore,
    NarrowTophat,
    Tophat,
)
from nbdask.kernels.numba_work import BLOCK, QX, QY, QZ, SUM, new_work
from nbdask.kernels.processor import has_wide_vectors

needs_wide = pytest.mark.skipif(
    not has_wide_vectors(), reason="tables are looked up with 512 bit vectors only"
)
CELLS = (4, 5, 6)
ONE = ConstantAmplitude(1.0)


@numba.njit
def _add(lattice, amplitude, axes, work):
    add_orientations(lattice, amplitude, axes, 0, axes.shape[0], work, BLOCK)


def sums(lattice, amplitude, indices):
    """Return the sum over one orientation for which q is the Miller index."""
    work = new_work()
    for row, values in zip((QX, QY, QZ), indices, strict=True):
        work.wide[row, : values.size] = values
    _add(lattice, amplitude, np.eye(3)[None], work)
    return work.wide[SUM, : indices.shape[1]].copy()


def miller(seed=5):
    """Return indices far and near, some of them whole, halves, or at zeros of five cells."""
    random = np.random.default_rng(seed)
    values = random.uniform(-60.0, 60.0, (3, BLOCK))
    special = np.array([0.0, 1.0, -7.0, 0.5, -0.5, 12.5, 0.2, 0.4, 3.6, -0.2])
    values[0, :10] = special
    values[1, 20:30] = special
    values[2, 40:50] = special
    return values


def exact(cells, indices):
    """Return the squared grating function over the squared number of cells, in float64."""
    result = np.ones(indices.shape[1])
    for n, x in zip(cells, indices, strict=True):
        result *= grating(n, np.abs(x - np.rint(x))) ** 2
    return result


@pytest.mark.parametrize("cells", range(1, 11))
def test_tables_keep_their_digits_up_to_the_zeros(cells):
    """Polynomials in float32 to a few units in the last place, of the value and not of 1."""
    degree, scale = (LEAST_DEGREE, 1.0) if cells <= 6 else (LEAST_DEGREE + 1, SCALE)
    table = grating_table(np.array([cells] * 3), degree, scale)[0]
    places = np.random.default_rng(cells).integers(0, 2**31, 50000)
    number = places >> 26
    away = np.float32(places - table[0].view(np.int32)[number])
    value = np.zeros(places.size, dtype=np.float32)
    for row in table[:0:-1]:
        value = row[number] + value * away
    expected = grating(cells, 0.5 - (places + 0.5) / 2.0**32)
    far = np.abs(expected) > 1e-4
    assert np.max(np.abs(value / scale / expected - 1)[far]) < 1e-6


@pytest.mark.parametrize(
    "lattice",
    [
        pytest.param(lambda: NarrowFew(grating_table(np.array(CELLS), 4, 1.0), 1.0), id="few",
                     marks=needs_wide),
        pytest.param(lambda: NarrowMore(grating_table(np.array(CELLS), 5, SCALE), SCALE**-3),
                     id="more", marks=needs_wide),
        pytest.param(lambda: NarrowGrating(*CELLS, 1 / 120), id="any"),
    ],
)  # fmt: skip
def test_grating_functions(lattice):
    """Whole, half and zero indices included; the error is one of the value, not of the peak."""
    indices = miller()
    ours, expected = sums(lattice(), ONE, indices), exact(CELLS, indices)
    assert np.max(np.abs(ours - expected) / np.maximum(expected, 1e-8)) < 5e-6


def test_many_cells_keep_their_zeros():
    """Thousands of cells, whose product with the index wraps around thousands of times."""
    cells = (1000, 36, 47)
    indices = np.zeros((3, BLOCK))
    indices[0] = 3 + np.linspace(0.0, 0.0495, BLOCK)
    ours = sums(NarrowGrating(*cells, 1 / np.prod(cells)), ONE, indices)
    assert np.max(np.abs(ours - exact(cells, indices))) < 1e-6
    assert ours[0] == pytest.approx(1.0, rel=1e-5)


def test_gaussian_spots():
    """The exponent in float32; 0 where the power is below the normal numbers."""
    indices = miller()
    away = indices - np.ceil(indices - 0.5)
    triangle = (3.0, 1.0, 0.5, 2.0, 0.25, 30.0)
    x = 3.0 * away[0] + away[1] + 0.5 * away[2]
    y, z = 2.0 * away[1] + 0.25 * away[2], 30.0 * away[2]
    exponent = -(x * x + y * y + z * z)
    ours = sums(NarrowGauss(triangle, 1.0), ONE, indices)
    expected = 2.0**exponent
    seen = exponent > -20.0
    assert seen.any()
    assert np.max(np.abs(ours / expected - 1)[seen]) < 5e-6
    assert np.all(ours[exponent < -127.0] == 0.0)


@pytest.mark.parametrize("cells", [(1, 1, 1), (5, 5, 5), (2, 9, 4), (90, 40, 60), (500, 500, 500)])
@pytest.mark.parametrize("fudge", [0.01, 1.0, 20.0])
def test_spheres(cells, fudge):
    """Centres, slopes and all zeros, by the measure of an image: relative, from 1e-6 of the peak.

    Also with shells of zeros as near to the centre as the shape has them.
    """
    indices = miller()
    indices[:, 100:300] = indices[:, 100:300] % 1.0 * np.geomspace(1e-4, 1.0, 200) + 7.0
    n = np.array(cells, dtype=float)
    lattice = narrow_sphere(n, fudge)
    away = indices - np.ceil(indices - 0.5)
    x = np.pi * np.sqrt(fudge * np.sum((away * n[:, None]) ** 2, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        direct = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    expected = np.where(x < 0.01, 1.0 - x * x / 10.0, direct) ** 2
    ours = sums(lattice, ONE, indices) * (24.0 / np.pi**3) ** 2
    assert np.max(np.abs(ours - expected) / np.maximum(expected, 1e-6)) < 5e-6


@pytest.mark.parametrize("scale", [2.0, 40.0, 1e5])
def test_edges_of_spots_are_where_they_are_in_float64(scale):
    """Also for pixels on an edge to a few units in the last place of float64."""
    triangle = tuple(scale * r for r in (1.3, 1.0, 0.5, 1.2, 0.25, 3.0))
    indices = miller()
    edge = np.linspace(1.0 - 1e-7, 1.0 + 1e-7, 100)
    edge[40:60] = 1.0 + np.arange(-10, 10) * 2.0**-52
    indices[0, 100:200] = -3.0 + edge / triangle[0]
    indices[1:, 100:200] = [[2.0], [5.0]]
    ours = sums(NarrowTophat(triangle, spot_doubt(triangle)), ONE, indices)
    expected = sums(Tophat(triangle, 1.0), ONE, indices)
    assert 0.0 < expected[100:200].mean() < 1.0
    assert np.array_equal(ours, expected)


def test_amplitudes_of_the_nearest_index():
    """Halves go down, and indices outside of the list take its border."""
    size = (5, 6, 7)
    table = np.arange(np.prod(size), dtype=np.float32)
    first = [n + WHOLE_ZERO for n in (-2, -3, -1)]
    amplitude = NarrowAmplitude(
        table=table,
        low=tuple(first),
        high=tuple(n + m - 1 for n, m in zip(first, size, strict=True)),
        strides=(42, 7),
        offset=(-(first[0] * 42 + first[1] * 7 + first[2]),),
        default_squared=0.0,
    )
    indices = np.random.default_rng(2).uniform(-9.0, 9.0, (3, BLOCK))
    indices[0, :6] = [0.5, -0.5, 1.5, -1.5, 2.0, -2.0]
    whole = np.ceil(indices - 0.5).astype(int)
    h, k, el = (
        np.clip(whole[axis] - low, 0, size[axis] - 1) for axis, low in enumerate((-2, -3, -1))
    )
    # One cell along each axis: the lattice factor is 1 everywhere.
    ours = sums(NarrowGrating(1, 1, 1, 1.0), amplitude, indices)
    assert np.allclose(ours, table[h * 42 + k * 7 + el], rtol=2e-6, atol=0)
