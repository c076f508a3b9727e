"""Laws of whole images: sums over sources, angles and sub-pixels, symmetry, scale, relabelling."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    LabFrame,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from tests.helpers import RIGHT, deviation, image_of, reflections, small_experiment, tile_image

N = 20
PIXEL = 5e-4
CUBE = (6e-9, 6e-9, 6e-9, RIGHT, RIGHT, RIGHT)
#: Columns a*, b*, c* of a triclinic cell in a general orientation, times the wavelength.
MATRIX = np.array([[0.0143, 0.001, 0.0004], [-0.0012, 0.0125, 0.002], [0.0005, -0.001, 0.011]])
LISTED = StructureFactors(reflections=reflections(limit=7), default_F=20.0)


def centred(**fields: Any) -> Detector:
    """Return a detector whose middle the beam meets (DENZO)."""
    middle = N * PIXEL / 2
    values: dict[str, Any] = {
        "pixels_fast": N,
        "pixels_slow": N,
        "pixel_size": PIXEL,
        "beam_x": middle,
        "beam_y": middle,
    }
    return Detector(**{**values, **fields})


def experiment(**parts: Any) -> Experiment:
    """Return an experiment with a general orientation and a list of amplitudes."""
    values: dict[str, Any] = {
        "crystal": of_matrix(MATRIX),
        "frame": LabFrame("DENZO"),
        "detector": centred(),
        "structure": LISTED,
    }
    return small_experiment(**{**values, **parts})


def of_matrix(matrix: np.ndarray, cells: tuple = (3, 4, 5), **fields: Any) -> Crystal:
    """Return a crystal of an orientation matrix (columns a*, b*, c*)."""
    return Crystal(matrix=tuple(matrix.ravel().tolist()), n_cells=cells, **fields)


def mean(images: list[np.ndarray]) -> np.ndarray:
    """Return the mean of images."""
    return np.mean([image.astype(float) for image in images], axis=0)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_dispersion_is_the_mean_of_single_wavelengths(count: int) -> None:
    """Evenly spaced over the range about the central wavelength, both ends included."""
    wide = experiment(sources=Sources(dispersion=Spread(range=0.04, count=count)))
    waves = 1e-10 * (1 + np.linspace(-0.02, 0.02, count))
    matrix = [of_matrix(MATRIX * wave / 1e-10) for wave in waves]
    single = [
        experiment(beam=Beam(wavelength=wave), crystal=crystal)
        for wave, crystal in zip(waves.tolist(), matrix, strict=True)
    ]
    assert deviation(image_of(wide), mean([image_of(e) for e in single])) < 1e-6


@pytest.mark.parametrize("count", [2, 4])
def test_a_rotation_series_is_the_mean_of_its_still_images(count: int) -> None:
    """Each step at its starting angle."""
    series = experiment(scan=Scan(phi0=0.03, osc=0.02, count=count))
    stills = [experiment(scan=Scan(phi0=0.03 + 0.02 * i / count)) for i in range(count)]
    assert deviation(image_of(series), mean([image_of(e) for e in stills])) < 1e-6


def test_mosaic_domains_are_the_mean_of_crystals_without() -> None:
    """Each in the orientation of its domain; the first in that of the crystal itself."""
    crystal = of_matrix(MATRIX, mosaic_spread=0.02, mosaic_domains=4)
    model = build_model(experiment(crystal=crystal))
    alone = [
        tile_image(replace(model, axes=model.axes[i : i + 1], n_domains=1, scale=model.scale * 4))
        for i in range(4)
    ]
    assert deviation(tile_image(model), mean(alone)) < 1e-6
    assert np.array_equal(alone[0], image_of(experiment()))
    assert deviation(alone[1], alone[0]) > 0.1


def test_a_divergent_beam_is_a_list_of_its_sources() -> None:
    """The generated grid as an explicit list, place by place and wave by wave."""
    spread = Spread(range=0.006, count=3)
    grid = experiment(
        sources=Sources(horizontal=spread, vertical=spread, dispersion=Spread(range=0.01, count=2)),
        beam=Beam(polarization=0.9),
    )
    model = build_model(grid)
    points = tuple(
        SourcePoint(-3.0 * d[0], -3.0 * d[1], -3.0 * d[2], wavelength=w)
        for d, w in zip(model.incident.tolist(), model.wavelength.tolist(), strict=True)
    )
    listed = experiment(sources=Sources(points=points), beam=Beam(polarization=0.9))
    assert len(points) == 2 * 5  # corners of the round grid are cut
    assert deviation(image_of(listed), image_of(grid)) < 2e-6


@pytest.mark.parametrize("times", [2, 3])
def test_a_pixel_is_the_sum_of_the_pixels_of_a_finer_detector(times: int) -> None:
    """Where every sub-pixel has its own solid angle and polarization."""
    own = {"oversample_omega": True, "oversample_polar": True}
    coarse = experiment(sampling=Sampling(oversample=times, **own), beam=Beam(polarization=0.5))
    fine = experiment(
        detector=centred(pixels_fast=N * times, pixels_slow=N * times, pixel_size=PIXEL / times),
        beam=Beam(polarization=0.5),
    )
    image = image_of(fine).astype(float)
    binned = image.reshape(N, times, N, times).sum(axis=(1, 3))
    assert deviation(image_of(coarse), binned) < 1e-6


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_a_cube_seen_along_an_axis_gives_an_image_with_four_mirrors(shape: str) -> None:
    """Equal under both flips and under exchange of the axes, without polarization."""
    crystal = Crystal(cell=CUBE, n_cells=(4, 4, 4), shape=shape, fudge=0.01)
    image = image_of(experiment(crystal=crystal, structure=StructureFactors(default_F=100.0)))
    assert image.max() > 0
    for other in (image[::-1], image[:, ::-1], image.T, image[::-1, ::-1].T):
        assert deviation(other, image) < 2e-6


@pytest.mark.parametrize("kahn", [0.3, 1.0])
def test_polarization_keeps_the_flips_and_exchanges_the_axes(kahn: float) -> None:
    """The image of K is that of -K with its axes exchanged; it differs from its own."""

    def seen(value: float) -> np.ndarray:
        crystal = Crystal(cell=CUBE, n_cells=(4, 4, 4))
        structure = StructureFactors(default_F=100.0)
        return image_of(
            experiment(crystal=crystal, structure=structure, beam=Beam(polarization=value))
        )

    image = seen(kahn)
    assert deviation(image[::-1], image) < 2e-6
    assert deviation(image[:, ::-1], image) < 2e-6
    assert deviation(seen(-kahn).T, image) < 2e-6
    assert deviation(image.T, image) > 1e-4


@given(st.floats(0.0, 1.0, allow_subnormal=False))
@settings(max_examples=8, deadline=None)
def test_unpolarized_light_is_the_mean_of_two_opposite_polarizations(kahn: float) -> None:
    """K and -K."""
    pair = [image_of(experiment(beam=Beam(polarization=k))) for k in (kahn, -kahn)]
    assert deviation(mean(pair), image_of(experiment()).astype(float)) < 1e-6


@given(st.floats(0.2, 5.0))
@settings(max_examples=8, deadline=None)
def test_wavelength_and_cell_scale_together(factor: float) -> None:
    """A crystal twice as large seen with twice the wavelength gives the same image."""

    def seen(scale: float) -> np.ndarray:
        cell = (7e-9 * scale, 8e-9 * scale, 9e-9 * scale, 1.31, 1.48, 1.66)
        crystal = Crystal(cell=cell, n_cells=(3, 4, 5), misset=(0.1, 0.2, 0.3))
        return image_of(experiment(crystal=crystal, beam=Beam(wavelength=1e-10 * scale)))

    assert deviation(seen(factor), seen(1.0)) < 1e-6


@given(st.floats(0.01, 100.0))
@settings(max_examples=8, deadline=None)
def test_only_the_ratio_of_pixel_size_and_distance_counts(factor: float) -> None:
    """The same solid angles, the same directions."""
    middle = N * PIXEL / 2 * factor
    far = centred(pixel_size=PIXEL * factor, distance=0.1 * factor, beam_x=middle, beam_y=middle)
    assert deviation(image_of(experiment(detector=far)), image_of(experiment())) < 1e-6


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, -1), (1, -1, 1)])
def test_naming_the_axes_otherwise_changes_nothing(order: tuple, signs: tuple) -> None:
    """Axes, numbers of cells and indices exchanged or reversed together."""
    cells = (3, 4, 5)
    turned = (MATRIX * np.array(signs))[:, order]
    listed = tuple((*(int(row[i] * signs[i]) for i in order), row[3]) for row in LISTED.reflections)
    other = experiment(
        crystal=of_matrix(turned, tuple(cells[i] for i in order)),
        structure=StructureFactors(reflections=listed, default_F=20.0),
    )
    assert deviation(image_of(other), image_of(experiment())) < 1e-6


#: From DENZO's axes to those of other conventions: rows are where x, y, z go.
MAPS = {
    "ADXV": [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    "XDS": [[0, 0, 1], [0, -1, 0], [1, 0, 0]],
}


@pytest.mark.parametrize("name", MAPS)
def test_conventions_are_names_for_directions(name: str) -> None:
    """Crystal and polarization carried to other axes of the lab: the same image.

    Exchanging two axes turns every rotation round, so that the spindle's angle changes its sign.
    """
    carry = np.array(MAPS[name]).T
    sense = round(float(np.linalg.det(carry)))
    beam = Beam(polarization=0.8)
    denzo = experiment(scan=Scan(phi0=0.2), beam=beam)
    crystal = of_matrix(carry @ MATRIX)
    other = experiment(
        frame=LabFrame(name), crystal=crystal, scan=Scan(phi0=0.2 * sense), beam=beam
    )
    assert deviation(image_of(other), image_of(denzo)) < 1e-6


def test_mosflm_is_denzo_with_half_a_pixel() -> None:
    """Its beam centre is that of the first pixel's middle."""
    middle = (N - 1) * PIXEL / 2
    mosflm = experiment(frame=LabFrame("MOSFLM"), detector=centred(beam_x=middle, beam_y=middle))
    assert deviation(image_of(mosflm), image_of(experiment())) < 1e-6


