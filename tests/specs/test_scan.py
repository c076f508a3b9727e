"""specs/scan.md."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.experiment import Crystal, Sampling, Scan
from nbdask.geometry.build import build_model
from nbdask.geometry.mosaic import mosaic_rotations
from nbdask.geometry.rotation import carried_angles, phi_angles, settle_scan
from nbdask.geometry.vectors import rotate_about
from tests.specs.support import SKEW, experiment, pixels

ONE = math.radians(1.0)


@pytest.mark.parametrize(
    ("count", "osc", "step", "expected"),
    [
        (None, None, None, (1, 0.0, 0.0)),
        (None, None, 0.0, (1, 0.0, 0.0)),
        (None, None, 0.01, (2, 0.01, 0.01)),
        (None, 0.03, None, (2, 0.03, 0.015)),
        (None, 0.03, 0.0, (2, 0.03, 0.015)),
        (None, 0.03, 0.007, (5, 0.03, 0.007)),
        (4, None, None, (4, ONE, ONE / 4)),
        (4, None, 0.01, (2, 0.01, 0.01)),
        (4, 0.03, None, (4, 0.03, 0.0075)),
        (4, 0.03, 0.02, (4, 0.03, 0.02)),
        (0, 0.03, None, (1, 0.03, 0.03)),
        (0, None, None, (1, ONE, ONE)),
    ],
)
def test_settling_of_the_series(count, osc, step, expected: tuple) -> None:
    """Each row of the table; a count of 0 acts as 1."""
    assert settle_scan(Scan(0.0, osc, step, count)) == pytest.approx(expected)


def test_steps_start_at_phi0() -> None:
    """Angles are phi0 + t * step, not the middles of the steps."""
    assert phi_angles(Scan(0.5, 0.4, None, 4)) == pytest.approx([0.5, 0.6, 0.7, 0.8])


def test_spindle_then_mosaic() -> None:
    """The table of cell vectors: rotated by phi about the spindle, then by the domain."""
    crystal = Crystal(cell=SKEW, mosaic_spread=0.01, mosaic_domains=3, mosaic_seed=5)
    scan = Scan(0.2, 0.1, None, 2)
    model = build_model(experiment(crystal=crystal, scan=scan))
    still = build_model(experiment(crystal=Crystal(cell=SKEW))).axes[0]
    domains = mosaic_rotations(0.01, 3, 5)
    for t, phi in enumerate((0.2, 0.25)):
        for domain in range(3):
            expected = rotate_about(still, np.array([0.0, 0.0, 1.0]), phi) @ domains[domain].T
            np.testing.assert_allclose(model.axes[3 * t + domain], expected, rtol=1e-12, atol=1e-24)


def test_positive_phi_is_right_handed() -> None:
    """About +z a quarter turn takes x to y."""
    right = math.pi / 2
    cube = Crystal(cell=(1e-9, 1e-9, 1e-9, right, right, right))
    model = build_model(experiment(crystal=cube, scan=Scan(phi0=right)))
    np.testing.assert_allclose(model.axes[0, 0], [0, 1e-9, 0], atol=1e-24)


def test_zero_is_a_step_like_any_other_under_spec() -> None:
    """A series through 0 is the mean of its single steps."""
    series = pixels(experiment(scan=Scan(-0.1, 0.2, None, 2)))
    single = [pixels(experiment(scan=Scan(phi))).astype(float) for phi in (-0.1, 0.0)]
    np.testing.assert_allclose(series, sum(single) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("phi", "used"),
    [
        ([0.0, 0.1, 0.2], [0.2, 0.1, 0.2]),
        ([-0.1, 0.0, 0.1], [-0.1, -0.1, 0.1]),
        ([0.0, 0.0, 0.3], [0.3, 0.3, 0.3]),
        ([0.0], [0.0]),
        ([0.1, 0.2], [0.1, 0.2]),
    ],
)
def test_carried_angles(phi: list, used: list) -> None:
    """Zero takes the angle before it, cyclically; a series of zeros stays."""
    assert carried_angles(np.array(phi)).tolist() == used


def test_carry_over_and_its_first_evaluation() -> None:
    """Under c all pixels but the first use the last angle in place of 0."""
    scan = Scan(0.0, 0.2, None, 2)
    under_c = pixels(experiment(scan=scan, semantics="c"))
    last = pixels(experiment(scan=Scan(0.1)))
    spec = pixels(experiment(scan=scan))
    np.testing.assert_array_equal(under_c.ravel()[1:], last.ravel()[1:])
    assert under_c[0, 0] == spec[0, 0] != last[0, 0]
    assert (under_c != spec).mean() > 0.9


def test_first_evaluation_only_is_excepted() -> None:
    """With sub-pixels only the first one of the first pixel has nothing before it."""
    scan, sampling = Scan(0.0, 0.2, None, 2), Sampling(oversample=2)
    under_c = pixels(experiment(scan=scan, sampling=sampling, semantics="c"))
    spec = pixels(experiment(scan=scan, sampling=sampling))
    last = pixels(experiment(scan=Scan(0.1), sampling=sampling))
    assert under_c[0, 0] != spec[0, 0]
    assert under_c[0, 0] != last[0, 0]
    np.testing.assert_array_equal(under_c.ravel()[1:], last.ravel()[1:])


def test_first_pixel_is_that_of_the_region_of_interest() -> None:
    """The exception moves with the region's first pixel."""
    sampling = Sampling(oversample=1, roi=(4, 9, 5, 12))
    scan = Scan(0.0, 0.2, None, 2)
    under_c = pixels(experiment(scan=scan, sampling=sampling, semantics="c"))
    spec = pixels(experiment(scan=scan, sampling=sampling))
    same = np.argwhere((under_c == spec) & (spec > 0))
    assert [4, 5] in same.tolist()
    assert under_c[4, 6] != spec[4, 6]


def test_all_zero_angles_agree() -> None:
    """Without any rotation there is nothing to carry over."""
    images = [pixels(experiment(scan=Scan(0.0), semantics=s)) for s in ("spec", "c")]
    np.testing.assert_array_equal(images[0], images[1])


def test_first_pixel_is_one_that_is_not_masked_and_passes_dmin(tmp_path: Path) -> None:
    """Both move the exception along the raster, the mask first here, then dmin on top."""
    mask = np.ones((12, 16), dtype="<u2")
    mask[0] = 0
    mask[1, :3] = 0
    header = b"{\nHEADER_BYTES=512;\nDIM=2;\nTYPE=unsigned_short;\nSIZE1=16;\nSIZE2=12;\n}\f"
    (tmp_path / "mask.img").write_bytes(header.ljust(512) + mask.tobytes())
    plain = Sampling(oversample=1, mask=str(tmp_path / "mask.img"))
    scan = Scan(0.0, 0.2, None, 2)
    dmin = 2.0e-9
    evaluated = []
    for sampling in (plain, replace(plain, dmin=dmin)):
        spec = pixels(experiment(scan=scan, sampling=sampling))
        under_c = pixels(experiment(scan=scan, sampling=sampling, semantics="c"))
        last = pixels(experiment(scan=Scan(0.1), sampling=sampling))
        place = tuple(np.argwhere(spec > 0)[0].tolist())
        assert under_c[place] == spec[place] != last[place]
        under_c[place] = last[place]
        np.testing.assert_array_equal(under_c, last)
        evaluated.append(place)
    assert evaluated[0] == (1, 3)
    assert evaluated[1] > (1, 3)
