"""Verdicts, their words, tables, pages and pictures, from measures made by hand."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nbdask.parity.errors import ParityUsageError
from nbdask.parity.measures import Measures, Sums, measure
from nbdask.parity.outcome import MAX_REL, Outcome, RegionResult, Thresholds
from nbdask.parity.peaks import PeakMatch
from nbdask.parity.pictures import BAD, detector_map, region_pictures
from nbdask.parity.record import verdict
from nbdask.parity.report import page, table_lines, verdict_line
from nbdask.plan.tiles import Tile

#: Varies, and correlates perfectly.
SUMS = Sums(100, 10.0, 10.0, 50.0, 50.0, 50.0)
GOOD = Measures(pixels=100, max_rel_at=(3, 4), max_a=30.0, max_b=30.0, sums=SUMS)
FACTS = {
    "date": "2026-01-02T03:04:05+00:00",
    "nbdask_version": "0.1.0",
    "mode": "window",
    "semantics": "c",
    "pixels_from": "store",
    "program": {"name": "nb", "path": "/opt/nb", "sha256": "ab" * 32, "threads": 1},
    "inputs": [{"role": "mask", "path": "m.img", "sha256": "cd" * 32}],
}


def outcome_of(*found: Measures, kind: str = "parity", **parts: Any) -> Outcome:
    """An outcome with one region of 10 x 10 pixels for each of some measures."""
    regions = tuple(
        RegionResult(Tile(0, 10, 10 * n, 10 * n + 10), "drawn", one, 0.5, 2.0)
        for n, one in enumerate(found)
    )
    values: dict[str, Any] = {"regions": regions, "facts": FACTS}
    return Outcome(kind, "a.zarr", "nanoBragg C", (10, 40), Thresholds(), **{**values, **parts})


@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        ({}, []),
        ({"max_rel": 2e-7}, []),
        ({"max_rel": 3e-7}, ["deviation 3e-07 at slow 3, fast 4 exceeds 2e-07"]),
        (
            {"max_rel": math.inf, "one_sided": 2},
            ["pixels that are finite in one image only: 2"],
        ),
        ({"sums": replace(SUMS, m2_ab=49.0)}, ["correlation 0.98 is below 0.999999"]),
        ({"sums": replace(SUMS, mean_a=10.1)}, ["ratio of sums 1.01 is beyond 1 +- 1e-06"]),
        ({"sums": replace(SUMS, mean_a=9.0)}, ["ratio of sums 0.9 is beyond 1 +- 1e-06"]),
        ({"peaks": PeakMatch(5, 2)}, ["2 of 5 peaks are missing"]),
        ({"peaks": PeakMatch(5, 0, 2.0, 0.5)}, []),
        ({"peaks": PeakMatch(5, 0, 2.0, 1.4)}, ["a peak is 1.4 pixels away, more than 0.5"]),
        (
            {"max_rel": 1.0, "peaks": PeakMatch(1, 1)},
            ["deviation 1 at slow 3, fast 4 exceeds 2e-07", "1 of 1 peaks are missing"],
        ),
    ],
)
def test_what_is_beyond_in_words(change: Any, beyond: list[str]) -> None:
    """Each bound by itself, the limit included; several faults one after another."""
    assert list(Thresholds().beyond(replace(GOOD, **change))) == beyond


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["max_rel", "min_corr", "sum_tol", "peak_tol"])
def test_bounds_that_are_no_numbers(name: str, value: float) -> None:
    """Each is named."""
    with pytest.raises(ParityUsageError, match=f"^{name} = .*must be a finite number"):
        Thresholds(**{name: value})


@pytest.mark.parametrize(
    ("precisions", "wanted"),
    [
        (("float64",), 2e-7),
        (("mixed",), 1e-5),
        (("pairs", "float64"), 1e-5),
        (("float64", None), 2e-7),
        ((None, None), 2e-7),
        ((), 2e-7),
    ],
)
def test_the_least_precise_kernel_sets_the_bound(precisions: Any, wanted: float) -> None:
    """What is not known does not count; the other bounds stay."""
    given = Thresholds(max_rel=0.5, peak_tol=0.25)
    found = given.for_precisions(*precisions)
    assert found == replace(given, max_rel=wanted)
    assert set(MAX_REL.values()) == {2e-7, 1e-5}


def test_one_bad_region_decides() -> None:
    """Verdict, exit code, list of failed ones; all good is equal."""
    bad = replace(GOOD, max_rel=0.1, max_rel_at=(7, 25))
    good, mixed = outcome_of(GOOD, GOOD), outcome_of(GOOD, bad, GOOD)
    assert (good.ok, good.exit_code, good.failed) == (True, 0, ())
    assert (mixed.ok, mixed.exit_code) == (False, 3)
    assert mixed.failed == (mixed.regions[1],)
    assert mixed.total.pixels == 300
    assert mixed.total.max_rel_at == (7, 25)
    assert verdict_line(good).startswith("equal: 2 regions within all thresholds, worst deviation")
    assert verdict_line(mixed).startswith("different: 1 of 3 regions beyond thresholds")
    assert verdict_line(outcome_of(GOOD)).startswith("equal: 1 region within")


def test_times_are_added_where_all_are_known() -> None:
    """One that is missing leaves the sum unknown."""
    assert outcome_of(GOOD, GOOD).seconds() == (1.0, 4.0)
    regions = outcome_of(GOOD, GOOD).regions
    part = (regions[0], replace(regions[1], seconds=None))
    assert outcome_of(regions=part).seconds() == (None, 4.0)
    assert outcome_of().seconds() == (None, None)


def test_json_form_has_all_of_it() -> None:
    """Regions with inclusive bounds, their faults, notes and C's arguments; facts beside."""
    bad = replace(GOOD, max_rel=math.inf, one_sided=1)
    made = outcome_of(GOOD, bad, notes=("mind this",))
    told = replace(
        made.regions[1], argv=("-N", "5"), stdout="out", stderr="err", first=(0, 10), notes=("n",)
    )
    data = json.loads(
        json.dumps(replace(made, regions=(made.regions[0], told)).to_dict(), allow_nan=False)
    )
    assert (data["ok"], data["exit_code"], data["notes"]) == (False, 3, ["mind this"])
    assert data["program"]["path"] == "/opt/nb"
    assert data["thresholds"]["max_rel"] == 2e-7
    one, other = data["regions"]
    assert (one["slow"], one["fast"], one["ok"], one["beyond"]) == ([0, 9], [0, 9], True, [])
    assert "arguments" not in one
    assert (other["fast"], other["ok"], other["max_rel"]) == ([10, 19], False, None)
    assert other["beyond"] == ["pixels that are finite in one image only: 1"]
    assert (other["arguments"], other["stdout"], other["stderr"]) == (["-N", "5"], "out", "err")
    assert (other["first_of_run"], other["notes"]) == ([0, 10], ["n"])


