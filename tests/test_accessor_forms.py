"""``.nbdask`` coordinates against closed forms, and laws that any image's have."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

import nbdask
from nbdask.errors import FieldError, InputError
from nbdask.experiment import Crystal, Detector, Experiment, LabFrame, Sampling, Scan
from tests.helpers import RIGHT, small_experiment

WAVE, DISTANCE, PIXEL = 1.5, 80.0, 0.3
#: The beam along x, fast along z, slow along -y: a detector across the beam, hit in its middle.
FRAME = LabFrame(
    "CUSTOM",
    fast=(0.0, 0.0, 1.0),
    slow=(0.0, -1.0, 0.0),
    normal=(1.0, 0.0, 0.0),
    beam=(1.0, 0.0, 0.0),
)
QUICK = settings(max_examples=15, deadline=None)


def across(rows: int = 20, columns: int = 30, **parts: Any) -> Experiment:
    """An orthorhombic crystal before a flat detector."""
    detector = Detector(
        pixels_slow=rows,
        pixels_fast=columns,
        pixel_size=PIXEL * 1e-3,
        distance=DISTANCE * 1e-3,
        beam_x=columns * PIXEL * 5e-4,
        beam_y=rows * PIXEL * 5e-4,
    )
    values: dict[str, Any] = {
        "frame": FRAME,
        "detector": detector,
        "beam": dataclasses.replace(small_experiment().beam, wavelength=WAVE * 1e-10),
        "crystal": Crystal(cell=(7e-9, 8e-9, 9e-9, RIGHT, RIGHT, RIGHT), n_cells=(3, 3, 3)),
    }
    return small_experiment(**{**values, **parts})


def image_of(experiment: Experiment, tile: int = 16) -> xarray.DataArray:
    """The lazy image; its pixels are never computed here."""
    made = nbdask.image(experiment, backend="numpy", tile=tile)
    assert isinstance(made, xarray.DataArray)
    return made


def radius(image: xarray.DataArray, rows: int = 20, columns: int = 30) -> np.ndarray:
    """Distance of the pixels' centres from the beam [mm]."""
    slow, fast = np.meshgrid(image.slow, image.fast, indexing="ij")
    return np.asarray(PIXEL * np.hypot(slow + 0.5 - rows / 2, fast + 0.5 - columns / 2))


