"""Point-spread functions: shape, conservation, symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from nbdask.derive import FibrePSF, GaussianPSF, Pipeline, convolution, fibre_psf, gaussian_psf
from nbdask.errors import FieldError

STEPS = [
    GaussianPSF(0.5),
    GaussianPSF(1.7),
    GaussianPSF(6.0, radius=9),
    FibrePSF(0.4),
    FibrePSF(1.3),
    FibrePSF(5.0, radius=7),
]


def point(side: int) -> np.ndarray:
    """An image with one bright pixel in the middle."""
    image = np.zeros((side, side), dtype=np.float32)
    image[side // 2, side // 2] = 1.0
    return image


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_light_is_conserved(step) -> None:
    """The weights' sum is 1 to the last bit, and none is negative."""
    weights = step.weights()
    times = np.where(np.arange(step.halo + 1) == 0, 1.0, 2.0)
    if weights.ndim == 1:
        assert (times * weights).sum() == 1.0
    else:
        assert (times[:, None] * times * weights).sum() == 1.0
        assert np.array_equal(weights, weights.T)
    assert (weights >= 0).all()
    spread_out = Pipeline((step,)).apply(point(2 * step.halo + 3))
    assert float(spread_out.sum(dtype=np.float64)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_flat_images_stay_flat_but_at_the_edge(step) -> None:
    """In the middle nothing changes; at a corner a good half of the light is lost, or more."""
    side = 2 * step.halo + 6
    found = Pipeline((step,)).apply(np.full((side, side), 1000.0, dtype=np.float32))
    inner = found[step.halo : -step.halo, step.halo : -step.halo]
    assert np.allclose(inner, 1000.0, rtol=1e-6)
    assert found[0, 0] < 1000.0
    assert found[0, 0] == found[-1, -1] == found[0, -1] == found[-1, 0]


@pytest.mark.parametrize(("slow", "fast"), [(0, 0), (0, 1), (1, 1), (2, 0), (3, 2), (5, 4)])
def test_gaussian_profile(slow, fast) -> None:
    """A point becomes the Gaussian, integrated over each pixel by SciPy."""
    fwhm = 2.5
    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))

    def g(x: float, y: float) -> float:
        return math.exp(-(x * x + y * y) / (2 * sigma**2)) / (2 * math.pi * sigma**2)

    box = (slow - 0.5, slow + 0.5, fast - 0.5, fast + 0.5)
    expected = integrate.dblquad(g, *box)[0]
    found = gaussian_psf(point(41), fwhm)
    assert found[20 + slow, 20 + fast] == pytest.approx(expected, rel=1e-6)
    assert found[20 - fast, 20 - slow] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("slow", "fast"), [(0, 0), (0, 1), (1, 1), (3, 2), (10, 4), (0, 20)])
def test_fibre_profile(slow, fast) -> None:
    """A point becomes z / (2 pi (z^2 + r^2)^1.5), integrated over each pixel, cut off at 20."""
    fwhm, radius = 1.6, 20
    z = fwhm / (2 * math.sqrt(2 ** (2 / 3) - 1))

    def g(x: float, y: float) -> float:
        return z / (2 * math.pi * (z * z + x * x + y * y) ** 1.5)

    assert g(fwhm / 2, 0.0) == pytest.approx(g(0.0, 0.0) / 2)
    expected = integrate.dblquad(g, slow - 0.5, slow + 0.5, fast - 0.5, fast + 0.5)[0]
    # What would fall beyond the radius is given to the pixels within.
    within = 1.0 - z / math.hypot(z, radius)
    found = fibre_psf(point(61), fwhm, radius)
    assert found[30 + slow, 30 + fast] == pytest.approx(expected / within, rel=2e-3)
    assert found[30, 30 + radius + 1] == 0.0


def test_narrow_functions_leave_the_image_alone() -> None:
    """Light that stays within its pixel."""
    image = np.random.default_rng(0).uniform(0, 9, (20, 20)).astype(np.float32)
    assert np.array_equal(gaussian_psf(image, 0.01), image)


def test_against_a_plain_convolution() -> None:
    """The same sums in another order, by the outer product of the weights."""
    step = GaussianPSF(1.7, radius=4)
    image = np.random.default_rng(1).exponential(100.0, (20, 23)).astype(np.float32)
    half = step.weights()
    line = np.concatenate([half[:0:-1], half])
    padded = np.pad(image.astype(np.float64), 4)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
    expected = np.einsum("ijkl,k,l->ij", windows, line, line)
    assert np.allclose(Pipeline((step,)).apply(image), expected, rtol=1e-6)


@pytest.mark.parametrize("fwhm", [0, -1, 201, float("nan"), float("inf"), "wide", None])
def test_widths_that_are_refused(fwhm) -> None:
    """One line with what is allowed."""
    with pytest.raises(FieldError, match=r"gaussian_psf.fwhm.*from 0.01 to 200 pixels"):
        GaussianPSF(fwhm)
    with pytest.raises(FieldError, match=r"fibre_psf.radius.*at least 1 and at most 1024"):
        FibrePSF(1.0, radius=0)


def test_weights_are_multiples_of_a_unit() -> None:
    """So that the last digit of erf and atan, which differ between systems, does not matter."""
    for weights in (convolution.gaussian_weights(2.0, 9), convolution.fibre_quadrant(2.0, 9)):
        assert np.array_equal(weights * 2.0**40, np.floor(weights * 2.0**40))
