"""The loops of the mixed precision against formulas in float64, on every level of processor."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nbdask.errors import PlanError
from nbdask.geometry.model import GAUSS, ROUND, SQUARE, TOPHAT
from nbdask.kernels import mixed
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.mixed import Mixed, make_inputs
from nbdask.kernels.mixed_tables import LEAST_DEGREE, SCALE, grating, grating_table
from nbdask.kernels.params import AXES_ROW
from nbdask.native import library
from nbdask.physics.lattice import lattice_factor, sphere
from nbdask.physics.position import Ray
from nbdask.physics.scattering import miller_index, scattering_vector
from nbdask.physics.structure_factor import cell_factor
from tests.helpers import deviation, sampled, whole
from tests.kernels.features import FEATURES, model_of
from tests.kernels.suite import all_steps

LEVELS = library.levels()
BLOCK = 480
CELLS = (4, 5, 6)


@pytest.fixture(params=sampled(LEVELS, len(LEVELS) or 1))
def level(request):
    """Each level that this processor runs."""
    return request.param


def is_wide(level):
    """Return whether the loops of a level look up polynomials."""
    return level == "x86-64-v4"


def rows(*shape):
    """Return zeros that begin at a cache line, as the loops want them."""
    size = int(np.prod(shape)) * 8
    raw = np.zeros(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.float64).reshape(shape)


def terms(level, struct, vectors, axes, parts=((0, None),)):
    """Return the sums over orientations; ``parts`` are ranges that are added one by one."""
    count = vectors.shape[1]
    padded = rows(4, -(-count // 32) * 32)
    padded[:3, :count] = vectors
    padded[:3, count:] = vectors[:, -1:]
    for first, last in parts:
        library.load(level).nb_mixed_terms(
            ctypes.byref(struct),
            *(ctypes.c_void_p(padded[i].ctypes.data) for i in range(3)),
            ctypes.c_void_p(axes.ctypes.data),
            ctypes.c_long(first),
            ctypes.c_long(len(axes) if last is None else last),
            ctypes.c_void_p(padded[3].ctypes.data),
            ctypes.c_long(padded.shape[1]),
        )
    return padded[3, :count].copy()


def sums(level, struct, indices):
    """Return the terms of one orientation for which q is the Miller index."""
    axes = np.zeros((1, AXES_ROW))
    axes[0, [0, 4, 8]] = 1.0
    return terms(level, struct, indices, axes)


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


def square(cells, wide):
    """Return a parallelepiped's structure, its polynomials, and what its peak is."""
    struct = Mixed()
    polynomials = mixed.fill_square(struct, np.array(cells, dtype=float), wide)
    return struct, polynomials, 1.0 if wide else float(np.prod(cells)) ** 2


def grid(first, size):
    """Return what is said of a grid of amplitudes: its first indices, and its size."""
    return {
        "minimum": first,
        "last": [n - 1 for n in size],
        "stride_h": size[1] * size[2],
        "stride_k": size[2],
    }


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


@pytest.mark.parametrize("cells", [(1, 1, 1), CELLS, (7, 10, 9), (2, 10, 1)])
def test_grating_functions(level, cells):
    """Whole, half and zero indices included; the error is one of the value, not of the peak."""
    indices = miller()
    struct, _polynomials, peak = square(cells, is_wide(level))
    assert struct.lattice == (mixed.GRATING if not is_wide(level) else max(cells) > 6)
    ours, expected = sums(level, struct, indices) / peak, exact(cells, indices)
    assert np.max(np.abs(ours - expected) / np.maximum(expected, 1e-8)) < 5e-6


@pytest.mark.parametrize("listed", [False, True])
def test_the_grating_serves_any_number_of_cells(level, listed):
    """Also where tables could."""
    indices = miller()
    struct, _, peak = square(CELLS, wide=False)
    ones = np.ones(27, dtype=np.float32)
    if listed:
        mixed.fill_list(struct, ones, grid((-1, -1, -1), (3, 3, 3)))
    ours, expected = sums(level, struct, indices) / peak, exact(CELLS, indices)
    assert np.max(np.abs(ours - expected) / np.maximum(expected, 1e-8)) < 5e-6


def test_many_cells_keep_their_zeros(level):
    """Thousands of cells, whose product with the index wraps around thousands of times."""
    cells = (1000, 36, 47)
    indices = np.zeros((3, BLOCK))
    indices[0] = 3 + np.linspace(0.0, 0.0495, BLOCK)
    struct, _, peak = square(cells, wide=False)
    ours = sums(level, struct, indices) / peak
    assert np.max(np.abs(ours - exact(cells, indices))) < 1e-6
    assert ours[0] == pytest.approx(1.0, rel=1e-5)


