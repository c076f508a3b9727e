"""Statistics from tiles against the same from the whole image."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.plan.tiles import TileGrid
from nbdask.statistics import EMPTY, combine, summarise

RANDOM = np.random.default_rng(3)


def make_image() -> np.ndarray:
    """Return skewed positive numbers, some of them 0."""
    image = RANDOM.exponential(10.0, (37, 53)).astype(np.float32)
    image[RANDOM.random(image.shape) < 0.2] = 0.0
    return image


def from_tiles(image: np.ndarray, mask: np.ndarray | None, tile: tuple[int, int]):
    """Return the statistics combined from tiles."""
    grid = TileGrid(image.shape, tile)
    return combine(
        summarise(
            image[t.slow0 : t.slow1, t.fast0 : t.fast1],
            (t.slow0, t.fast0),
            None if mask is None else mask[t.slow0 : t.slow1, t.fast0 : t.fast1],
        )
        for t in grid
    )


@pytest.mark.parametrize("tile", [(37, 53), (8, 8), (16, 53), (5, 7)])
def test_tiles_give_the_statistics_of_the_whole_image(tile) -> None:
    """Mean, rms, rmsd, maximum and its place do not depend on the tiles."""
    image = make_image()
    found = from_tiles(image, None, tile)
    values = image.astype(np.float64)
    assert found.max == image.max()
    assert (found.max_slow, found.max_fast) == np.unravel_index(image.argmax(), image.shape)
    assert found.mean == pytest.approx(values.mean(), rel=1e-13)
    assert found.rms == pytest.approx(np.sqrt((values**2).sum() / (values.size - 1)), rel=1e-13)
    assert found.rmsd == pytest.approx(values.std(ddof=1), rel=1e-13)
    assert found.pixels == values.size


def test_masked_pixels_count_in_rmsd_only() -> None:
    """Masked pixels are left out of mean and rms but are zeros in rmsd, as in nanoBragg C."""
    image = make_image()
    mask = RANDOM.random(image.shape) > 0.3
    image[~mask] = 0.0
    found = from_tiles(image, mask, (10, 20))
    values = image[mask].astype(np.float64)
    assert found.pixels == values.size
    assert found.mean == pytest.approx(values.mean(), rel=1e-13)
    assert found.rms == pytest.approx(np.sqrt((values**2).sum() / (values.size - 1)), rel=1e-13)
    deviations = np.square(image.astype(np.float64) - values.mean()).sum()
    assert found.rmsd == pytest.approx(np.sqrt(deviations / (image.size - 1)), rel=1e-13)


def test_equal_maxima_first_in_raster_order() -> None:
    """Of several equal maxima the one with the lowest slow, then fast index counts."""
    image = np.zeros((16, 16), np.float32)
    image[3, 12] = image[2, 14] = image[9, 1] = 5.0
    for tile in ((16, 16), (8, 8), (16, 8), (4, 4)):
        found = from_tiles(image, None, tile)
        assert (found.max, found.max_slow, found.max_fast) == (5.0, 2, 14)


def test_nan_does_not_hide_the_maximum() -> None:
    """A NaN pixel spoils the mean, not the maximum."""
    image = np.ones((8, 8), np.float32)
    image[2, 3], image[5, 6] = np.nan, 7.0
    found = summarise(image, (100, 200), None)
    assert (found.max, found.max_slow, found.max_fast) == (7.0, 105, 206)
    assert np.isnan(found.mean)


def test_all_nan_has_no_maximum() -> None:
    """Without a number there is no place of a maximum."""
    found = summarise(np.full((4, 4), np.nan, np.float32), (0, 0), None)
    assert (found.max, found.max_slow, found.max_fast) == (0.0, -1, -1)


def test_nothing_evaluated_is_zero() -> None:
    """An image of zeros or without evaluated pixels has no division by zero."""
    assert combine([EMPTY, EMPTY]).rms == 0.0
    zeros = summarise(np.zeros((4, 4), np.float32), (0, 0), None)
    assert combine([zeros, EMPTY._replace(n_masked=16)]).to_dict() == {
        "max": 0.0,
        "max_slow": -1,
        "max_fast": -1,
        "mean": 0.0,
        "rms": 0.0,
        "rmsd": 0.0,
        "pixels": 16,
    }
