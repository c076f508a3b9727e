"""Numbers of what the viewer shows: statistics, profiles, places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.plan.tiles import Tile
from nbdask.view.marks import round_length
from nbdask.view.measures import goal_of, line_profile, radial_profile, region_text
from nbdask.view.rivals import DIFFERENCE, SPLIT, Stores, combined
from nbdask.view.scene import Scene, Window
from nbdask.view.sight import factor_of, region_of
from tests.pictured import make, set_pixels

pytest.importorskip("bokeh")
SHAPE = (48, 64)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image whose pixels count up, with one spot."""
    path = make(tmp_path_factory.mktemp("measures") / "run.zarr", tile=16, shape=SHAPE)
    image = np.arange(48 * 64, dtype=np.float32).reshape(SHAPE) / 1000
    image[30, 20] = 500.0
    set_pixels(path, image)
    return path


def test_places(store: Path) -> None:
    """A pixel, indices, a resolution; indices are those of the place, and others are refused."""
    scene = Scene(store)
    assert goal_of(scene, " 12, 40 ")[:2] == (12.0, 40.0)
    hkl = scene.geometry.miller(20.0, 50.0)
    found = goal_of(scene, " ".join(f"{x:.8f}" for x in hkl))
    assert found[:2] == pytest.approx((20.0, 50.0), abs=0.1)
    assert goal_of(scene, "2.5 A").resolution == pytest.approx(2.5e-10)
    for text, why in (
        ("here", "must be slow fast"),
        ("48 0", "0 to 47 .slow. and 0 to 63"),
        ("900 900 900", "does not reach the detector"),
        ("1 2 3 4", "must be slow fast"),
    ):
        with pytest.raises(InputError, match=why):
            goal_of(scene, text)


def test_statistics_of_a_region() -> None:
    """Of its own pixels alone; sums of means count all pixels; nothing is told of what lacks."""
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    window = Window(values, Tile(0, 4, 0, 6), 1)
    rows = dict(region_text(window, Tile(1, 3, 2, 4), "photons"))
    assert rows["sum"] == f"{8 + 9 + 14 + 15} photons"
    assert rows["mean, median"] == "11.5, 11.5"
    assert rows["least, greatest"] == "8, 15"
    rows = dict(region_text(window._replace(factor=2), Tile(0, 8, 0, 12), "ADU"))
    assert rows["sum, from means of 2 x 2"] == f"{values.sum() * 4:.6g} ADU"
    rows = dict(region_text(Window(values * np.nan, Tile(0, 4, 0, 6), 1), Tile(0, 2, 0, 2), ""))
    assert rows["intensity"] == "not computed yet, or masked"


def test_profiles(store: Path) -> None:
    """Along a line from end to end; by resolution the mean of equal distances."""
    scene = Scene(store)
    window = scene.window("max", Tile(0, 48, 0, 64), 1)
    along, values = line_profile(window, (30.0, 10.0), (30.0, 30.0))
    assert values[np.argmin(np.abs(along - 10.0))] == 500.0
    assert along[-1] == 20.0
    flat = window._replace(values=np.full(SHAPE, 7.0, dtype=np.float32))
    inverse, means = radial_profile(flat, scene.geometry)
    assert means == pytest.approx(7.0)
    assert inverse.max() <= 1e-10 / scene.geometry.resolution(*np.indices(SHAPE)).min() + 1e-9
    assert radial_profile(flat._replace(values=flat.values * np.nan), scene.geometry)[0].size == 0


def test_two_windows_as_one() -> None:
    """Left and right of the middle, or subtracted; of different parts the first."""
    one = Window(np.full((2, 4), 5.0, dtype=np.float32), Tile(0, 2, 0, 4), 1)
    two = one._replace(values=np.full((2, 4), 3.0, dtype=np.float32))
    assert combined(SPLIT, one, two, 1.6).values.tolist() == [[5.0, 5.0, 3.0, 3.0]] * 2
    assert (combined(DIFFERENCE, one, two, 0.0).values == 2.0).all()
    assert combined(DIFFERENCE, one, two._replace(factor=2), 0.0) is one


def test_stores_of_other_sizes_are_refused(store: Path, tmp_path: Path) -> None:
    """One line names both."""
    other = make(tmp_path / "other.zarr", tile=16, shape=(32, 32))
    with pytest.raises(InputError, match=r"other.zarr: 32 x 32 pixels, but .*: 48 x 64 pixels"):
        Stores([store, other])


def test_what_is_in_sight() -> None:
    """As many pixels as the screen has, and none beyond the image."""
    assert factor_of((0.0, 3200.0, 3200.0, 0.0), (800, 800)) == 4
    assert factor_of((0.0, 10.0, 10.0, 0.0), (800, 800)) == 1
    assert region_of((-5.0, 9.6, 20.0, -5.0), (16, 100)) == Tile(0, 16, 0, 11)
    assert region_of((-50.0, -40.0, 20.0, -5.0), (16, 100)) is None


@pytest.mark.parametrize(
    ("most", "name"), [(0.024, "2 cm"), (7e-3, "5 mm"), (1.2e-4, "100 µm"), (2.0, "2 m")]
)
def test_the_scale_is_round(most: float, name: str) -> None:
    """1, 2 or 5, in the unit that one would use."""
    assert round_length(most)[1] == name
