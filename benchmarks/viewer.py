"""Time to the first view of a store in the browser, and of each step of zooming into it.

    python -m benchmarks.viewer STORE [--steps 7] [--runs 5] [--chromium PROGRAM] [--json FILE]
        [--shots FOLDER]

A real browser without a screen is running; the viewer is started as a user would start it, and its
page is opened as soon as its address is printed, then a second time in a viewer that runs already.

viewer_ready: from the start of the command until its address is printed.
command_picture, command_view: from the start of the command (the process's start included) until
the whole image is on the screen as a plain picture, and until it is in the plot with its controls.
picture, first_view: the same from asking a running viewer for its page, which holds no cached file;
the image is there in up to 512 pixels.  full_view: until it has the resolution of the screen.
Step: from the turn of the wheel until the pixels of the new view are on the page and drawn; each
step doubles the magnification.  The store needs its pyramid (nbdask pyramid) to be quick.
All runs are recorded; the slowest of all is what must be below the bounds.
Needs playwright and Chromium; Linux only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.large_memory import peak
from benchmarks.machine import facts

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE: ViewportSize = {"width": 1280, "height": 900}
#: Seconds to the first view, and for a step, that are quick enough.
FIRST, STEP = 2.0, 0.3
_TIMES = (
    "viewer_ready",
    "command_picture",
    "command_view",
    "picture",
    "first_view",
    "full_view",
)
#: Part of the image, (slow, fast), at which the pointer stays.
_AT = (0.46, 0.55)
#: In the page: remembers when new pixels came and were drawn (after two frames of the screen).
_WATCH = """() => {
  const find = name => Bokeh.documents[0].get_model_by_name(name)
  window.drawn = {factor: find('detail').data.factor[0], at: performance.now()}
  find('detail').properties.data.change.connect(() => {
    const factor = find('detail').data.factor[0]
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.drawn = {factor, at: performance.now()}
    }))
  })
  document.addEventListener('wheel', () => { window.turned = performance.now() }, {capture: true})
}"""
_SHOWN = """() => {
  if (!window.Bokeh || !Bokeh.documents.length) return false
  const plot = Bokeh.documents[0].get_model_by_name('plot')
  return plot && plot.inner_width > 0
}"""
#: In the page: when the plain picture was painted, in milliseconds since 1970.
_PICTURE = """() => new Promise(done => new PerformanceObserver(list =>
  done(performance.timeOrigin + list.getEntries()[0].renderTime)
).observe({type: 'element', buffered: true}))"""
_PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_READY = """() => {
  if (!window.Bokeh || !Bokeh.documents.length) return false
  const find = name => Bokeh.documents[0].get_model_by_name(name)
  const plot = find('plot')
  if (!plot || !(plot.inner_width > 0)) return false
  const across = (plot.x_range.end - plot.x_range.start) / plot.inner_width
  const down = (plot.y_range.start - plot.y_range.end) / plot.inner_height
  // Equal scales: the server knows the frame, and answered with the pixels for it.
  return Math.abs(across / down - 1) < 0.01 && find('detail').data.factor[0] <= 2 * across
}"""


def load() -> float:
    """Return the mean number of processes that wanted to run in the last minute."""
    return float(Path("/proc/loadavg").read_text().split()[0])


def zoom(page: Any, place: tuple[float, float], steps: int) -> list[dict[str, float]]:
    """Zoom in step by step; return magnification and seconds of each."""
    page.evaluate(_WATCH)
    page.mouse.move(*place)
    found = []
    for _ in range(steps):
        before = page.evaluate("window.drawn.factor")
        if before <= 1:
            break
        # Bokeh's zoom halves what is in sight for this turn of the wheel.
        page.mouse.wheel(0, -300)
        page.wait_for_function(f"window.drawn.factor < {before}", timeout=20000, polling=10)
        seconds = page.evaluate("(window.drawn.at - window.turned) / 1000")
        found.append({"factor": page.evaluate("window.drawn.factor"), "seconds": round(seconds, 3)})
        page.wait_for_timeout(700)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the viewer, open its page twice, zoom."""
    from playwright.sync_api import sync_playwright

    result: dict[str, Any] = {"load": load()}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=options.chromium, args=FLAGS)
        # A user's browser is running and has shown pages.
        warm = browser.new_page(viewport=SIZE)
        warm.set_content("<canvas></canvas>")
        warm.wait_for_timeout(500)
        start = time.time()
        viewer = subprocess.Popen(
            [sys.executable, "-m", "nbdask", "view", str(options.store), "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert viewer.stdout is not None
        try:
            address = viewer.stdout.readline().strip()
            result["viewer_ready"] = round(time.time() - start, 3)
            page = browser.new_page(viewport=SIZE)
            result["command_picture"], result["command_view"] = opened(page, address, start)
            page.close()
            warm.wait_for_timeout(1000)
            page = browser.new_page(viewport=SIZE)
            start = time.time()
            result["picture"], result["first_view"] = opened(page, address, start)
            page.wait_for_function(_READY, timeout=60000, polling=20)
            result["full_view"] = round(time.time() - start, 3)
            page.wait_for_timeout(2000)
            shot(page, options.shots, "viewer.png")
            place = (60 + _AT[1] * 620, 20 + _AT[0] * 820)
            result["steps"] = zoom(page, place, options.steps)
            page.mouse.move(place[0] + 3, place[1] + 3)
            page.get_by_text("resolution rings, beam").click()
            page.mouse.move(*place)
            page.wait_for_timeout(1500)
            shot(page, options.shots, "viewer-zoomed.png")
            result["viewer_peak_bytes"] = peak(viewer.pid)
        finally:
            viewer.send_signal(signal.SIGINT)
            viewer.wait(timeout=30)
            browser.close()
    return result


def opened(page: Any, address: str, start: float) -> tuple[float, float]:
    """Open the viewer's page; return seconds until picture and plot were painted."""
    page.goto(address, wait_until="commit")
    page.wait_for_function(_SHOWN, timeout=60000, polling=20)
    page.evaluate(_PAINTED)
    plot = time.time() - start
    return round(page.evaluate(_PICTURE) / 1000.0 - start, 3), round(plot, 3)


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return least, median and greatest of each time [s]; of the steps, each single one counts."""
    times = {name: [run[name] for run in runs] for name in _TIMES}
    times["step"] = [step["seconds"] for run in runs for step in run["steps"]]
    return {
        name: {"min": min(t), "median": round(statistics.median(t), 3), "max": max(t)}
        for name, t in times.items()
        if t  # a small image has no steps
    }


def shot(page: Any, folder: Path | None, name: str) -> None:
    """Keep a picture of the page, half as large."""
    if folder is None:
        return
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = picture.resize(
        (picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS
    )
    folder.mkdir(parents=True, exist_ok=True)
    small.quantize(256, kmeans=1).save(folder / name, optimize=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of the viewer in a browser.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--shots", type=Path, help="keep pictures of the page in this folder")
    options = parser.parse_args()
    runs = []
    for _ in range(options.runs):
        run = measure(options)
        runs.append(run)
        steps = " ".join(f"{step['factor']}:{step['seconds']}" for step in run["steps"])
        print(
            f"load {run['load']:.1f}: "
            + ", ".join(f"{name} {run[name]}" for name in _TIMES)
            + f", steps {steps} s, viewer {run['viewer_peak_bytes'] / 2**20:.0f} MiB",
            flush=True,
        )
    found = summary(runs)
    for name, of in found.items():
        print(f"{name}: {of['min']} to {of['max']} s, median {of['median']} s")
    if options.json is not None:
        record = {"machine": facts(), "store": options.store.name, "summary": found, "runs": runs}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    slowest = found["step"]["max"] if "step" in found else 0.0
    return 0 if found["first_view"]["max"] < FIRST and slowest < STEP else 1


if __name__ == "__main__":
    sys.exit(main())