def places_of_many_cells(cells):
    """Return indices all over, and near to spots, to zeros, and to a quarter of the first zero."""
    random = np.random.default_rng(cells)
    away = np.concatenate(
        [
            random.uniform(-0.5, 0.5, (3, 4000)),
            random.choice([-1, 1], (3, 4000)) * 10.0 ** random.uniform(-10, -0.31, (3, 4000)),
            (random.integers(1, cells // 2, (3, 4000)) + random.normal(0, 1e-4, (3, 4000))) / cells,
            random.normal(0.25, 1e-6, (3, 4000)) / cells,
        ],
        axis=1,
    )
    away[0, 4000:] = random.permutation(away[0, 4000:])
    return random.integers(-60, 61, away.shape) + away


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("cells", [65, 100, 333, 1000])
def test_many_cells_between_spots(level, cells, listed):
    """By the measure of an image with the middle of a spot, and of one without spots."""
    indices = places_of_many_cells(cells)
    struct, _, peak = square((cells, cells - 1, cells), wide=False)
    assert struct.lattice == mixed.MANY
    if listed:
        ones = np.ones(27, dtype=np.float32)
        mixed.fill_list(struct, ones, grid((-1, -1, -1), (3, 3, 3)))
    ours = sums(level, struct, indices) / peak
    expected = exact((cells, cells - 1, cells), indices)
    assert expected.max() > 0.9
    assert deviation(ours, expected) < 5e-6
    # The first of them stand anywhere.
    assert expected[:4000].max() < 1e-3
    assert deviation(ours[:4000], expected[:4000]) < 5e-6


@pytest.mark.parametrize("name", ["several sources", "list", "dmin"])
def test_models_of_many_cells(name):
    """Through the kernel, with and without a table of orientations for each source."""
    base = model_of("sources, phi and sub-pixels" if name == "several sources" else name)
    model = replace(base, shape=SQUARE, n_cells=np.array([100.0, 3.0, 70.0]))
    assert inputs_of(model, library.level()).struct.lattice == mixed.MANY
    images = [
        CpuKernel(precision).partial(model, whole(model), all_steps(model), None).total
        for precision in ("float64", "mixed")
    ]
    assert not np.array_equal(*images)
    assert deviation(images[1], images[0]) < 5e-6


def test_how_many_cells_are_too_many():
    """And at which wavelength."""
    model = replace(model_of("list"), shape=SQUARE)
    lengths = np.linalg.norm(model.axes.reshape(-1, 3, 3), axis=2).max()
    most = 2.0**18 * np.min(model.wavelength) / (2.0 * lengths)
    assert most > 1000
    for cells, wavelength, served in ((1000, 1.0, True), (1001, 1.0, False), (999, 1e-3, False)):
        other = replace(
            model,
            n_cells=np.full(3, float(cells)),
            wavelength=model.wavelength * wavelength,
        )
        assert (make_inputs(other, wide=False) is not None) == served


def test_gaussian_spots(level):
    """The exponent in float32; 0 where the power is below the normal numbers."""
    indices = miller()
    away = indices - np.ceil(indices - 0.5)
    struct = Mixed()
    mixed.fill_gauss(struct, np.array([3.0, 1.0, 0.5, 2.0, 0.25, 30.0]))
    x = 3.0 * away[0] + away[1] + 0.5 * away[2]
    y, z = 2.0 * away[1] + 0.25 * away[2], 30.0 * away[2]
    exponent = -(x * x + y * y + z * z)
    ours = sums(level, struct, indices)
    expected = 2.0**exponent
    seen = exponent > -20.0
    assert seen.any()
    assert np.max(np.abs(ours / expected - 1)[seen]) < 5e-6
    assert np.any(exponent < -127.0)
    assert np.all(ours[exponent < -127.0] == 0.0)


def sphere_deviation(level, cells, fudge, indices):
    """Return the worst deviation by the measure of an image: relative, from 1e-6 of the peak."""
    n = np.array(cells, dtype=float)
    struct = Mixed()
    mixed.fill_sphere(struct, n, fudge)
    away = indices - np.ceil(indices - 0.5)
    x = np.pi * np.sqrt(fudge * np.sum((away * n[:, None]) ** 2, axis=0))
    expected = sphere(x) ** 2
    ours = sums(level, struct, indices) * (24.0 / np.pi**3) ** 2
    return np.max(np.abs(ours - expected) / np.maximum(expected, 1e-6))


@pytest.mark.parametrize("cells", [(1, 1, 1), (5, 5, 5), (2, 9, 4), (90, 40, 60), (170, 180, 160)])
@pytest.mark.parametrize("fudge", [0.01, 1.0, 20.0])
def test_spheres(level, cells, fudge):
    """Centres, slopes and all zeros, with shells of zeros as near to the centre as can be."""
    indices = miller()
    indices[:, 100:300] = indices[:, 100:300] % 1.0 * np.geomspace(1e-4, 1.0, 200) + 7.0
    assert sphere_deviation(level, cells, fudge, indices) < 5e-6


@pytest.mark.parametrize(("cells", "bound"), [(5, 1.5e-6), (100, 1.5e-6), (830, 1e-5)])
def test_the_first_zero_of_spheres(level, cells, bound):
    """Where most digits are lost; the largest crystals know squared distances to 2^-26 only."""
    indices = np.full((3, BLOCK), 7.0)
    indices[0] += np.linspace(1.40, 1.46, BLOCK) / cells
    assert sphere_deviation(level, (cells,) * 3, 1.0, indices) < bound


@pytest.mark.parametrize("scale", [2.0, 40.0, 1e5])
@pytest.mark.parametrize("listed", [False, True])
def test_edges_of_spots_are_where_they_are_in_float64(level, scale, listed):
    """Also for pixels on an edge to a few units in the last place of float64."""
    triangle = scale * np.array([1.3, 1.0, 0.5, 1.2, 0.25, 3.0])
    indices = miller()
    edge = np.linspace(1.0 - 1e-7, 1.0 + 1e-7, 100)
    edge[40:60] = 1.0 + np.arange(-10, 10) * 2.0**-52
    indices[0, 100:200] = -3.0 + edge / triangle[0]
    indices[1:, 100:200] = [[2.0], [5.0]]
    struct = Mixed()
    mixed.fill_tophat(struct, triangle)
    table = np.full(27, 0.5, dtype=np.float32)
    if listed:
        mixed.fill_list(struct, table, grid((-1, -1, -1), (3, 3, 3)))
    ours = sums(level, struct, indices)
    h, k, el = indices - np.ceil(indices - 0.5)
    aa, ab, ac, bb, bc, cc = triangle
    length = (aa * h + ab * k + ac * el) ** 2 + (bb * k + bc * el) ** 2 + (cc * el) ** 2
    expected = np.where(length < 1.0, 1.0, 0.0)
    assert 0.0 < expected[100:200].mean() < 1.0
    assert np.array_equal(ours, 0.5 * expected if listed else expected)


def test_amplitudes_of_the_nearest_index(level):
    """Halves go down, and indices outside of the list take its border."""
    size = (5, 6, 7)
    table = np.arange(np.prod(size), dtype=np.float32)
    indices = np.random.default_rng(2).uniform(-9.0, 9.0, (3, BLOCK))
    indices[0, :6] = [0.5, -0.5, 1.5, -1.5, 2.0, -2.0]
    whole = np.ceil(indices - 0.5).astype(int)
    h, k, el = (
        np.clip(whole[axis] - low, 0, size[axis] - 1) for axis, low in enumerate((-2, -3, -1))
    )
    # One cell along each axis: the lattice factor is 1 everywhere.
    struct, _, _ = square((1, 1, 1), wide=False)
    mixed.fill_list(struct, table, grid((-2, -3, -1), size))
    ours = sums(level, struct, indices)
    assert np.allclose(ours, table[h * 42 + k * 7 + el], rtol=2e-6, atol=0)


def inputs_of(model, level):
    """Return what the loops read, where they serve."""
    inputs = make_inputs(model, is_wide(level))
    assert inputs is not None
    return inputs


def directions(count=BLOCK):
    """Return unit vectors up to half a radian around the beam."""
    random = np.random.default_rng(7)
    d = np.vstack([np.ones(count), random.uniform(-0.5, 0.5, (2, count))])
    return d / np.linalg.norm(d, axis=0)


def expected_sums(model, d):
    """Return the weighted sums over all sources and orientations, by the formulas of physics."""
    total = np.zeros(d.shape[1])
    for source in range(model.n_sources):
        q = scattering_vector(model, source, Ray(d[0], d[1], d[2], np.ones(d.shape[1])))
        for axes in model.axes:
            h, k, el = (miller_index(axis, q) for axis in axes)
            factor = lattice_factor(model, h, k, el) ** 2
            if not model.interpolate:
                factor *= cell_factor(model, h, k, el)[0] ** 2
            total += model.weight[source] * factor
    return total


def our_sums(level, model, inputs, d):
    """Return the same from the loops."""
    if inputs.struct.lit:
        return terms(level, inputs.struct, d, inputs.axes) * inputs.height
    total = np.zeros(d.shape[1])
    for source in range(model.n_sources):
        q = (d - model.incident[source][:, None]) / model.wavelength[source]
        total += model.weight[source] * terms(level, inputs.struct, q, inputs.axes)
    return total * inputs.height


@pytest.mark.parametrize("name", sampled([n for n in FEATURES if "spherical" not in n], 4))
@pytest.mark.parametrize("turns", [1, 20])
def test_whole_models(level, name, turns):
    """Tables, heights and orientations of every feature, with few and many orientations."""
    model = model_of(name)
    model = replace(model, axes=np.tile(model.axes, (turns, 1, 1)))
    if name == "factors, gauss" or "diffuse" in name:  # too narrow a spot; in float64
        assert make_inputs(model, is_wide(level)) is None
        return
    d = directions()
    ours, theirs = our_sums(level, model, inputs_of(model, level), d), expected_sums(model, d)
    assert deviation(ours, theirs) <= 1e-5


@pytest.mark.parametrize("shape", [SQUARE, ROUND, GAUSS, TOPHAT])
@pytest.mark.parametrize("name", ["sources, phi and sub-pixels", "list"])
def test_sources_in_one_table_or_one_by_one(level, shape, name):
    """Sources of any weight and wavelength; some have no light at all."""
    model = model_of("sources, phi and sub-pixels")
    other = model_of(name)
    random = np.random.default_rng(3)
    weight = random.uniform(0.1, 2.0, model.n_sources)
    weight[1] = 0.0
    model = replace(
        model,
        weight=weight,
        wavelength=model.wavelength * random.uniform(0.9, 1.1, model.n_sources),
        shape=shape,
        fudge=0.3,
        f_grid=other.f_grid,
        f_min=other.f_min,
    )
    d = directions()
    inputs = inputs_of(model, level)
    alone = inputs_of(replace(model, dmin=1e-12), level)
    assert (inputs.struct.lit, alone.struct.lit) == (1, 0)
    expected = expected_sums(model, d)
    assert deviation(our_sums(level, model, inputs, d), expected) <= 1e-5
    assert deviation(our_sums(level, model, alone, d), expected) <= 1e-5
    dark = inputs_of(replace(model, weight=0.0 * weight), level)
    assert np.all(our_sums(level, model, dark, d) == 0.0)


def test_ranges_of_orientations_add_up(level):
    """Groups of eight and of 256 orientations, and what is left of them."""
    model = model_of("few cells, odd")
    random = np.random.default_rng(4)
    model = replace(model, axes=model.axes[0] * random.uniform(0.9, 1.1, (531, 1, 1)))
    inputs = inputs_of(model, level)
    q = (directions() - model.incident[0][:, None]) / model.wavelength[0]
    whole = terms(level, inputs.struct, q, inputs.axes)
    cut = [0, 1, 1, 9, 100, 400, 531]
    parts = tuple(pairwise(cut))
    assert np.allclose(terms(level, inputs.struct, q, inputs.axes, parts), whole, rtol=1e-6)
    one_by_one = sum(terms(level, inputs.struct, q, inputs.axes, ((o, o + 1),)) for o in range(531))
    assert np.allclose(one_by_one, whole, rtol=1e-6)


def test_what_float64_has_to_do():
    """Crystals that float32 does not know well enough, and C's running product."""
    few, gauss = model_of("few cells, odd"), model_of("gauss")
    round_one, tophat = model_of("round"), model_of("tophat")
    wanted = [few, gauss, round_one, tophat, replace(few, n_cells=np.array([1000.0, 1.0, 1.0]))]
    refused = [
        replace(few, n_cells=np.array([1001.0, 1.0, 1.0])),
        replace(gauss, n_cells=np.array([40.0, 40.0, 40.0])),
        replace(gauss, fudge=-1.0),
        replace(round_one, n_cells=np.array([700.0, 800.0, 900.0]), fudge=1.1),
        replace(round_one, fudge=0.0),
        replace(tophat, fudge=-1.0),
        model_of("spherical"),
        replace(few, running_product=True),
    ]
    assert all(make_inputs(model, wide=True) is not None for model in wanted)
    assert all(make_inputs(model, wide=True) is None for model in refused)


def test_a_grid_too_large_for_its_places():
    """Reflections far apart make a grid of more than 2^31 amplitudes."""
    model = model_of("list")
    huge = np.broadcast_to(np.float64(1.0), (2000, 2000, 2000))
    with pytest.raises(PlanError, match="2000 x 2000 x 2000"):
        make_inputs(replace(model, f_grid=huge), wide=True)
