"""Photons from what a detector reads."""

from __future__ import annotations

from typing import Any, NamedTuple

import dask.array as da
import numpy as np


class Reading(NamedTuple):
    """How a detector reads photons.

    Attributes
    ----------
    gain : float
        Units per photon.
    offset : float
        Units that are added.
    saturation : float or None
        What a pixel holds that has seen too much, or more.
    """

    gain: float = 1.0
    offset: float = 0.0
    saturation: float | None = None

    def photons(self, data: Any) -> Any:
        """Return the photons of an image, lazy; NaN where a pixel is saturated."""
        if self == Reading():
            return data
        held = getattr(data, "data", data) if hasattr(data, "dims") else data
        array = held if isinstance(held, da.Array) else da.from_array(held)
        if self.saturation is not None:
            array = da.where(array < self.saturation, array, np.nan)
        return (array - self.offset) / self.gain
