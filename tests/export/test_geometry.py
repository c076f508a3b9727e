"""Where an exported rectangle stands, and its chain of NeXus axes: laws of both."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.experiment import Beam, Detector, Experiment, LabFrame, Scan
from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.nexus_frame import (
    ROTATION,
    TRANSLATION,
    Axis,
    detector_chain,
    lab_to_nexus,
)
from nbdask.export.picture import Picture
from nbdask.geometry.build import build_model
from tests.export.stores import store_of
from tests.helpers import small_experiment

SHAPE = (12, 16)
CONVENTIONS = ("ADXV", "MOSFLM", "DENZO", "XDS", "DIALS")
ANGLES = st.floats(-0.6, 0.6, allow_subnormal=False)


def picture(folder: Path, experiment: Experiment, roi: Any = None) -> Picture:
    """A dark image of an experiment."""
    store = folder / "a.zarr"
    if not store.exists():
        store_of(store, experiment, np.zeros(SHAPE, np.float32), tile=(16, 16))
    return Picture(store, roi)


def experiment_of(convention: str = "MOSFLM", **detector: Any) -> Experiment:
    """A detector of 12 x 16 pixels, 0.2 mm each, unless told otherwise."""
    values = {"pixels_slow": 12, "pixels_fast": 16, "pixel_size": 2e-4, "distance": 0.1}
    return small_experiment(
        frame=LabFrame(convention=convention), detector=Detector(**{**values, **detector})
    )


def of(experiment: Experiment, held: Picture) -> Geometry:
    """The geometry of an experiment, without a store of its own."""
    held.__dict__["experiment"] = experiment
    return geometry_of(held)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """A picture whose experiment is put in its place."""
    return picture(tmp_path_factory.mktemp("geometry"), experiment_of())


@pytest.mark.parametrize("convention", CONVENTIONS)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_the_beam_meets_the_plane_where_it_says(held: Picture, convention: str, data: Any) -> None:
    """From the corner along both axes to the spot is as far as the beam goes."""
    x, y, z, swing = (data.draw(ANGLES) for _ in range(4))
    g = of(experiment_of(convention, rotx=x, roty=y, rotz=z, twotheta=swing), held)
    place = g.origin + g.f_spot * g.frame.fast + g.s_spot * g.frame.slow
    assert np.allclose(place, g.distance * g.frame.beam, rtol=0, atol=1e-12)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_flat_detector_meets_the_beam_at_its_centre(held: Picture, convention: str) -> None:
    """Without tilts the spot is the beam centre, and the distance the given one."""
    g = of(experiment_of(convention), held)
    assert g.f_spot == pytest.approx(g.f_beam, abs=1e-15)
    assert g.s_spot == pytest.approx(g.s_beam, abs=1e-15)
    assert g.distance == pytest.approx(0.1, rel=1e-12)
    assert (g.rows, g.columns, g.pixel) == (12, 16, 2e-4)
    assert g.extent_slow == pytest.approx(12 * 2e-4)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("roi", [(0, 3, 0, 4), (5, 11, 2, 15), (7, 7, 9, 9)])
def test_a_cut_out_is_moved_by_whole_pixels(tmp_path: Path, convention: str, roi: Any) -> None:
    """Everything that is measured from its corner becomes less; the spot stays in the lab."""
    experiment = experiment_of(convention, rotx=0.1, roty=0.2, twotheta=-0.3)
    whole = geometry_of(picture(tmp_path, experiment))
    part = geometry_of(picture(tmp_path, experiment, roi))
    ds, df = roi[0] * 2e-4, roi[2] * 2e-4
    for name, shift in (("f", df), ("s", ds)):
        for what in ("beam", "close", "spot"):
            before, after = (getattr(g, f"{name}_{what}") for g in (whole, part))
            assert before - after == pytest.approx(shift, abs=1e-12)
    assert part.distance == pytest.approx(whole.distance, rel=1e-12)
    assert (part.rows, part.columns) == (roi[1] - roi[0] + 1, roi[3] - roi[2] + 1)
    model = build_model(experiment)
    wanted = model.origin + df * model.fast + ds * model.slow
    assert np.allclose(part.origin, wanted, rtol=0, atol=1e-15)


def test_the_scan_is_settled(held: Picture) -> None:
    """Start, range and step of the rotation, however they were given."""
    scan = Scan(phi0=0.3, osc=0.2, count=5)
    g = of(experiment_of().replace(scan=scan), held)
    assert (g.phi0, g.osc) == (0.3, 0.2)
    assert g.phi_step == pytest.approx(0.04)


def test_a_beam_along_the_plane_has_no_spot(held: Picture) -> None:
    """The beam centre as given stands for it, and no division by zero does."""
    g = of(experiment_of("MOSFLM", twotheta=math.pi / 2), held)
    assert abs(g.frame.normal @ g.frame.beam) < 1e-12
    assert (g.f_spot, g.s_spot) == (g.frame.f_beam, g.frame.s_beam)
    assert g.distance == g.frame.distance


def test_axes_move_points() -> None:
    """A shift along its vector; a rotation by degrees, right-handed."""
    along = Axis("shift", TRANSLATION, 0.5, np.array([0.0, 0.0, 1.0]))
    assert along.apply(np.array([1.0, 2.0, 3.0])).tolist() == [1.0, 2.0, 3.5]
    turn = Axis("turn", ROTATION, 90.0, np.array([0.0, 0.0, 1.0]))
    assert turn.apply(np.array([1.0, 0.0, 5.0])) == pytest.approx(np.array([0.0, 1.0, 5.0]))


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-720, 720, allow_subnormal=False),
    st.tuples(*[st.floats(-1, 1, allow_subnormal=False)] * 3).filter(
        lambda v: np.linalg.norm(v) > 0.1
    ),
    st.tuples(*[st.floats(-5, 5, allow_subnormal=False)] * 3),
)
def test_rotations_keep_lengths_and_their_axis(angle, vector, point) -> None:
    """Turned back, a point is where it was."""
    unit = np.array(vector) / np.linalg.norm(vector)
    turn = Axis("a", ROTATION, angle, unit)
    moved = turn.apply(np.array(point))
    assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(point), abs=1e-12)
    assert moved @ unit == pytest.approx(np.array(point) @ unit, abs=1e-12)
    assert replace(turn, value=-angle).apply(moved) == pytest.approx(np.array(point), abs=1e-12)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_nexus_frame_is_a_rotation(held: Picture, convention: str) -> None:
    """The beam along +z, the polarization along -x; no mirror."""
    g = of(experiment_of(convention, twotheta=0.2), held)
    turn = lab_to_nexus(g)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-14)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert turn @ g.frame.beam == pytest.approx(np.array([0, 0, 1.0]), abs=1e-14)
    assert (turn @ g.frame.polarization)[0] == pytest.approx(-1.0)


def test_polarization_along_the_beam_is_passed_over(held: Picture) -> None:
    """Then the rotation axis gives the direction across."""
    g = of(experiment_of(), held)
    odd = replace(g, frame=replace(g.frame, polarization=g.frame.beam))
    turn = lab_to_nexus(odd)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert (turn @ g.frame.spindle)[0] == pytest.approx(-1.0)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("pivot", ["beam", "sample"])
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_the_chain_leads_to_every_corner(
    held: Picture, convention: str, pivot: str, data: Any
) -> None:
    """Whatever tilts, swing and pivot: the axes one after another are the placed detector."""
    x, y, z, swing = (data.draw(ANGLES) for _ in range(4))
    experiment = experiment_of(convention, pivot=pivot, rotx=x, roty=y, rotz=z, twotheta=swing)
    g = of(experiment, held)
    chain = detector_chain(experiment, g)
    for fast, slow in ((0.0, 0.0), (3.2e-3, 0.0), (0.0, 2.4e-3), (1e-3, 2e-3)):
        wanted = g.origin + fast * g.frame.fast + slow * g.frame.slow
        assert np.abs(chain.position(fast, slow) - wanted).max() < 1e-12
    assert np.linalg.norm(chain.fast) == pytest.approx(1.0)
    assert chain.fast @ chain.slow == pytest.approx(0.0, abs=1e-12)


def test_a_given_corner_ends_with_a_shift_to_it(held: Picture) -> None:
    """``pix0`` says where the first pixel is after all turns."""
    experiment = experiment_of("XDS", pix0=(0.1, 0.01, -0.02), rotz=0.2, twotheta=0.1)
    g = of(experiment, held)
    chain = detector_chain(experiment, g)
    assert chain.position(0.0, 0.0) == pytest.approx(g.origin, abs=1e-13)
    assert chain.axes[-1].kind == TRANSLATION
    assert [axis.name for axis in chain.axes[:-1]] == [
        "detector_rotx",
        "detector_roty",
        "detector_rotz",
        "two_theta",
    ]
    assert chain.offset.value == 0.0


def test_values_of_the_chain_are_degrees(held: Picture) -> None:
    """As programs that read NeXus expect."""
    experiment = experiment_of(rotx=math.radians(3), roty=math.radians(-5), twotheta=math.pi / 6)
    chain = detector_chain(experiment, of(experiment, held))
    values = {axis.name: axis.value for axis in chain.axes if axis.kind == ROTATION}
    assert values["detector_rotx"] == pytest.approx(3.0)
    assert values["detector_roty"] == pytest.approx(-5.0)
    assert values["two_theta"] == pytest.approx(30.0)


def test_the_wavelength_does_not_move_the_detector(held: Picture) -> None:
    """Only what places it does."""
    one = of(experiment_of(rotx=0.1), held)
    other = of(experiment_of(rotx=0.1).replace(beam=Beam(wavelength=3e-10)), held)
    assert np.array_equal(one.origin, other.origin)
    assert one.f_spot == other.f_spot
