"""Photons of an image in detector units."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np


def in_photons(data: Any, gain: float, offset: float, saturation: float | None) -> Any:
    """Return the photons of an image, a lazy dask array.

    Parameters
    ----------
    data : ([shot,] [panel,] slow, fast) array of NumPy, dask, zarr or xarray
        Detector units.
    gain : float
        Units per photon.
    offset : float
        Units that a pixel holds without a photon.
    saturation : float or None
        Units from which on a pixel says nothing: it is NaN.
    """
    held = getattr(data, "data", data) if hasattr(data, "dims") else data
    array = held if isinstance(held, da.Array) else da.from_array(held)
    if saturation is not None:
        array = da.where(array < saturation, array, np.nan)
    return (array - offset) / gain
