"""Every field of every part: values of the wrong kind, limits, what is settled, the dict form."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import FieldError
from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Experiment,
    LabFrame,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)
from tests.experiment.strategies import experiments

CELL = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
WHOLE = Experiment(
    crystal=Crystal(cell=CELL),
    structure=StructureFactors(default_F=100.0),
    detector=Detector(pixels_fast=24, pixels_slow=32),
)
#: Fields of numbers, and what a text in their place is told to be.
NUMBERS = {
    "crystal": ("fudge", "mosaic_spread", "mosaic_domains", "mosaic_seed", "misset_seed"),
    "structure": ("default_F",),
    "beam": ("wavelength", "fluence", "flux", "exposure", "beamsize", "polarization"),
    "detector": (
        "pixel_size", "pixels_fast", "pixels_slow", "size_fast", "size_slow", "distance",
        "close_distance", "beam_x", "beam_y", "close_x", "close_y", "org_x", "org_y", "rotx",
        "roty", "rotz", "twotheta", "thickness", "attenuation", "thick_steps",
    ),
    "scan": ("phi0", "osc", "step", "count"),
    "background": ("water",),
    "sampling": ("oversample", "dmin"),
}  # fmt: skip
VECTORS = {
    "crystal": ("cell", "matrix", "n_cells", "size", "cells_matrix"),
    "frame": ("fast", "slow", "normal", "beam", "polarization", "spindle", "twotheta_axis"),
    "detector": ("pix0",),
    "sampling": ("roi",),
}
CHOICES = {
    "crystal": ("misset", "shape"),
    "structure": ("format",),
    "frame": ("convention",),
    "detector": ("pivot",),
    "sources": ("weights",),
}


def named(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return part and field of every entry."""
    return [(part, name) for part, names in table.items() for name in names]


def with_field(part: str, name: str, value: Any) -> Experiment:
    """Return the experiment with one field replaced."""
    return WHOLE.replace(**{part: replace(getattr(WHOLE, part), **{name: value})})


@pytest.mark.parametrize(("part", "name"), named(NUMBERS))
def test_fields_of_numbers_take_only_finite_numbers(part: str, name: str) -> None:
    """Text, truth values, infinities and sequences are refused by the field's name."""
    values: tuple[Any, ...] = ("0.1", math.nan, -math.inf, True, (1.0,), {})
    for value in values:
        with pytest.raises(FieldError) as caught:
            with_field(part, name, value)
        assert caught.value.field == f"{part}.{name}"
        assert "number" in caught.value.allowed


@pytest.mark.parametrize(("part", "name"), named(VECTORS))
def test_fields_of_vectors_take_only_their_number_of_numbers(part: str, name: str) -> None:
    """Text, one number, too few, and what is no number among them."""
    for value in ("abc", 5.0, (1.0, 2.0), (1.0, math.nan, 2.0), ("a", "b", "c")):
        with pytest.raises(FieldError) as caught:
            with_field(part, name, value)
        assert caught.value.field == f"{part}.{name}"
        assert "finite number" in caught.value.allowed


@pytest.mark.parametrize(("part", "name"), named(CHOICES))
@pytest.mark.parametrize("value", ["other", ""])
def test_fields_of_words_take_only_theirs(part: str, name: str, value: Any) -> None:
    """The message lists them."""
    with pytest.raises(FieldError) as caught:
        with_field(part, name, value)
    assert caught.value.field == f"{part}.{name}"
    assert caught.value.allowed.startswith("one of ")


