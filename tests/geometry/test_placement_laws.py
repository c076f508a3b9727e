"""Laws of the placed detector and the oriented crystal, for any tilt, swing, pivot and cell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import FieldError
from nbdask.experiment import Beam, Crystal, Detector, LabFrame
from nbdask.geometry.conventions import CONVENTIONS, directions
from nbdask.geometry.crystal_frame import (
    CrystalFrame,
    orient_crystal,
    reciprocal_from_cell,
    recommended_oversample,
)
from nbdask.geometry.detector_frame import DetectorFrame, place_detector
from nbdask.geometry.vectors import dot, length, rotate_about, rotate_xyz
from tests.helpers import RIGHT

NAMED = ("ADXV", "MOSFLM", "DENZO", "XDS", "DIALS")
FLAT = Detector(pixels_fast=100, pixels_slow=60, pixel_size=1e-4, distance=0.1)
tilts = st.tuples(*[st.floats(-0.6, 0.6, allow_subnormal=False)] * 4)
quick = settings(max_examples=12, deadline=None)
BEAM = Beam()


def tilted(turn: tuple, **fields: Any) -> Detector:
    """Return the detector with three tilts and a swing."""
    names = ("rotx", "roty", "rotz", "twotheta")
    return replace(FLAT, **dict(zip(names, turn, strict=True)), **fields)


@given(st.sampled_from(NAMED), st.sampled_from(["beam", "sample"]), tilts)
@quick
def test_what_is_measured_on_the_placed_detector_places_it(
    name: str, pivot: str, turn: tuple
) -> None:
    """Near point, beam spot and distances are those of the axes and the origin."""
    frame = place_detector(LabFrame(name), tilted(turn, pivot=pivot))
    axes = np.array([frame.fast, frame.slow, frame.normal])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-14)
    near = frame.origin + frame.f_close * frame.fast + frame.s_close * frame.slow
    np.testing.assert_allclose(near, frame.close_distance * frame.normal, atol=1e-14)
    assert frame.pivot == pivot
    swing = abs(dot(frame.beam, frame.normal))
    if turn[3] == 0.0:
        spot = frame.origin + frame.f_beam * frame.fast + frame.s_beam * frame.slow
        np.testing.assert_allclose(spot, frame.distance * frame.beam, atol=1e-13)
        assert frame.close_distance == pytest.approx(frame.distance * swing)


@given(st.sampled_from(NAMED), tilts)
@quick
def test_a_tilt_turns_axes_and_keeps_their_hand(name: str, turn: tuple) -> None:
    """Fast x slow is the normal or its opposite, as in the convention's table."""
    row = CONVENTIONS[name]
    sense = float(dot(np.cross(row.fast, row.slow), np.array(row.normal)))
    frame = place_detector(LabFrame(name), tilted(turn))
    np.testing.assert_allclose(np.cross(frame.fast, frame.slow), sense * frame.normal, atol=1e-14)
    expected = rotate_about(
        rotate_xyz(np.array(row.fast), *turn[:3]), np.array(row.twotheta_axis), turn[3]
    )
    np.testing.assert_allclose(frame.fast, expected, atol=1e-14)


@given(st.sampled_from(NAMED), st.floats(-1.0, 1.0, allow_subnormal=False))
@quick
def test_a_swing_about_the_sample_keeps_every_distance(name: str, twotheta: float) -> None:
    """All of the flat detector turns about the 2theta axis, its corner too."""
    flat = place_detector(LabFrame(name), replace(FLAT, pivot="sample"))
    swung = place_detector(LabFrame(name), replace(FLAT, pivot="sample", twotheta=twotheta))
    axis = np.array(CONVENTIONS[name].twotheta_axis)
    expected = rotate_about(flat.origin, axis, twotheta)
    np.testing.assert_allclose(swung.origin, expected, atol=1e-15)
    assert swung.close_distance == pytest.approx(flat.close_distance, rel=1e-13)


@given(st.sampled_from(NAMED), st.tuples(*[st.floats(-1.0, 1.0, allow_subnormal=False)] * 3), tilts)
@quick
def test_a_given_corner_is_where_the_detector_is(name: str, corner: tuple, turn: tuple) -> None:
    """Whatever distance, beam centre or pivot say; its axes are tilted as ever."""
    usual = place_detector(LabFrame(name), tilted(turn))
    placed = place_detector(
        LabFrame(name), tilted(turn, pix0=corner, beam_x=0.3, org_y=4.0, pivot="sample")
    )
    assert placed.origin.tolist() == list(corner)
    assert placed.pivot == "origin"
    for one, other in ((placed.fast, usual.fast), (placed.normal, usual.normal)):
        assert np.array_equal(one, other)


