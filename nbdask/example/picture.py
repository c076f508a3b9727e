"""A picture of a diffraction image, for the eye: logarithmic scale, dark blue to white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nbdask.errors import InputError
from nbdask.files import whole_file
from nbdask.store.reader import StoreReader

#: Colours from the faintest to the brightest (red, green, blue), evenly spaced.
_COLOURS = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    dtype=np.float64,
)


def log_scaled(
    image: NDArray[np.floating], decades: float = 3.0, percentile: float = 99.9
) -> NDArray[np.float64]:
    """Map photons to 0..1 on a logarithmic scale.

    Parameters
    ----------
    image : (slow, fast) float array
        Photons; NaN (not computed) counts as 0.
    decades : float
        Width of the scale in powers of ten.
    percentile : float
        The value that becomes 1, as a percentile of the pixels above 0.

    Returns
    -------
    (slow, fast) float64 array
        0 where the image is ``decades`` powers of ten below the top, or less.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0)
    bright = values[values > 0.0]
    if bright.size == 0:
        return np.zeros_like(values)
    top = float(np.percentile(bright, percentile))
    floor = top * 10.0**-decades
    level: NDArray[np.float64] = np.log10(np.maximum(values, floor) / floor) / decades
    return level.clip(0.0, 1.0)


def coloured(level: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn levels 0..1, shape (slow, fast), into colours, shape (slow, fast, 3)."""
    position = level * (len(_COLOURS) - 1)
    grid = np.arange(len(_COLOURS), dtype=np.float64)
    channels = [np.interp(position, grid, _COLOURS[:, i]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def write_png(
    image: NDArray[np.floating] | str | Path,
    path: str | Path,
    *,
    decades: float = 3.0,
    percentile: float = 99.9,
) -> None:
    """Write the picture of an image: fast axis to the right, slow axis downwards.

    Parameters
    ----------
    image : (slow, fast) float array, or the path of a store
        Photons; of a store, the whole image is read.
    path : str or path
        PNG file to write.
    decades, percentile : float
        As for :func:`log_scaled`.

    Raises
    ------
    InputError
        The image is not two-dimensional, or the file cannot be written.
    StoreError
        No nbdask store is at the path.
    """
    values = _stored(image) if isinstance(image, (str, Path)) else np.asarray(image)
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"picture of an image of shape {values.shape}: must be (slow, fast)")
    pixels = coloured(log_scaled(values, decades, percentile))
    with whole_file(path, "picture", InputError) as fresh:
        Image.fromarray(pixels).save(fresh, format="PNG", optimize=True)


def _stored(store: str | Path) -> NDArray[np.floating]:
    """Return the image of a store."""
    return np.asarray(StoreReader(store).image[...], dtype=np.float32)