def test_the_scattering_angle_is_that_of_the_radius() -> None:
    """tan 2 theta = radius / distance; d, q and 2 theta are one another's by Bragg's law."""
    image = image_of(across())
    angle = np.arctan2(radius(image), DISTANCE)
    np.testing.assert_allclose(image.nbdask.two_theta(), np.degrees(angle), atol=1e-9)
    np.testing.assert_allclose(
        image.nbdask.q(), 4 * np.pi / WAVE * np.sin(angle / 2), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(image.nbdask.resolution(), WAVE / (2 * np.sin(angle / 2)), rtol=1e-9)


def test_angles_are_symmetric_about_the_beam() -> None:
    """A detector that is hit in its middle looks the same from all four sides."""
    d = image_of(across()).nbdask.resolution().values
    np.testing.assert_allclose(d, d[::-1], rtol=1e-9)
    np.testing.assert_allclose(d, d[:, ::-1], rtol=1e-9)


def test_the_direct_beam_has_no_resolution() -> None:
    """Infinite d, q of 0, an angle of 0, where a pixel's centre is hit; no warning."""
    image = image_of(across(21, 31))
    middle = image[10:11, 15:16].nbdask
    assert float(middle.q().values[0, 0]) == pytest.approx(0.0, abs=1e-9)
    assert float(middle.two_theta().values[0, 0]) == pytest.approx(0.0, abs=1e-7)
    assert float(middle.resolution().values[0, 0]) > 1e8


@QUICK
@given(st.floats(0.5, 4.0), st.floats(20.0, 400.0))
def test_wavelength_and_distance(wave: float, distance: float) -> None:
    """2 theta does not depend on the wavelength, q does; both follow the distance."""
    base = across(4, 6)
    detector = dataclasses.replace(base.detector, distance=distance * 1e-3)
    beam = dataclasses.replace(base.beam, wavelength=wave * 1e-10)
    image = image_of(base.replace(detector=detector, beam=beam))
    angle = np.arctan2(radius(image, 4, 6), distance)
    np.testing.assert_allclose(image.nbdask.two_theta(), np.degrees(angle), atol=1e-8)
    np.testing.assert_allclose(
        image.nbdask.q(), 4 * np.pi / wave * np.sin(angle / 2), rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize("swing", [10.0, -25.0, 60.0])
def test_a_swing_turns_the_whole_detector(swing: float) -> None:
    """The middle of the detector is then at that angle from the beam."""
    base = across(21, 31)
    detector = dataclasses.replace(base.detector, twotheta=math.radians(swing), pivot="sample")
    image = image_of(base.replace(detector=detector))
    found = float(image[10:11, 15:16].nbdask.two_theta().values[0, 0])
    assert found == pytest.approx(abs(swing), abs=1e-6)


def test_every_pixel_of_a_curved_detector_is_as_far_as_any_other() -> None:
    """On a sphere the angle grows with the arc: 2 theta = arc / distance along an axis."""
    base = across(21, 31)
    curved = dataclasses.replace(base.detector, curved=True)
    image = image_of(base.replace(detector=curved))
    row = image[10:11].nbdask.two_theta().values[0]
    arc = np.abs(np.arange(31) - 15) * PIXEL / DISTANCE
    np.testing.assert_allclose(np.radians(row), arc, atol=1e-8)


def test_miller_indices_of_an_orthorhombic_crystal() -> None:
    """h is a q_x and so on: the product of a cell's edge with the scattering vector."""
    image = image_of(across())
    hkl = image.nbdask.miller_index()
    assert hkl.dims == ("index", "slow", "fast")
    assert hkl.index.values.tolist() == ["h", "k", "l"]
    edges = np.array([70.0, 80.0, 90.0])[:, None, None]
    q = np.linalg.norm(hkl.values / edges, axis=0)
    np.testing.assert_allclose(1.0 / q, image.nbdask.resolution(), rtol=1e-9)
    slow, fast = np.meshgrid(image.slow, image.fast, indexing="ij")
    # Components along the detector's axes, whichever way the crystal's axes point.
    ray = np.stack(
        [
            np.full(slow.shape, DISTANCE),
            -PIXEL * (slow + 0.5 - 10),
            PIXEL * (fast + 0.5 - 15),
        ]
    )
    ray /= np.linalg.norm(ray, axis=0)
    ray[0] -= 1.0
    np.testing.assert_allclose(hkl.values, edges * ray / WAVE, rtol=1e-7, atol=1e-9)


def test_miller_indices_of_steps_and_domains() -> None:
    """Each rotation keeps |q|; steps differ from each other; the first is the default."""
    scan = Scan(phi0=0.0, osc=math.radians(40), count=3)
    crystal = dataclasses.replace(across().crystal, mosaic_spread=0.05, mosaic_domains=2)
    image = image_of(across(6, 8, scan=scan, crystal=crystal))
    first = image.nbdask.miller_index().values
    seen = [first]
    for step, domain in ((1, 0), (2, 0), (0, 1), (2, 1)):
        found = image.nbdask.miller_index(phi_step=step, domain=domain).values
        edges = np.array([70.0, 80.0, 90.0])[:, None, None]
        one, other = (np.linalg.norm(x / edges, axis=0) for x in (found, first))
        np.testing.assert_allclose(one, other, rtol=1e-9)
        assert all(not np.allclose(found, before) for before in seen)
        seen.append(found)
    np.testing.assert_array_equal(image.nbdask.miller_index(0, 0, 0), first)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"phi_step": 3}, "phi_step = 3: must be 0 to 2"),
        ({"phi_step": -1}, "phi_step = -1: must be 0 to 2"),
        ({"domain": 1}, "domain = 1: must be 0 to 0"),
        ({"source": 1}, "source = 1: must be 0 to 0"),
    ],
)
def test_orientations_that_there_are_not(choice, message) -> None:
    """Refused at once, with what there is."""
    scan = Scan(phi0=0.0, osc=0.1, count=3)
    with pytest.raises(FieldError) as caught:
        image_of(across(4, 6, scan=scan)).nbdask.miller_index(**choice)
    assert str(caught.value) == message


@pytest.mark.long
@QUICK
@given(st.data())
def test_selections_commute_with_coordinates(data: Any) -> None:
    """Select first or last: the same numbers, steps and single rows included."""
    image = image_of(across(12, 14), tile=8)
    cuts = []
    for side in (12, 14):
        start = data.draw(st.integers(0, side - 1))
        stop = data.draw(st.integers(start + 1, side))
        cuts.append(slice(start, stop, data.draw(st.integers(1, 4))))
    part = image[cuts[0], cuts[1]]
    for name in ("resolution", "q", "two_theta"):
        whole = getattr(image.nbdask, name)()
        found = getattr(part.nbdask, name)()
        np.testing.assert_array_equal(found, whole[cuts[0], cuts[1]])
        assert found.slow.values.tolist() == part.slow.values.tolist()


