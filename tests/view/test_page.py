"""What the viewer's page does when its controls are used."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("bokeh")

from nbdask.view import scene as scene_module
from nbdask.view.page import Page
from nbdask.view.rivals import Stores
from nbdask.view.scene import Scene
from tests.pictured import make, set_pixels
from tests.view.test_shots import Pool, TabDocument

SHAPE = (48, 64)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Two images: faint with a spot, and one photon more everywhere."""
    image = np.full(SHAPE, 1.0, dtype=np.float32)
    image[30, 20] = 500.0
    found = []
    for name, more in (("a.zarr", 0.0), ("b.zarr", 1.0)):
        found.append(make(tmp_path / name, tile=16, shape=SHAPE))
        set_pixels(found[-1], image + np.float32(more))
    return found


@pytest.fixture
def page(paths: list[Path]) -> Iterator[Page]:
    """A page of both, shown; its frame has one pixel of the screen for each of the image."""
    document: Any = TabDocument()
    pool: Any = Pool()
    stores = Stores(paths)
    made = Page(stores, pool)
    made.show(document)
    made._sides = {"inner_width": 64, "inner_height": 48}
    made._again()
    yield made
    stores.stop()


def seen_scale(page: Page) -> Any:
    """Return the scale of the images that are visible."""
    seen = [one for some in page.contrasts.glyphs.values() for one in some if one.visible]
    assert [one.data_source for one in seen] == [page.base, page.detail]
    return seen[0].glyph.color_mapper


def test_the_name_of_the_store_is_on_the_page(page: Page) -> None:
    """And that of the other one when it is chosen."""
    assert "a.zarr" in page.title.text
    assert "48 x 64 pixels" in page.title.text
    page.choices.store.value = "1"
    assert "b.zarr" in page.title.text
    assert page.detail.data["image"][0].min() == 2.0
    page.choices._step(1)
    assert "a.zarr" in page.title.text


def test_two_stores_side_by_side_and_their_difference(page: Page) -> None:
    """In colours of a difference, which are about 0."""
    page.choices.group.active = 1
    shown = page.detail.data["image"][0]
    assert (shown[0, 0], shown[0, -1]) == (1.0, 2.0)
    assert "a.zarr | b.zarr" in page.title.text
    page.choices.group.active = 2
    assert "a.zarr \N{MINUS SIGN} b.zarr" in page.title.text
    assert (page.detail.data["image"][0] == -1.0).all()
    assert seen_scale(page) is page.contrasts.difference
    assert (page.contrasts.difference.low, page.contrasts.difference.high) == (-1.0, 1.0)
    page.choices.group.active = 0
    assert "b.zarr" not in page.title.text
    assert seen_scale(page) is page.contrasts.log


def test_the_pointer_tells_both_stores(page: Page) -> None:
    """Where two are shown; alone, one."""
    page._hovered(SimpleNamespace(x=20.0, y=30.0))
    assert "500 photons" in page.pointer.text
    assert "of the other" not in page.pointer.text
    page.choices.group.active = 2
    page._hovered(SimpleNamespace(x=20.0, y=30.0))
    assert "500 photons" in page.pointer.text
    assert "of the other" in page.pointer.text
    assert "501 photons" in page.pointer.text


def test_spots_are_listed_and_gone_to(page: Page) -> None:
    """With indices and photons; labels can be left out."""
    page.asking.find_spots()
    (_, name) = page.found.spots.options[1]
    assert "at 30, 20: 500 photons" in name
    assert page.marks.spots.data["text"][0] == name.split("   ")[0]
    page.found.labels.active = []
    assert page.marks.spots.data["text"][0] == ""
    page.found.spots.value = "30,20"
    assert (page.plot.x_range.start + page.plot.x_range.end) / 2 == 20
    assert page.marks.goal.data == {"x": [20], "y": [30]}


def test_go_to(page: Page) -> None:
    """A pixel is in the middle then; what cannot be found is told, and nothing moves."""
    page.found.goto.value = "10 50"
    y = page.plot.y_range
    assert (y.start + y.end) / 2 == 10
    before = y.start
    page.found.goto.value = "nowhere"
    assert "must be slow fast" in page.found.hint.text
    assert y.start == before


def test_statistics_of_a_box(page: Page) -> None:
    """Of whole pixels that the box touches."""
    box = {"type": "rect", "x0": 18.6, "x1": 21.4, "y0": 31.0, "y1": 29.0}
    page.asking._boxed(SimpleNamespace(geometry=box, final=True))
    assert "508 photons" in page.found.region.text
    assert "29 to 31" in page.found.region.text


def test_profiles(page: Page) -> None:
    """Between two clicks; by resolution at once."""
    page.found.profile.active = 1
    for x in (10.0, 30.0):
        page.asking._tapped(SimpleNamespace(x=x, y=30.0))
    assert max(page.found.curve.data["y"]) == 500.0
    assert page.found.holder.children == [page.found.plot]
    page.found.profile.active = 2
    assert page.found.axis.axis_label == "1/d [1/Å]"
    assert min(page.found.curve.data["y"]) == 1.0
    page.found.profile.active = 0
    assert page.found.holder.children == []


def test_contrast_has_the_units_of_its_scale(page: Page) -> None:
    """The linear slider is in photons; automatic contrast goes by what is in sight."""
    page.contrasts.scale.active = 1
    assert page.contrasts.linear_slider.visible
    assert not page.contrasts.slider.visible
    assert page.contrasts.linear_slider.title == "contrast [photons]"
    page.plot.x_range.update(start=0.0, end=4.0)
    page.plot.y_range.update(start=4.0, end=0.0)
    page.contrasts.choose()
    assert page.contrasts.linear.high < 10.0
    assert sum(page.contrasts.counts.data["top"]) > 0.0


def test_a_store_that_is_gone_is_told(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """And that it is there again; the viewer goes on."""
    monkeypatch.setattr(scene_module, "PAUSE", 0.01)
    scene = Scene(paths[0])
    scene._fill_and_look()
    kept = paths[0].with_name("kept")
    shutil.move(paths[0], kept)
    scene.start()
    try:
        for _ in range(500):
            if scene.progress.error is not None:
                break
            scene._stop.wait(0.01)
        assert "does not exist" in str(scene.progress.error)
        shutil.move(kept, paths[0])
        for _ in range(500):
            if scene.progress.error is None:
                break
            scene._stop.wait(0.01)
        assert scene.progress.error is None
    finally:
        scene.stop()
