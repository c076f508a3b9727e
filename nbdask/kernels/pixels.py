"""Which pixels of a tile are evaluated: lists of them, and planes from their values."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import PlanError
from nbdask.kernels.interface import Mask
from nbdask.plan.tiles import Tile

_Number = TypeVar("_Number", np.float64, np.float32)


def active_pixels(tile: Tile, mask: Mask | None) -> NDArray[np.int32] | None:
    """Return the flat indices in the tile of the pixels to be evaluated; None: all of them.

    Raises
    ------
    PlanError
        A tile of 2^31 pixels or more.
    """
    if tile.pixels >= 2**31:
        raise PlanError(
            f"a tile of {tile.shape[0]} x {tile.shape[1]} pixels: the compiled loops count up to"
            " 2^31 pixels in a tile; give a smaller --tile"
        )
    if mask is None or mask.all():
        return None
    return np.flatnonzero(mask).astype(np.int32)


def chosen(plane: NDArray[np.float64], active: NDArray[np.int32] | None) -> NDArray[np.float64]:
    """Return the values of the pixels to be evaluated, contiguous, from a tile's plane."""
    flat = np.ascontiguousarray(plane, dtype=np.float64).reshape(-1)
    return flat if active is None else flat[active]


def scatter(
    values: NDArray[_Number], tile: Tile, active: NDArray[np.int32] | None, elsewhere: float
) -> NDArray[_Number]:
    """Return a tile's plane from the values of the pixels that were evaluated."""
    if active is None:
        return values.reshape(tile.shape)
    plane = np.full(tile.pixels, elsewhere, dtype=values.dtype)
    plane[active] = values
    return plane.reshape(tile.shape)
