"""Laws of the single formulas: sums, bounds, symmetries, agreement of neighbouring functions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbdask.experiment import Beam, Crystal, Detector, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.physics.factors import (
    capture_fraction,
    polarization_factor,
    scattering_cosine,
    solid_angle,
)
from nbdask.physics.lattice import (
    grating,
    lattice_factor,
    sphere,
    sphere_argument,
    spot_radius_squared,
)
from nbdask.physics.position import (
    positions,
    rays_at,
    rays_to,
    sub_pixel_positions,
    sub_pixel_rays,
)
from nbdask.physics.scattering import miller_index, nearest, scattering_vector, within_dmin
from nbdask.physics.structure_factor import cell_factor, cubic_weights, interpolates, neighbours
from nbdask.plan.tiles import Tile
from tests.helpers import reflections, small_experiment, whole

SHAPES = ("square", "round", "gauss", "tophat")
indices = st.floats(-20.0, 20.0, allow_subnormal=False)


def model_of(*, kahn: float = 0.0, sampling: Sampling | None = None, **detector: Any) -> Model:
    """Return a model of a tilted detector of 6 x 5 pixels."""
    values = {"pixels_fast": 5, "pixels_slow": 6, "pixel_size": 4e-3, "rotx": 0.1, "roty": -0.2}
    return build_model(
        small_experiment(
            detector=Detector(**{**values, **detector}),
            beam=Beam(polarization=kahn),
            sampling=sampling or Sampling(oversample=1),
        )
    )


def crystal_of(shape: str, **fields: Any) -> Model:
    """Return the model of a crystal of 3 x 4 x 6 cells."""
    cell = (2e-9, 2.5e-9, 3e-9, 1.4, 1.5, 1.6)
    crystal = Crystal(cell=cell, n_cells=(3, 4, 6), shape=shape, **fields)
    return build_model(small_experiment(crystal=crystal))


@given(st.integers(1, 60))
@settings(max_examples=12, deadline=None)
def test_the_mean_square_of_a_grating_is_its_number_of_cells(cells: int) -> None:
    """Parseval: no cell scatters more for having neighbours; exact for evenly spaced indices."""
    steps = 2 * cells + 1
    index = (np.arange(steps) + 0.25) / steps
    assert np.mean(grating(index, float(cells)) ** 2) == pytest.approx(cells, rel=1e-11)


@given(indices, st.integers(1, 1000))
@settings(max_examples=25, deadline=None)
def test_a_grating_is_the_sum_of_its_cells(index: float, cells: int) -> None:
    """The modulus of the sum of exp(2 pi i n h), never above the number of cells."""
    phases = np.exp(2j * np.pi * np.arange(cells) * (index - round(index)))
    found = float(grating(np.array([index]), float(cells))[0])
    assert abs(found) == pytest.approx(abs(phases.sum()), rel=1e-9, abs=1e-9 * cells)
    assert abs(found) <= cells * (1 + 1e-12)


@pytest.mark.parametrize("cells", [2, 3, 7, 10, 100])
def test_a_grating_vanishes_between_its_fringes(cells: int) -> None:
    """At h = m/N, but for whole h."""
    index = np.arange(1, cells) / cells
    np.testing.assert_allclose(grating(index, float(cells)), 0.0, atol=1e-12 * cells)


@pytest.mark.parametrize("shape", SHAPES)
@given(h=indices, k=indices, el=indices)
@settings(max_examples=12, deadline=None)
def test_every_shape_is_the_same_on_both_sides_of_a_spot(
    shape: str, h: float, k: float, el: float
) -> None:
    """F_latt^2 of (h, k, l) and (-h, -k, -l), halves left out since they go down."""
    if min(abs(x - math.floor(x) - 0.5) for x in (h, k, el)) < 1e-6:
        return
    model = crystal_of(shape)
    there = lattice_factor(model, *(np.array([x]) for x in (h, k, el)))
    back = lattice_factor(model, *(np.array([-x]) for x in (h, k, el)))
    assert there**2 == pytest.approx(back**2, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "height"), [*zip(SHAPES, (72, 72 * 0.7236, 72, 72), strict=True)]
)
def test_no_place_is_brighter_than_the_spot(shape: str, height: float) -> None:
    """On a fine grid around a whole index."""
    model = crystal_of(shape)
    near = np.linspace(-0.5, 0.5, 21)[1:]
    h, k, el = np.meshgrid(2 + near, -1 + near, 5 + near, indexing="ij")
    values = np.abs(lattice_factor(model, h, k, el))
    assert values.max() == pytest.approx(height, rel=1e-4)
    assert values.max() == values[9, 9, 9]


@pytest.mark.parametrize("shape", ["round", "gauss", "tophat"])
def test_a_greater_fudge_is_a_smaller_spot(shape: str) -> None:
    """Four times the fudge is half the distance to the spot, for the same factor."""
    one, four = crystal_of(shape), crystal_of(shape, fudge=4.0)
    h, k, el = np.random.default_rng(4).uniform(-0.1, 0.1, (3, 200))
    far = lattice_factor(one, 2 * h, 2 * k, 2 * el)
    np.testing.assert_allclose(lattice_factor(four, h, k, el), far, rtol=1e-9, atol=1e-9)
    assert np.ptp(far) > 1.0


def test_the_sphere_is_that_of_a_closed_form() -> None:
    """3 (sin x - x cos x) / x^3, by the sum of its series; 0 where tan x = x."""
    x = np.array([1e-8, 0.01, 0.0499, 0.0501, 0.3, 1.0, 2.0])
    series = sum(
        (-1) ** n * 3 * 2 * (n + 1) * x ** (2 * n) / math.factorial(2 * n + 3) for n in range(20)
    )
    np.testing.assert_allclose(sphere(x), series, rtol=2e-12)
    assert sphere(np.zeros(1))[0] == 1.0
    assert abs(sphere(np.array([4.493409457909064]))[0]) < 1e-15


def test_distances_to_spots_grow_from_them() -> None:
    """Zero at whole indices, and a quadratic form of the distance around them."""
    whole_index = np.array([-3.0, 0.0, 7.0])
    small = np.array([1e-3, -2e-3, 1.5e-3])
    for model, squared in (
        (crystal_of("round"), lambda m, *hkl: sphere_argument(m, *hkl) ** 2),
        (crystal_of("gauss"), spot_radius_squared),
    ):
        zero = squared(model, whole_index, whole_index, whole_index)
        once = squared(model, whole_index + small, whole_index, whole_index - small)
        twice = squared(model, whole_index + 2 * small, whole_index, whole_index - 2 * small)
        np.testing.assert_allclose(zero, 0.0, atol=1e-20)
        np.testing.assert_allclose(twice, 4 * once, rtol=1e-9)


@given(st.floats(-1e6, 1e6, allow_subnormal=False))
@example(0.5)
@example(-1.5)
@settings(max_examples=20, deadline=None)
def test_the_nearest_index_is_at_most_a_half_away(value: float) -> None:
    """Below or at a half above, never a half below."""
    found = float(nearest(np.array([value]))[0])
    assert found == int(found)
    assert -0.5 <= found - value < 0.5


def test_rays_are_unit_vectors_to_their_places() -> None:
    """Place, direction and path agree, for every way to ask for them, layer and sub-pixel."""
    model = model_of(thickness=3e-4, thick_steps=3, sampling=Sampling(oversample=2))
    tile = Tile(1, 5, 2, 5)
    for layer, slow, fast in ((0, 0, 0), (2, 1, 0), (1, 0, 1)):
        ray = sub_pixel_rays(model, tile, layer, slow, fast)
        where = sub_pixel_positions(model, tile, layer, slow, fast)
        for direction, place in zip(ray[:3], where, strict=True):
            np.testing.assert_allclose(direction * ray.path, place, rtol=1e-13, atol=1e-18)
        np.testing.assert_allclose(ray.x**2 + ray.y**2 + ray.z**2, 1.0, rtol=1e-14)
        again = rays_at(model, np.arange(1, 5), np.arange(2, 5), layer, slow, fast)
        for one, other in zip(ray, again, strict=True):
            assert np.array_equal(one, other)
        along_slow = (np.arange(1, 5)[:, None] + (slow + 0.5) / 2) * 4e-3
        along_fast = (np.arange(2, 5)[None, :] + (fast + 0.5) / 2) * 4e-3
        free = rays_to(model, along_slow, along_fast, layer * model.layer_step)
        for one, other in zip(ray, free, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)


def test_places_on_a_flat_detector_are_affine() -> None:
    """Equal steps along an axis are equal steps in space, along that axis."""
    model = model_of()
    along = np.arange(4) * 1e-3
    x, y, z = positions(model, np.zeros(4), along)
    steps = np.diff([x, y, z], axis=1).T
    np.testing.assert_allclose(steps, np.tile(1e-3 * model.fast, (3, 1)), atol=1e-16)
    x, y, z = positions(model, along, np.zeros(4), depth=2e-3)
    start = model.origin + 2e-3 * model.normal
    np.testing.assert_allclose([x[0], y[0], z[0]], start, atol=1e-16)


def test_solid_angles_do_not_depend_on_tilt_but_through_the_normal() -> None:
    """p^2 cos(angle to the normal) / R^2, on a tilted detector too."""
    model = model_of()
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    cosine = ray.x * model.normal[0] + ray.y * model.normal[1] + ray.z * model.normal[2]
    expected = 4e-3**2 * cosine / ray.path**2
    np.testing.assert_allclose(solid_angle(model, ray), expected, rtol=1e-12)


@given(st.floats(-1.0, 1.0, allow_subnormal=False))
@settings(max_examples=12, deadline=None)
def test_polarization_lies_between_0_and_1_and_adds_up(kahn: float) -> None:
    """Factors of K and -K have the sum 1 + cos^2, that without polarization."""
    one, other, none = (model_of(kahn=k) for k in (kahn, -kahn, 0.0))
    ray = sub_pixel_rays(one, whole(one), 0, 0, 0)
    factors = [polarization_factor(model, 0, ray) for model in (one, other, none)]
    for factor in factors:
        assert factor.min() >= -1e-15
        assert factor.max() <= 1 + 1e-15
    cosine = scattering_cosine(one, 0, ray)
    np.testing.assert_allclose(factors[0] + factors[1], 1 + cosine**2, rtol=1e-12)
    np.testing.assert_allclose(factors[2], (1 + cosine**2) / 2, rtol=1e-14)


def test_nothing_is_scattered_along_the_electric_field() -> None:
    """Full polarization along z: a ray along z has the factor 0, one across it 1."""
    model = model_of(kahn=1.0)
    ray = sub_pixel_rays(model, Tile(0, 1, 0, 3), 0, 0, 0)
    axes = [np.array([v]) for v in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    along = ray._replace(x=axes[0], y=axes[1], z=axes[2], path=np.ones((1, 3)))
    found = polarization_factor(model, 0, along)
    e, b = model.polar_e[0], model.polar_b[0]
    rows = np.array([model.incident[0], e, b]) @ np.stack([a[0] for a in axes])
    expected = [1.0 if abs(rows[1, i]) < 0.5 else 0.0 for i in range(3)]
    np.testing.assert_allclose(found[0], expected, atol=1e-15)


@given(st.floats(1.0, 1e6))
@settings(max_examples=12, deadline=None)
def test_layers_capture_ever_less_and_together_all_that_stops(mu: float) -> None:
    """By Beer and Lambert's law: a geometric series along the slanted path."""
    model = model_of(thickness=5e-4, thick_steps=6, attenuation=mu)
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    shares = np.array([capture_fraction(model, layer, ray) for layer in range(model.layers)])
    assert (shares >= 0).all()
    assert (np.diff(shares, axis=0) <= 0).all()
    rho = ray.x * model.normal[0] + ray.y * model.normal[1] + ray.z * model.normal[2]
    depth = model.layers * model.layer_step * mu / rho
    np.testing.assert_allclose(shares.sum(axis=0), -np.expm1(-depth), rtol=1e-9, atol=1e-15)


