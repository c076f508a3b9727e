"""Positions, solid angle, polarization, capture, resolution limit."""

import math

import numpy as np
import pytest

from nbdask.experiment import Beam, Detector, Sampling
from nbdask.geometry.build import build_model
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.scattering import nearest, scattering_vector, within_dmin
from tests.helpers import small_experiment, whole


def model_of(**detector: object):
    values = {"pixels_fast": 25, "pixels_slow": 31, "pixel_size": 4e-4, **detector}
    return build_model(small_experiment(detector=Detector(**values)))  # type: ignore[arg-type]


def test_pixel_centre_is_half_a_pixel_from_its_corner() -> None:
    """Position of pixel (0, 0): origin plus half a pixel along both axes."""
    model = model_of()
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    place = np.array([ray.x[0, 0], ray.y[0, 0], ray.z[0, 0]]) * ray.path[0, 0]
    assert np.allclose(place, model.origin + 2e-4 * (model.fast + model.slow), rtol=1e-12)


def test_sub_pixels_average_to_the_pixel_centre() -> None:
    """Mean position of 3 x 3 sub-pixels is the centre."""
    one = model_of()
    three = build_model(
        small_experiment(
            detector=Detector(pixels_fast=25, pixels_slow=31, pixel_size=4e-4),
            sampling=Sampling(oversample=3),
        )
    )
    tile = whole(one)
    rays = [sub_pixel_rays(three, tile, 0, i, j) for i in range(3) for j in range(3)]
    mean = sum(r.y * r.path for r in rays) / 9
    centre = sub_pixel_rays(one, tile, 0, 0, 0)
    assert np.allclose(mean, centre.y * centre.path, rtol=0, atol=1e-15)


def test_layers_lie_behind_one_another_along_the_normal() -> None:
    """Layer t is t steps deeper."""
    model = model_of(thickness=4.5e-4, thick_steps=4)
    front, back = (sub_pixel_rays(model, whole(model), t, 0, 0) for t in (0, 3))
    depth = (back.x * back.path - front.x * front.path) * model.normal[0]
    assert np.allclose(depth, 4.5e-4)


def test_curved_detector_has_every_pixel_at_the_same_distance() -> None:
    """All paths equal the distance."""
    model = model_of(curved=True)
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    assert np.allclose(ray.path, 0.1, rtol=1e-12)
    assert np.ptp(ray.y) > 0.05


def test_solid_angles_of_a_wide_detector_sum_to_that_of_its_pyramid() -> None:
    """A square plate of side 2a at distance d covers 4 asin(a^2 / (a^2 + d^2)) steradian."""
    detector = Detector(
        pixels_fast=400, pixels_slow=400, pixel_size=1e-3, beam_x=0.1995, beam_y=0.1995
    )
    model = build_model(small_experiment(detector=detector))
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    expected = 4 * math.asin(0.2**2 / (0.2**2 + 0.1**2))
    assert float(solid_angle(model, ray).sum()) == pytest.approx(expected, rel=1e-5)


def test_point_pixels_have_only_the_inverse_square() -> None:
    """1 / R^2, no obliquity, no area."""
    model = model_of(point_pixel=True)
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    assert np.allclose(solid_angle(model, ray) * ray.path**2, 1.0)


def test_polarization_limits() -> None:
    """Unpolarized (1 + cos^2)/2; fully polarized: 1 across, cos^2 along the electric field."""
    detector = Detector(pixels_fast=3, pixels_slow=3, pixel_size=0.05)
    factors = {}
    for kahn in (0.0, 1.0):
        model = build_model(small_experiment(detector=detector, beam=Beam(polarization=kahn)))
        ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
        factors[kahn] = polarization_factor(model, 0, ray)
    cosine = ray.x
    assert np.allclose(factors[0.0], 0.5 * (1 + cosine**2))
    # The squared component of the ray along the electric field is what a dipole loses.
    assert np.allclose(factors[1.0], 1 - ray.z**2, atol=1e-12)


def test_layers_capture_what_the_whole_sensor_captures() -> None:
    """Fractions of the layers sum to 1 - exp(-thickness mu / rho)."""
    model = model_of(thickness=3e-4, attenuation=4000.0, thick_steps=None)
    ray = sub_pixel_rays(model, whole(model), 0, 0, 0)
    total = sum(capture_fraction(model, t, ray) for t in range(model.layers))
    rho = ray.x
    assert np.allclose(total, 1 - np.exp(-3e-4 * 4000 / rho))


def test_resolution_limit_keeps_what_is_coarser_than_dmin() -> None:
    """A term counts where 1/|q| is at least dmin; the direct beam always does."""
    model = build_model(small_experiment(sampling=Sampling(oversample=1, dmin=25e-10)))
    q = scattering_vector(model, 0, sub_pixel_rays(model, whole(model), 0, 0, 0))
    spacing = 1 / np.sqrt(q.x**2 + q.y**2 + q.z**2)
    assert np.array_equal(within_dmin(model, q), spacing >= 25e-10)
    assert 0 < within_dmin(model, q).mean() < 1


def test_nearest_index_takes_halves_down() -> None:
    """ceil(x - 0.5)."""
    values = nearest(np.array([0.5, -0.5, 1.5, 0.4999, 2.51]))
    assert values.tolist() == [0.0, -1.0, 1.0, 0.0, 3.0]