LIMITS: list[tuple[str, str, Any, Any]] = [
    ("beam", "polarization", 1.0, math.nextafter(1.0, 2.0)),
    ("beam", "polarization", -1.0, math.nextafter(-1.0, -2.0)),
    ("beam", "wavelength", 1e-30, math.nextafter(1e-30, 0.0)),
    ("beam", "fluence", 0.0, -5e-324),
    ("crystal", "fudge", 0.0, -1e-9),
    ("crystal", "mosaic_spread", 0.0, -1e-9),
    ("crystal", "mosaic_domains", 1, 0),
    ("detector", "pixels_fast", 1, 0),
    ("detector", "pixels_slow", 2**31 - 1, 2**31),
    ("detector", "thick_steps", 10**6, 10**6 + 1),
    ("detector", "thickness", 0.0, -1e-12),
    ("detector", "attenuation", 0.0, -1e-12),
    ("detector", "distance", -0.1, 0.0),
    ("detector", "close_distance", -0.1, 0),
    ("sampling", "oversample", 1000, 1001),
    ("sampling", "oversample", 1, 0),
    ("sampling", "dmin", 0.0, -1e-12),
    ("sampling", "roi", (31, 31, 23, 23), (32, 32, 0, 0)),
    ("sampling", "roi", (0, 10**9, 0, 10**9), (0, 0, 24, 25)),
    ("sampling", "roi", (0, 0, 0, 0), (-1, 0, 0, 0)),
    ("scan", "count", 0, -1),
    ("scan", "osc", 0.0, -1e-9),
    ("scan", "step", 0.0, -1e-9),
    ("background", "water", 0.0, -1e-12),
]


@pytest.mark.parametrize(("part", "name", "last", "beyond"), LIMITS)
def test_the_last_value_is_allowed_and_the_next_is_not(
    part: str, name: str, last: Any, beyond: Any
) -> None:
    """Limits belong to what is allowed."""
    assert getattr(getattr(with_field(part, name, last), part), name) == last
    with pytest.raises(FieldError) as caught:
        with_field(part, name, beyond)
    assert caught.value.field == f"{part}.{name}"


IMPOSSIBLE = [
    ((60, 60, 60), True),
    ((90, 90, 179), True),
    ((90, 90, 180), False),
    ((60, 60, 120), False),
    ((60, 60, 119.99), True),
    ((120, 120, 120), False),
    ((119.9, 120, 120), True),
    ((10, 20, 31), False),
    ((10, 20, 29), True),
    ((0, 90, 90), False),
]


@pytest.mark.parametrize(("angles", "possible"), IMPOSSIBLE)
def test_angles_that_three_directions_can_have(angles: tuple, possible: bool) -> None:
    """Each below the sum of the others, all below a full turn; in any order of the axes."""
    for order in ((0, 1, 2), (1, 2, 0), (2, 1, 0)):
        cell = (*CELL[:3], *(math.radians(angles[i]) for i in order))
        if possible:
            assert Crystal(cell=cell).cell == cell
        else:
            with pytest.raises(FieldError, match=r"crystal\.cell = "):
                Crystal(cell=cell)


def test_a_matrix_of_cells_belongs_to_a_gauss_crystal() -> None:
    """Its columns give the numbers of cells; other sizes beside it are refused."""
    numbers = (3.0, 0.0, 0.0, 4.0, 2.0, 0.0, 0.0, 0.5, 6.0)
    crystal = Crystal(cell=CELL, shape="gauss", cells_matrix=numbers)
    assert crystal.n_cells == (5, 3, 6)
    assert replace(crystal, fudge=2.0).cells_matrix == numbers
    refused: list[tuple[dict[str, Any], str]] = [
        ({"shape": "round"}, "crystal.cells_matrix"),
        ({"size": (1e-6, 0.0, 0.0)}, "crystal.cells_matrix"),
        ({"cells_matrix": tuple(-x for x in numbers)}, "crystal.cells_matrix"),
        ({"cells_matrix": (1.0,) * 9}, "crystal.cells_matrix"),
        ({"n_cells": (5, 3, 7)}, "crystal.n_cells"),
    ]
    for fields, name in refused:
        with pytest.raises(FieldError) as caught:
            replace(crystal, **fields)
        assert caught.value.field == name


@pytest.mark.parametrize(
    ("points", "field"),
    [
        ((SourcePoint(x=math.nan),), "sources.points[0].x"),
        ((SourcePoint(x=1), SourcePoint(z="1")), "sources.points[1].z"),
        ((SourcePoint(x=1, weight=-1),), "sources.points[0].weight"),
        ((SourcePoint(x=1), (1, 2, 3)), "sources.points[1]"),
        ((SourcePoint(x=1), SourcePoint(0.0, -0.0, 0)), "sources.points[1]"),
    ],
)
def test_sources_are_named_by_their_number(points: tuple, field: str) -> None:
    """Counted from 0, as Python does."""
    with pytest.raises(FieldError) as caught:
        Sources(points=points)
    assert caught.value.field == field


