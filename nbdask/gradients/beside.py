"""What is beside the crystal: amorphous materials, shadows; and how they change with parameters.

Formulas: specification, background (S-BKG), gradients (S-GRAD-23).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Array, Model
from nbdask.geometry.numbers import NUDGE
from nbdask.geometry.slopes import Slopes
from nbdask.gradients.reference import nudged_model
from nbdask.kernels.interface import Mask
from nbdask.physics.amorphous import pixel_rays, seen_by
from nbdask.physics.coarse import amorphous_photons
from nbdask.physics.factors import capture_fraction, solid_angle
from nbdask.physics.shadow import transmission
from nbdask.plan.tiles import Tile

#: Derivatives that move rays or change what a ray sees.
_SEEN = ("origin", "fast", "slow", "normal", "close_distance", "layer_step", "mu", "wavelength")
#: Pixels that are computed at once.
_BLOCK = 65536


def add_beside(
    model: Model, slopes: Sequence[Slopes], tile: Tile, mask: Mask | None, planes: Array
) -> Array:
    """Return photons and derivatives with materials in the beam and behind shadows.

    Parameters
    ----------
    model : Model
    slopes : sequence of Slopes
        Of ``model.at(tile.panel)``.
    tile : Tile
    mask : (n_slow, n_fast) bool array or None
        Pixels where it is False stay 0.
    planes : (1 + parameters, n_slow, n_fast) float64 array
        Of the crystal; changed in place.
    """
    if model.amorphous:
        more = amorphous_photons(model, tile, mask)
        planes[0] += _where(mask, more)
        for plane, entry in zip(planes[1:], slopes, strict=True):
            change = amorphous_slope(model.at(tile.panel), entry, tile, more)
            if change is not None:
                plane += _where(mask, change)
    share = transmission(model, tile)
    if share is not None:
        planes *= share
    return planes


def _where(mask: Mask | None, values: Array) -> Array:
    return values if mask is None else np.where(mask, values, 0.0)


def amorphous_slope(model: Model, entry: Slopes, tile: Tile, photons: Array) -> Array | None:
    """Return the derivative of the photons of amorphous materials; None: it is 0.

    Parameters
    ----------
    model : Model
        Of one panel.
    entry : Slopes
    tile : Tile
    photons : (n_slow, n_fast) float64 array
        The photons themselves, which are proportional to the fluence.
    """
    change: Array | None = None
    if entry.scale is not None:
        change = photons * (float(entry.scale) / model.scale)
    if entry.kahn is not None or any(getattr(entry, name) is not None for name in _SEEN):
        seen = _seen_slope(model, entry, tile)
        change = seen if change is None else change + seen
    return change


def _seen_slope(model: Model, entry: Slopes, tile: Tile) -> Array:
    """Return the derivative of what pixels see, one by one, by a complex step."""
    kahn: Any = model.kahn + 1j * NUDGE * float(entry.get("kahn"))
    nudged = replace(nudged_model(model, entry), kahn=kahn)
    found = np.zeros(tile.pixels)
    for begin in range(0, tile.pixels, _BLOCK):
        place = np.arange(begin, min(begin + _BLOCK, tile.pixels))
        slow, fast = np.divmod(place, tile.shape[1])
        at = (slow + tile.slow0).astype(np.float64), (fast + tile.fast0).astype(np.float64)
        found[place] = _nudged_photons(nudged, *at).imag / NUDGE
    return found.reshape(tile.shape)


def _nudged_photons(model: Model, slow: Array, fast: Array) -> NDArray[np.complex128]:
    """Return photons as :func:`~nbdask.physics.amorphous.photons_at`, of a nudged model."""
    total = np.zeros(slow.shape, dtype=np.complex128)
    for layer in range(model.layers):
        for sub in range(model.oversample**2):
            ray = pixel_rays(model, slow, fast, layer, sub)
            lit: Any = capture_fraction(model, layer, ray) * solid_angle(model, ray)
            for source in range(model.n_sources):
                stol, weight = seen_by(model, source, ray)
                total += lit * weight * _squares(model, stol)
    return total / (model.oversample**2 * model.n_sources)


def _squares(model: Model, stol: Any) -> NDArray[np.complex128]:
    total = np.zeros(stol.shape, dtype=np.complex128)
    for material in model.amorphous:
        amplitude: Any = material.curve(stol)
        sign = np.where(amplitude.real > 0.0, 1.0, 0.0 if material.clipped else -1.0)
        total += material.factor * sign * amplitude * amplitude
    return total
