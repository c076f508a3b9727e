"""Photons from what a detector reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from nbdask.errors import FieldError


@dataclass(frozen=True, slots=True)
class Reading:
    """How a detector reads photons.

    Parameters
    ----------
    gain : float
        Units per photon.
    offset : float
        Units that a pixel holds without a photon.
    saturation : float or None
        Pixels of so many units, or more, have seen too much.
    """

    gain: float = 1.0
    offset: float = 0.0
    saturation: float | None = None

    def __post_init__(self) -> None:
        """Check the gain."""
        if not self.gain > 0.0:
            raise FieldError("--gain", self.gain, "a number above 0")

    def photons(self, data: Any) -> Any:
        """Return the photons of an image.

        Parameters
        ----------
        data : array
            Units: NumPy, dask or xarray.

        Returns
        -------
        array
            Lazy float64; not a number where a pixel is saturated.  The same array where units are
            photons.
        """
        if self == Reading():
            return data
        held = getattr(data, "data", data) if hasattr(data, "dims") else data
        array = held if isinstance(held, da.Array) else da.from_array(held)
        array = array.astype(np.float64)
        if self.saturation is not None:
            array = da.where(array < self.saturation, array, np.nan)
        return (array - self.offset) / self.gain
