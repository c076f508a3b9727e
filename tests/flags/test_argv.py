"""Experiment -> words: the way back from parsing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbdask import units
from nbdask.errors import FlagError
from nbdask.experiment import Experiment, LabFrame, SourcePoint, Sources, Spread
from nbdask.flags import parse_args, to_args
from nbdask.flags.argv import number
from nbdask.flags.convert import CONVERSIONS
from nbdask.flags.row import Flag
from nbdask.flags.table import TABLE
from tests.helpers import GOLDEN, golden_cases, small_experiment

INPUTS = GOLDEN / "inputs"


@pytest.mark.parametrize("case", golden_cases())
def test_arguments_give_the_experiment_again(case: str) -> None:
    """parse(to_args(e)) == e, to the last bit of every number, for every golden case."""
    argv = golden_cases()[case].split()
    experiment = parse_args(argv, base_dir=INPUTS).experiment
    assert parse_args(to_args(experiment), base_dir=INPUTS).experiment == experiment


SAMPLE = {"number": "0.3", "whole": "3", "word": "sample"}


@pytest.mark.parametrize(
    "flag", [flag for flag in TABLE if flag.kind != "file"], ids=lambda flag: flag.name
)
def test_every_flag_comes_back(flag: Flag) -> None:
    """The table says of each flag how it is written back."""
    base = ["-cell", "70", "80", "90", "75", "85", "95", "-default_F", "10", "-detpixels", "32"]
    argv = [flag.name, *(SAMPLE[flag.kind] for _ in flag.values)]
    experiment = parse_args([*base, *argv, "-noprogress"]).experiment
    assert parse_args(to_args(experiment)).experiment == experiment


PLACES = st.floats(-500, 500, allow_subnormal=False).map(lambda x: round(x, 6))


@given(
    convention=st.sampled_from(("MOSFLM", "XDS", "ADXV", "DENZO", "DIALS", "CUSTOM")),
    pivot=st.sampled_from((None, "beam", "sample")),
    beam=st.tuples(PLACES, PLACES),
    angles=st.tuples(*[st.floats(-80, 80, allow_subnormal=False).map(lambda x: round(x, 4))] * 4),
    osc=st.none() | st.floats(0, 5, allow_subnormal=False),
    count=st.none() | st.integers(1, 50),
    depth=st.none() | st.floats(1, 1e4),
)
def test_any_arguments_come_back(
    convention: str,
    pivot: str | None,
    beam: tuple[float, float],
    angles: tuple[float, ...],
    osc: float | None,
    count: int | None,
    depth: float | None,
) -> None:
    """Whatever flags say comes back as it was: placement, tilts, rotation and sensor."""
    argv = ["-cell", "70", "80", "90", "-default_F", "10", "-Xbeam", str(beam[0])]
    argv += ["-Ybeam", str(beam[1])]
    argv += ["-pix0_vector", "1", "2", "3"] if convention == "CUSTOM" else []
    argv += [] if convention == "CUSTOM" else [f"-{convention.lower()}"]
    for flag, angle in zip(("rotx", "roty", "rotz"), angles[:3], strict=True):
        argv += [f"-detector_{flag}", str(angle)]
    argv += ["-twotheta", str(angles[3])]
    argv += [] if pivot is None else ["-pivot", pivot]
    argv += [] if osc is None else ["-osc", repr(osc)]
    argv += [] if count is None else ["-phisteps", str(count)]
    argv += [] if depth is None else ["-detector_abs", repr(depth), "-detector_thick", "300"]
    experiment = parse_args(argv).experiment
    assert parse_args(to_args(experiment)).experiment == experiment


@pytest.mark.long
@given(st.floats(1e-6, 1e6))
@pytest.mark.parametrize("conversion", [c for c in CONVERSIONS if c not in ("ev", "phisteps")])
def test_numbers_never_move_by_more_than_a_unit_in_the_last_place(
    conversion: str, value: float
) -> None:
    """Values that no flag ever gave have a word for themselves or for their neighbour."""
    found = CONVERSIONS[conversion](float(number(value, conversion)))
    assert abs(found - value) <= math.ulp(value)


def test_numbers_are_as_short_as_they_can_be() -> None:
    """The words are those that a user would type."""
    assert number(units.from_mm(231.27466), "mm") == "231.27466"
    assert number(units.from_angstrom(0.9768), "angstrom") == "0.9768"
    assert number(units.from_degrees(0.1), "degrees") == "0.1"


def test_seeds_stand_before_what_they_seed() -> None:
    """C takes a seed behind ``-misset random`` for three angles."""
    base = small_experiment()
    crystal = replace(base.crystal, misset="random", misset_seed=77)
    argv = to_args(base.replace(crystal=crystal))
    place = argv.index("-misset_seed")
    assert argv[place : place + 4] == ["-misset_seed", "77", "-misset", "random"]
    assert argv[argv.index("-mosaic_seed") + 1] == "12345678"


def test_convention_custom_is_said_without_vectors() -> None:
    """A CUSTOM frame with nothing but defaults needs a flag that selects it."""
    experiment = small_experiment(frame=LabFrame("CUSTOM"))
    again = parse_args(to_args(experiment)).experiment
    assert again.frame == experiment.frame
    assert again.detector.pivot == "beam"


def without_flags() -> dict[str, Experiment]:
    """Return experiments that flags cannot say, by the field that is named."""
    base = small_experiment()
    point = SourcePoint(1.0, 2.0, 3.0, 0.5)
    two = (point, SourcePoint(1.0, 2.0, 3.0, 0.7))
    return {
        "structure.reflections": base.replace(
            structure=replace(base.structure, reflections=((0, 0, 1, 2.0),))
        ),
        "crystal.matrix": base.replace(
            crystal=replace(base.crystal, matrix=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        ),
        "sources.points": base.replace(sources=Sources(points=(point,))),
        "sources.weights": base.replace(sources=Sources(points=two, weights="apply", file="s")),
        "sources.dispersion.step": base.replace(
            sources=Sources(dispersion=Spread(range=0.01, step=0.001))
        ),
        "detector.pix0": base.replace(detector=replace(base.detector, pix0=(0.1, 0.0, 0.0))),
    }


@pytest.mark.parametrize("field", without_flags())
def test_what_no_flag_can_say_is_refused(field: str) -> None:
    """One line names the field and why."""
    with pytest.raises(FlagError, match=rf"^{field.replace('.', '[.]')}: .*"):
        to_args(without_flags()[field])
