"""Bounds of a fit hold, and what is beside them is still found (S-GRAD-37)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError
from nbdask.gradients.arrow import Arrow, Room
from nbdask.gradients.bounds import checked_bounds, with_own
from nbdask.gradients.columns import columns_of
from nbdask.gradients.normal import NormalEquations
from nbdask.gradients.parameters import parameters_of
from tests.gradients.support import image64
from tests.gradients.test_fit import NAMES, TRUE, noisy, put_wrong

CELL, FLUENCE = "crystal.cell.a", "beam.fluence"


def test_what_is_at_a_bound_stays_and_the_rest_is_fitted() -> None:
    """The same values as a fit of the rest alone, from a field at its bound."""
    found = nbdask.fit(
        put_wrong(), noisy(), NAMES, background=2.0, readout=1.5, bounds={CELL: (4.105e-9, 4.2e-9)}
    )
    assert found.converged
    assert found.value[3] == 4.105e-9
    held = put_wrong()
    cell = (4.105e-9, *held.crystal.cell[1:])
    held = held.replace(crystal=replace(held.crystal, cell=cell))
    alone = nbdask.fit(held, noisy(), "crystal.turn,beam.fluence", background=2.0, readout=1.5)
    assert found.equations.loss == pytest.approx(alone.equations.loss, rel=1e-6)
    assert found.value[4] == pytest.approx(alone.value[3], abs=0.02 * alone.sigma[3])


def test_fields_that_are_tied_meet_a_bound_together() -> None:
    """One of them at its bound holds the other; the change that is told is what both did."""
    tie = nbdask.Parameter("edge", {CELL: 1.0, "crystal.cell.b": 2.0})
    found = nbdask.fit(
        put_wrong(),
        noisy(),
        ["crystal.turn", tie],
        background=2.0,
        readout=1.5,
        bounds={"crystal.cell.b": (4.699e-9, 4.701e-9)},
        iterations=12,
    )
    a, b = (found.experiment.crystal.cell[i] for i in (0, 1))
    start = put_wrong().crystal.cell
    assert 4.699e-9 <= b <= 4.701e-9
    assert a - start[0] == pytest.approx(found.value[3], abs=1e-16)
    assert b - start[1] == pytest.approx(2.0 * found.value[3], abs=1e-16)


def test_what_shots_have_in_common_meets_a_bound_in_all_of_them() -> None:
    """By the same change."""
    shots = [nbdask.Shot(put_wrong(), noisy(seed), None, 2.0, 1.5) for seed in (3, 4)]
    found = nbdask.fit_joint(
        shots, "crystal.turn", f"{CELL},{FLUENCE}", bounds={CELL: (4.11e-9, 4.2e-9)}
    )
    assert [e.crystal.cell[0] for e in found.experiments] == [4.11e-9, 4.11e-9]
    assert found.value[0] == 4.11e-9


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({CELL: (2.0, 1.0)}, "the least and the greatest"),
        ({CELL: (math.nan, 1.0)}, "the least and the greatest"),
        ({CELL: 3.0}, "the least and the greatest"),
        ({"crystal.turn.x": (-1.0, 1.0)}, "a turn or shift has none"),
        ({"cell": (0.0, 1.0)}, "--bounds = 'cell': .*did you mean crystal.cell"),
        ([(CELL, 1.0, 2.0)], "must be a dict"),
    ],
)
def test_bounds_that_say_nothing_are_refused(bounds: object, said: str) -> None:
    """In one line."""
    with pytest.raises(FieldError, match=said):
        checked_bounds(bounds)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({FLUENCE: (2e28, 3e28)}, r"around the value of beam\.fluence at the start"),
        ({"crystal.cell.b": (1e-9, 9e-9)}, "of a field that is fitted"),
    ],
)
def test_bounds_of_something_else_are_refused(bounds: dict, said: str) -> None:
    """Before anything is fitted: nothing is moved into bounds that no one asked to move."""
    with pytest.raises(FieldError, match=said):
        nbdask.fit(TRUE, image64(TRUE), NAMES, bounds=bounds)


def test_a_step_without_room_is_a_step_of_the_rest() -> None:
    """Own and common parameters that are held, beside their free neighbours."""
    random = np.random.default_rng(1)
    columns = columns_of(2, "crystal.turn", "beam.fluence,detector.distance", {})
    shots = []
    for _ in range(2):
        slopes = random.normal(size=(5, 40))
        slope = slopes @ random.normal(size=40)
        names = tuple(p.name for p in columns.parameters)
        shots.append(NormalEquations(names, names, 1.0, 1.0, 40, slope, slopes @ slopes.T))
    arrow, far = Arrow.of(columns, shots), np.full(3, np.inf)
    common = np.full(2, np.inf)
    free = arrow.step(0.1, Room([(-far, far)] * 2, (-common, common)))
    plain = arrow.step(0.1)
    assert all(map(np.array_equal, (*free.own, free.common), (*plain.own, plain.common)))
    # Nothing may go where it would: own parameter 1 of shot 0, and the first common one.
    low, high = -far, far.copy()
    (low if arrow.blocks[0][3][1] < 0 else high)[1] = 0.0
    ends = [-common, common.copy()]
    ends[0 if arrow.slope[0] < 0 else 1][0] = 0.0
    held = arrow.step(0.1, Room([(low, high), (-far, far)], (ends[0], ends[1])))
    assert held.own[0][1] == 0.0
    assert held.common[0] == 0.0
    fewer = columns_of(2, "crystal.turn", "detector.distance", {})
    without = [
        NormalEquations(
            s.names, s.units, 1.0, 1.0, 40, s.gradient[[0, 1, 2, 4]],
            s.hessian[np.ix_([0, 1, 2, 4], [0, 1, 2, 4])],
        )
        for s in shots
    ]  # fmt: skip
    for place in (0, 2, 3):
        without[0].hessian[1, place] = without[0].hessian[place, 1] = 0.0
    without[0].gradient[1] = 0.0
    right = Arrow.of(fewer, without).step(0.1)
    assert held.own[0] == pytest.approx(right.own[0], rel=1e-9)
    assert held.own[1] == pytest.approx(right.own[1], rel=1e-9)
    assert held.common[1] == pytest.approx(right.common[0], rel=1e-9)
    assert held.promised == pytest.approx(right.promised, rel=1e-9)


def test_a_polarization_ends_where_there_is_no_more() -> None:
    """A bound of its own, within those that are given."""
    assert with_own({}, parameters_of("beam.polarization")) == {"beam.polarization": (-1.0, 1.0)}
    given = {"beam.polarization": (0.5, 3.0), CELL: (0.0, 1.0)}
    assert with_own(given, parameters_of("beam.polarization"))["beam.polarization"] == (0.5, 1.0)
    assert with_own({}, parameters_of(CELL)) == {}
    wide = replace(TRUE.detector, distance=20e-3)
    truth = TRUE.replace(beam=replace(TRUE.beam, polarization=1.0), detector=wide)
    # Data that want more than there is.
    more = image64(truth) + (image64(truth) - image64(truth.replace(beam=TRUE.beam))) * 0.2
    start = truth.replace(beam=replace(TRUE.beam, polarization=0.9))
    found = nbdask.fit(start, more, "beam.polarization", background=1.0)
    assert found.converged
    assert found.value.tolist() == [1.0]


def test_what_is_above_nothing_stays_so() -> None:
    """Water that is not there becomes as little as the data tell."""
    wet = TRUE.replace(background=replace(TRUE.background, water=3e-8))
    found = nbdask.fit(wet, image64(TRUE) + 1.0, "background.water", background=1.0)
    assert found.converged
    assert 0.0 < found.value[0] < 3e-9