def test_names_and_units_of_coordinates() -> None:
    """As plots show them."""
    image = image_of(across(4, 6))
    found = {c.name: c.attrs["units"] for c in (image.nbdask.resolution(), image.nbdask.q())}
    found[image.nbdask.two_theta().name] = image.nbdask.two_theta().attrs["units"]
    assert found == {"resolution": "Angstrom", "q": "1/Angstrom", "two_theta": "degree"}
    with_all = image.nbdask.with_coordinates()
    assert with_all.dims == ("slow", "fast")
    assert with_all.resolution.attrs["units"] == "Angstrom"
    assert "resolution" not in image.coords


def test_masks_and_sub_pixels_do_not_matter() -> None:
    """Coordinates are those of pixel centres, whatever the sampling is."""
    plain = image_of(across(6, 8)).nbdask.q().values
    fine = image_of(across(6, 8, sampling=Sampling(oversample=3, roi=(1, 3, 2, 5))))
    np.testing.assert_array_equal(fine.nbdask.q(), plain)


def test_an_array_in_memory_is_cut_into_chunks() -> None:
    """Without coordinates it begins with the detector's first pixel."""
    experiment = across(6, 8)
    held = xarray.DataArray(
        np.ones((6, 8), np.float32),
        dims=("slow", "fast"),
        attrs={"experiment": experiment.to_dict()},
    )
    assert held.nbdask.experiment == experiment
    np.testing.assert_array_equal(held.nbdask.q(), image_of(experiment).nbdask.q())
    assert held.nbdask.q().chunks == ((6,), (8,))


def test_profile_of_a_function_of_q() -> None:
    """An image that is q itself has q as its profile, to the width of a ring."""
    image = image_of(across())
    made = image.copy(data=image.nbdask.q().astype(np.float32).data)
    for bins in (1, 7, 40):
        profile = made.nbdask.radial_profile(bins)
        filled = profile.where(profile.pixels > 0, drop=True)
        width = float(np.ptp(image.nbdask.q().values)) / bins
        assert np.abs(filled["mean"] - filled.q).max() <= width / 2 * (1 + 1e-5)
        assert int(profile.pixels.sum()) == 600
        assert profile.sizes["q"] == bins
        np.testing.assert_allclose(profile.resolution, 2 * np.pi / profile.q)


@pytest.mark.parametrize("bins", [0, -1, 2.0, True, "9", None])
def test_numbers_of_rings_that_are_refused(bins) -> None:
    """A whole number of at least 1."""
    with pytest.raises(FieldError, match=r"bins = .*: must be a whole number of at least 1"):
        image_of(across(4, 6)).nbdask.radial_profile(bins)


@pytest.mark.parametrize("d", [30.0, 12.0, 6.0])
def test_rings_are_circles_on_a_flat_detector(d: float) -> None:
    """With radius distance * tan(2 theta) about the beam, closed, of as many points as asked."""
    line = image_of(across()).nbdask.rings([d], points=33)[d]
    assert line.shape == (33, 2)
    assert line[0] == pytest.approx(line[-1])
    wanted = DISTANCE * math.tan(2 * math.asin(WAVE / (2 * d))) / PIXEL
    found = np.hypot(line[:, 0] - 9.5, line[:, 1] - 14.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_rings_behind_the_crystal_are_nowhere() -> None:
    """A cone of more than 90 degrees never meets a plane in front."""
    line = image_of(across()).nbdask.rings([0.8])[0.8]
    assert np.isnan(line).all()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (5.0, "must be a list of numbers in Angstrom"),
        (["near"], "must be a list of numbers in Angstrom"),
        (None, "must be a list of numbers in Angstrom"),
        ([0.75], "above 0.75 Angstrom, wavelength/2"),
        ([-3.0], "above 0.75 Angstrom, wavelength/2"),
        ([math.nan], "above 0.75 Angstrom, wavelength/2"),
    ],
)
def test_resolutions_that_are_refused(wanted, message) -> None:
    """With what is allowed."""
    with pytest.raises(FieldError, match=message):
        image_of(across(4, 6)).nbdask.rings(wanted)


@pytest.mark.parametrize(
    "held",
    [
        xarray.DataArray(np.ones(4), dims=("slow",)),
        xarray.DataArray(np.ones((2, 3)), dims=("x", "y")),
        xarray.DataArray(np.ones((2, 2, 2)), dims=("slow", "fast", "time")),
        xarray.Dataset({"other": ("x", [1.0])}),
    ],
    ids=["line", "names", "cube", "dataset"],
)
def test_what_is_no_image(held) -> None:
    """One line says what it must be."""
    with pytest.raises(InputError, match="must be an image with slow and fast") as caught:
        _ = held.nbdask.image
    assert "\n" not in str(caught.value)