@given(
    st.floats(-50.0, 150.0, allow_subnormal=False), st.floats(-50.0, 150.0, allow_subnormal=False)
)
@quick
def test_orgx_is_a_beam_centre_counted_from_one(x: float, y: float) -> None:
    """XDS' origin on a flat detector is the direct beam, in pixels from the first one's middle."""
    by_org = place_detector(LabFrame("XDS"), replace(FLAT, org_x=x, org_y=y))
    detector = replace(FLAT, beam_x=(x - 0.5) * 1e-4, beam_y=(y - 0.5) * 1e-4, pivot="beam")
    by_beam = place_detector(LabFrame("XDS"), detector)
    np.testing.assert_allclose(by_org.origin, by_beam.origin, atol=1e-15)


@given(st.floats(0.01, 5.0), st.floats(-1.2, 1.2, allow_subnormal=False))
@quick
def test_distance_is_along_the_beam_and_close_distance_along_the_normal(
    distance: float, roty: float
) -> None:
    """Either gives the other through the cosine of the tilt."""
    by_distance = place_detector(LabFrame("MOSFLM"), replace(FLAT, distance=distance, roty=roty))
    close = distance * math.cos(roty)
    by_close = place_detector(
        LabFrame("MOSFLM"), replace(FLAT, distance=7.0, close_distance=close, roty=roty)
    )
    assert by_distance.close_distance == pytest.approx(close)
    assert by_close.distance == pytest.approx(distance)
    np.testing.assert_allclose(by_close.origin, by_distance.origin, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("detector", "field"),
    [
        (replace(FLAT, close_distance=0.1, roty=RIGHT), "detector.close_distance"),
        (replace(FLAT, close_distance=0.1, rotz=RIGHT), "detector.close_distance"),
    ],
)
def test_a_beam_along_the_detector_never_meets_it(detector: Detector, field: str) -> None:
    """The message tells the angle, and the field that is to be changed."""
    with pytest.raises(FieldError) as caught:
        place_detector(LabFrame("MOSFLM"), detector)
    assert caught.value.field == field
    assert str(caught.value).endswith(
        "90 degrees to the normal': must be such that the beam meets the detector plane"
    )


@pytest.mark.parametrize("name", NAMED)
def test_custom_directions_of_a_convention_are_that_convention(name: str) -> None:
    """All seven vectors given by hand place the same detector at a given corner."""
    row = CONVENTIONS[name]
    names = ("fast", "slow", "normal", "beam", "polarization", "spindle", "twotheta_axis")
    frame = LabFrame("CUSTOM", **{field: getattr(row, field) for field in names})
    assert directions(frame) == row
    corner = (0.01, 0.02, 0.03)
    turn = (0.1, -0.2, 0.3, 0.4)
    one = place_detector(LabFrame(name), tilted(turn, pix0=corner))
    other = place_detector(frame, tilted(turn, pix0=corner))
    for field in ("fast", "slow", "normal", "origin", "beam", "polarization", "spindle"):
        assert np.array_equal(getattr(one, field), getattr(other, field))
    assert isinstance(other, DetectorFrame)


# The crystal.

lengths = st.floats(1e-9, 3e-8)
cells = st.tuples(lengths, lengths, lengths, *[st.floats(1.1, 1.9)] * 3)
monoclinic = st.tuples(
    lengths, lengths, lengths, st.just(RIGHT), st.floats(1.0, 2.2), st.just(RIGHT)
)
turns = st.tuples(*[st.floats(-4.0, 4.0, allow_subnormal=False)] * 3)


def oriented(cell: tuple, **fields: Any) -> CrystalFrame:
    """Return the frame of a cell."""
    return orient_crystal(Crystal(cell=cell, **fields), BEAM)


@given(cells, turns)
@quick
def test_a_misset_turns_and_changes_nothing_else(cell: tuple, turn: tuple) -> None:
    """Scalar products of the axes, volume and number of cells stay."""
    plain, turned = oriented(cell), oriented(cell, misset=turn)
    scale = max(cell[:3]) ** 2
    np.testing.assert_allclose(
        turned.axes @ turned.axes.T, plain.axes @ plain.axes.T, atol=1e-11 * scale
    )
    assert turned.volume == plain.volume
    assert turned.misset == turn
    for index in range(3):
        expected = rotate_xyz(plain.axes[index], *turn)
        np.testing.assert_allclose(turned.axes[index], expected, atol=1e-11 * max(cell[:3]))


