"""The viewer in a real browser: what it shows, what it asks for, how it ends."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nbdask.derive.pyramid import build_pyramid
from tests.conftest import chromium
from tests.helpers import PATIENCE
from tests.pictured import flip, forget, image_of, make, put_back, replace_text, set_pixels

pytestmark = [pytest.mark.browser, pytest.mark.long]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHAPE = (260, 200)
XY = ("x_range", "y_range")
#: Blocks of 8 x 8 bright pixels: no picture of a faint image has them by chance.
SPOTS = [(40, 30), (40, 160), (220, 100)]


class Viewer:
    """A running ``nbdask view``."""

    def __init__(self, store: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nbdask", "view", str(store), "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    @property
    def port(self) -> int:
        """Port of the page."""
        return int(self.address.split(":")[2].split("/")[0])

    def end(self) -> tuple[int, str]:
        """Send what Ctrl-C sends; return exit code and all that was written to stderr."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A faint image with three bright spots, and its pyramid."""
    path = make(tmp_path_factory.mktemp("browser") / "run.zarr", tile=64, shape=SHAPE)
    image = np.full(SHAPE, 1.0, dtype=np.float32)
    for slow, fast in SPOTS:
        image[slow : slow + 8, fast : fast + 8] = 1000.0
    image[100, 50] = 123.25
    set_pixels(path, image)
    build_pyramid(path, smallest=64)
    return path


@pytest.fixture(scope="module")
def viewer(store) -> Iterator[Viewer]:
    """The viewer of that store."""
    running = Viewer(store)
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a screen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        program = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield program
        program.close()


class Tab:
    """A page of the viewer, opened."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1100, "height": 760})
        self.page.set_default_timeout(1000 * PATIENCE)
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.goto(address)
        self.wait("model('plot').inner_width > 0 && model('detail').data.factor[0] == 1")
        # The server gives both axes one scale when it learns the size of the frame.
        self.wait(
            "Math.abs((model('plot').x_range.end - model('plot').x_range.start)"
            " / model('plot').inner_width * model('plot').inner_height"
            " / (model('plot').y_range.start - model('plot').y_range.end) - 1) < 0.01"
        )
        self.settle()

    def settle(self) -> None:
        """Wait until the screen does not change any more."""
        before = None
        while (now := self.page.screenshot()) != before:
            before = now
            self.page.wait_for_timeout(300)

    def wait(self, condition: str) -> None:
        """Wait until an expression holds; ``model(name)`` is one of Bokeh's models."""
        self.page.wait_for_function(
            "() => { if (!window.Bokeh || !Bokeh.documents.length) return false;"
            " const model = name => Bokeh.documents[0].get_model_by_name(name);"
            f" return {condition} }}",
            timeout=1000 * PATIENCE,
        )

    def value(self, expression: str) -> Any:
        """Evaluate an expression with ``model(name)``."""
        return self.page.evaluate(
            "() => { const model = name => Bokeh.documents[0].get_model_by_name(name);"
            f" return {expression} }}"
        )

    def screen_position(self, slow: float, fast: float) -> tuple[float, float]:
        """Return where a pixel of the image is on the screen."""
        x0, x1, y0, y1 = self.value(
            "[model('plot').x_range.start, model('plot').x_range.end,"
            " model('plot').y_range.start, model('plot').y_range.end]"
        )
        left, top, width, height = self.page.evaluate(
            "() => { const find = view => { if (view.model.name == 'plot') return view;"
            " for (const child of view.child_views) { const found = find(child);"
            " if (found) return found } };"
            " const view = find(Bokeh.index.roots[0]), box = view.frame.bbox;"
            " const el = view.canvas_view.el.getBoundingClientRect();"
            " return [el.left + box.left, el.top + box.top, box.width, box.height] }"
        )
        return left + (fast - x0) / (x1 - x0) * width, top + (slow - y1) / (y0 - y1) * height

    def colour(self, slow: float, fast: float) -> int:
        """Return the sum of the colours at a pixel of the image, from a screenshot."""
        x, y = self.screen_position(slow, fast)
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return sum(shot.getpixel((round(x), round(y))))


