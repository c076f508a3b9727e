"""Derivatives of the model's numbers against differences of models."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from nbdask.experiment import Experiment, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.geometry.slopes import Slopes, combined, turned_frames
from nbdask.gradients.parameters import FIELDS, refusal, slopes_of, value_of, with_value
from tests.gradients.support import KINDS

#: Fields that no difference of models can show, and those of single precision.
_OTHERS = ("crystal.turn.", "crystal.n_cells.", "crystal.mosaic_spread")


def models_beside(experiment: Experiment, name: str, value: float) -> tuple[Model, Model, float]:
    """Models of a field a little larger and smaller, and how far they are apart."""
    step = abs(value) * 1e-5 or 1e-7
    plus, minus = (build_model(with_value(experiment, name, value + d)) for d in (step, -step))
    return plus, minus, 2.0 * step


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_of_the_set_up_are_those_of_differences(kind: str) -> None:
    """Every field of every part, to what differences can tell."""
    # What a list holds has no part in this, and takes time to read.
    experiment = replace(KINDS[kind], structure=StructureFactors(default_F=1.0))
    model = build_model(experiment)
    frames, _ = turned_frames(experiment, build_model(experiment))
    for name in FIELDS:
        if refusal(experiment, name, model) or name.startswith(_OTHERS):
            continue
        if kind == "carried over" and name == "scan.phi0":
            continue  # an angle of exactly 0 is another one beside it
        value = value_of(experiment, name) or 0.0
        slopes = slopes_of(experiment, model, name)
        plus, minus, apart = models_beside(experiment, name, value)
        for item in (field.name for field in fields(Slopes) if "spin" not in field.name):
            expected = (np.asarray(getattr(plus, item)) - getattr(minus, item)) / apart
            found = slopes.get(item)
            if item == "axes":
                found = found @ frames if found.ndim else np.zeros_like(model.axes)
                if slopes.spin is not None:
                    found = found + np.cross(slopes.spin[:, None], model.axes)
            size = np.abs(getattr(model, item)).max(initial=0.0) / (abs(value) or 1e-2)
            bound = 1e-7 * max(np.abs(expected).max(initial=0.0), 1e-3 * size)
            assert np.abs(found - expected).max(initial=0.0) <= bound, (name, item)


def test_the_mosaic_spread_turns_domains_in_proportion() -> None:
    """A domain's angle is spread times a number, but for single precision."""
    experiment = KINDS["mosaic and phi"]
    model = build_model(experiment)
    spin = slopes_of(experiment, model, "crystal.mosaic_spread").spin
    assert spin is not None
    expected = build_model(with_value(experiment, "crystal.mosaic_spread", 0.021)).axes
    found = model.axes + 0.001 * np.cross(spin[:, None], model.axes)
    assert np.abs(found - expected).max() < 2e-6 * np.abs(expected).max()
    assert not spin[::3].any()  # the first domain is not rotated


def test_a_nudge_leaves_numbers_alone() -> None:
    """Frames turn the unrotated axes into those of the model."""
    for experiment in KINDS.values():
        model = build_model(experiment)
        frames, first = turned_frames(experiment, build_model(experiment))
        axes = np.linalg.solve(frames[0].T, model.axes[0].T).T
        assert np.allclose(axes @ frames, model.axes, rtol=1e-13, atol=1e-24)
        assert (first is None) == (model.first_axes is None)
        if first is not None:
            assert np.allclose(axes @ first, model.first_axes, rtol=1e-13, atol=1e-24)


def test_slopes_add_up() -> None:
    """Of a combination: each times its factor; what nobody changes stays None."""
    one = Slopes(n_cells=np.array([1.0, 0.0, 0.0]), mu=np.array(2.0))
    other = Slopes(n_cells=np.array([0.0, 1.0, 0.0]))
    found = combined([(2.0, one), (3.0, other)])
    assert found.get("n_cells").tolist() == [2.0, 3.0, 0.0]
    assert float(found.get("mu")) == 4.0
    assert found.kahn is None
    assert not found.nothing
    assert Slopes().nothing
