"""What the viewer reads: windows, overview and pixels, of finished and growing stores."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nbdask.derive.canvas import Finished
from nbdask.derive.pyramid import build_pyramid
from nbdask.errors import InputError, StoreError
from nbdask.plan.tiles import Tile
from nbdask.store.levels import KINDS, Levels
from nbdask.view import scene as module
from nbdask.view import server
from nbdask.view.damage import Damage
from nbdask.view.scene import Overview, Scene
from nbdask.view.texts import pointer_text, progress_text, provenance_text
from tests.helpers import wait_until
from tests.pictured import SHAPE, flip, forget, image_of, make, put_back, reduced, replace_text

WHOLE = Tile(0, SHAPE[0], 0, SHAPE[1])


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A complete store."""
    return make(tmp_path_factory.mktemp("scene") / "run.zarr", tile=16)


@pytest.fixture
def store(original, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "run.zarr"))


@pytest.fixture
def small(monkeypatch) -> None:
    """An overview of 10 pixels, and windows of few."""
    monkeypatch.setattr(module, "OVERVIEW", 10)
    monkeypatch.setattr(module, "LIMIT", 900)
    monkeypatch.setattr(module, "PAUSE", 0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layered", [False, True])
def test_overview_of_a_store_that_grows(store, small, kind, layered) -> None:
    """Filled in bits, with tiles and levels that come later: each pixel counts once."""
    kept = forget(store, 0, 5, 10, 19)
    if layered:
        build_pyramid(store, smallest=10)
    levels = Levels(store)
    overview = Overview(levels, kind, Damage())
    while not overview.fill(Finished(levels, kind), 0.0):
        pass
    assert overview.shown == 16
    assert np.isnan(overview.window.values).any() or overview.window.factor > 8
    put_back(kept)
    if layered:
        build_pyramid(store, smallest=10)
    while not overview.fill(Finished(levels, kind), 0.0):
        pass
    window = overview.window
    assert window.factor == 8
    np.testing.assert_allclose(window.values, reduced(image_of(store), 8, kind), rtol=1e-6)


def test_a_run_is_followed(store, small) -> None:
    """Tiles that come later are shown by themselves, and the version grows."""
    kept = forget(store, 1)
    root = store / "zarr.json"
    complete = root.read_text()
    replace_text(root, complete.replace('"status": "complete"', '"status": "running"'))
    scene = Scene(store)
    scene.start()
    try:
        assert (scene.progress.tiles, scene.progress.complete) == (19, False)
        assert "19 of 20 tiles computed" in progress_text(scene)
        assert np.isnan(scene.photons(2, 26))
        assert "not computed yet" in pointer_text(scene, 2, 26)
        before = scene.progress.version
        put_back(kept)
        replace_text(root, complete)
        wait_until(lambda: scene.progress.shown == 20 and scene.progress.complete)
        assert scene.progress.version > before
        assert scene.photons(2, 26) == image_of(store)[2, 26]
        assert "complete" in progress_text(scene)
    finally:
        scene.stop()


@pytest.mark.parametrize("layered", [False, True])
def test_windows(store, small, layered) -> None:
    """Read where that is quick, else from the overview; a pyramid makes all of them quick."""
    if layered:
        build_pyramid(store, smallest=10)
    scene = Scene(store)
    part = Tile(8, 30, 40, 55)
    window = scene.window("max", part, 1)
    assert np.array_equal(window.values, image_of(store)[8:30, 40:55])
    assert (window.region, window.factor) == (part, 1)
    scene.overview("mean")
    while not scene._fill(1.0):
        pass
    wide = scene.window("mean", WHOLE, 4)
    assert wide.factor == (4 if layered else 8)
    np.testing.assert_allclose(
        wide.values, reduced(image_of(store), wide.factor, "mean"), rtol=1e-6
    )


def test_pixels(store, monkeypatch) -> None:
    """Each is that of the image, however many blocks were read before; outside there are none."""
    monkeypatch.setattr(module, "_BLOCK", 8)
    monkeypatch.setattr(module, "_BLOCKS", 3)
    scene, image = Scene(store), image_of(store)
    for slow in range(0, SHAPE[0], 7):
        assert scene.photons(slow, 60) == image[slow, 60]
    assert np.isnan(scene.photons(-1, 0))
    assert np.isnan(scene.photons(0, SHAPE[1]))


def test_pointer(store) -> None:
    """The pixel whose centre is nearest, its photons, resolution and indices."""
    scene = Scene(store)
    text = pointer_text(scene, 10.4, 20.6)
    assert "10, 21" in text
    assert f"{image_of(store)[10, 21]:.6g} photons" in text
    d = float(scene.geometry.resolution(10.4, 20.6)) * 1e10
    assert f"{d:.4g} Å" in text
    assert "outside the detector" in pointer_text(scene, -0.6, 3)


def test_provenance_cannot_write_html(store) -> None:
    """Whatever a store's attributes hold is shown as text."""
    attributes = dict(Scene(store).levels.reader.attributes)
    attributes["command"] = "<script>alert(1)</script>"
    text = provenance_text(attributes)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert attributes["fingerprint"] in text


@pytest.mark.parametrize("place", [0.0, 0.5])
def test_a_damaged_tile_is_left_blank(store, small, place) -> None:
    """A flipped bit: the rest is shown, the page says which tile, a repaired one is shown again."""
    image, chunk = image_of(store), store / "image" / "c" / "1" / "2"
    before = flip(chunk, place)
    scene = Scene(store)
    scene.start()
    try:
        wait_until(lambda: scene.progress.shown == 20)
        window = scene.window("max", Tile(0, 20, 30, 50), 1)
        shown = image[0:20, 30:50].copy()
        shown[16:20, 2:18] = np.nan
        np.testing.assert_array_equal(window.values, shown)
        assert f"tile 6 is damaged (crossed out): nbdask repair {store}" in progress_text(scene)
        assert "damaged" in pointer_text(scene, 17, 40)
        assert f"{image[15, 40]:.6g} photons" in pointer_text(scene, 15, 40)
        version = scene.progress.version
        # As nbdask writes: whole from the start.
        fresh = chunk.with_name("fresh")
        fresh.write_bytes(before)
        fresh.replace(chunk)
        wait_until(lambda: scene.progress.version > version)
        assert "damaged" not in progress_text(scene) + pointer_text(scene, 17, 40)
        np.testing.assert_array_equal(
            scene.window("max", Tile(0, 20, 30, 50), 1).values, image[0:20, 30:50]
        )
    finally:
        scene.stop()


def test_a_damaged_part_of_the_pyramid_is_done_without(store) -> None:
    """The level below serves; the file and what to do are named; then it is whole again."""
    build_pyramid(store, smallest=10)
    image, file = image_of(store), store / "pyramid/max/1/image/c/0/1"
    flip(file)
    scene = Scene(store)
    window = scene.window("max", WHOLE, 2)
    np.testing.assert_array_equal(window.values, reduced(image, 2, "max"))
    said = progress_text(scene)
    assert "pyramid/max/1/image/c/0/1, a part of its pyramid, is damaged" in said
    assert f"delete it, then nbdask pyramid {store} builds it again" in said
    file.unlink()
    assert build_pyramid(store).built == 1
    fresh = Scene(store)
    fresh.window("max", WHOLE, 2)
    fresh.start()
    try:
        wait_until(lambda: progress_text(fresh) == "<b>complete</b>")
    finally:
        fresh.stop()


def test_what_cannot_be_opened_is_told(tmp_path) -> None:
    """No store."""
    with pytest.raises(StoreError, match="does not exist"):
        Scene(tmp_path / "none.zarr")


def test_ports(store) -> None:
    """One that is taken is refused in a line; without a wish another is found."""
    import socket

    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: is taken"):
            server.serve(store, port=port)
    with server._listen(None) as listening:
        assert listening.getsockname()[0] == server.HOST
        assert listening.getsockname()[1] > 0


def test_bokeh_is_asked_for(store, monkeypatch) -> None:
    """Without the package: what to install, and what works without it."""
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'nbdask\[view\]'"):
        server.serve(store)
