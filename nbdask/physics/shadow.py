"""What stands between sample and detector: a beam stop, and shadows from a file.

Formulas: specification, background (S-BKG).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import BeamStop, Model
from nbdask.physics.amorphous import pixel_rays
from nbdask.physics.coarse import amorphous_photons
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]


def transmission(model: Model, tile: Tile) -> Array | None:
    """Return the share of the photons that reaches each pixel of a tile; None: all everywhere.

    Returns
    -------
    (n_slow, n_fast) float64 array or None
    """
    share: Array | None = None
    if model.shadow is not None:
        share = model.shadow.read(*tile.bounds)
    if model.beamstop is not None:
        stop = _beside_the_stop(model.at(tile.panel), model.beamstop, tile)
        share = stop if share is None else share * stop
    return share


def _beside_the_stop(model: Model, stop: BeamStop, tile: Tile) -> Array:
    """Return 0 behind the beam stop, 1 beside it, and between over the width of a pixel.

    The stop is a disc across the beam, of the size of its shadow at the detector's distance.
    """
    slow, fast = np.mgrid[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1].astype(np.float64)
    n = model.oversample
    middle = 0.5 * (n - 1.0) / n
    ray = pixel_rays(model, (slow + middle).reshape(-1), (fast + middle).reshape(-1), 0, 0)
    d = (ray.x, ray.y, ray.z)
    onward = sum(d[i] * model.beam[i] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        away = [stop.distance * d[i] / onward - stop.centre[i] for i in range(3)]
        along = sum(away[i] * model.beam[i] for i in range(3))
        squared = sum((away[i] - along * model.beam[i]) ** 2 for i in range(3))
        width = max(model.pitch_slow, model.pitch_fast)
        outside = (np.sqrt(squared) - stop.radius) / width + 0.5
    share = np.where(onward > 0.0, np.clip(outside, 0.0, 1.0), 1.0)
    return np.asarray(share.reshape(tile.shape))


def beside_the_crystal(
    model: Model, tile: Tile, image: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Return the pixels of a tile with background and shadows; the same where there are none.

    Parameters
    ----------
    model : Model
    tile : Tile
    image : (n_slow, n_fast) float32 array
        Photons from the crystal.
    mask : (n_slow, n_fast) bool array or None
        Pixels where it is False stay as they are.
    """
    share = transmission(model, tile)
    if share is None and not model.amorphous:
        return image
    total = image.astype(np.float64)
    if model.amorphous:
        more = amorphous_photons(model, tile, mask)
        total += more if mask is None else np.where(mask, more, 0.0)
    if share is not None:
        total *= share
    with np.errstate(over="ignore", invalid="ignore"):
        return total.astype(np.float32)