@pytest.fixture(scope="module")
def tab(browser, viewer) -> Iterator[Tab]:
    """An open page."""
    opened = Tab(browser, viewer.address)
    yield opened
    opened.page.close()


def test_spots_are_on_the_screen(tab) -> None:
    """Bright where the image is, dark elsewhere, the first row on top."""
    for slow, fast in SPOTS:
        assert tab.colour(slow + 3.5, fast + 3.5) > 500
        assert tab.colour(slow + 3.5, fast + 20) < 250
    assert tab.screen_position(0, 0)[1] < tab.screen_position(200, 0)[1]
    assert tab.screen_position(0, 0)[0] < tab.screen_position(0, 100)[0]


def test_pointer_tells_pixel_photons_resolution_and_indices(tab) -> None:
    """As Python computes them."""
    tab.page.mouse.move(*tab.screen_position(20, 20))
    tab.page.mouse.move(*tab.screen_position(100, 50))
    tab.wait("model('pointer').text.includes('123.25')")
    text = tab.value("model('pointer').text")
    assert "100, 50" in text
    assert re.search(r"[\d.]+ Å", text)
    assert re.search(r"-?\d+\.\d{3}, -?\d+\.\d{3}, -?\d+\.\d{3}", text)


def test_zoom_reads_what_is_in_sight(tab) -> None:
    """The wheel zooms to the pointer; the detail covers just what is shown, spots stay put."""
    slow, fast = SPOTS[0]
    tab.page.mouse.move(*tab.screen_position(slow + 3.5, fast + 3.5))
    tab.page.mouse.wheel(0, -300)
    tab.wait("model('plot').x_range.end - model('plot').x_range.start < 150")
    tab.wait("model('detail').data.dw[0] < 160")
    tab.settle()
    assert tab.value("model('detail').data.dw[0] + 2") >= tab.value(
        "Math.min(model('plot').x_range.end, 200) - Math.max(model('plot').x_range.start, 0)"
    )
    assert tab.colour(slow + 3.5, fast + 3.5) > 500
    assert tab.colour(slow + 3.5, fast + 13.5) < 250


def test_reset_shows_the_whole_image_again(tab) -> None:
    """Whatever was done before."""
    tab.page.get_by_title("Reset").click()
    tab.wait("model('plot').x_range.end - model('plot').x_range.start > 200")
    tab.wait("model('detail').data.dw[0] == 200")
    tab.settle()
    slow, fast = SPOTS[2]
    assert tab.colour(slow + 3.5, fast + 3.5) > 500


def test_controls(tab) -> None:
    """Rings and colours follow the controls; the slider acts in the browser itself."""
    tab.page.get_by_text("resolution rings, beam").click()
    tab.wait("model('rings').data.xs.length > 0")
    tab.page.get_by_label("colours").select_option("grey, inverted")
    tab.wait("model('log').palette[0] != model('base').id && model('log').palette[0] != '#000003'")
    low = tab.value("model('log').low")
    tab.value("model('contrast').value = [1.0, 2.0]")
    assert tab.value("[model('log').low, model('log').high]") == pytest.approx([10.0, 100.0])
    assert low != 10.0
    tab.page.get_by_text("linear", exact=True).click()
    tab.wait("model('linear contrast').visible")
    tab.value("model('linear contrast').value = [0.0, 2000.0]")
    tab.settle()
    # A linear scale that ends at twice the spots: these are as bright as its middle.
    middle = tab.colour(SPOTS[0][0] + 3.5, SPOTS[0][1] + 3.5)
    tab.value("model('linear contrast').value = [0.0, 1000.0]")
    tab.settle()
    assert abs(tab.colour(SPOTS[0][0] + 3.5, SPOTS[0][1] + 3.5) - middle) > 150
    tab.page.get_by_text("Provenance").click()
    assert tab.page.get_by_text("fingerprint").is_visible()


