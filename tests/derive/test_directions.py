"""Resolution, Miller indices and rings agree with what makes the image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbdask.derive.directions import Directions
from nbdask.experiment import Crystal, Detector, Scan, Sources, Spread
from tests.helpers import image_of, small_experiment


def test_bragg() -> None:
    """d = wavelength / (2 sin theta), theta from distance and radius on a flat detector."""
    experiment = small_experiment()
    geometry = Directions.of(experiment)
    slow, fast = geometry.beam_centre
    size, distance = experiment.detector.pixel_size, geometry.model.distance
    theta = math.atan2(20 * size, distance) / 2
    expected = experiment.beam.wavelength / (2 * math.sin(theta))
    assert geometry.resolution(slow + 12, fast - 16) == pytest.approx(expected, rel=1e-12)
    assert np.isinf(geometry.resolution(slow, fast)) or geometry.resolution(slow, fast) > 1.0


def test_spots_are_at_whole_indices() -> None:
    """The brightest pixels of an image have Miller indices near whole numbers."""
    experiment = small_experiment(
        crystal=Crystal(cell=(4e-9, 5e-9, 6e-9, 1.31, 1.48, 1.66), n_cells=(12, 12, 12)),
        detector=Detector(pixels_fast=120, pixels_slow=140, pixel_size=2e-4),
    )
    image = image_of(experiment)
    places = np.argsort(image.ravel())[-8:]
    indices = Directions.of(experiment).miller(*np.unravel_index(places, image.shape))
    assert np.abs(indices - np.rint(indices)).max() < 0.08
    faint = np.argsort(image.ravel())[:200]
    other = Directions.of(experiment).miller(*np.unravel_index(faint, image.shape))
    assert np.abs(other - np.rint(other)).max(axis=1).mean() > 0.2


def test_middle_of_the_rotation_stands_for_it() -> None:
    """Mosaic spread is left out, and the orientation is that of the middle step."""
    spread = Crystal(
        cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), mosaic_spread=0.01, mosaic_domains=5
    )
    whole = small_experiment(crystal=spread, scan=Scan(phi0=0.0, osc=0.3, count=3))
    middle = small_experiment(scan=Scan(phi0=0.1, osc=0.0, count=1))
    found, expected = (Directions.of(e).miller(3, 4) for e in (whole, middle))
    assert np.allclose(found, expected)


def test_a_spot_of_a_rotation_has_an_index_of_its_resolution() -> None:
    """All of the brightest do; rounded at the middle of the rotation, some would not."""
    rotated = small_experiment(
        crystal=Crystal(cell=(4e-9, 5e-9, 6e-9, 1.31, 1.48, 1.66), n_cells=(12, 12, 12)),
        scan=Scan(phi0=0.0, osc=math.radians(30), count=100),
        detector=Detector(pixels_fast=120, pixels_slow=140, pixel_size=2e-4),
    )
    geometry, image = Directions.of(rotated), image_of(rotated)
    # Not near the direct beam, where a spot is wider than its resolution is far from others.
    image[geometry.resolution(*np.indices(image.shape)) > 1e-9] = 0.0
    places = np.transpose(np.unravel_index(np.argsort(image.ravel())[-60:], image.shape))

    def worst(indices: list[tuple[int, ...]]) -> float:
        # [1/Angstrom] as in C.
        lengths = np.linalg.norm(np.array(indices) @ geometry.model.star, axis=1) * 1e10
        return float(np.abs(lengths * geometry.resolution(*places.T) - 1.0).max())

    assert worst([geometry.spot_index(*place) for place in places]) < 0.02
    middle = np.rint(geometry.miller(*places.T)).astype(int)
    assert worst([tuple(index) for index in middle]) > 0.05


def test_several_sources_are_averaged() -> None:
    """A symmetric spread of wavelengths and directions has the middle ones."""
    three = Spread(range=0.01, count=3)
    spread = Sources(horizontal=three, vertical=three, dispersion=three)
    many, one = Directions.of(small_experiment(sources=spread)), Directions.of(small_experiment())
    assert many.wavelength == pytest.approx(one.wavelength)
    assert np.allclose(many.incident, one.incident, atol=1e-6)
    assert np.linalg.norm(many.incident) == pytest.approx(1.0)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_rings_are_lines_of_one_resolution(curved, tilt) -> None:
    """On flat, tilted and curved detectors; round numbers, largest first, inside the region."""
    experiment = small_experiment(
        detector=Detector(
            pixels_fast=600, pixels_slow=500, pixel_size=3e-4, roty=tilt, curved=curved
        )
    )
    geometry, region = Directions.of(experiment), (0, 500, 0, 600)
    rings = geometry.rings(region)
    assert len(rings) >= 3
    assert rings == sorted(rings, reverse=True)
    for d in rings:
        assert float(f"{d * 1e10:.2g}") == pytest.approx(d * 1e10)
        lines = geometry.ring(d, region)
        assert lines
        for line in lines:
            assert np.allclose(geometry.resolution(line[:, 0], line[:, 1]), d, rtol=2e-3)


def test_input_files_are_not_needed(tmp_path) -> None:
    """Where a run's list of amplitudes has moved, its geometry is still known."""
    from nbdask.experiment import StructureFactors

    gone = StructureFactors(path=str(tmp_path / "gone.hkl"), sha256="0" * 64)
    found = Directions.of(small_experiment(structure=gone)).miller(3, 4)
    assert np.allclose(found, Directions.of(small_experiment()).miller(3, 4))