def test_what_a_store_keeps_of_it() -> None:
    """A few numbers, JSON-able, the program by its checksum."""
    bad = replace(GOOD, max_rel=math.inf, one_sided=1)
    kept = verdict(outcome_of(GOOD, bad))
    json.dumps(kept, allow_nan=False)
    assert (kept["ok"], kept["regions"], kept["failed"], kept["max_rel"]) == (False, 2, 1, None)
    assert (kept["program"], kept["program_sha256"], kept["program_threads"]) == (
        "nb",
        "ab" * 32,
        1,
    )
    assert not {"peaks", "max", "max_reference"} & set(kept)


def test_table_on_the_terminal() -> None:
    """A line for each region under the heads, those beyond marked, reasons, totals, verdict."""
    bad = replace(GOOD, max_rel=0.1, peaks=PeakMatch(4, 1, 0.3, 0.3), nan_a=2)
    lines = table_lines(outcome_of(GOOD, bad))
    head = lines[0].split()
    assert head[:3] == ["slow", "fast", "chosen"]
    assert lines[0].rstrip().endswith("C [s]  nbdask")
    assert lines[1].split()[:3] == ["0-9", "0-9", "drawn"]
    assert "none" in lines[1]
    assert not lines[1].endswith("beyond")
    assert lines[2].endswith("  beyond")
    assert "3/4 0.3" in lines[2]
    assert lines[3].startswith(
        "slow 0, fast 10: deviation 0.1 at slow 3, fast 4 exceeds 2e-07; 1 of"
    )
    text = "\n".join(lines[4:])
    assert re.search(r"pixels compared +200, 0 of them differ", text)
    assert re.search(r"NaN +2 in the image, 0 in the reference", text)
    assert re.search(r"run time +nbdask 1 s, C 4 s, per thread, C takes 4 times as long", text)
    assert lines[-1].startswith("different: 1 of 2 regions")


def test_table_of_a_comparison_has_no_times() -> None:
    """Of two files nobody knows how long they took."""
    lines = table_lines(outcome_of(replace(GOOD, differing=1), kind="compare"))
    assert "C [s]" not in lines[0]
    assert len(lines[1].split()) == len(table_lines(outcome_of(GOOD))[1].split()) - 2