def test_keys_and_the_address(browser, viewer) -> None:
    """Keys zoom and choose; the address keeps what is in sight, for another tab."""
    tab = Tab(browser, viewer.address)
    whole = tab.value("model('plot').x_range.end - model('plot').x_range.start")
    tab.page.keyboard.press("l")
    tab.wait("model('scale').active == 1")
    tab.page.keyboard.press("f")
    tab.wait("model('spots').data.x.length >= 3")
    for _ in range(2):
        tab.page.keyboard.press("+")
    tab.wait(f"model('plot').x_range.end - model('plot').x_range.start < {whole / 3.9}")
    tab.wait("window.location.hash.includes('scale=linear')")
    tab.page.wait_for_timeout(700)
    again = Tab.__new__(Tab)
    again.page = browser.new_page(viewport={"width": 1100, "height": 760})
    again.page.goto(tab.page.url)
    ends = tab.value("[model('plot').y_range.start, model('plot').y_range.end]")
    again.wait("model('scale').active == 1 && model('plot').inner_width > 0")
    again.wait(f"Math.abs(model('plot').y_range.start - {ends[0]}) < 0.1")
    again.wait(f"Math.abs(model('plot').y_range.end - {ends[1]}) < 0.1")
    tab.page.keyboard.press("g")
    tab.page.keyboard.type("100 50")
    tab.page.keyboard.press("Enter")
    tab.wait("model('goal').data.x[0] == 50 && model('goal').data.y[0] == 100")
    assert tab.errors == []
    again.page.close()
    tab.page.close()


def test_keys_count_while_the_page_changes_form(browser, viewer) -> None:
    """What is pressed before the server has heard of the new form is not undone by it."""
    tab = Tab(browser, viewer.address)
    height = "model('plot').y_range.start - model('plot').y_range.end"
    before, width = tab.value(height), tab.value("model('plot').inner_width")
    viewer.process.send_signal(signal.SIGSTOP)
    try:
        tab.page.set_viewport_size({"width": 700, "height": 900})
        tab.wait(f"model('plot').inner_width < {width - 50}")
        tab.page.keyboard.press("+")
    finally:
        viewer.process.send_signal(signal.SIGCONT)
    tab.settle()
    assert tab.value(height) == pytest.approx(before / 2)
    across = tab.value("model('plot').x_range.end - model('plot').x_range.start")
    frame = tab.value("[model('plot').inner_width, model('plot').inner_height]")
    assert across / frame[0] == pytest.approx(before / 2 / frame[1])
    tab.page.keyboard.press("0")
    tab.page.set_viewport_size({"width": 1100, "height": 400})
    tab.settle()
    # Of the whole image nothing is cut off.
    x, y = (tab.value(f"[model('plot').{axis}.start, model('plot').{axis}.end]") for axis in XY)
    assert x[0] < 0 < SHAPE[1] - 1 < x[1]
    assert y[1] < 0 < SHAPE[0] - 1 < y[0]
    tab.page.close()


def test_a_narrow_page_has_its_controls_below(browser, viewer) -> None:
    """The image is as wide as 700 pixels allow, and all controls can be reached."""
    page = browser.new_page(viewport={"width": 700, "height": 900})
    tab = Tab.__new__(Tab)
    tab.page = page
    page.goto(viewer.address)
    tab.wait("model('plot').inner_width > 400 && model('plot').inner_height > 400")
    button = page.get_by_text("radial profile")
    button.scroll_into_view_if_needed()
    button.click()
    tab.wait("model('curve') != null && model('curve').data.x.length > 10")
    box = button.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 700
    page.locator("#first").wait_for(state="detached")  # it would lie under the controls
    page.close()


def test_nobody_else_is_asked(tab, viewer) -> None:
    """Every request and socket went to the viewer itself, and nothing failed."""
    hosts = {re.sub(r"^\w+://([^/]+)/.*", r"\1", url) for url in tab.asked}
    assert hosts == {f"127.0.0.1:{viewer.port}"}
    assert tab.errors == []


