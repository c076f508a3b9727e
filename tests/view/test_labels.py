"""Names of rings stand in the dark, inside the picture, and cover no other name."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.plan.tiles import Tile
from nbdask.view.contrast import Contrast
from nbdask.view.figure import power_text, write_alike
from nbdask.view.labels import label_positions

#: A picture of 100 x 200 pixels of an image, each 4 x 4.
REGION = Tile(400, 800, 0, 800)
SIZE = (40.0, 80.0)
CONTRAST = Contrast(1.0, 1000.0)


def across(slow: float) -> np.ndarray:
    """A line from the left to the right of the picture."""
    fast = np.arange(0.0, 800.0, 10.0)
    return np.stack([np.full_like(fast, slow), fast], axis=1)


def test_the_dark_part_of_a_line_is_chosen() -> None:
    """Whatever is bright, or not computed, is avoided."""
    values = np.full((100, 200), 1000.0, dtype=np.float32)
    values[:, 120:150] = 1.0
    values[:, 150:] = np.nan
    (place,) = label_positions([[across(600.0)]], values, REGION, CONTRAST, SIZE)
    assert place[0] == 600.0
    assert 480 + 40 <= place[1] <= 600 - 40


def test_names_stay_inside_and_apart() -> None:
    """Also where all is equally dark; the longest line of a ring carries its name."""
    values = np.zeros((100, 200), dtype=np.float32)
    rings = [[across(600.0)[:5], across(600.0)], [across(610.0)], [across(620.0)]]
    places = label_positions(rings, values, REGION, CONTRAST, SIZE, [(600.0, 100.0)])
    for number, place in enumerate(places):
        assert 420 <= place[0] <= 780
        assert 39.5 <= place[1] <= 760
        assert abs(place[1] - 100.0) > 80
        for other in places[:number]:
            assert (np.abs(place - other) >= SIZE).any()


def test_a_line_without_room_has_its_name_beside_it() -> None:
    """In a corner of the picture: beside its middle, inside."""
    line = across(600.0)[:3]
    (place,) = label_positions([[line]], np.zeros((100, 200), np.float32), REGION, CONTRAST, SIZE)
    assert place.tolist() == [600.0, 39.5]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-12, "10⁻¹²"), (0.1, "0.1"), (1.0, "1"), (1000.0, "1000"), (2e-3, "2×10⁻³"), (1e5, "10⁵")],
)
def test_numbers_of_the_colour_bar(value, text) -> None:
    """Powers of ten as they are written by hand."""
    assert power_text(value) == text


@pytest.mark.parametrize(
    ("contrast", "texts"),
    [
        (Contrast(3.48, 213.0), {10.0: "10", 100.0: "100"}),
        (Contrast(3000.0, 15000.0), {9000.0: "9000", 1e4: "10000"}),
        (Contrast(1.0, 1e6), {1.0: "10⁰", 1e3: "10³", 1e5: "10⁵"}),
    ],
)
def test_numbers_of_a_bar_are_alike(contrast, texts) -> None:
    """All plain, or all powers of ten."""
    assert {number: write_alike(contrast)(number) for number in texts} == texts
