"""Shots of a series, looked at: sheets, sums, and the viewer's controls."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.derive.over_shots import levels_over
from nbdask.errors import InputError, StoreError
from nbdask.plan.tiles import Tile
from nbdask.shots import Orientations, Series, Table
from nbdask.view.picture import preview
from nbdask.view.sheet import MOST_SHOTS, layout
from nbdask.view.style import Style
from tests.panels.several import several
from tests.view.test_picture import colours

FLAGS = (
    "-lambda 1 -distance 20 -pixel 1 -detpixels_x 20 -detpixels_y 14 -cell 40 50 60 90 90 90"
    " -N 3 -default_F 100 -fluence 1e28 -oversample 1"
)
STRENGTHS = Table({"beam.fluence": np.array([1e28, 2e28, 3e28, 1e28, 1e27])})
SERIES = Series(nbdask.from_args(FLAGS.split()), 5, (Orientations(1), STRENGTHS), 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shots."""
    path = tmp_path_factory.mktemp("shots") / "run.zarr"
    nbdask.simulate(SERIES, path, tile=8, threads=1, progress=False)
    return path


def images(store: Path) -> np.ndarray:
    """All pixels."""
    return np.asarray(nbdask.open(store).image.values)


@pytest.mark.parametrize(("over", "function"), [("sum", np.sum), ("max", np.max)])
def test_shots_on_top_of_one_another(store: Path, over: Any, function: Any) -> None:
    """Pixel by pixel, of the shots that were chosen."""
    levels, done = levels_over(store, range(0, 5, 2), over)
    made = levels.read("max", 0, Tile(0, 14, 0, 20))
    chosen = images(store)[::2].astype(np.float64)
    np.testing.assert_allclose(made, function(chosen, axis=0), rtol=1e-6)
    assert done.shape == (3, 1, 2, 3)
    assert done.all()


@pytest.mark.long
def test_a_sum_of_panels(tmp_path: Path) -> None:
    """Panels are put at their place after their pixels were added."""
    path, series = tmp_path / "run.zarr", Series(several(), 2, (Orientations(1),), 3)
    nbdask.simulate(series, path, tile=8, threads=1, progress=False)
    one, two = (preview(path, tmp_path / f"{n}.png", shots=range(n, n + 1)) for n in range(2))
    both = preview(path, tmp_path / "both.png", over="sum")
    assert both.region == one.region == two.region
    assert both.missing == 0.0
    assert preview(path, tmp_path / "sheet.png", shots=range(2)).missing == 0.0


def test_a_sheet_has_one_scale(store: Path, tmp_path: Path) -> None:
    """A faint shot is darker than a strong one, and each is at its place."""
    style = Style(size=400)
    made = preview(store, tmp_path / "a.png", shots=range(2, 5), style=style)
    pixels = colours(made.path).sum(axis=2)
    rows, columns, (slow, fast) = layout(3, (14, 20), 400)
    assert (rows, columns) == (2, 2)
    left, top = 12, 12 + 30 + 18
    strong = pixels[top : top + slow, left : left + fast]
    second = top + slow + 18 + 6
    faint = pixels[second : second + slow, left : left + fast]
    assert strong.mean() > 1.3 * faint.mean()
    empty = pixels[second : second + slow, left + fast + 8 : left + 2 * fast]
    assert (empty == 3 * 255).all()


@pytest.mark.parametrize("count", [1, 2, 7, 16, MOST_SHOTS])
def test_sheets_hold_all_shots(count: int) -> None:
    """In a picture about as large as was asked for."""
    rows, columns, (slow, fast) = layout(count, (100, 300), 1000)
    assert rows * columns >= count > (rows - 1) * columns
    assert slow >= 40
    assert fast * columns <= 1000 or slow == 40


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("--shots 0:6", "holds 5 shots: must be FIRST:END or FIRST:END:STEP within 0:5"),
        ("--shots 3", "must be FIRST:END"),
        ("--shots 4:2", "must be FIRST:END"),
        ("--shots a:b", "must be FIRST:END"),
        ("--shot 5", "must be a whole number from 0 to 4"),
        ("--shot 1 --max", "--shot and --max: give one of them"),
        ("--sum --max", "--sum and --max: give one of them"),
        ("--shots 0:2 --spots 1", "--spots: is for the picture of one shot"),
        ("--shots 0:2 --resolution-rings", "--resolution-rings: is for the picture of one shot"),
    ],
)
def test_shots_that_are_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: str, said: str
) -> None:
    """One line; nothing is written."""
    target = tmp_path / "a.png"
    assert main(["preview", str(store), "-o", str(target), *argv.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not target.exists()


def test_sheets_of_too_many_shots(store: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The message names a step that takes fewer."""
    monkeypatch.setattr("nbdask.view.picture.MOST_SHOTS", 2)
    with pytest.raises(InputError, match="--shots 0:5:3 takes fewer"):
        preview(store, tmp_path / "a.png", shots=range(5))
    with pytest.raises(StoreError, match="from 0 to 4"):
        preview(store, tmp_path / "a.png", shots=range(9))


class Pool:
    """Does the work at once."""

    def submit(self, work: Any) -> Future[Any]:
        """Return what it gives."""
        done: Future[Any] = Future()
        done.set_result(work())
        return done


class TabDocument:
    """Calls back at once."""

    def __init__(self) -> None:
        self.steps: list[Any] = []

    def add_root(self, root: Any) -> None:
        """Take a root."""

    def js_on_event(self, event: str, call: Any) -> None:
        """Take what the browser does."""

    def add_next_tick_callback(self, call: Any) -> None:
        """Call at once."""
        call()

    def add_periodic_callback(self, call: Any, _: int) -> Any:
        """Keep what is called."""
        self.steps.append(call)
        return call

    def remove_periodic_callback(self, call: Any) -> None:
        """Forget it."""
        self.steps.remove(call)


def test_the_page_shows_other_shots(store: Path) -> None:
    """By slider, number and buttons, and one after another while it plays; pixels are theirs."""
    pytest.importorskip("bokeh")
    from nbdask.view.page import Page
    from nbdask.view.rivals import Stores

    document: Any = TabDocument()
    pool: Any = Pool()
    stores = Stores([store])
    try:
        page = Page(stores, pool, 2)
        page.show(document)
        controls = page._shots
        assert controls is not None
        every = images(store)

        def shown() -> int:
            """The shot whose pixels are shown."""
            values = page.base.data["image"][0]
            return int(np.argmin([np.abs(values[:14, :20] - image).max() for image in every]))

        assert shown() == 2
        controls.slider.value = 4
        assert (shown(), controls.number.value) == (4, 4)
        assert "beam.fluence" in page.values.text
        controls.number.value = 1
        assert (shown(), controls.slider.value) == (1, 1)
        controls.play.active = True
        for expected in (2, 3, 4, 0):
            document.steps[-1]()
            assert shown() == expected
        controls.play.active = False
        assert len(document.steps) == 1
    finally:
        stores.stop()


def test_the_accessor_asks_for_a_shot(store: Path) -> None:
    """Of a series; one shot of it is an image."""
    image = nbdask.open(store).image
    with pytest.raises(InputError, match=r"5 shots: choose one of them first"):
        image.nbdask.resolution()
    assert image.isel(shot=3).nbdask.resolution().shape == (14, 20)