def test_only_this_machine_is_served(viewer) -> None:
    """Bound to the loopback address alone, under an address that cannot be guessed."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        if os.path.exists(f"/proc/{viewer.process.pid}/net/{name}")
        for line in Path(f"/proc/{viewer.process.pid}/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{viewer.port:04X}")
    ]
    assert listening == [f"0100007F:{viewer.port:04X}"]
    assert re.fullmatch(rf"http://127\.0\.0\.1:{viewer.port}/[0-9a-f]{{16}}", viewer.address)
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"http://127.0.0.1:{viewer.port}/")


def test_a_damaged_tile_is_crossed_out(browser, tmp_path) -> None:
    """And named; what is around it is shown as it is, and so is the tile once it is repaired."""
    store = make(tmp_path / "run.zarr", tile=64, shape=SHAPE)
    set_pixels(store, np.full(SHAPE, 700.0, dtype=np.float32))
    chunk = store / "image" / "c" / "1" / "1"
    before = flip(chunk, 0.9)
    running = Viewer(store)
    try:
        tab = Tab(browser, running.address)
        tab.wait("model('status').text.includes('tile 5 is damaged (crossed out)')")
        tab.wait("model('damaged').data.left[0] == 63.5")
        tab.settle()
        x, y = tab.screen_position(96, 63.5)
        shot = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
        assert any(shot.getpixel((round(x) + k, round(y))) == (255, 64, 64) for k in (-1, 0, 1))
        tab.page.mouse.move(*tab.screen_position(90, 90))
        tab.wait("model('pointer').text.includes('damaged')")
        chunk.write_bytes(before)
        tab.wait("model('damaged').data.left.length == 0")
        tab.wait("!model('status').text.includes('damaged')")
        assert tab.errors == []
    finally:
        assert running.end()[0] == 0


def test_a_picture_comes_before_bokeh(browser, viewer) -> None:
    """The whole image, as a plain picture of the same colours, lies under the plot."""
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    page.route("**/start.js", lambda route: route.abort())
    page.goto(viewer.address)
    box = page.locator("#first").bounding_box()
    assert min(box["width"], box["height"]) > 400
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = SHAPE[1] / SHAPE[0] * box["height"]
    left = box["x"] + (box["width"] - height) / 2

    def colour(slow: float, fast: float) -> int:
        at = (left + fast / SHAPE[1] * height, box["y"] + slow / SHAPE[0] * box["height"])
        return sum(shot.getpixel((round(at[0]), round(at[1]))))

    for slow, fast in SPOTS:
        assert colour(slow + 4, fast + 4) > 500
        assert colour(slow + 4, fast + 20) < 250
    page.close()


def test_a_run_is_followed_and_ends_on_ctrl_c(browser, tmp_path) -> None:
    """Tiles that are computed meanwhile appear by themselves; Ctrl-C ends without a word of woe."""
    store = make(tmp_path / "run.zarr", tile=64, shape=SHAPE)
    set_pixels(store, np.full(SHAPE, 700.0, dtype=np.float32))
    kept = forget(store, 5)
    root = store / "zarr.json"
    complete = root.read_text()
    replace_text(root, complete.replace('"status": "complete"', '"status": "running"'))
    running = Viewer(store)
    try:
        tab = Tab(browser, running.address)
        tab.wait("model('status').text.includes('19 of 20 tiles')")
        x, y = tab.screen_position(96, 96)
        shot = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
        assert shot.getpixel((round(x), round(y))) == (128, 128, 128)
        put_back(kept)
        replace_text(root, complete)
        tab.wait("model('status').text.includes('complete')")
        tab.settle()
        shot = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
        assert shot.getpixel((round(x), round(y))) != (128, 128, 128)
        assert image_of(store)[96, 96] == 700.0
    finally:
        code, said = running.end()
    assert code == 0
    assert "Traceback" not in said
    assert said.splitlines() == ["nbdask: Ctrl-C ends the viewer", "nbdask: viewer ended"]