def test_weights_that_are_applied_must_not_all_be_zero() -> None:
    """Ignored they may be; a missing one is 1."""
    dark = (SourcePoint(x=-1, weight=0.0), SourcePoint(y=-1, weight=0.0))
    assert Sources(points=dark).points == dark
    with pytest.raises(FieldError, match=r"sources\.points = 0\.0: must be weights with a sum"):
        Sources(points=dark, weights="apply")
    lit = (*dark, SourcePoint(z=1))
    assert Sources(points=list(lit), weights="apply").points == lit


def test_an_equal_experiment_from_other_types_is_equal() -> None:
    """NumPy's numbers and arrays, and lists for tuples, leave no trace in the dict form."""
    other = Experiment(
        crystal=Crystal(cell=np.array(CELL), n_cells=np.array([1, 1, 1])),
        structure=StructureFactors(default_F=np.float32(100.0)),
        detector=Detector(pixels_fast=np.int32(24), pixels_slow=32.0),
    )
    assert other == WHOLE
    assert json.dumps(other.to_dict()) == json.dumps(WHOLE.to_dict())


CHANGES: list[tuple[str, str, Any]] = [
    ("crystal", "n_cells", (2, 1, 1)),
    ("crystal", "misset", (0.0, 0.0, 0.1)),
    ("crystal", "mosaic_seed", 1),
    ("structure", "default_F", math.nextafter(100.0, 200.0)),
    ("beam", "polarized", False),
    ("beam", "wavelength", 1.1e-10),
    ("frame", "convention", "XDS"),
    ("detector", "curved", True),
    ("detector", "point_pixel", True),
    ("detector", "pix0", (0.1, 0.0, 0.0)),
    ("sources", "round", False),
    ("sources", "dispersion", Spread(0.1)),
    ("sources", "points", (SourcePoint(-1),)),
    ("scan", "phi0", 1e-9),
    ("background", "water", 1e-9),
    ("sampling", "interpolate", False),
    ("sampling", "roi", (0, 31, 0, 23)),
]


@pytest.mark.parametrize(("part", "name", "value"), CHANGES)
def test_every_change_changes_the_fingerprint(part: str, name: str, value: Any) -> None:
    """And the dict form holds that one field more, or with another value."""
    changed = with_field(part, name, value)
    assert changed.fingerprint() != WHOLE.fingerprint()
    data = changed.to_dict()
    assert name in data[part]
    if name not in WHOLE.to_dict().get(part, {}):
        del data[part][name]
        assert {k: v for k, v in data.items() if v} == WHOLE.to_dict()
    assert Experiment.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed


@pytest.mark.parametrize(("part", "name"), [("crystal", "matrix_file"), ("sources", "file")])
def test_where_content_was_read_from_is_no_part_of_the_fingerprint(part: str, name: str) -> None:
    """The content itself is in the experiment; the dict form still has the name on record."""
    recorded = with_field(part, name, "/somewhere/else.txt")
    assert recorded.to_dict()[part][name] == "/somewhere/else.txt"
    assert recorded.fingerprint() == with_field(part, name, "/here.txt").fingerprint()
    assert recorded != WHOLE


@given(experiments, st.randoms())
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_dict_form_does_not_matter(experiment: Experiment, random: Any) -> None:
    """Keys shuffled on both levels give the same experiment and fingerprint."""

    def shuffled(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        keys = random.sample(list(data), len(data))
        return {key: shuffled(data[key]) for key in keys}

    again = Experiment.from_dict(shuffled(experiment.to_dict()))
    assert again == experiment
    assert again.fingerprint() == experiment.fingerprint()


@given(experiments)
@settings(max_examples=10, deadline=None)
def test_the_dict_form_holds_no_default(experiment: Experiment) -> None:
    """Nor an empty part; what it holds is JSON."""
    data = experiment.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert {} not in data.values()
    for name, part in data.items():
        if name == "semantics":
            assert part == "c"
            continue
        for field in dataclasses.fields(getattr(experiment, name)):
            if field.name in part and field.default is not dataclasses.MISSING:
                assert getattr(getattr(experiment, name), field.name) != field.default


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sources": {"points": [{"x": 1}, {"x": 1, "q": 2}]}}, "sources.points.q"),
        ({"sources": {"horizontal": {"width": 1}}}, "sources.horizontal.width"),
        ({"sources": {"horizontal": 3}}, "sources.horizontal"),
        ({"sources": {"points": [5]}}, "sources.points"),
        ({"beam": None}, "beam"),
        ({"beam": {"wavelength": None}}, "beam.wavelength"),
        ({"detector": {"pixels_fast": "24"}}, "detector.pixels_fast"),
        ({"semantics": 1}, "semantics"),
        ({1: 2}, "1"),
    ],
)
def test_a_dict_form_is_refused_by_the_full_name(change: dict[Any, Any], field: str) -> None:
    """Of the field, through all levels."""
    with pytest.raises(FieldError) as caught:
        Experiment.from_dict({**WHOLE.to_dict(), **change})
    assert caught.value.field == field


