"""An image as a function of values, without a library that differentiates programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import StructureFactors
from nbdask.gradients.rendered import Rendering, turn_jacobian
from tests.gradients.support import BASE, KINDS, image64
from tests.helpers import reflections
from tests.panels.several import several

#: Names, their values, and steps of differences: crystal, detector, one panel, fields.
PLACES = {
    "panels": (
        several(),
        {
            "crystal.turn.y": (0.03, 1e-7),
            "detector.turn.x": (0.005, 1e-7),
            "detector.turn.z": (-0.004, 1e-7),
            "detector.shift.y": (7e-4, 1e-9),
            "panel.tilted.turn.x": (0.006, 1e-7),
            "panel.tilted.shift.z": (8e-4, 1e-9),
            "beam.wavelength": (1.01e-10, 1e-16),
        },
    ),
    "the detector alone": (
        several(),
        {"detector.turn.y": (0.01, 1e-7), "detector.shift.x": (1e-3, 1e-9)},
    ),
    "a panel alone": (
        several(),
        {"panel.skew 2.turn.z": (-0.01, 1e-7), "panel.skew 2.shift.y": (5e-4, 1e-9)},
    ),
    "flags": (BASE, {"crystal.turn.x": (0.3, 1e-7), "detector.distance": (0.1, 1e-8)}),
}


@pytest.mark.parametrize("kind", PLACES)
def test_derivatives_are_those_of_differences(kind: str) -> None:
    """At places that are moved and turned by more than a little."""
    experiment, given = PLACES[kind]
    rendering = Rendering(experiment, tuple(given))
    values, steps = np.array(list(given.values())).T
    place = rendering.at(values)
    assert place.image().shape == rendering.shape
    cotangent = np.random.default_rng(1).normal(size=rendering.shape)
    found, none = place.pull(cotangent, amplitudes=False)
    assert none is None
    for number, step in enumerate(steps):
        moved = (values + sign * step * np.eye(len(values))[number] for sign in (1, -1))
        plus, minus = (float((rendering.at(v).image() * cotangent).sum()) for v in moved)
        assert found[number] == pytest.approx((plus - minus) / (2 * step), rel=2e-6)


def test_amplitudes() -> None:
    """In the order of the reflections, at values of their own."""
    rows = reflections(2)
    experiment = replace(BASE, structure=StructureFactors(reflections=rows))
    rendering = Rendering(experiment, (), (len(rows),))
    f = np.array([1.5 * row[3] for row in rows])
    place = rendering.at([], f)
    image = place.image()
    assert image.sum() > image64(experiment).sum()
    _, found = place.pull(np.ones_like(image), amplitudes=True)
    assert found is not None
    assert float((found * f).sum()) == pytest.approx(2.0 * image.sum(), rel=1e-10)


def test_a_turn_after_a_turn() -> None:
    """The Jacobian is that of differences of rotations."""
    turn, step = np.array([0.4, -0.3, 0.7]), 1e-6
    vector = np.array([0.2, 0.5, -0.1])

    def rotated(by: np.ndarray) -> np.ndarray:
        from nbdask.geometry.vectors import rotate_about

        angle = float(np.linalg.norm(by))
        return rotate_about(vector, by / angle, angle)

    for axis in range(3):
        change = step * np.eye(3)[axis]
        slope = (rotated(turn + change) - rotated(turn - change)) / 2 / step
        assert np.allclose(slope, np.cross(turn_jacobian(turn)[:, axis], rotated(turn)), atol=1e-9)
    assert np.array_equal(turn_jacobian(np.zeros(3)), np.eye(3))


@pytest.mark.parametrize(
    ("experiment", "names", "shape", "said"),
    [
        (BASE, ("crystal.size",), None, "crystal.size"),
        (BASE, ("detector.shift.x",), None, "left out without panels"),
        (several(), ("panel.nowhere.shift.x",), None, "a panel that there is"),
        (BASE, ("lattices.0.crystal.turn.x",), None, "a turn of the first crystal"),
        (KINDS["matrix, sample pivot"], ("crystal.cell.a",), None, "has a number here"),
        (KINDS["square"], (), (3,), "different structure.reflections"),
    ],
)
def test_what_cannot_be_rendered_is_refused(experiment, names, shape, said) -> None:
    """In one line, before anything is computed."""
    with pytest.raises(FieldError, match=said):
        Rendering(experiment, names, shape)