@given(monoclinic, turns)
@quick
def test_axes_span_the_volume_and_are_dual(cell: tuple, turn: tuple) -> None:
    """For cells with two right angles, in any orientation."""
    frame = oriented(cell, misset=turn)
    axes = frame.axes * 1e10
    assert np.linalg.det(axes) == pytest.approx(frame.volume, rel=1e-9)
    np.testing.assert_allclose(axes @ frame.star.T, np.eye(3), atol=1e-9)
    assert not frame.notes


@given(monoclinic, turns, st.floats(5e-11, 3e-10))
@quick
def test_the_reciprocal_axes_as_a_matrix_give_the_crystal(
    cell: tuple, turn: tuple, wavelength: float
) -> None:
    """MOSFLM's matrix holds them in columns, times the wavelength in Angstrom."""
    frame = oriented(cell, misset=turn)
    matrix = tuple((frame.star.T * (wavelength * 1e10)).ravel().tolist())
    again = orient_crystal(Crystal(matrix=matrix), Beam(wavelength=wavelength))
    np.testing.assert_allclose(again.axes, frame.axes, atol=1e-9 * max(cell[:3]))
    assert again.volume == pytest.approx(frame.volume, rel=1e-9)


@given(cells)
@quick
def test_the_reciprocal_of_the_lengths_is_that_of_the_cell(cell: tuple) -> None:
    """a* = bc sin(alpha) / V, and all of them shrink as the cell grows."""
    angstrom = (*(x * 1e10 for x in cell[:3]), *cell[3:])
    star, volume = reciprocal_from_cell(angstrom)
    a, b, c, alpha, beta, gamma = angstrom
    assert length(star[0]) == pytest.approx(b * c * math.sin(alpha) / volume)
    assert length(star[1]) == pytest.approx(c * a * math.sin(beta) / volume)
    doubled, larger = reciprocal_from_cell((2 * a, 2 * b, 2 * c, alpha, beta, gamma))
    np.testing.assert_allclose(doubled * 2, star, rtol=1e-12, atol=1e-15)
    assert larger == pytest.approx(8 * volume)


@given(lengths, st.floats(1e-9, 1e-6), st.integers(1, 50))
@quick
def test_a_sample_dimension_is_covered_by_whole_cells(
    edge: float, dimension: float, given_count: int
) -> None:
    """The least number of cells that are at least as long; other axes keep their numbers."""
    cell = (edge, 5e-9, 5e-9, RIGHT, RIGHT, RIGHT)
    frame = oriented(cell, size=(dimension, 0.0, -1.0), n_cells=(given_count, 7, given_count))
    count = frame.n_cells[0]
    assert frame.n_cells[1:] == (7, given_count)
    assert count * edge >= dimension * (1 - 1e-12)
    assert (count - 1) * edge < dimension * (1 + 1e-12)


def test_clipping_by_the_beam_is_told_axis_by_axis() -> None:
    """With both sizes in mm."""
    crystal = Crystal(cell=(5e-9, 5e-9, 5e-9, RIGHT, RIGHT, RIGHT), size=(1e-6, 2e-6, 3e-6))
    frame = orient_crystal(crystal, Beam(beamsize=5e-7))
    assert frame.notes == (
        "the sample's y size of 0.002 mm is clipped to the beam size of 0.0005 mm",
        "the sample's z size of 0.003 mm is clipped to the beam size of 0.0005 mm",
    )
    assert frame.n_cells == (200, 100, 100)


@given(st.integers(1, 400), st.floats(1e-5, 1e-3), st.floats(0.05, 2.0))
@quick
def test_sub_pixels_resolve_the_finest_fringe(count: int, pixel: float, distance: float) -> None:
    """At least three for each fringe of the longest side, and not one more than needed."""
    cell = (5e-9, 6e-9, 7e-9, RIGHT, RIGHT, RIGHT)
    frame = oriented(cell, n_cells=(1, 1, count))
    found = recommended_oversample(frame, 1e-10, distance, pixel)
    fringe = 1e-10 * distance / max(7e-9 * count, 6e-9)
    assert found >= 3 * pixel / fringe * (1 - 1e-9)
    assert found == 1 or (found - 1) < 3 * pixel / fringe * (1 + 1e-9)


@pytest.mark.parametrize(("distance", "wavelength"), [(0.0, 1e-10), (1e-30, 1e-10)])
def test_more_sub_pixels_than_can_be_meant_stay_a_number(
    distance: float, wavelength: float
) -> None:
    """At most ten times what is allowed, so that the caller can refuse it."""
    frame = oriented((5e-9, 5e-9, 5e-9, RIGHT, RIGHT, RIGHT))
    assert recommended_oversample(frame, wavelength, distance, 1e-4) == 10_000