def test_bragg_and_laue_agree() -> None:
    """|q| is 2 sin(theta) / lambda, and whole indices are reciprocal vectors."""
    model = model_of()
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    q = scattering_vector(model, 0, ray)
    size = np.sqrt(q.x**2 + q.y**2 + q.z**2)
    theta = np.arccos(scattering_cosine(model, 0, ray)) / 2
    np.testing.assert_allclose(size, 2 * np.sin(theta) / 1e-10, rtol=1e-9)
    h, k, el = (miller_index(axis, q) for axis in model.axes[0])
    star = np.linalg.inv(model.axes[0]).T
    back = h[..., None] * star[0] + k[..., None] * star[1] + el[..., None] * star[2]
    np.testing.assert_allclose(back, np.stack(q, axis=-1), rtol=1e-9, atol=1e-3)


def test_a_resolution_limit_is_that_of_the_spacing() -> None:
    """A term counts from exactly its own spacing down."""
    model = model_of()
    q = scattering_vector(model, 0, sub_pixel_rays(model, Tile(2, 3, 3, 4), 0, 0, 0))
    spacing = 1 / math.hypot(q.x[0, 0], q.y[0, 0], q.z[0, 0])
    for factor, kept in ((0.999, True), (1.001, False)):
        assert bool(within_dmin(replace(model, dmin=spacing * factor), q)[0, 0]) is kept


