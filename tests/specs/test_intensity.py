"""specs/intensity.md."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nbdask import units
from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Experiment,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.reference import ReferenceKernel, pixel_polarization
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.lattice import lattice_factor
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.scattering import miller_index, nearest, scattering_vector, within_dmin
from nbdask.physics.structure_factor import cell_factor
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.specs.support import CUBE, SKEW, experiment, pixels, with_detector

TILE = Tile(0, 12, 0, 16)


def shaped(shape: str, cells: tuple = (3, 4, 5), fudge: float = 1.0) -> Model:
    """Return the model of a crystal of some shape."""
    return build_model(
        experiment(crystal=Crystal(cell=SKEW, n_cells=cells, shape=shape, fudge=fudge))
    )


def lattice(model: Model, h: float, k: float, el: float) -> float:
    """Lattice factor at one place."""
    return float(lattice_factor(model, np.array([h]), np.array([k]), np.array([el]))[0])


def test_order_of_evaluations() -> None:
    """A flat step is layer, sub-pixel slow, sub-pixel fast, source, phi, domain."""
    exp = with_detector(
        experiment(
            sampling=Sampling(oversample=2),
            sources=Sources(points=(SourcePoint(-1.0), SourcePoint(-1.0, 0.05))),
            scan=Scan(0.1, 0.2, None, 2),
            crystal=Crystal(cell=SKEW, n_cells=(3, 4, 5), mosaic_spread=0.02, mosaic_domains=2),
        ),
        thickness=1e-4,
        thick_steps=2,
    )
    model = build_model(exp)
    layer, slow, fast, source, phi, domain = 1, 0, 1, 1, 0, 1
    step = ((((layer * 2 + slow) * 2 + fast) * 2 + source) * 2 + phi) * 2 + domain
    total = ReferenceKernel().partial(model, TILE, StepRange(step, step + 1), None).total
    q = scattering_vector(model, source, sub_pixel_rays(model, TILE, layer, slow, fast))
    indices = [miller_index(axis, q) for axis in model.axes[phi * 2 + domain]]
    expected = (10.0 * lattice_factor(model, *indices)) ** 2
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    assert model.n_steps == 2 * 4 * 2 * 2 * 2


def test_scattering_vector_length() -> None:
    """|q| = 2 sin(theta)/lambda for each source's own wavelength."""
    sources = Sources(points=(SourcePoint(wavelength=2e-10), SourcePoint(-1.0, 0.1)))
    model = build_model(experiment(sources=sources))
    ray = sub_pixel_rays(model, TILE, 0, 0, 0)
    for source, wave in enumerate((2e-10, 1.5e-10)):
        q = scattering_vector(model, source, ray)
        x, y, z = model.incident[source]
        two_theta = np.arccos(ray.x * x + ray.y * y + ray.z * z)
        length = np.sqrt(q.x**2 + q.y**2 + q.z**2)
        np.testing.assert_allclose(length, 2 * np.sin(two_theta / 2) / wave, rtol=1e-6)


def test_dmin_skips_what_lies_beyond() -> None:
    """Terms with 1/|q| below dmin are left out, all others are untouched."""
    plain = experiment()
    model = build_model(plain)
    q = scattering_vector(model, 0, sub_pixel_rays(model, TILE, 0, 0, 0))
    spacing = 1 / np.sqrt(q.x**2 + q.y**2 + q.z**2)
    limit = float(np.median(spacing)) * 1.000001
    cut = pixels(plain.replace(sampling=Sampling(oversample=1, dmin=limit)))
    np.testing.assert_array_equal(cut == 0, spacing < limit)
    np.testing.assert_array_equal(cut[spacing >= limit], pixels(plain)[spacing >= limit])


def test_direct_beam_passes_any_dmin() -> None:
    """At q = 0 there is no spacing to compare."""
    model = replace(build_model(experiment()), dmin=1.0)
    zero = np.zeros((1, 1))
    q = scattering_vector(model, 0, sub_pixel_rays(model, Tile(0, 1, 0, 1), 0, 0, 0))
    assert not within_dmin(model, q).any()
    assert within_dmin(model, q._replace(x=zero, y=zero, z=zero)).all()