@pytest.mark.parametrize("data", [None, 5, "crystal", [("crystal", {})]])
def test_what_is_no_dict_form(data: Any) -> None:
    """Anything but a mapping."""
    with pytest.raises(FieldError, match=r"experiment = .*: must be a table of fields"):
        Experiment.from_dict(data)


@given(st.floats(1e-6, 1e-2), st.integers(1, 5000))
@settings(max_examples=20, deadline=None)
def test_a_size_of_whole_pixels_is_that_many_pixels(pixel: float, count: int) -> None:
    """Whatever rounding does to the product; half a pixel more or less does not count."""
    for size in (pixel * count, pixel * (count + 0.4), pixel * (count - 0.4)):
        assert Detector(pixel_size=pixel, size_fast=size).n_fast == count
    by_count = Detector(pixel_size=pixel, pixels_fast=count)
    assert by_count.n_fast == count
    assert by_count.extent_fast == pixel * count


@pytest.mark.parametrize("axis", ["fast", "slow"])
@pytest.mark.parametrize(("pixels", "count"), [(0.5, 0), (0.51, 1), (2**31 - 1.4, 2**31 - 1)])
def test_a_size_has_one_pixel_at_least_and_no_more_than_can_be_counted(
    axis: str, pixels: float, count: int
) -> None:
    """From half a pixel on, up to 2^31 - 1 pixels by count or by size."""
    size = {f"size_{axis}": pixels * 1e-3}
    if count:
        found = Detector(pixel_size=1e-3, **size)
        assert getattr(found, f"n_{axis}") == count
    beyond = {f"size_{axis}": 1e-3 * (2**31 if count else pixels)}
    with pytest.raises(FieldError) as caught:
        Detector(pixel_size=1e-3, **beyond)
    assert caught.value.field == f"detector.size_{axis}"
    assert caught.value.allowed == "1 to 2147483647 times the pixel size of 0.001 m"


@pytest.mark.parametrize(
    ("fields", "fluence"),
    [
        ({"fluence": 5.0}, 5.0),
        ({"fluence": 5.0, "flux": 8.0, "exposure": 0.5, "beamsize": 2.0}, 1.0),
        ({"fluence": 5.0, "flux": 8.0, "exposure": 0.0}, 5.0),
        ({"fluence": 5.0, "flux": 8.0, "exposure": -1.0}, 5.0),
        ({"fluence": 5.0, "flux": 8.0, "beamsize": -1.0}, 5.0),
        ({"fluence": 5.0, "beamsize": 0.0}, 5.0),
    ],
)
def test_the_fluence_that_counts(fields: dict[str, float], fluence: float) -> None:
    """A flux gives it, unless exposure or beam size say that there is none."""
    assert Beam(**fields).effective_fluence == pytest.approx(fluence)


def test_parts_are_frozen() -> None:
    """No field of any part can be set, and none be added."""
    for part in (
        WHOLE.crystal,
        WHOLE.beam,
        WHOLE.frame,
        WHOLE.detector,
        WHOLE.scan,
        WHOLE.sampling,
    ):
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, None)
        with pytest.raises((AttributeError, TypeError)):
            part.colour = "red"  # type: ignore[union-attr]
    assert Background() == Background(water=0.0)
    assert LabFrame() == LabFrame("MOSFLM")
    assert Sampling() != Sampling(oversample=1)
    assert Scan() != Scan(count=1)
