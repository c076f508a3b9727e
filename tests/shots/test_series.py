"""A series: shots that depend on seed and number alone, its dict form, what it refuses."""

from __future__ import annotations

import json
import math
import pickle
from time import perf_counter

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.shots import Distribution, Orientations, Series, Table
from nbdask.shots.rotations import matrices
from tests.helpers import RIGHT

CELL = (50e-10, 60e-10, 70e-10, RIGHT, RIGHT, RIGHT)
BASE = nbdask.Experiment(
    nbdask.Crystal(cell=CELL, misset=(0.1, 0.2, 0.3)), nbdask.StructureFactors(default_F=1.0)
)
RANDOM = Series(BASE, 20, (Orientations(),), seed=5)


def test_a_shot_depends_on_seed_and_number_alone() -> None:
    """Neither on the number of shots nor on which others are asked for."""
    longer = Series(BASE, 10**6, (Orientations(),), seed=5)
    assert longer.shot(17) == RANDOM.shot(17)
    assert longer.shot(999_999) != longer.shot(17)
    assert Series(BASE, 20, (Orientations(),), seed=6).shot(17) != RANDOM.shot(17)
    part, whole = RANDOM.values(7, 12), RANDOM.values()
    assert all(np.array_equal(part[name], whole[name][7:12]) for name in RANDOM.names)


def test_without_variations_every_shot_is_the_experiment() -> None:
    """The very same."""
    assert Series(BASE, 3).shot(2) is BASE
    assert Series(BASE, 3).values() == {}


def test_what_varies_does_not_depend_on_what_else_does() -> None:
    """A further variation leaves the orientations as they are."""
    more = Series(BASE, 20, (Table({"beam.flux": np.ones(20)}), Orientations()), seed=5)
    assert more.shot(3).crystal == RANDOM.shot(3).crystal


def test_an_orientation_turns_the_crystal_in_the_laboratory() -> None:
    """U a* of the crystal as the experiment has it: matrix or cell, then misset, then U."""
    before = orient_crystal(BASE.crystal, BASE.beam)
    row = RANDOM.values(4, 5)
    rotation = matrices(np.array([column[0] for column in row.values()]))
    shot = RANDOM.shot(4)
    after = orient_crystal(shot.crystal, shot.beam)
    assert np.abs(after.star - before.star @ rotation.T).max() < 1e-16
    assert np.abs(after.axes - before.axes @ rotation.T).max() < 1e-22


def test_the_dict_form_and_pickles_give_the_same_series() -> None:
    """Through JSON; also of a table too large for it, whose numbers come beside."""
    few = Table({"beam.flux": np.linspace(1.0, 2.0, 20)})
    many = Table({"crystal.cell.a": np.linspace(50e-10, 51e-10, 20_000)})
    series = Series(BASE, 20, (Orientations(3), few, many), seed=5)
    text = json.loads(json.dumps(series.to_dict()))
    assert len(str(text)) < 3000
    tables = series.tables()
    back = Series.from_dict(text, tables)
    assert back == series
    assert back.fingerprint() == series.fingerprint()
    assert pickle.loads(pickle.dumps(series)) == series
    with pytest.raises(FieldError, match="table which is given"):
        Series.from_dict(text)
    tables[many.sha256][0, 0] *= 2.0
    with pytest.raises(FieldError, match="that of the table"):
        Series.from_dict(text, tables)


def test_fingerprints_tell_series_apart() -> None:
    """Seed, number of shots, variations, numbers of a table."""
    table = Table({"beam.flux": np.ones(20)})
    series = [
        RANDOM,
        Series(BASE, 20, (Orientations(),), seed=6),
        Series(BASE, 19, (Orientations(),), seed=5),
        Series(BASE, 20, (), seed=5),
        Series(BASE, 20, (table,), seed=5),
        Series(BASE, 20, (Table({"beam.flux": np.full(20, 2.0)}),), seed=5),
    ]
    assert len({one.fingerprint() for one in series}) == len(series)


def test_a_refused_value_names_shot_and_field() -> None:
    """In one line, from the check that comes first."""
    with pytest.raises(
        FieldError, match=r"crystal\.cell\.a of shot 13 = -1\.0: must be .* at least"
    ):
        Table({"crystal.cell.a": np.where(np.arange(20) == 13, -1.0, 50e-10)})
    with pytest.raises(FieldError, match=r"crystal\.n_cells\.a of shot 1 = 2\.5: must be a whole"):
        Table({"crystal.n_cells.a": np.array([1.0, 2.5])})
    # Each angle is possible, not all three together.
    gamma = np.where(np.arange(20) == 13, 3.1, RIGHT)
    angles = {"crystal.cell.alpha": np.full(20, RIGHT / 2.0), "crystal.cell.gamma": gamma}
    series = Series(BASE, 20, (Table(angles),))
    with pytest.raises(FieldError, match=r"crystal\.cell of shot 13"):
        series.check()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Series(BASE, 0), "n_shots"),
        (lambda: Series(BASE, 3, seed=-1), "seed"),
        (lambda: Series(BASE, 3, (Orientations(), Orientations(2))), "crystal.orientation.w twice"),
        (lambda: Series(BASE, 21, (Table({"beam.flux": np.ones(20)}),)), "at most the number"),
        (lambda: RANDOM.shot(20), "shot"),
        (lambda: RANDOM.values(3, 21), "a range within 0 to 20"),
        (lambda: Series(BASE), "n_shots"),
        (lambda: Series(BASE, 3, ("x",)), "a sequence of variations"),
        (lambda: Series(BASE, 3, Orientations()), "a sequence of variations"),  # type: ignore[arg-type]
        (lambda: Distribution("beam.flux", "constant", (1.0,)), "a tuple of one"),  # type: ignore[arg-type]
        (lambda: Series.from_dict({}), "experiment"),
        (lambda: Series.from_dict({**RANDOM.to_dict(), "variations": 3}), "a list"),
        (lambda: Series.from_dict({**RANDOM.to_dict(), "variations": [{"kind": "x"}]}), "one of"),
        (
            lambda: Series.from_dict({**RANDOM.to_dict(), "variations": [{"kind": "grid"}]}),
            "variations.count",
        ),
        (lambda: Table({"beam.flux": np.array([1.0, math.nan])}), "of shot 1"),
        (lambda: Series(BASE, 2, (Table({"beam.flax": np.ones(2)}),)).check(), "beam.flax"),
    ],
)
def test_impossible_series_are_refused(make: object, message: str) -> None:
    """Each names what is wrong."""
    assert callable(make)
    with pytest.raises(FieldError, match=message):
        make()


def test_a_shot_is_made_in_little_time() -> None:
    """Well below 5 ms, also on a busy machine."""
    RANDOM.shot(0)
    times = []
    for number in range(20):
        start = perf_counter()
        RANDOM.shot(number)
        times.append(perf_counter() - start)
    assert min(times) < 2e-3