@given(st.floats(-3.0, 3.0, allow_subnormal=False))
@settings(max_examples=8, deadline=None)
def test_a_spindle_angle_is_a_misset_about_the_spindle(phi: float) -> None:
    """DENZO's spindle is z; whole turns do not matter."""
    crystal = Crystal(cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), n_cells=(3, 4, 5))
    turned = replace(crystal, misset=(0.0, 0.0, phi))
    misset = image_of(experiment(crystal=turned))
    spindle = image_of(experiment(crystal=crystal, scan=Scan(phi0=phi)))
    whole = image_of(experiment(crystal=crystal, scan=Scan(phi0=phi + 4 * math.pi)))
    assert deviation(spindle, misset) < 1e-6
    assert deviation(whole, misset) < 1e-6


def test_a_mask_and_its_opposite_share_the_image(tmp_path: Path) -> None:
    """Each has the pixels that it lets through, to the bit, and zeros elsewhere."""
    on = np.random.default_rng(2).random((N, N)) < 0.4
    parts = []
    for number, mask in enumerate((on, ~on)):
        path = tmp_path / f"{number}.img"
        head = f"{{\nHEADER_BYTES=512;\nSIZE1={N};\nSIZE2={N};\n}}".encode().ljust(512)
        path.write_bytes(head + mask.astype("<u2").tobytes())
        part = image_of(experiment(sampling=Sampling(oversample=1, mask=str(path))))
        assert not part[~mask].any()
        parts.append(part)
    assert np.array_equal(parts[0] + parts[1], image_of(experiment()))


