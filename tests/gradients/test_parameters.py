"""Names of parameters, their values, and refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from nbdask.errors import FieldError
from nbdask.experiment import Background, Diffuse, Mosaic, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.gradients.parameters import (
    FIELDS,
    Parameter,
    check_refinable,
    parameters_of,
    refusal,
    value_of,
    with_value,
)
from tests.gradients.support import BASE, KINDS, planes_of, with_crystal, worst
from tests.helpers import reflections


def test_a_name_may_be_the_beginning_of_several() -> None:
    """Several names in one text are separated by commas; the order is kept."""
    found = [p.name for p in parameters_of("detector.distance, crystal.turn")]
    assert found == ["detector.distance", "crystal.turn.x", "crystal.turn.y", "crystal.turn.z"]
    assert len(parameters_of("crystal.cell")) == 6
    further = [p.name for p in parameters_of("lattices.1.crystal.turn,panel.a.b.shift")]
    assert further[:3] == [f"lattices.1.crystal.turn.{axis}" for axis in "xyz"]
    assert further[3:] == [f"panel.a.b.shift.{axis}" for axis in "xyz"]
    tie = Parameter("edge", {"crystal.cell.a": 1.0, "crystal.cell.b": 1.0})
    assert parameters_of([tie, "scan.phi0"])[0] is tie
    assert tie.shown_unit == "m"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("distance", r"did you mean detector\.distance\?"),
        ("cell", r"did you mean crystal\.cell\?"),
        ("crystal.cel.a", "did you mean crystal.cell.a"),
        ("lattices.0.beam", "a name that `nbdask parameters` lists"),
        ("lattices.x.crystal.turn", "a name that `nbdask parameters` lists"),
        ("crystal.turn,crystal.turn.x", "named once"),
        ("", "at least one name"),
        ([3], "a name, or a Parameter"),
        (None, "must be names, such as"),
    ],
)
def test_wrong_names_are_refused(names: object, said: str) -> None:
    """With what is allowed."""
    with pytest.raises(FieldError, match=said):
        parameters_of(names)


def test_values_are_those_of_the_experiment_or_its_defaults() -> None:
    """A beam centre that is not given has the convention's; a turn is always 0."""
    assert value_of(BASE, "crystal.cell.b") == 8e-9
    assert value_of(BASE, "crystal.turn.x") == 0.0
    assert value_of(BASE, "detector.beam_x") == pytest.approx(5.25e-3)
    assert value_of(BASE, "detector.org_x") is None
    assert value_of(with_crystal(misset=None), "crystal.misset.y") == 0.0
    sensor = replace(BASE, detector=replace(BASE.detector, thickness=1e-4))
    assert value_of(sensor, "detector.attenuation") == pytest.approx(1e4)


def test_another_value_is_put_in_one_place_only() -> None:
    """Into the component of a vector."""
    moved = with_value(BASE, "crystal.misset.y", 1.0)
    assert moved.crystal.misset == (0.1, 1.0, 0.3)
    assert BASE.crystal.misset == (0.1, -0.2, 0.3)
    assert moved.detector is BASE.detector


@pytest.mark.parametrize(
    ("experiment", "name", "why"),
    [
        (with_crystal(shape="tophat"), "crystal.turn.x", "tophat"),
        (
            replace(BASE, semantics="c", sampling=Sampling(oversample=1, oversample_omega=True)),
            "crystal.turn.x",
            "running product",
        ),
        (with_crystal(misset="random", misset_seed=3), "crystal.misset.x", "use crystal.turn"),
        (with_crystal(size=(1e-7, 0.0, 0.0)), "crystal.n_cells.a", "crystal.size"),
        (
            with_crystal(
                shape="gauss", n_cells=(1, 1, 1), cells_matrix=(4.0, 0, 0, 0, 5.0, 0, 0, 0, 6.0)
            ),
            "crystal.n_cells.b",
            "cells_matrix",
        ),
        (BASE, "crystal.mosaic_spread", "not given"),
        (with_crystal(mosaic_spread=0.0), "crystal.mosaic_spread", "not modelled"),
        (BASE, "crystal.fudge", "square"),
        (replace(BASE, beam=replace(BASE.beam, polarized=False)), "beam.polarization", "off"),
        (
            replace(BASE, detector=replace(BASE.detector, attenuation=3e3)),
            "detector.attenuation",
            "thickness",
        ),
        (
            replace(BASE, detector=replace(BASE.detector, thickness=1e-3, attenuation=0.0)),
            "detector.attenuation",
            "nothing is captured",
        ),
        (BASE, "detector.org_x", "not given"),
        (
            with_crystal(diffuse=Diffuse((1e-9, 1e-9, 1e-9), (1e-11, 1e-11, 1e-11))),
            "crystal.turn.x",
            "not differentiated",
        ),
        (
            replace(BASE, background=Background(beamstop=(1e-3, 0.0, 0.0))),
            "detector.rotx",
            "a beam stop",
        ),
        (
            with_crystal(mosaic=Mosaic(model="gauss", widths=(0.01, 0.0, 0.02))),
            "crystal.mosaic_spread",
            "gives the domains",
        ),
        (
            replace(BASE, structure=StructureFactors(5.0, reflections=reflections(1))),
            "structure.default_F",
            "list",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_refined_says_why(experiment: object, name: str, why: str) -> None:
    """In one line."""
    assert why in (refusal(experiment, name) or "")
    with pytest.raises(FieldError, match=why):
        check_refinable(experiment, parameters_of(name))


def test_a_random_orientation_can_be_turned() -> None:
    """Turns need no angles."""
    assert refusal(with_crystal(misset="random", misset_seed=3), "crystal.turn.y") is None


def test_fields_without_effect_are_told_by_the_model() -> None:
    """A distance that another field replaces."""
    experiment = replace(BASE, detector=replace(BASE.detector, close_distance=0.1))
    assert refusal(experiment, "detector.distance") is None
    assert "without effect" in (refusal(experiment, "detector.distance", build_model(BASE)) or "")


def test_fields_that_are_tied_change_together() -> None:
    """The derivative is the sum, each times its factor."""
    tie = Parameter("edges", {"crystal.cell.a": 1.0, "crystal.cell.c": -2.0})
    _, both, a, c = planes_of(BASE, [tie, "crystal.cell.a", "crystal.cell.c"])
    assert worst(both, a - 2.0 * c) < 1e-13


def test_every_name_is_a_field() -> None:
    """But for moves, which no experiment holds."""
    for name, entry in FIELDS.items():
        if not entry.is_move:
            assert hasattr(getattr(KINDS["square"], entry.part), entry.field), name


@pytest.mark.parametrize(
    "fields",
    [
        {},
        ["crystal.turn.x"],
        "crystal.turn.x",
        {5: 1.0},
        {"crystal.turn.x": "1"},
        {"crystal.turn.x": None},
        {"crystal.turn.x": math.nan},
    ],
)
def test_a_tie_is_of_fields_and_finite_factors(fields: Any) -> None:
    """Anything else is refused where it is made, not where it would be multiplied."""
    with pytest.raises(FieldError):
        Parameter("tie", fields)
