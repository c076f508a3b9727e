"""A picture of a diffraction image, for the eye: logarithmic scale, dark blue to white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from nbdask.errors import InputError
from nbdask.files import whole_file
from nbdask.html import log_scaled, png
from nbdask.store.reader import StoreReader


def coloured(level: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn levels 0..1, shape (slow, fast), into colours, shape (slow, fast, 3)."""
    colours: NDArray[np.uint8] = colormaps["inferno"](level, bytes=True)
    return colours[..., :3]


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
        As for :func:`nbdask.html.log_scaled`.

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
        fresh.write_bytes(png(pixels))


def _stored(store: str | Path) -> NDArray[np.floating]:
    """Return the image of a store."""
    return np.asarray(StoreReader(store).image[...], dtype=np.float32)