@given(st.floats(4e-10, 3e-9))
@settings(max_examples=10, deadline=None)
def test_a_resolution_limit_keeps_pixels_or_clears_them(dmin: float) -> None:
    """With one sub-pixel a pixel is on one side of the limit; kept ones keep their bits."""
    full = image_of(experiment())
    cut = image_of(experiment(sampling=Sampling(oversample=1, dmin=dmin)))
    place = (np.arange(N) + 0.5) * PIXEL - N * PIXEL / 2
    radius = np.hypot(place[:, None], place[None, :])
    spacing = 1e-10 / (2 * np.sin(0.5 * np.arctan(radius / 0.1)))
    kept = spacing > dmin
    assert np.array_equal(cut, np.where(kept, full, np.float32(0.0)))


def test_equal_amplitudes_in_a_list_are_one_default_f() -> None:
    """A list of the same F everywhere is no list; interpolated too, where it is inside."""
    even = tuple((h, k, el, 50.0) for h, k, el, _ in LISTED.reflections)
    listed = StructureFactors(reflections=even, default_F=50.0)
    constant = image_of(experiment(structure=StructureFactors(default_F=50.0)))
    assert np.array_equal(image_of(experiment(structure=listed)), constant)
    smooth = experiment(structure=listed, sampling=Sampling(oversample=1, interpolate=True))
    assert deviation(image_of(smooth), constant) < 1e-6


def test_a_sensor_that_stops_everything_at_its_face_is_no_sensor() -> None:
    """With each layer's own capture fraction, and an absorption depth of a tenth of a micron."""
    sensor = centred(thickness=3e-4, thick_steps=4, attenuation=1e7)
    thick = experiment(detector=sensor, sampling=Sampling(oversample=1, oversample_thick=True))
    assert deviation(image_of(thick), image_of(experiment())) < 1e-6


@pytest.mark.parametrize("mu", [100.0, 1000.0])
def test_a_thin_sensor_stops_its_share(mu: float) -> None:
    """One layer pair at the beam: 1 - exp(-depth mu) of the photons, depth the layers' sum."""
    sensor = centred(thickness=1e-6, thick_steps=2, attenuation=mu, distance=10.0)
    thick = experiment(detector=sensor, sampling=Sampling(oversample=1, oversample_thick=True))
    bare = experiment(detector=centred(distance=10.0))
    share = 1.0 - math.exp(-2e-6 * mu)
    assert deviation(image_of(thick), image_of(bare) * share) < 1e-5


def test_a_crystal_of_one_cell_has_no_spots() -> None:
    """Its image is flat but for solid angle and polarization, which fall off from the middle."""
    lone = experiment(
        crystal=of_matrix(MATRIX, (1, 1, 1)), structure=StructureFactors(default_F=10.0)
    )
    image = image_of(lone).astype(float)
    place = (np.arange(N) + 0.5) * PIXEL - N * PIXEL / 2
    cosine = 0.1 / np.sqrt(0.01 + place[:, None] ** 2 + place[None, :] ** 2)
    expected = 100.0 * PIXEL**2 / 0.01 * cosine**3 * (1 + cosine**2) / 2
    assert deviation(image, expected) < 1e-6