def test_long_tables_list_the_worst() -> None:
    """And say how many are left out; at most ten reasons."""
    found = [replace(GOOD, max_rel=(1 + n) * 1e-9) for n in range(20)]
    lines = table_lines(outcome_of(*found), most=5)
    shown = [line.split()[1] for line in lines[1:6]]
    assert shown == [f"{10 * n}-{10 * n + 9}" for n in (19, 18, 17, 16, 15)]
    assert lines[6] == "... and 15 regions that deviate less"
    bad = [replace(GOOD, max_rel=1.0)] * 20
    assert sum("exceeds" in line for line in table_lines(outcome_of(*bad))) == 10


class Page(HTMLParser):
    """Collects tags, text and addresses; every tag that opens has to close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.sources: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Open a tag."""
        values = dict(attrs)
        self.sources += [values[name] for name in ("src", "href") if name in values]
        if tag not in ("meta", "img", "br", "link", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def test_page_is_whole_and_needs_nothing_else() -> None:
    """Well formed, pictures inside, regions by their deviation, everything escaped."""
    bad = replace(GOOD, max_rel=0.1)
    made = replace(outcome_of(GOOD, bad, notes=("a & b <i>",)), image="<script>alert(1)</script>")
    image = np.ones((10, 10), np.float32)
    told = replace(
        made.regions[1],
        argv=("-hkl", "a b.hkl"),
        stdout="<b>",
        pictures=region_pictures(image, image),
        first=(0, 10),
    )
    read = Page(page(replace(made, regions=(made.regions[0], told))))
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    assert len(read.sources) == 4
    for text in (
        "<script>alert(1)</script> against nanoBragg C",
        "a & b <i>",
        "different: 1 of 2 regions",
        "small detectors, shifted",
        "m.img, SHA-256 " + "cd" * 32,
        "-hkl 'a b.hkl'",
        "Pixel 0, 10 is compared as the first of a run",
        "deviation, 1e-9 to 1e-6",
    ):
        assert text in read.text
    # Cells of a row stand next to each other: the worst region comes first.
    assert read.text.index("0 to 910 to 19") < read.text.index("0 to 90 to 9")


def decoded(uri: str) -> np.ndarray:
    """The pixels of a picture in a page."""
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    )


def test_pictures_of_a_region() -> None:
    """Equal images look the same and have a plain third; a wrong pixel stands out there."""
    random = np.random.default_rng(2)
    b = random.exponential(10.0, (20, 30)).astype(np.float32)
    same = region_pictures(b, b.copy())
    one, other, apart = (decoded(uri) for uri in (same.image, same.reference, same.deviation))
    assert one.shape[:2] == (20, 30)
    assert np.array_equal(one, other)
    assert len(np.unique(apart.reshape(-1, 3), axis=0)) == 1
    a = b.copy()
    a[7, 11] *= np.float32(1.5)
    wrong = decoded(region_pictures(a, b).deviation)
    differs = np.argwhere((wrong != apart).any(axis=2))
    assert differs.tolist() == [[7, 11]]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_pictures_without_light(value: float) -> None:
    """No warning, no error."""
    image = np.full((5, 6), value, np.float32)
    assert decoded(region_pictures(image, image).image).shape == (5, 6, 3)


def map_colours(outcome: Outcome) -> np.ndarray:
    """The pixels of the map, as one number for each colour."""
    with Image.open(io.BytesIO(detector_map(outcome))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int) @ [1 << 16, 1 << 8, 1]


@pytest.mark.long
def test_map_shows_where_regions_are_and_what_they_deviate() -> None:
    """Red where a region is beyond, whatever its deviation; else it changes up to the bound."""
    red = int(BAD[1:], 16)
    none, half, full = (
        map_colours(outcome_of(replace(GOOD, max_rel=x * 2e-7))) for x in (0.0, 0.5, 1.0)
    )
    assert none.shape == half.shape
    assert (none != half).sum() > 1000
    assert (half != full).sum() > 1000
    beyond = map_colours(outcome_of(GOOD, replace(GOOD, max_rel=1.0)))
    missing = map_colours(outcome_of(GOOD, replace(GOOD, one_sided=1)))
    # The legend has some red in any of them.
    for bad in (beyond, missing):
        assert (bad == red).sum() > (full == red).sum() + 1000
    exact = replace(outcome_of(replace(GOOD, max_rel=0.0)), thresholds=Thresholds(max_rel=0.0))
    assert (map_colours(exact) == red).sum() <= (full == red).sum()


def test_measures_of_equal_images_pass() -> None:
    """End to end: what is measured of an image and itself is good."""
    image = np.random.default_rng(1).exponential(3.0, (10, 10)).astype(np.float32)
    assert outcome_of(measure(image, image, (0, 0))).ok
