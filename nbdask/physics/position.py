"""Where a sub-pixel is, and in which direction the diffracted ray leaves for it.

Formulas: specification, geometry (S-GEO).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]


class Ray(NamedTuple):
    """Diffracted rays of one sub-pixel of every pixel of a tile.

    Attributes
    ----------
    x, y, z : (n_slow, n_fast) float64 arrays
        Unit vector from the sample to the sub-pixel's centre.
    path : (n_slow, n_fast) float64 array
        Distance from the sample [m].
    """

    x: Array
    y: Array
    z: Array
    path: Array


def sub_pixel_places(
    model: Model, tile: Tile, layer: int, sub_slow: int, sub_fast: int
) -> tuple[Array, Array, Array]:
    """Return where one sub-pixel of every pixel of a tile is, in the lab frame [m].

    Parameters
    ----------
    model, tile, layer, sub_slow, sub_fast
        As for :func:`sub_pixel_rays`.

    Returns
    -------
    x, y, z : (n_slow, n_fast) float64 arrays
    """
    n = model.oversample
    size = model.pixel_size / n
    fast = np.arange(tile.fast0, tile.fast1)[None, :]
    slow = np.arange(tile.slow0, tile.slow1)[:, None]
    along_fast = size * (fast * n + sub_fast) + size / 2.0
    along_slow = size * (slow * n + sub_slow) + size / 2.0
    depth = layer * model.layer_step
    x, y, z = (
        along_fast * model.fast[i]
        + along_slow * model.slow[i]
        + depth * model.normal[i]
        + model.origin[i]
        for i in range(3)
    )
    return _on_sphere(model, y, z) if model.curved else (x, y, z)


def sub_pixel_rays(model: Model, tile: Tile, layer: int, sub_slow: int, sub_fast: int) -> Ray:
    """Return the rays to one sub-pixel of every pixel of a tile.

    Parameters
    ----------
    model : Model
    tile : Tile
    layer : int
        Sensor layer, 0 at the front.
    sub_slow, sub_fast : int
        Sub-pixel indices, 0 to ``model.oversample - 1``.

    Returns
    -------
    Ray
    """
    x, y, z = sub_pixel_places(model, tile, layer, sub_slow, sub_fast)
    path = np.sqrt(x * x + y * y + z * z)
    return Ray(x / path, y / path, z / path, path)


def _on_sphere(model: Model, y: Array, z: Array) -> tuple[Array, Array, Array]:
    """Put flat lab positions onto the sphere around the sample, reading y and z as angles."""
    start = model.distance * model.beam
    x1, y1, z1 = _rotate(
        (np.full_like(y, start[0]), np.full_like(y, start[1]), np.full_like(y, start[2])),
        model.slow,
        y / model.distance,
    )
    return _rotate((x1, y1, z1), model.fast, z / model.distance)


def _rotate(v: tuple[Array, Array, Array], axis: Array, angle: Array) -> tuple[Array, Array, Array]:
    """Rotate vectors about one axis, each by its own right-handed angle [rad]."""
    s, c = np.sin(angle), np.cos(angle)
    x, y, z = v
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return (
        axis[0] * along + x * c + (-axis[2] * y + axis[1] * z) * s,
        axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s,
        axis[2] * along + z * c + (-axis[1] * x + axis[0] * y) * s,
    )
