"""What turns the sum of a pixel into its photons."""

from __future__ import annotations

import numpy as np

from nbdask.geometry.model import Array, Model
from nbdask.kernels.interface import Mask
from nbdask.kernels.reference import pixel_polarization
from nbdask.physics.factors import capture_fraction, solid_angle
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.shadow import transmission
from nbdask.plan.tiles import Tile


def photons_per_unit(model: Model, tile: Tile, mask: Mask | None) -> Array:
    """Return the photons of each pixel of a tile per unit of its sum of terms.

    Parameters
    ----------
    model : Model
        Of all panels and crystals.
    tile : Tile
    mask : (n_slow, n_fast) bool array or None
        Pixels where it is False get 0.

    Returns
    -------
    (n_slow, n_fast) float64 array
        Scale, the factors that pixels take once, and what passes a beam stop and shadows.
    """
    one = model.at(tile.panel)
    factor = np.full(tile.shape, one.scale)
    if not one.each_polar:
        factor = factor * pixel_polarization(one, tile)
    if not one.each_omega:
        factor = factor * solid_angle(one, sub_pixel_rays(one, tile, 0, 0, 0))
    if not one.each_thick:
        last = one.layers - 1
        factor = factor * capture_fraction(one, last, sub_pixel_rays(one, tile, last, 0, 0))
    share = transmission(model, tile)
    if share is not None:
        factor = factor * share
    if mask is not None:
        factor = factor * mask
    return factor
