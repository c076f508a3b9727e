"""Pictures show what the store holds: colours, places, missing tiles, marks; nothing is lost."""

from __future__ import annotations

import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nbdask
from nbdask.derive.canvas import reduce_image
from nbdask.derive.pyramid import build_pyramid
from nbdask.errors import InputError, StoreError
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import EMPTY
from nbdask.store.create import create_store
from nbdask.store.levels import Levels
from nbdask.store.write import TileWriter
from nbdask.view.contrast import choose
from nbdask.view.picture import preview, region_of
from nbdask.view.scene import Scene
from nbdask.view.style import Style
from tests.helpers import root_of
from tests.panels.several import PANELS, several
from tests.pictured import SHAPE, forget, image_of, make, set_pixels

#: Where the image begins in a picture [pixels].
LEFT, TOP = 90, 60
GREY = (128, 128, 128)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store whose image is faint but for two spots."""
    path = make(tmp_path_factory.mktemp("picture") / "run.zarr", tile=16)
    image = np.ones(SHAPE, dtype=np.float32)
    image += np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    image[12, 40] = 5000.0
    image[60, 10] = 3000.0
    set_pixels(path, image)
    return path


def colours(path: Path) -> np.ndarray:
    """Pixels of a picture."""
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def at(path: Path, slow: float, fast: float, side: int = 150) -> tuple[int, ...]:
    """Colour of a picture, ``side`` pixels high, at a pixel of the image."""
    scale = side / max(SHAPE)
    pixels = colours(path)
    return tuple(pixels[round(TOP + (slow + 0.5) * scale), round(LEFT + (fast + 0.5) * scale)])


def test_spots_are_where_they_belong(store, tmp_path) -> None:
    """Slow runs downwards, fast to the right; spots are the brightest colours."""
    made = preview(store, tmp_path / "a.png", style=Style(size=150))
    assert (made.factor, made.missing) == (1, 0.0)
    bright = sum(at(made.path, 12, 40))
    assert bright > 3 * sum(at(made.path, 12, 42))
    assert sum(at(made.path, 60, 10)) > 500
    assert sum(at(made.path, 40, 12)) < bright / 2


@pytest.mark.parametrize("downsample", ["max", "mean"])
def test_no_spot_is_lost_by_maximum(store, tmp_path, downsample) -> None:
    """Of 2 x 2 pixels: the maximum keeps the spot's photons, the mean a quarter of them."""
    made = preview(
        store,
        tmp_path / "a.png",
        style=Style(size=64, downsample=downsample, log=False, percentile=100),
    )
    assert made.factor == 2
    expected = (
        5000.0 if downsample == "max" else (5000.0 + image_of(store)[12:14, 40:42].sum() - 5000) / 4
    )
    assert made.contrast.high == pytest.approx(expected, rel=1e-5)


def test_missing_tiles_are_grey(store, tmp_path) -> None:
    """An unfinished store is drawn; the picture says so."""
    broken = Path(shutil.copytree(store, tmp_path / "broken.zarr"))
    forget(broken, 0)
    made = preview(broken, tmp_path / "a.png", style=Style(size=150))
    assert made.missing == pytest.approx(256 / (SHAPE[0] * SHAPE[1]))
    assert at(made.path, 4, 4) == GREY
    assert at(made.path, 20, 20) != GREY


def test_spots_are_named(store, tmp_path) -> None:
    """Brightest first, at full resolution, whatever the picture's."""
    made = preview(store, tmp_path / "a.png", style=Style(size=64, spots=2, rings=True))
    assert [(s.slow, s.fast, s.photons) for s in made.spots] == [(12, 40, 5000.0), (60, 10, 3000.0)]
    plain = preview(store, tmp_path / "b.png", style=Style(size=64))
    assert (colours(made.path) != colours(plain.path)).any()


