"""Tables, lists and pictures for notebooks: escaped, closed, bounded, and right."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nbdask import html

#: Whatever XML can hold.
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), max_size=12).filter(
    lambda s: "￾" not in s and "￿" not in s
)
QUICK = settings(max_examples=40, deadline=None)


def parsed(text: str) -> ElementTree.Element:
    """The text as well-formed markup."""
    return ElementTree.fromstring(f"<body>{text}</body>")


def grey_of(text: str) -> np.ndarray:
    """The pixels of a picture."""
    data = re.search(r"base64,([^\"]+)", text)
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))


@QUICK
@given(TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_tables_hold_what_they_are_given(title: str, rows: list[tuple[str, str]]) -> None:
    """Every text as it is, in its cell, in order; nothing becomes markup."""
    root = parsed(html.table(title, rows))
    strong = root.find("div/strong")
    assert strong is not None
    assert (strong.text or "") == title
    found = [(row[0].text or "", row[1].text or "") for row in root.iter("tr")]
    assert found == rows
    assert {element.tag for element in root.iter()} <= {
        "body", "div", "strong", "table", "tr", "th", "td",
    }  # fmt: skip


def test_values_of_any_kind_are_shown() -> None:
    """As ``str`` gives them."""
    found = [row[1].text for row in parsed(html.table("t", [("a", 3), ("b", None)])).iter("tr")]
    assert found == ["3", "None"]


@QUICK
@given(st.dictionaries(TEXT.filter(bool), st.one_of(TEXT, st.integers()), max_size=4))
def test_lists_hold_every_name_and_value(content: dict) -> None:
    """One item each."""
    root = parsed(html.details("more", content))
    items = list(root.iter("li"))
    assert len(items) == len(content)
    for item, (name, value) in zip(items, content.items(), strict=True):
        assert "".join(item.itertext()) == f"{name}: {value}"


def test_nested_mappings_become_nested_lists() -> None:
    """As deep as they are."""
    root = parsed(html.details("s", {"a": {"b": {"c": 1}}, "d": 2}))
    assert len(list(root.iter("ul"))) == 3
    inner = root.find("details/ul/li/ul/li/ul/li")
    assert inner is not None
    assert "".join(inner.itertext()) == "c: 1"


@pytest.mark.parametrize(("length", "shown"), [(200, 200), (201, 204), (10**5, 204)])
def test_long_values_are_cut(length: int, shown: int) -> None:
    """So that a list of amplitudes does not fill the notebook."""
    code = parsed(html.details("s", {"a": "x" * length})).find(".//code")
    assert code is not None
    assert len(code.text or "") == shown
    assert (code.text or "").endswith(" ...") == (length > 200)


@pytest.mark.parametrize(
    ("shape", "side", "wanted"),
    [
        ((10, 20), 256, (10, 20)),
        ((256, 3), 256, (256, 3)),
        ((257, 3), 256, (129, 2)),
        ((1, 1), 256, (1, 1)),
        ((100, 100), 10, (10, 10)),
        ((101, 7), 10, (10, 1)),
    ],
)
def test_pictures_stay_small(shape, side, wanted) -> None:
    """Never more than ``side`` pixels along an edge; never fewer than one."""
    found = grey_of(html.picture(np.ones(shape, np.float32), side))
    assert found.shape == wanted
    assert max(found.shape) <= side


def test_brighter_is_darker() -> None:
    """Grey levels fall with the photons, over three decades; what is fainter is white."""
    image = np.array([[1e-4, 1e-3, 1e-2, 1e-1, 1.0]])
    found = grey_of(html.picture(image)).ravel().astype(int)
    assert found[0] == found[1] == 255
    assert (np.diff(found[1:]) < 0).all()
    assert found[4] <= 1
    # The 99.9th percentile lies just below the maximum, so that steps are nearly a third each.
    assert np.diff(found[1:4]) == pytest.approx([-85, -85], abs=2)


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan, np.inf])
def test_images_without_light_are_white(value: float) -> None:
    """No logarithm of zero, no division by it."""
    assert (grey_of(html.picture(np.full((4, 6), value))) == 255).all()


def test_slow_points_down() -> None:
    """The first row is on top, the first column left."""
    image = np.zeros((5, 7))
    image[4, 0] = 9.0
    found = grey_of(html.picture(image))
    assert np.argwhere(found < 255).tolist() == [[4, 0]]


def test_pictures_need_nothing_from_elsewhere() -> None:
    """Their data are in the page, with a text for those who cannot see them."""
    (img,) = parsed(html.picture(np.ones((3, 3))))
    assert img.tag == "img"
    assert img.attrib["src"].startswith("data:image/png;base64,")
    assert img.attrib["alt"]
