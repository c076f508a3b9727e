"""Places, selections and values of a trace; the text that shows them."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import InputError
from nbdask.experiment import Crystal, Detector, Sampling, Scan, SourcePoint, Sources
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.trace.entries import (
    Entry,
    LoopIndex,
    Selection,
    Trace,
    TraceError,
    counts,
    loop_index_of_step,
)
from nbdask.trace.names import ALIASES, PRINTOUT_NAMES, TRACE_NAMES, level_of
from nbdask.trace.quantities import QUANTITIES
from nbdask.trace.text import describe, number_text
from tests.helpers import RIGHT, small_experiment

QUICK = settings(max_examples=40, deadline=None)


@pytest.fixture(scope="module")
def model() -> Model:
    """Two of everything, three phi steps: 2 layers, 4 sub-pixels, 2 sources, 2 domains."""
    points = tuple(SourcePoint(x=-10.0, y=y, z=0.0, weight=1.0) for y in (0.0, 0.1))
    return build_model(
        small_experiment(
            crystal=Crystal(
                cell=(7e-9, 8e-9, 9e-9, RIGHT, RIGHT, RIGHT),
                n_cells=(3, 3, 3),
                mosaic_spread=0.01,
                mosaic_domains=2,
            ),
            sources=Sources(points=points),
            scan=Scan(phi0=0.1, osc=0.1, count=3),
            detector=Detector(
                pixels_fast=8,
                pixels_slow=8,
                thickness=1e-4,
                thick_steps=2,
            ),
            sampling=Sampling(oversample=2),
        )
    )


def trace_of(model: Model, *entries: Entry, **parts: Any) -> Trace:
    """A trace of entries that are made by hand."""
    chosen = Selection.of(model, {})
    values: dict[str, Any] = {
        "slow": 3,
        "fast": 4,
        "semantics": "c",
        "model": model,
        "entries": entries,
        "chosen": chosen,
        "selected": chosen.size,
        "recorded": chosen.size,
        "last": LoopIndex(),
        "kernels": (),
        "notes": (),
        "pixel": 1.5,
    }
    return Trace(**{**values, **parts})


def test_what_the_model_has(model: Model) -> None:
    """Counts of every level; their product is that of all evaluations."""
    found = counts(model)
    assert found == {"layer": 2, "sub-pixel": 4, "source": 2, "phi": 3, "domain": 2}
    assert math.prod(found.values()) == model.n_steps == 96


def test_steps_and_places_are_one_to_one(model: Model) -> None:
    """Domains change fastest, then phi, sources, sub-pixels, layers."""
    loop_indices = [loop_index_of_step(model, step) for step in range(model.n_steps)]
    wanted = itertools.product(*(range(n) for n in counts(model).values()))
    assert loop_indices == [LoopIndex(*indices) for indices in wanted]


@QUICK
@given(st.data())
def test_selected_steps_are_the_places_within(model: Model, data: Any) -> None:
    """In order, each once; as many as it says."""
    given_ = {}
    for name, count in counts(model).items():
        start = data.draw(st.integers(0, count - 1))
        stop = data.draw(st.integers(start + 1, count))
        texts = [None, f"{start}:{stop}"]
        if stop == start + 1:
            texts.append(str(start))
        if stop == count:
            texts.append(f"{start}:")
        if start == 0:
            texts.append(f":{stop}")
        given_[name] = data.draw(st.sampled_from(texts))
    chosen = Selection.of(model, given_)
    steps = list(chosen.steps(model))
    within = [n for n in range(model.n_steps) if loop_index_of_step(model, n) in chosen]
    assert steps == within
    assert len(steps) == chosen.size


def test_places_of_outer_levels_are_selected_with_them(model: Model) -> None:
    """A sub-pixel belongs to a selection of phi steps; not to one of other sub-pixels."""
    chosen = Selection.of(model, {"phi": "1", "sub-pixel": "2:"})
    assert LoopIndex() in chosen
    assert LoopIndex(0, 2) in chosen
    assert LoopIndex(0, 1) not in chosen
    assert LoopIndex(1, 3, 1) in chosen
    assert LoopIndex(1, 3, 1, 1, 0) in chosen
    assert LoopIndex(1, 3, 1, 2, 0) not in chosen


@pytest.mark.parametrize("name", ["layer", "sub-pixel", "source", "phi", "domain"])
@pytest.mark.parametrize(
    "text", ["x", "", "-1", "99", "2:1", "1:1", "0:99", "0-1", "1.0", "0:x", "0:1:2", "-1:"]
)
def test_ranges_that_are_refused(model: Model, name: str, text: str) -> None:
    """With the option, what was given and what there is."""
    count = counts(model)[name]
    with pytest.raises(InputError) as caught:
        Selection.of(model, {name: text})
    assert str(caught.value) == (
        f"--{name} {text}: must be a number or a range such as 0:10 within 0:{count}"
    )


@pytest.mark.parametrize(
    ("loop_index", "words"),
    [
        (LoopIndex(), "the whole pixel"),
        (LoopIndex(0, 5), "layer 0, sub-pixel 5 (slow 1, fast 2)"),
        (LoopIndex(1, 0, 2), "layer 1, sub-pixel 0 (slow 0, fast 0), source 2"),
        (
            LoopIndex(0, 8, 1, 4, 3),
            "layer 0, sub-pixel 8 (slow 2, fast 2), source 1, phi step 4, domain 3",
        ),
    ],
)
def test_loop_indices_as_text(loop_index: LoopIndex, words: str) -> None:
    """Sub-pixels are counted along fast first; with 3 x 3 of them."""
    assert loop_index.describe(3) == words


def test_entries_as_json(model: Model) -> None:
    """One number bare, several as a list; words for what JSON does not have; only set indices."""
    entry = Entry(
        "hkl", LoopIndex(0, 1, 0, 2, 1), (1.5, math.nan, -math.inf), {"cpu": (1.0, 2.0, 3.0)}
    )
    data = entry.to_dict()
    json.dumps(data, allow_nan=False)
    assert data["value"] == [1.5, "nan", "-inf"]
    assert data["kernels"] == {"cpu": [1.0, 2.0, 3.0]}
    assert (data["layer"], data["sub"], data["phi"], data["domain"]) == (0, 1, 2, 1)
    assert data["formula"] == QUANTITIES["hkl"].formula
    plain = Entry("pixel", LoopIndex(), (2.0,)).to_dict()
    assert plain["value"] == 2.0
    assert not {"layer", "kernels"} & set(plain)


def test_a_trace_as_json(model: Model) -> None:
    """What is shown only; counts, notes and kernels beside."""
    shown = Entry("pixel", LoopIndex(), (2.0,))
    hidden = Entry("fluence", LoopIndex(), (3.0,), shown=False)
    trace = trace_of(model, shown, hidden, kernels=("cpu",), notes=("mind",))
    data = json.loads(json.dumps(trace.to_dict(), allow_nan=False))
    assert [value["name"] for value in data["values"]] == ["pixel"]
    assert data["kernels"] == ["reference", "cpu"]
    assert (data["pixel"], data["shape"]) == ({"slow": 3, "fast": 4}, [8, 8])
    assert (data["evaluations"], data["notes"]) == (96, ["mind"])


def test_values_are_found_by_name_and_place(model: Model) -> None:
    """The first of a name, or the one of a place; what is not there is a KeyError."""
    loop_indices = [LoopIndex(0, 0), LoopIndex(0, 1)]
    trace = trace_of(model, *(Entry("R", p, (float(n),)) for n, p in enumerate(loop_indices)))
    assert trace.value("R") == (0.0,)
    assert trace.value("R", loop_indices[1]) == (1.0,)
    for name, loop_index in (("d", None), ("R", LoopIndex(1, 1))):
        with pytest.raises(KeyError, match=name):
            trace.value(name, loop_index)


def test_a_wrong_trace_is_a_failure_not_a_mistake_of_the_user() -> None:
    """Exit code 1."""
    assert TraceError("x").exit_code == 1


@QUICK
@given(st.floats(allow_nan=False))
def test_floats_in_text_keep_every_bit(value: float) -> None:
    """Read again they are the same numbers."""
    assert float(number_text(value)) == value


@pytest.mark.parametrize(("value", "text"), [(3, "3"), ("list", "list"), (0.1, "0.1")])
def test_values_as_text(value: Any, text: str) -> None:
    """Whole numbers and words as they are."""
    assert number_text(value) == text


def test_text_of_a_trace(model: Model) -> None:
    """Head, places once each, unit and formula, further kernels with their distance."""
    entries = (
        Entry("fluence", LoopIndex(), (1e24,)),
        Entry("R", LoopIndex(0, 0), (0.1,), {"cpu": (0.1001,)}),
        Entry("hkl", LoopIndex(0, 0, 0, 0, 0), (1.0, 2.0, 3.0), {"cpu": (1.0, 2.0, 3.0)}),
        Entry("F_cell", LoopIndex(0, 0, 0, 0, 0), (0.0,), {"cpu": (0.0,)}),
    )
    lines = describe(trace_of(model, *entries)).splitlines()
    assert lines[0] == "pixel slow 3, fast 4 of 8 x 8, semantics c"
    assert lines[1] == ("96 evaluations: 2 layers, 4 sub-pixels, 2 sources, 3 phi steps, 2 domains")
    text = "\n".join(lines)
    assert text.count("layer 0, sub-pixel 0 (slow 0, fast 0)\n") == 1
    assert "fluence [photons/m^2]    S-SCALE-02" in text
    (apart,) = [line for line in lines if "1.0e-03 apart" in line]
    assert "cpu 0.1001" in apart
    assert sum("0.0e+00 apart" in line for line in lines) == 1  # none where all is zero
    assert "95 of 96 evaluations are not shown: --limit N shows more" in text


def test_limits_of_the_text(model: Model) -> None:
    """As many evaluations as asked for; what surrounds them; how many are left."""
    entries = []
    for step in range(6):
        loop_index = loop_index_of_step(model, step)
        entries.append(Entry("F_latt", loop_index, (float(step),)))
    for limit, shown in ((0, 0), (1, 1), (4, 4), (99, 6)):
        text = describe(trace_of(model, *entries), limit)
        assert text.count("phi step ") == shown
        assert text.count("F_latt ") == shown
        assert f"{96 - shown} of 96 evaluations are not shown" in text


def test_many_numbers_stand_in_rows_of_four(model: Model) -> None:
    """The first behind the name, the others below it."""
    name = next(n for n, q in QUANTITIES.items() if q.unit == "")
    entry = Entry(name, LoopIndex(), tuple(float(n) for n in range(10)))
    lines = describe(trace_of(model, entry)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"  {name} "))
    rows = [line.split()[-4:] for line in lines[at : at + 2]]
    assert rows == [["0.0", "1.0", "2.0", "3.0"], ["4.0", "5.0", "6.0", "7.0"]]
    assert lines[at + 2].split() == ["8.0", "9.0"]
    assert lines[at].index("0.0") == lines[at + 1].index("4.0") == lines[at + 2].index("8.0")


def test_sums_after_sub_pixels_that_are_left_out(model: Model) -> None:
    """Of many only the first are shown, and it says so."""
    wide = build_model(small_experiment(sampling=Sampling(oversample=5)))
    entries = [Entry("sum_sub_pixel", LoopIndex(0, n), (float(n),)) for n in range(25)]
    chosen = Selection.of(wide, {})
    made = replace(trace_of(wide, *entries), chosen=chosen, selected=0)
    text = describe(made, 2)
    assert text.count("sum_sub_pixel ") == 16
    assert "9 of 25 sums after sub-pixels are not shown" in text
    assert "are not shown" not in describe(made, 30)


def test_names_of_c_lead_to_levels() -> None:
    """Of every quantity that a log may hold: 0 for the pixel to 3 for single terms."""
    levels = {level_of(m.quantity) for m in (*TRACE_NAMES.values(), *PRINTOUT_NAMES.values())}
    assert levels == {0, 1, 2, 3}
    for name, level in (("fluence", 0), ("pixel", 0), ("R", 1), ("q", 2), ("F_latt", 3)):
        assert level_of(name) == level


def test_other_spellings_do_not_hide_names() -> None:
    """No alias is a name of its own, and none leads to another alias."""
    assert not set(ALIASES) & set(TRACE_NAMES)
    assert not set(ALIASES.values()) & set(ALIASES)


def test_units_of_c_are_whole_powers_of_ten() -> None:
    """Angstrom, millimetres, metres; the first is what C's own program prints."""
    for mapped in (*TRACE_NAMES.values(), *PRINTOUT_NAMES.values()):
        for unit in mapped.units:
            assert np.log10(unit) == pytest.approx(round(math.log10(unit)))
