"""Placement of the detector: conventions, pivots, tilts, our own pix0."""

import math

import numpy as np
import pytest

from nbdask.experiment import Detector, LabFrame
from nbdask.experiment.frame import PIVOTS
from nbdask.geometry.conventions import CONVENTIONS, centres
from nbdask.geometry.detector_frame import effective_pivot, place_detector

PIXELS = Detector(pixels_fast=100, pixels_slow=60, pixel_size=1e-4, distance=0.1)


def with_(**changes: object) -> Detector:
    values = {"pixels_fast": 100, "pixels_slow": 60, "pixel_size": 1e-4, "distance": 0.1}
    return Detector(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ADXV", "MOSFLM", "DENZO", "XDS", "DIALS"])
def test_named_conventions_have_orthonormal_right_placed_axes(name: str) -> None:
    """Fast, slow and normal are orthonormal, and the beam goes along the normal."""
    frame = place_detector(LabFrame(name), PIXELS)
    axes = np.array([frame.fast, frame.slow, frame.normal])
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert np.allclose(frame.beam, frame.normal)
    assert frame.distance == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "fast", "slow"),
    [
        ("ADXV", (100 + 1) / 2, 60 - (60 - 1) / 2),
        ("MOSFLM", (100 + 1) / 2 + 0.5, (60 + 1) / 2 + 0.5),
        ("DENZO", (100 + 1) / 2, (60 + 1) / 2),
        ("XDS", 50, 30),
        ("DIALS", 50, 30),
        ("CUSTOM", 50, 30),
    ],
)
def test_default_beam_centre_of_each_convention(name: str, fast: float, slow: float) -> None:
    """Direct beam along fast and slow, in pixels, when no centre is given."""
    result = centres(name, PIXELS)
    assert result.f_beam / 1e-4 == pytest.approx(fast)
    assert result.s_beam / 1e-4 == pytest.approx(slow)


def test_given_beam_centre_is_mapped_to_fast_and_slow() -> None:
    """MOSFLM swaps x and y and adds half a pixel; ADXV counts y from the other end."""
    detector = with_(beam_x=1e-3, beam_y=4e-3)
    mosflm, adxv = centres("MOSFLM", detector), centres("ADXV", detector)
    assert (mosflm.f_beam, mosflm.s_beam) == pytest.approx((4.05e-3, 1.05e-3))
    assert (adxv.f_beam, adxv.s_beam) == pytest.approx((1e-3, 2e-3))


def test_org_is_the_near_point_with_the_first_pixel_at_one() -> None:
    """ORGX = 1 is the centre of the first pixel: half a pixel from the corner."""
    result = centres("XDS", with_(org_x=1.0, org_y=21.5))
    assert (result.f_close, result.s_close) == pytest.approx((0.5e-4, 21e-4))


def test_beam_pivot_keeps_the_direct_beam_spot_under_tilt() -> None:
    """The beam hits the same pixel however the detector is tilted."""
    flat = place_detector(LabFrame("MOSFLM"), PIXELS)
    tilted = place_detector(LabFrame("MOSFLM"), with_(rotx=0.2, roty=-0.3, rotz=0.1))
    assert (tilted.f_beam, tilted.s_beam) == pytest.approx((flat.f_beam, flat.s_beam))


def test_sample_pivot_keeps_the_near_point_under_swing() -> None:
    """Swinging about the sample moves the beam spot but not the near point."""
    flat = place_detector(LabFrame("XDS"), PIXELS)
    swung = place_detector(LabFrame("XDS"), with_(twotheta=0.3))
    assert (swung.f_close, swung.s_close) == pytest.approx((flat.f_close, flat.s_close))
    assert swung.close_distance == pytest.approx(flat.close_distance)
    assert abs(swung.s_beam - flat.s_beam) > 0.01


def test_explicit_pivot_under_a_named_convention_depends_on_semantics() -> None:
    """Spec honours it; C overrides it and says so."""
    frame, detector = LabFrame("MOSFLM"), with_(pivot="sample", twotheta=0.1)
    assert effective_pivot(frame, detector, "spec") == "sample"
    assert effective_pivot(frame, detector, "c") == "beam"
    assert "no effect" in place_detector(frame, detector, "c").notes[0]
    assert not place_detector(frame, detector, "spec").notes


def test_pix0_really_places_the_detector() -> None:
    """The first pixel's corner is where it was put, whatever beam centre or pivot say."""
    frame = place_detector(LabFrame("XDS"), with_(pix0=(-4e-3, -3e-3, 0.2), beam_x=1e-3))
    assert np.allclose(frame.origin, (-4e-3, -3e-3, 0.2))
    assert frame.close_distance == pytest.approx(0.2)
    assert (frame.f_beam, frame.s_beam) == pytest.approx((4e-3, 3e-3))


def test_normal_is_replaced_unless_exactly_unit() -> None:
    """A normal of length 1 is kept even if it is not perpendicular; any other is recomputed."""
    vectors = {"fast": (1.0, 0.0, 0.0), "slow": (0.0, 1.0, 0.0), "beam": (0.0, 0.0, 1.0)}
    kept = place_detector(LabFrame("CUSTOM", normal=(0.6, 0.0, 0.8), **vectors), PIXELS)
    made = place_detector(LabFrame("CUSTOM", normal=(0.6, 0.0, 0.9), **vectors), PIXELS)
    assert np.allclose(kept.normal, (0.6, 0.0, 0.8))
    assert np.allclose(made.normal, (0.0, 0.0, 1.0))


def test_twotheta_axis_is_taken_as_given_and_a_wrong_length_is_told() -> None:
    """The program normalises every vector but this one; parity needs the same."""
    unit_axis = place_detector(LabFrame("CUSTOM", twotheta_axis=(0, 1, 0)), with_(twotheta=0.1))
    long_axis = place_detector(LabFrame("CUSTOM", twotheta_axis=(0, 2, 0)), with_(twotheta=0.1))
    assert not unit_axis.notes
    assert "length 2" in long_axis.notes[0]
    assert abs(long_axis.fast[0] - 2 * unit_axis.fast[0]) < 1e-12


def test_distance_and_close_distance_belong_together() -> None:
    """On a tilted detector the distance along the beam exceeds that along the normal."""
    frame = place_detector(LabFrame("MOSFLM"), with_(close_distance=0.09, roty=0.3))
    assert frame.close_distance == pytest.approx(0.09)
    assert frame.distance == pytest.approx(0.09 / math.cos(0.3))


def test_table_has_all_six_conventions() -> None:
    """The six names, each with its own pivot."""
    assert set(CONVENTIONS) == set(PIVOTS)
    assert PIVOTS == {
        "ADXV": "beam",
        "MOSFLM": "beam",
        "DENZO": "beam",
        "XDS": "sample",
        "DIALS": "sample",
        "CUSTOM": "beam",
    }