def test_indices_are_whole_on_the_reciprocal_lattice() -> None:
    """q = 2a* - b* + 3c* gives h k l = 2 -1 3."""
    model = build_model(experiment(crystal=Crystal(cell=CUBE, misset=(0.1, 0.2, 0.3))))
    star = np.linalg.inv(model.axes[0]).T
    vector = 2 * star[0] - star[1] + 3 * star[2]
    q = scattering_vector(model, 0, sub_pixel_rays(model, TILE, 0, 0, 0))
    here = q._replace(x=vector[0], y=vector[1], z=vector[2])
    assert [miller_index(a, here) for a in model.axes[0]] == pytest.approx([2, -1, 3])


def test_halves_go_down() -> None:
    """ceil(x - 0.5), for negative numbers too."""
    found = nearest(np.array([0.5, 1.5, -0.5, -1.5, 0.49, 0.51, -2.0]))
    assert found.tolist() == [0.0, 1.0, -1.0, -2.0, 0.0, 1.0, -2.0]


@pytest.mark.parametrize("place", [(0.123, -1.7, 2.31), (0.25, 0.5, -0.9), (1e-9, 3.0, 0.4)])
def test_square_is_the_sum_over_all_cells(place: tuple) -> None:
    """|F_latt| is the coherent sum of exp(2 pi i h n) over the cells of the parallelepiped."""
    expected = 1.0
    for h, cells in zip(place, (3, 4, 5), strict=True):
        expected *= abs(sum(np.exp(2j * np.pi * h * n) for n in range(cells)))
    assert abs(lattice(shaped("square"), *place)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_square_at_whole_indices_and_with_one_cell() -> None:
    """Na Nb Nc on the lattice; an axis with one cell has no say."""
    assert lattice(shaped("square"), 2.0, -7.0, 0.0) == pytest.approx(60.0, rel=1e-12)
    single = shaped("square", (1, 4, 5))
    assert lattice(single, 0.37, 0.1, 0.2) == lattice(single, 0.0, 0.1, 0.2)


def test_round() -> None:
    """The transform of a sphere, with the height that the specification gives."""
    model = shaped("round", fudge=0.8)
    h, k, el = 2.1, -0.9, 0.03
    x = math.pi * math.sqrt(0.8 * ((0.1 * 3) ** 2 + (0.1 * 4) ** 2 + (0.03 * 5) ** 2))
    expected = 60 * 0.723601254558268 * 3 * (math.sin(x) / x - math.cos(x)) / x**2
    assert lattice(model, h, k, el) == pytest.approx(expected, rel=1e-12)
    assert lattice(model, 2.0, -1.0, 0.0) == pytest.approx(60 * 0.723601254558268, rel=1e-15)


def rho_squared(model: Model, dh: float, dk: float, dl: float) -> float:
    """Squared distance from the reciprocal point, in units of the crystal's size."""
    v = dh * model.star[0] + dk * model.star[1] + dl * model.star[2]
    return float(v @ v) * 60.0**2


def test_gauss() -> None:
    """A Gaussian spot around each reciprocal point."""
    model = shaped("gauss", fudge=0.5)
    expected = 60 * math.exp(-0.5 * rho_squared(model, 0.1, -0.2, 0.05) / 0.63)
    assert lattice(model, 1.1, 2.8, -0.95) == pytest.approx(expected, rel=1e-12)


def test_gauss_does_not_see_phi() -> None:
    """The shape uses the reciprocal vectors before any rotation."""
    crystal = Crystal(cell=SKEW, n_cells=(3, 4, 5), shape="gauss")
    turned = build_model(experiment(crystal=crystal, scan=Scan(phi0=1.0)))
    np.testing.assert_array_equal(turned.star, shaped("gauss").star)
    assert abs(turned.axes - shaped("gauss").axes).max() > 1e-9


def test_tophat() -> None:
    """All or nothing at fudge rho^2 = 0.3969."""
    model = shaped("tophat")
    edge = math.sqrt(0.3969 / rho_squared(model, 1.0, 0.0, 0.0))
    assert lattice(model, 1 + 0.999 * edge, 2.0, 0.0) == 60.0
    assert lattice(model, 1 + 1.001 * edge, 2.0, 0.0) == 0.0
    wide = shaped("tophat", fudge=0.64)
    assert lattice(wide, 1 + 1.249 * edge, 2.0, 0.0) == 60.0
    assert lattice(wide, 1 + 1.251 * edge, 2.0, 0.0) == 0.0


def amplitude(exp: Experiment, h: float, k: float, el: float) -> float:
    """Structure factor at one place."""
    return float(cell_factor(build_model(exp), *(np.array([x]) for x in (h, k, el)))[0][0])


def listed(interpolate: bool | None, function, n: int = 4) -> Experiment:
    """Return an experiment with F = function(h, k, l) for indices from -n to n."""
    span = range(-n, n + 1)
    rows = tuple((h, k, el, function(h, k, el)) for h in span for k in span for el in span)
    return experiment(
        structure=StructureFactors(default_F=7.0, reflections=rows),
        sampling=Sampling(oversample=1, interpolate=interpolate),
    )


def test_without_a_list() -> None:
    """default_F everywhere, asked to interpolate or not."""
    for interpolate in (True, False):
        exp = experiment(sampling=Sampling(oversample=1, interpolate=interpolate))
        assert amplitude(exp, 0.3, 99.2, -5.5) == 10.0


def test_grid_and_its_surroundings() -> None:
    """Holes in the list and everything outside have default_F."""
    rows = ((0, 0, 1, 5.0), (2, -1, 3, 6.0))
    exp = experiment(structure=StructureFactors(default_F=7.0, reflections=rows))
    assert amplitude(exp, 2.2, -0.9, 2.7) == 6.0
    assert amplitude(exp, 0.0, 0.0, 1.0) == 5.0
    assert amplitude(exp, 1.0, 0.0, 1.0) == 7.0
    assert amplitude(exp, 3.0, 0.0, 1.0) == 7.0


def test_nearest_amplitude() -> None:
    """The amplitude of ceil(x - 0.5)."""
    exp = listed(False, lambda h, k, el: 100 + h + 10 * k + 20 * el)
    assert amplitude(exp, 1.5, -0.4, 0.6) == 100 + 1 + 0 + 20


@pytest.mark.parametrize(
    ("cells", "on"), [((2, 9, 9), True), ((9, 9, 1), True), ((3, 3, 3), False)]
)
def test_automatic_interpolation(cells: tuple, on: bool) -> None:
    """Small crystals interpolate."""
    exp = listed(None, lambda h, k, el: 1.0, 1)
    crystal = Crystal(cell=SKEW, n_cells=cells)
    assert build_model(exp.replace(crystal=crystal)).interpolate == on


def test_automatic_interpolation_looks_at_given_counts_only() -> None:
    """Cells that follow from the sample's size come too late for this choice."""
    exp = listed(None, lambda h, k, el: 1.0, 1)
    crystal = Crystal(cell=SKEW, size=(3e-8, 3e-8, 3e-8))
    assert build_model(exp.replace(crystal=crystal)).n_cells.min() > 2
    assert build_model(exp.replace(crystal=crystal)).interpolate


def test_interpolation_without_a_list_is_off() -> None:
    """There is nothing to interpolate."""
    exp = experiment(crystal=Crystal(cell=SKEW, n_cells=(1, 1, 1)))
    assert not build_model(exp).interpolate


def cubic(h: float, k: float, el: float) -> float:
    """Return a polynomial of third order in each index."""
    return 500 + h**3 - 2 * k**3 + el**3 + h * k * el + (h * k * el) ** 3 / 50 + h * h - k


@pytest.mark.parametrize("place", [(0.3, -1.7, 1.2), (-2.9, 2.999, 0.5), (1.01, 0.99, -2.5)])
def test_interpolation_reproduces_cubics(place: tuple) -> None:
    """And so is exact for them between the amplitudes."""
    assert amplitude(listed(True, cubic), *place) == pytest.approx(cubic(*place), rel=1e-12)


def test_interpolation_is_the_lagrange_sum() -> None:
    """64 amplitudes, each with the product of its three weights."""

    def values(h: int, k: int, el: int) -> float:
        return float((h * 7919 + k * 104729 + el * 1299709) % 101)

    def weight(x: float, node: int) -> float:
        nodes = [math.floor(x) + m for m in (-1, 0, 1, 2)]
        return math.prod((x - m) / (node - m) for m in nodes if m != node)

    place = (0.3, -1.7, 1.2)
    corner = [math.floor(x) - 1 for x in place]
    expected = sum(
        values(*(c + m for c, m in zip(corner, moves, strict=True)))
        * math.prod(weight(x, c + m) for x, c, m in zip(place, corner, moves, strict=True))
        for moves in np.ndindex(4, 4, 4)
    )
    assert amplitude(listed(True, values), *place) == pytest.approx(expected, rel=1e-12)
    assert amplitude(listed(True, values), 2.0, -1.0, 0.0) == pytest.approx(values(2, -1, 0))


@pytest.mark.parametrize("kahn", [0.0, 0.95, 1.0, -1.0])
def test_polarization(kahn: float) -> None:
    """Dipole radiation: 1 - (E . d)^2 and 1 - (B . d)^2, mixed by the Kahn factor."""
    spread = Sources(vertical=Spread(0.4, None, 2))
    model = build_model(
        experiment(beam=Beam(wavelength=1.5e-10, polarization=kahn), sources=spread)
    )
    ray = sub_pixel_rays(model, TILE, 0, 0, 0)
    for source in range(2):
        along_e, along_b = (
            1 - (ray.x * v[0] + ray.y * v[1] + ray.z * v[2]) ** 2
            for v in (model.polar_e[source], model.polar_b[source])
        )
        expected = (1 + kahn) / 2 * along_e + (1 - kahn) / 2 * along_b
        np.testing.assert_allclose(polarization_factor(model, source, ray), expected, rtol=1e-9)


def test_capture_in_layers() -> None:
    """Beer's law along the slanted path: layers together absorb 1 - exp(-depth)."""
    exp = with_detector(experiment(), thickness=3e-4, thick_steps=4, attenuation=5000.0, roty=0.2)
    model = build_model(exp)
    ray = sub_pixel_rays(model, TILE, 0, 0, 0)
    rho = ray.x * model.normal[0] + ray.y * model.normal[1] + ray.z * model.normal[2]
    layers = [capture_fraction(model, t, ray) for t in range(4)]
    np.testing.assert_allclose(sum(layers), 1 - np.exp(-4 * 1e-4 * 5000.0 / rho), rtol=1e-12)
    np.testing.assert_allclose(layers[1] / layers[0], np.exp(-1e-4 * 5000.0 / rho), rtol=1e-12)
    assert (capture_fraction(build_model(experiment()), 0, ray) == 1.0).all()


def test_pixel_factors_come_from_one_place_each() -> None:
    """Solid angle: first layer; capture: last layer; both at the first sub-pixel."""
    exp = with_detector(
        experiment(sampling=Sampling(oversample=3), beam=Beam(polarized=False)),
        thickness=3e-3,
        thick_steps=3,
        attenuation=500.0,
    )
    model, kernel = build_model(exp), ReferenceKernel()
    partial = kernel.partial(model, TILE, StepRange(0, model.n_steps), None)
    expected = model.scale * partial.total
    expected = expected * solid_angle(model, sub_pixel_rays(model, TILE, 0, 0, 0))
    expected = expected * capture_fraction(model, 2, sub_pixel_rays(model, TILE, 2, 0, 0))
    np.testing.assert_allclose(kernel.finish(model, TILE, partial, None), expected, rtol=1e-6)


def test_polarization_of_the_first_source_that_passes() -> None:
    """With dmin between two wavelengths, the long one's factor is the pixel's."""
    points = (SourcePoint(-1.0, 0.3, 0.0, 1.0, 0.5e-10), SourcePoint(-1.0, -0.3, 0.0, 1.0, 9e-10))
    exp = experiment(
        sources=Sources(points=points),
        sampling=Sampling(oversample=1, dmin=3e-10),
    )
    model = build_model(exp)
    ray = sub_pixel_rays(model, TILE, 0, 0, 0)
    passed = within_dmin(model, scattering_vector(model, 0, ray))
    assert 0 < passed.sum() < passed.size
    factors = [polarization_factor(model, source, ray) for source in (0, 1)]
    np.testing.assert_array_equal(
        pixel_polarization(model, TILE), np.where(passed, factors[0], factors[1])
    )


def test_terms_with_factors_of_their_own() -> None:
    """The image is the sum over sub-pixels and layers of term times capture, polar, omega."""
    sampling = Sampling(
        oversample=2, oversample_thick=True, oversample_polar=True, oversample_omega=True
    )
    exp = with_detector(
        experiment(sampling=sampling), thickness=3e-4, thick_steps=2, attenuation=2000.0
    )
    model = build_model(exp)
    expected = np.zeros(exp.shape)
    for layer, slow, fast in np.ndindex(2, 2, 2):
        ray = sub_pixel_rays(model, TILE, layer, slow, fast)
        q = scattering_vector(model, 0, ray)
        indices = [miller_index(a, q) for a in model.axes[0]]
        term = (10.0 * lattice_factor(model, *indices)) ** 2
        term = term * capture_fraction(model, layer, ray) * solid_angle(model, ray)
        expected += term * polarization_factor(model, 0, ray)
    np.testing.assert_allclose(pixels(exp), model.scale * expected, rtol=1e-6)


def test_oversampled_polarization_in_spite_of_nopolar() -> None:
    """The factor is applied per term, with or without -nopolar."""
    sampling = Sampling(oversample=1, oversample_polar=True)
    images = [
        pixels(experiment(sampling=sampling, beam=Beam(wavelength=1.5e-10, polarized=polarized)))
        for polarized in (True, False)
    ]
    np.testing.assert_array_equal(images[0], images[1])
    plain = pixels(experiment(beam=Beam(wavelength=1.5e-10, polarized=False)))
    assert (images[1] < plain)[plain > 0].any()


def test_water() -> None:
    """A pixel without Bragg scattering holds the water's share, times the pixel's factors."""
    rows = ((50, 50, 50, 1.0),)
    exp = experiment(
        background=Background(water=1e-4), structure=StructureFactors(reflections=rows)
    )
    model = build_model(exp)
    ray = sub_pixel_rays(model, TILE, 0, 0, 0)
    start = 2.57**2 * units.R_E_SQR * units.DEFAULT_FLUENCE * 1e-12 * 1e6 * units.AVOGADRO / 18.0
    expected = start * polarization_factor(model, 0, ray) * solid_angle(model, ray)
    np.testing.assert_allclose(pixels(exp), expected, rtol=1e-6)
    # The number of evaluations divides the background too.
    two = pixels(exp.replace(scan=Scan(0.1, 0.1, None, 2)))
    np.testing.assert_allclose(two, expected / 2, rtol=1e-6)


def test_water_keeps_the_pixels_factors() -> None:
    """Factors per term do not reach the background under spec."""
    water = Background(water=1e-4)
    rows = StructureFactors(reflections=((50, 50, 50, 1.0),))
    sampling = Sampling(oversample=3)
    plain = experiment(background=water, structure=rows, sampling=sampling)
    per_term = replace(sampling, oversample_omega=True, oversample_polar=True)
    np.testing.assert_array_equal(pixels(plain), pixels(plain.replace(sampling=per_term)))