def interpolated(values: Any) -> Model:
    """Return a model that interpolates a list of amplitudes, a function of the indices."""
    listed = tuple((h, k, el, values(h, k, el)) for h, k, el, _ in reflections(limit=4))
    structure = StructureFactors(reflections=listed, default_F=-1.0)
    return build_model(
        small_experiment(structure=structure, sampling=Sampling(oversample=1, interpolate=True))
    )


@given(st.floats(0.0, 1.0, exclude_max=True, allow_subnormal=False))
@settings(max_examples=20, deadline=None)
def test_cubic_weights_carry_every_cubic(t: float) -> None:
    """Their moments about the place vanish up to the third."""
    weights = [float(w[0]) for w in cubic_weights(np.array([t]))]
    for power in range(4):
        moment = sum(w * (n - t) ** power for w, n in zip(weights, (-1, 0, 1, 2), strict=True))
        assert moment == pytest.approx(1.0 if power == 0 else 0.0, abs=1e-14)


@given(st.tuples(*[st.floats(-2.9, 2.9, allow_subnormal=False)] * 3))
@settings(max_examples=8, deadline=None)
def test_interpolation_is_linear_in_the_amplitudes(place: tuple) -> None:
    """The interpolation of a sum is the sum of the interpolations; constants stay."""
    one = lambda h, k, el: h * h + math.sin(k + el)  # noqa: E731
    other = lambda h, k, el: 5.0 / (2 + h * k * el * el + 300)  # noqa: E731
    at = [np.array([x]) for x in place]
    values = [
        float(cell_factor(interpolated(f), *at)[0][0])
        for f in (one, other, lambda *hkl: one(*hkl) + 2 * other(*hkl), lambda *_: 3.25)
    ]
    assert values[2] == pytest.approx(values[0] + 2 * values[1], rel=1e-11, abs=1e-11)
    assert values[3] == pytest.approx(3.25, rel=1e-13)


def test_the_edge_of_the_interpolated_grid_is_where_neighbours_end() -> None:
    """Inside, the four neighbours of every index are in the grid; outside default_F is taken."""
    model = interpolated(lambda h, k, el: 1.0 + h)
    index = np.linspace(-4.5, 4.5, 181)
    zero = np.zeros_like(index)
    inside = interpolates(model, index, zero, zero)
    first, _ = neighbours(model, 0, index[inside])
    assert first.min() == 0
    assert first.max() + 3 == model.f_grid.shape[0] - 1
    values, outside = cell_factor(model, index, zero, zero)
    assert outside is not None
    assert np.array_equal(outside, ~inside)
    assert set(values[outside].tolist()) == {-1.0}
    np.testing.assert_allclose(values[inside], 1.0 + index[inside], atol=1e-12)