def test_regions(store, tmp_path) -> None:
    """First and last pixel, both shown; spots outside are none."""
    made = preview(store, tmp_path / "a.png", roi=(10, 29, 30, 49), style=Style(size=100, spots=5))
    assert made.region == Tile(10, 30, 30, 50)
    assert made.spots[0][:2] == (12, 40)
    assert all(10 <= s.slow < 30 and 30 <= s.fast < 50 for s in made.spots)
    one = preview(store, tmp_path / "b.png", roi=(12, 12, 40, 40))
    assert one.contrast.high == 5000.0


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_kinds_of_files(store, tmp_path, suffix) -> None:
    """Each begins as its kind of file does."""
    path = tmp_path / f"a{suffix}"
    preview(store, path, style=Style(size=64, axes="mm"))
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix.lower()]
    assert path.read_bytes().startswith(begins)
    assert list(tmp_path.iterdir()) == [path]


def test_the_pyramid_changes_no_picture(store, tmp_path) -> None:
    """With levels and without: the same pixels."""
    layered = Path(shutil.copytree(store, tmp_path / store.name))
    build_pyramid(layered, smallest=10)
    for name, where in (("a", store), ("b", layered)):
        preview(where, tmp_path / f"{name}.png", style=Style(size=64, downsample="max"))
    assert np.array_equal(colours(tmp_path / "a.png"), colours(tmp_path / "b.png"))


@pytest.mark.long
def test_memory_is_bounded(tmp_path) -> None:
    """An image of 16 MiB is reduced with the memory of some of its tiles."""
    path, shape = tmp_path / "run.zarr", (2048, 2048)
    grid = TileGrid(shape, (256, 256))
    create_store(path, grid, root_of(grid), pixel_size=1e-4)
    write, pixels = TileWriter(path), np.ones((256, 256), dtype=np.float32)
    for index, tile in enumerate(grid):
        write(index, tile, pixels, EMPTY)
    levels = Levels(path)
    reduce_image(levels, Tile(0, 256, 0, 256), 16, "max")
    tracemalloc.start()
    reduce_image(levels, Tile(0, shape[0], 0, shape[1]), 16, "max")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * 2**20


