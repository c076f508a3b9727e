"""``.nbdask`` of an image: coordinates, profile and rings agree with the geometry."""

from __future__ import annotations

import dataclasses
import math
import shlex

import numpy as np
import pytest
import xarray

import nbdask
from nbdask.errors import FieldError, InputError
from nbdask.experiment import Detector
from tests.helpers import small_experiment

EXPERIMENT = small_experiment()
TILTED = EXPERIMENT.replace(
    detector=dataclasses.replace(EXPERIMENT.detector, rotx=0.1, roty=-0.2, twotheta=0.3)
)


@pytest.fixture(scope="module")
def image() -> xarray.DataArray:
    """A lazy image."""
    return nbdask.image(EXPERIMENT, backend="numpy", tile=8)


def flat_geometry(image: xarray.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Return 2 theta [rad] by plain trigonometry: a flat detector across the beam."""
    e = nbdask.from_args(FLAT)
    d = e.detector
    slow, fast = np.meshgrid(image.slow, image.fast, indexing="ij")
    centre_s, centre_f = d.n_slow / 2, d.n_fast / 2
    radius = d.pixel_size * np.hypot(slow + 0.5 - centre_s, fast + 0.5 - centre_f)
    return np.arctan2(radius, d.distance), slow


FLAT = shlex.split(
    "-cell 70 80 90 90 90 90 -N 3 -default_F 10 -lambda 1.5 -distance 50 -pixel 0.5"
    " -detpixels 40 -oversample 1 -fdet_vector 0 0 1 -sdet_vector 0 -1 0"
    " -odet_vector 1 0 0 -beam_vector 1 0 0 -Xbeam 10 -Ybeam 10"
)


def test_coordinates_of_a_flat_detector() -> None:
    """two_theta, resolution and q are those of arctan(radius / distance) and Bragg's law."""
    image = nbdask.image(nbdask.from_args(FLAT), backend="numpy", tile=16)
    expected, _ = flat_geometry(image)
    np.testing.assert_allclose(image.nbdask.two_theta(), np.degrees(expected), atol=1e-9)
    d = 1.5 / (2 * np.sin(expected / 2))
    np.testing.assert_allclose(image.nbdask.resolution(), d, rtol=1e-9)
    np.testing.assert_allclose(image.nbdask.q(), 2 * np.pi / d, rtol=1e-9)


def test_selections_keep_their_places(image) -> None:
    """Coordinates of a selection with steps are those of the whole at the same pixels."""
    part = image[3:20:4, 5:6]
    whole = image.nbdask.resolution().compute()
    np.testing.assert_array_equal(part.nbdask.resolution(), whole[3:20:4, 5:6])
    turned = image[2:9, 3:8].transpose("fast", "slow")
    np.testing.assert_array_equal(turned.nbdask.q(), image.nbdask.q()[2:9, 3:8])


def test_coordinates_are_lazy(image) -> None:
    """Nothing is evaluated before compute, and chunks are those of the image."""
    held = image.nbdask.with_coordinates()
    assert held.chunks == image.chunks
    assert held.resolution.chunks == image.chunks
    assert set(held.coords) >= {"slow", "fast", "resolution", "q", "two_theta"}


@pytest.mark.parametrize("experiment", [EXPERIMENT, TILTED], ids=["flat", "tilted"])
def test_miller_indices_scale_with_resolution(experiment) -> None:
    """At every pixel |h a* + k b* + l c*| of the unrotated cell is 1/d: rotation keeps lengths."""
    image = nbdask.image(experiment, backend="numpy", tile=8)
    from nbdask.geometry.build import build_model

    axes = build_model(experiment).axes[0]
    star = np.linalg.inv(axes).T * 1e-10
    hkl = image.nbdask.miller_index().values
    length = np.linalg.norm(np.einsum("isf,ix->sfx", hkl, star), axis=-1)
    np.testing.assert_allclose(1.0 / length, image.nbdask.resolution(), rtol=1e-9)


def test_rings_lie_on_their_resolution() -> None:
    """The ring of d = 5 Angstrom passes through pixels whose resolution is 5 Angstrom."""
    experiment = nbdask.from_args([*FLAT, "-detector_rotx", "12", "-twotheta", "7"])
    image = nbdask.image(experiment, backend="numpy")
    d = image.nbdask.resolution().compute()
    line = image.nbdask.rings([5.0])[5.0]
    inside = line[np.all((line > 0) & (line < 38), axis=1)]
    assert len(inside) > 20
    at = d.interp(
        slow=xarray.DataArray(inside[:, 0]), fast=xarray.DataArray(inside[:, 1]), method="linear"
    )
    np.testing.assert_allclose(at, 5.0, rtol=5e-3)


def test_radial_profile_counts_every_pixel_once(image) -> None:
    """Sum of mean times pixels is the image's sum; pixels not computed yet do not count."""
    profile = image.nbdask.radial_profile(bins=12)
    assert int(profile.pixels.sum()) == image.size
    total = float((profile["mean"].fillna(0.0) * profile.pixels).sum())
    assert total == pytest.approx(float(image.sum(dtype=np.float64)), rel=1e-12)
    holes = image.compute().copy()
    holes[:4] = np.nan
    assert int(holes.nbdask.radial_profile(bins=12).pixels.sum()) == holes[4:].size
    assert np.all(np.diff(profile.resolution) < 0)


def test_of_a_store(tmp_path) -> None:
    """A dataset and its image give the same coordinates; plain xarray needs the dataset."""
    nbdask.simulate(EXPERIMENT, tmp_path / "run.zarr", backend="numpy", tile=16)
    opened = nbdask.open(tmp_path / "run.zarr")
    assert opened.image.nbdask.experiment == EXPERIMENT
    d = opened.nbdask.resolution().values
    np.testing.assert_array_equal(opened.image.nbdask.resolution(), d)
    plain = xarray.open_zarr(tmp_path / "run.zarr")
    np.testing.assert_array_equal(plain.nbdask.resolution(), d)
    with pytest.raises(InputError, match=r"nbdask\.open"):
        plain.image.nbdask.resolution()


def test_amplitude_files_are_not_needed(tmp_path) -> None:
    """Coordinates need no structure factors: the list may be gone."""
    path = tmp_path / "list.hkl"
    path.write_text("1 0 0 10\n0 1 0 5\n")
    image = nbdask.image(nbdask.from_args([*FLAT, "-hkl", str(path)]))
    path.unlink()
    assert np.isfinite(image[:2, :2].nbdask.resolution().values).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda i: i.nbdask.rings(3.0), FieldError, "resolutions = 3.0: must be a list of numbers"),
        (lambda i: i.nbdask.rings([0.1]), FieldError, "wavelength/2"),
        (lambda i: i.nbdask.radial_profile(0), FieldError, "bins"),
        (lambda i: i.nbdask.miller_index(domain=10**6), FieldError, "domain"),
        (lambda i: i[0].nbdask.resolution(), InputError, "slices"),
        (lambda i: xarray.DataArray([[1.0]], dims=("slow", "fast")).nbdask.q(), InputError, "attr"),
    ],
)
def test_refused(image, call, error, text) -> None:
    """What cannot be answered is refused with what to change."""
    with pytest.raises(error, match=text):
        call(image)


def test_rings_of_a_curved_detector_are_refused() -> None:
    """There the message names the contours to draw."""
    curved = EXPERIMENT.replace(detector=Detector(curved=True))
    with pytest.raises(InputError, match="contours"):
        nbdask.image(curved, backend="numpy").nbdask.rings([math.inf])
