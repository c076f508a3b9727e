"""Spots stand out of the background in rendered pictures, whatever the detector made of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter

from nbdask.plan.tiles import Tile
from nbdask.view.contrast import choose
from nbdask.view.front import picture
from nbdask.view.picture import preview
from nbdask.view.scene import Window
from nbdask.view.style import Style
from tests.pictured import make, set_pixels

SIDE, CENTRE = 192, 96.0
LEFT, TOP = 90, 60
Pixels = NDArray[np.float64]


def spots() -> tuple[Pixels, list[tuple[int, int]]]:
    """Photons of 40 spots of peaks from 40 to 1000, and where they are, apart from one another."""
    rng, places = np.random.default_rng(3), list[tuple[int, int]]()
    slow, fast = np.indices((SIDE, SIDE))
    image = np.zeros((SIDE, SIDE))
    while len(places) < 40:
        at = tuple(int(x) for x in rng.integers(6, SIDE - 6, 2))
        if any(max(abs(at[0] - s), abs(at[1] - f)) < 14 for s, f in places):
            continue
        places.append((at[0], at[1]))
        distance = (slow - at[0]) ** 2 + (fast - at[1]) ** 2
        image += 10.0 ** rng.uniform(1.6, 3.0) * np.exp(-distance / 2.9)
    return image, places


def images() -> dict[str, Pixels]:
    """Name -> what a detector shows of the spots."""
    rng, (peaks, _) = np.random.default_rng(5), spots()
    slow, fast = np.indices((SIDE, SIDE))
    radius = np.hypot(slow - CENTRE, fast - CENTRE)
    water = 3.0 + 30.0 * np.exp(-(((radius - 55.0) / 14.0) ** 2))
    poisson = rng.poisson(peaks + 10.0).astype(float)
    masked = poisson.copy()
    masked[:, 90:100] = 0.0
    masked[140:150] = 0.0
    blurred = gaussian_filter(rng.poisson(peaks + 4.0).astype(float), 1.0)
    return {
        "noise-free": peaks + 1e-3 * np.exp(-radius / 40.0) * rng.exponential(1.0, peaks.shape),
        "poisson": poisson,
        "few photons": rng.poisson(peaks + 0.1).astype(float),
        "offset, gain, PSF": np.rint(4.0 * blurred + 10.0 + rng.normal(0.0, 3.0, peaks.shape)),
        "water": rng.poisson(peaks + water).astype(float),
        "water, noise-free": peaks + water,
        "masks": masked,
        "saturated": np.minimum(rng.poisson(200.0 * peaks + 100.0), 65535).astype(float),
    }


def check(brightness: Pixels, name: str) -> None:
    """Nine of ten spots are at least two fifths of the scale brighter than what is around them.

    A fifth is enough for the faintest on a ring that is as bright as they are, without noise.
    Most of the background is dark: no wash, and no more than an eighth of the scale uneven.
    """
    peaks, places = spots()
    values = images()[name]
    seen = [(s, f) for s, f in places if values[s - 1 : s + 2, f - 1 : f + 2].min() > 0.0]
    far = maximum_filter(peaks, 5) < 0.3
    highest = maximum_filter(brightness, 3)
    rises = []
    for s, f in seen:
        near = np.zeros_like(far)
        near[max(0, s - 12) : s + 13, max(0, f - 12) : f + 13] = True
        rises.append(highest[s, f] - np.median(brightness[near & far & (values > 0.0)]))
    assert len(seen) > 25
    assert np.quantile(rises, 0.1) > (0.2 if name == "water, noise-free" else 0.4)
    assert np.median(brightness[far]) < 0.1
    if "water" not in name:
        assert brightness[far].std() < 0.125


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose pixels tests replace."""
    path = tmp_path_factory.mktemp("contrast") / "run.zarr"
    return make(path, tile=96, shape=(SIDE, SIDE))


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("name", images())
def test_in_previews(store: Path, tmp_path: Path, name: str, log: bool) -> None:
    """As drawn in grey, both scales; measured in the PNG."""
    set_pixels(store, images()[name].astype(np.float32))
    style = Style(size=SIDE, colormap="gray", log=log)
    made = preview(store, tmp_path / "a.png", style=style)
    drawn = np.asarray(Image.open(made.path).convert("L")).astype(float) / 255.0
    check(drawn[TOP : TOP + SIDE, LEFT : LEFT + SIDE], name)


def halos() -> Pixels:
    """The mean of strong narrow spots with faint halos; nothing in between."""
    slow, fast = np.indices((SIDE, SIDE))
    mean = np.zeros((SIDE, SIDE))
    for number, (s, f) in enumerate(spots()[1]):
        distance = (slow - s) ** 2 + (fast - f) ** 2
        peak = 10.0 ** (3.0 + number / 10.0)
        mean += peak * np.exp(-distance / 2.0) + 3.0 * np.exp(-distance / 30.0)
    return mean


def test_photons_without_a_background_have_the_scale_of_their_mean() -> None:
    """Faint halos are no background: strong spots are not burnt out, in sheets neither."""
    rng, mean = np.random.default_rng(7), halos()
    noisy = rng.poisson(mean).astype(np.float32)
    assert (noisy == 0).mean() > 0.75
    wanted = choose(mean.astype(np.float32), centre=(CENTRE, CENTRE))
    one = choose(noisy, centre=(CENTRE, CENTRE))
    sheet = choose(np.concatenate([noisy.ravel(), rng.poisson(mean).ravel()]).astype(np.float32))
    for found in (one, sheet):
        assert wanted.high / 2.0 < found.high < 4.0 * wanted.high
        assert found.low >= 1.0
        assert found.high / found.low > 1e3
    assert choose(noisy, log=False).high > 20.0


def test_single_photons_are_dark() -> None:
    """Whatever there is besides them."""
    rng = np.random.default_rng(7)
    noisy = rng.poisson(np.full((SIDE, SIDE), 0.05)).astype(np.float32)
    low, high = choose(noisy)
    assert low == 1.0
    assert high > 20.0
    assert choose(noisy, log=False).high >= 8.0


@pytest.mark.parametrize("name", images())
def test_in_the_viewer(name: str) -> None:
    """Its first picture has the colours of the plot."""
    values = images()[name].astype(np.float32)
    window = Window(values, Tile(0, SIDE, 0, SIDE), 1, (CENTRE, CENTRE))
    drawn = Image.open(io.BytesIO(picture(window)))
    check((np.asarray(drawn).astype(float) - 1.0) / 254.0, name)