def test_nothing_is_overwritten(store, tmp_path) -> None:
    """An old picture stays unless it is to be replaced, also where drawing fails."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match="exists already: --overwrite"):
        preview(store, path)
    with pytest.raises(StoreError):
        preview(tmp_path / "no.zarr", path, overwrite=True)
    assert path.read_bytes() == b"old"
    preview(store, path, overwrite=True, style=Style(size=64))
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_written(store, tmp_path, monkeypatch) -> None:
    """A full disk: one line, nothing left behind."""
    from matplotlib.figure import Figure

    def full(self: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(InputError, match="No space left"):
        preview(store, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("style", "said"),
    [
        (Style(colormap="infreno"), "did you mean inferno"),
        (Style(colormap="xyz123"), "such as inferno"),
        (Style(percentile=0.0), "above 0 and at most 100"),
        (Style(ends=(0.0, 5.0)), "--range 0 5: .* --linear"),
        (Style(ends=(5.0, 5.0), log=False), "LOW < HIGH"),
        (Style(ends=(1.0, 5.0), percentile=50.0), "leave out --percentile"),
        (Style(size=10), "64 to 16384"),
        (Style(spots=-1), "--spots -1"),
        (Style(downsample="median"), "max or mean"),
    ],
)
def test_styles_that_are_refused(store, tmp_path, style, said) -> None:
    """One line that names the option."""
    with pytest.raises(InputError, match=said):
        preview(store, tmp_path / "a.png", style=style)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("roi", [(0, 75, 0, 5), (5, 4, 0, 5), (-1, 4, 0, 5), (0, 5, 0, 61)])
def test_regions_that_are_refused(roi) -> None:
    """Outside the image, or the wrong way round."""
    with pytest.raises(InputError, match="within 0 to 74 and 0 to 60"):
        region_of(roi, SHAPE)


@pytest.mark.parametrize("name", ["a.jpeg", "a", "none/a.png", "folder.png"])
def test_file_names_that_are_refused(store, tmp_path, name) -> None:
    """Another suffix, no folder, a folder."""
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="-o "):
        preview(store, tmp_path / name)


def test_contrast_of_odd_images() -> None:
    """Zeros, constants, NaN and infinite pixels all give a scale that can be drawn."""
    for values in (
        np.zeros(9),
        np.full(9, np.nan),
        np.full(9, 7.0),
        np.array([0, 1e-30, 1e30]),
        np.array([np.inf, 1.0, 2.0]),
    ):
        for log in (True, False):
            low, high = choose(values.astype(np.float32), log=log)
            assert np.isfinite([low, high]).all()
            assert low < high
            assert low > 0.0 or not log


def test_background_is_no_spot(store, tmp_path) -> None:
    """A spot above what lies around it is one, however bright a smooth ring at a gap is."""
    wet = Path(shutil.copytree(store, tmp_path / "wet.zarr"))
    slow, fast = np.indices(SHAPE)
    image = 100.0 + np.hypot(slow - 40.0, fast - 30.0).astype(np.float32)
    image[:, 32:35] = 0.0
    image[38, 20] = 150.0
    set_pixels(wet, image)
    made = preview(wet, tmp_path / "a.png", style=Style(size=100, spots=5))
    assert [(s.slow, s.fast) for s in made.spots] == [(38, 20)]


@pytest.fixture(scope="module")
def gaps(tmp_path_factory) -> Path:
    """A steep smooth slope on a panel with masked gaps."""
    rectangles = ((40, 44, 0, 80), (0, 70, 36, 39))
    panel = replace(PANELS[0], n_fast=70, n_slow=80, bad=rectangles)
    path = tmp_path_factory.mktemp("gaps") / "a.zarr"
    nbdask.simulate(several((panel,)), path, threads=1)
    set_pixels(path, slope())
    return path


def slope() -> np.ndarray:
    """Photons that fall towards (10, 10), 0 in the gaps."""
    slow, fast = np.indices((80, 70))
    image = 20.0 + 3.0 * np.hypot(slow - 10.0, fast - 10.0)
    image[:, 40:44] = image[36:39] = 0.0
    return image.astype(np.float32)


def test_pixels_beside_masked_ones_are_no_spots(gaps, tmp_path) -> None:
    """In the corner that gaps make a smooth slope has its maximum; the viewer finds none either."""
    assert preview(gaps, tmp_path / "a.png", style=Style(size=100, spots=5)).spots == ()
    assert preview(gaps, tmp_path / "b.png", style=Style(size=64, spots=5)).spots == ()
    assert Scene(gaps).spots(Tile(0, 80, 0, 70), 1, 5) == []


def test_a_spot_beside_a_gap_is_one(gaps, tmp_path) -> None:
    """It is far above all around it."""
    bright = Path(shutil.copytree(gaps, tmp_path / "a.zarr"))
    image = slope()
    image[20, 39] = 1000.0
    set_pixels(bright, image)
    made = preview(bright, tmp_path / "a.png", style=Style(size=100, spots=5))
    assert [(s.slow, s.fast) for s in made.spots] == [(20, 39)]
    assert [spot[:2] for spot, _ in Scene(bright).spots(Tile(0, 80, 0, 70), 1, 5)] == [(20, 39)]


def test_masked_pixels_are_grey_and_not_missing(gaps, tmp_path) -> None:
    """As the space between panels is, in the viewer too."""
    made = preview(gaps, tmp_path / "a.png", style=Style(size=80))
    drawn = np.asarray(Image.open(made.path).convert("RGB"))[60 : 60 + 80, 90 : 90 + 70]
    grey = (drawn == 128).all(axis=-1)
    inner = np.s_[2:-2, 2:-2]  # without the frame
    assert np.array_equal(grey[inner], slope()[inner] == 0.0)
    assert made.missing == 0.0
    assert np.array_equal(np.isnan(Scene(gaps).overview("max").values), slope() == 0.0)
    assert np.array_equal(
        np.isnan(Scene(gaps).window("mean", Tile(0, 80, 0, 70), 1).values), slope() == 0.0
    )


def test_an_image_of_zeros_is_drawn(store, tmp_path) -> None:
    """Without a pixel above 0, without spots."""
    dark = Path(shutil.copytree(store, tmp_path / "dark.zarr"))
    set_pixels(dark, np.zeros(SHAPE, dtype=np.float32))
    made = preview(dark, tmp_path / "a.png", style=Style(size=64, spots=3))
    assert made.spots == ()
    assert not made.bright
