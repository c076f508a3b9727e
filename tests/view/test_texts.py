"""The viewer's texts: what they say, and that nothing in a store becomes markup."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.view.damage import Damage
from nbdask.view.figure import power_text
from nbdask.view.picture import region_of
from nbdask.view.scene import Progress, Scene
from nbdask.view.texts import pointer_text, progress_text, provenance_text
from tests.pictured import SHAPE, flip, make

QUICK = settings(max_examples=40, deadline=None)


def scene_of(progress: Progress, tiles: int = 0, parts: int = 0) -> Any:
    """A scene of which only the state is known."""
    damage = Damage()
    damage.tiles = {7 * n: "broken" for n in range(tiles)}
    damage.parts = dict.fromkeys(f"part <{n}>" for n in range(parts))
    levels = SimpleNamespace(place=SimpleNamespace(name="run.zarr"))
    return SimpleNamespace(progress=progress, damage=damage, levels=levels)


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        ({"tiles": 20, "shown": 20, "complete": True}, ["<b>complete</b>"]),
        ({"tiles": 5, "shown": 5}, ["<b>5 of 20 tiles computed</b>"]),
        (
            {"tiles": 5, "shown": 2},
            [
                "<b>5 of 20 tiles computed</b>",
                "reading the overview: 2 of 5 tiles (nbdask pyramid makes this fast)",
            ],
        ),
        ({"error": "a <b> c"}, ["<b>a &lt;b&gt; c</b>"]),
    ],
)
def test_how_far_a_run_is(state: dict[str, Any], lines: list[str]) -> None:
    """Complete, or so many tiles; an error takes the place of all else."""
    progress = Progress(total=20, **{"tiles": 0, "shown": 0, "complete": False, **state})
    assert progress_text(scene_of(progress)).split("<br>") == lines


def test_notes_are_escaped_and_last() -> None:
    """Below what is damaged."""
    progress = Progress(tiles=3, shown=3, total=3, complete=True)
    lines = progress_text(scene_of(progress, tiles=1), "see <x>").split("<br>")
    assert lines[0] == "<b>complete</b>"
    assert "tile 0 is damaged (crossed out): nbdask repair run.zarr computes it again" in lines[1]
    assert lines[2] == "see &lt;x&gt;"


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        (2, "tiles 0, 7 are damaged (crossed out): nbdask repair run.zarr computes them again"),
        (5, "tiles 0, 7, 14, 21, 28 are damaged"),
        (6, "tiles 0, 7, 14, 21, 28, … are damaged"),
    ],
)
def test_many_damaged_tiles(tiles: int, expected: str) -> None:
    """The first are named."""
    progress = Progress(tiles=99, shown=99, total=99, complete=True)
    assert expected in progress_text(scene_of(progress, tiles=tiles))


def test_many_damaged_parts() -> None:
    """At most five, escaped."""
    progress = Progress(tiles=9, shown=9, total=9, complete=True)
    text = progress_text(scene_of(progress, parts=8))
    assert text.count("part &lt;") == 5


WORDS = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), max_size=15)


@QUICK
@given(WORDS, WORDS, WORDS)
def test_provenance_is_text_whatever_it_holds(command: str, note: str, path: str) -> None:
    """No tag comes from an attribute; all of them are there."""
    attributes = {
        "command": command,
        "notes": [note],
        "inputs": [{"role": "mask", "path": path, "sha256": "ab" * 32}],
        "versions": {"numpy": "2"},
        "statistics": {"max": 1.23456789, "pixels": 7},
    }
    found = provenance_text(attributes)
    assert set(re.findall(r"<(/?\w+)", found)) == {
        "details", "/details", "summary", "/summary", "b", "/b",
        "table", "/table", "tr", "/tr", "td", "/td",
    }  # fmt: skip
    assert found.count("<tr>") == 6
    assert "1.23457" in found
    assert "ab" * 8 + "…" in found
    assert "numpy 2" in found


def test_provenance_leaves_out_what_is_not_known() -> None:
    """A store of an earlier version has fewer attributes."""
    found = provenance_text({"ended": None, "semantics": "c", "statistics": None})
    assert "semantics" in found
    assert "ended" not in found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store of 20 tiles."""
    return make(tmp_path_factory.mktemp("texts") / "run.zarr", tile=16)


@pytest.mark.parametrize(
    ("slow", "fast", "pixel"),
    [(0.0, 0.0, "0, 0"), (0.49, 0.51, "0, 1"), (-0.5, -0.5, "0, 0"), (74.4, 60.4, "74, 60")],
)
def test_the_nearest_pixel_is_told(store: Path, slow: float, fast: float, pixel: str) -> None:
    """With its photons, resolution and indices."""
    text = pointer_text(Scene(store), slow, fast)
    assert f">{pixel}</td>" in text
    assert "photons" in text
    assert "Å" in text
    assert len(re.findall(r"-?\d+\.\d{3}", text)) >= 3


@pytest.mark.parametrize(
    ("slow", "fast"), [(-0.51, 5), (5, -0.51), (SHAPE[0] - 0.5, 5), (5, SHAPE[1] - 0.5), (1e9, 0)]
)
def test_beside_the_detector(store: Path, slow: float, fast: float) -> None:
    """There is nothing to tell."""
    assert pointer_text(Scene(store), slow, fast) == "<b>outside the detector</b>"


def test_tiles_that_are_mended_are_forgotten(store: Path) -> None:
    """One after the other; those that are still damaged stay."""
    files = [store / "image" / "c" / "0" / "1", store / "image" / "c" / "2" / "1"]
    before = [flip(file) for file in files]
    try:
        scene = Scene(store)
        damage, levels = scene.damage, scene.levels
        damage.tiles = {1: "one", 9: "other"}
        damage.parts = {"part": None}
        assert damage.count == 3
        assert damage.repaired(levels) == []
        files[0].write_bytes(before[0])
        assert damage.repaired(levels) == [1]
        assert damage.tiles == {9: "other"}
        files[1].write_bytes(before[1])
        assert damage.repaired(levels) == [9]
        assert damage.count == 1
    finally:
        for file, data in zip(files, before, strict=True):
            file.write_bytes(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e4, "10⁴"),
        (5e4, "5×10⁴"),
        (1e-4, "10⁻⁴"),
        (100.0, "100"),
        (0.01, "10⁻²"),
        (1e10, "10¹⁰"),
    ],
)
def test_powers_of_ten(value: float, text: str) -> None:
    """Plain where that is short."""
    assert power_text(value) == text


def test_regions_of_pictures() -> None:
    """First and last pixel, both in; without one the whole image."""
    assert region_of(None, (10, 20)).bounds == (0, 10, 0, 20)
    assert region_of((0, 0, 0, 0), (10, 20)).bounds == (0, 1, 0, 1)
    assert region_of((2, 9, 3, 19), (10, 20)).bounds == (2, 10, 3, 20)
