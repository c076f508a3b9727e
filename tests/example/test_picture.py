"""The picture of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nbdask.errors import InputError
from nbdask.example.picture import coloured, write_png
from nbdask.html import log_scaled


def test_scale_is_logarithmic() -> None:
    """Equal ratios of photons are equal steps of brightness; faint pixels end at 0."""
    image = np.array([[1000.0, 100.0, 10.0, 1.0, 0.1, 0.0]])
    level = log_scaled(image, decades=3.0, percentile=100.0)
    np.testing.assert_allclose(level, [[1.0, 2 / 3, 1 / 3, 0.0, 0.0, 0.0]], atol=1e-12)


def test_empty_and_missing_pixels_are_dark() -> None:
    """An image of zeros, or of pixels not yet computed, gives a dark picture, no warning."""
    image = np.full((3, 4), np.nan, dtype=np.float32)
    image[0] = 0.0
    assert log_scaled(image).tolist() == np.zeros((3, 4)).tolist()


def test_colours_grow_brighter() -> None:
    """More photons are never shown darker."""
    brightness = coloured(np.linspace(0.0, 1.0, 200)[None])[0] @ [0.2126, 0.7152, 0.0722]
    # But for the rounding of colours to bytes.
    assert (np.diff(brightness) >= -1.0).all()
    assert brightness[0] < 1.0
    assert brightness[-1] > 240.0


def test_png_has_the_pixels_of_the_image(tmp_path: Path) -> None:
    """Slow axis downwards, fast axis to the right, one picture element per pixel."""
    image = np.zeros((20, 30), dtype=np.float32)
    image[4, 25] = 1e5
    write_png(image, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (30, 20))
        total = np.asarray(picture).astype(int).sum(axis=-1)
    assert divmod(int(total.argmax()), 30) == (4, 25)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3)])
def test_only_images_are_shown(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Anything but two non-empty dimensions is refused and nothing is written."""
    with pytest.raises(InputError, match="must be"):
        write_png(np.zeros(shape), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_unwritable_place(tmp_path: Path) -> None:
    """A missing folder is reported in one line."""
    with pytest.raises(InputError, match="cannot be written"):
        write_png(np.ones((2, 2)), tmp_path / "missing" / "a.png")
