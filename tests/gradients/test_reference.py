"""The NumPy gradient against differences of images, and exact laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbdask.experiment import Detector, LabFrame
from nbdask.geometry.build import build_model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.parameters import FIELDS, parameters_of, refusal, value_of
from nbdask.gradients.planes import reference_planes
from tests.gradients.support import (
    BASE,
    KINDS,
    by_differences,
    finite,
    image64,
    planes_of,
    step_of,
    worst,
)
from tests.helpers import evaluated, image_of, whole

#: What differences of a field cannot show: nothing to change by, whole numbers, single precision;
#: of angles that are carried over, those from exactly 0.
_OTHERS = ("crystal.turn.", "crystal.n_cells.", "crystal.mosaic_spread")


@pytest.mark.parametrize("kind", KINDS)
def test_every_derivative_is_that_of_differences(kind: str) -> None:
    """Of all fields that an experiment has; with a list no reflection changes within a step."""
    experiment = KINDS[kind]
    model = build_model(experiment)
    names = [name for name in FIELDS if refusal(experiment, name, model) is None]
    image, *planes = planes_of(experiment, names, model)
    assert finite(planes)
    assert np.allclose(image, image_of(experiment), rtol=3e-7, atol=1e-6 * image.max())
    for name, plane in zip(names, planes, strict=True):
        if name.startswith(_OTHERS) or (kind == "carried over" and name == "scan.phi0"):
            continue
        value = value_of(experiment, name)
        assert value is not None
        step = step_of(value, FIELDS[name].unit)
        expected = by_differences(experiment, name, value, step)
        noise = 1e-13 * image.max() / step
        assert np.abs(plane - expected).max() <= 1e-5 * np.abs(expected).max() + noise, name


def test_turns_about_the_spindle_are_phi() -> None:
    """One rotation step without mosaicity: the scan's start angle turns the crystal."""
    _, by_turn, by_phi = planes_of(BASE, "crystal.turn.z,scan.phi0")
    assert worst(by_phi, by_turn) < 1e-12


def test_misset_angles_turn_about_what_they_did_not_turn_yet() -> None:
    """The last misset angle is a turn about lab z."""
    _, by_turn, by_angle = planes_of(BASE, "crystal.turn.z,crystal.misset.z")
    assert worst(by_angle, by_turn) < 1e-12


def test_photons_are_proportional_to_fluence_and_square_amplitudes() -> None:
    """Derivative times value is the image, and twice the image."""
    image, by_fluence, by_amplitude = planes_of(BASE, "beam.fluence,structure.default_F")
    assert worst(by_fluence * BASE.beam.fluence, image) < 1e-14
    assert worst(by_amplitude * 100.0, 2.0 * image) < 1e-14


def test_water_is_the_cube_of_its_edge() -> None:
    """What it adds grows with the third power."""
    experiment = KINDS["sub-pixels, layers, colours"]
    image, by_edge = planes_of(experiment, "background.water")
    dry = image64(replace(experiment, background=replace(experiment.background, water=0.0)))
    assert worst(by_edge * 1e-6 / 3.0, image - dry) < 1e-9


def test_derivatives_by_cells_are_those_between_whole_numbers() -> None:
    """Of a round crystal the number of cells may be any: the mean slope of a step of one."""
    experiment = replace(BASE, crystal=replace(BASE.crystal, shape="round", n_cells=(80, 5, 6)))
    image, slope = planes_of(experiment, "crystal.n_cells.a")
    more = image64(replace(experiment, crystal=replace(experiment.crystal, n_cells=(81, 5, 6))))
    less = image64(replace(experiment, crystal=replace(experiment.crystal, n_cells=(79, 5, 6))))
    assert (
        np.abs(slope - (more - less) / 2.0).max() < 0.02 * np.abs(slope).max() + 1e-3 * image.max()
    )


def test_a_pixel_on_the_beam_has_finite_derivatives() -> None:
    """There psi has no value, and the crystal's peak is at its very top."""
    experiment = replace(
        BASE,
        frame=LabFrame("XDS"),
        detector=Detector(pixels_fast=5, pixels_slow=5, pixel_size=1e-3, org_x=3.0, org_y=3.0),
    )
    names = [name for name in FIELDS if refusal(experiment, name) is None]
    planes = planes_of(experiment, names)
    assert finite(planes)
    assert planes[0, 2, 2] == planes[0].max()


def test_pixels_that_are_not_evaluated_have_no_derivative() -> None:
    """As the image is 0 there."""
    experiment = KINDS["limited"]
    model = build_model(experiment)
    basis = basis_of(experiment, model, parameters_of("crystal.turn,beam.fluence"))
    mask = evaluated(model, whole(model))
    planes = reference_planes(model, basis, whole(model), mask)
    assert not planes[:, ~mask].any()
    assert planes[:, mask].any(axis=1).all()
