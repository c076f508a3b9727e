"""Where a sub-pixel is, and in which direction the diffracted ray leaves for it.

Formulas: specification, geometry (S-GEO).  A model of several panels stands for the first here:
see :meth:`nbdask.geometry.model.Model.at`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


def positions(
    model: Model,
    along_slow: NDArray[np.floating[Any]],
    along_fast: NDArray[np.floating[Any]],
    depth: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Return where points of the detector are, in the lab frame [m].

    Parameters
    ----------
    model : Model
    along_slow, along_fast : float64 arrays that broadcast
        Distance from the outer corner of the first pixel along the detector's axes [m].
    depth : float
        Depth in the sensor, along the normal [m].

    Returns
    -------
    x, y, z : float64 arrays of the broadcast shape
    """
    x, y, z = (
        along_fast * model.fast[i]
        + along_slow * model.slow[i]
        + depth * model.normal[i]
        + model.origin[i]
        for i in range(3)
    )
    return _on_sphere(model, y, z) if model.curved else (x, y, z)


def rays_to(
    model: Model,
    along_slow: NDArray[np.floating[Any]],
    along_fast: NDArray[np.floating[Any]],
    depth: float = 0.0,
) -> Ray:
    """Return the rays to points of the detector.

    Parameters
    ----------
    model : Model
    along_slow, along_fast : float arrays that broadcast
        Distance from the outer corner of the first pixel along the detector's axes [m].
    depth : float
        Depth in the sensor, along the normal [m].

    Returns
    -------
    Ray
        Unit vectors from the sample, and path [m].
    """
    x, y, z = positions(model, along_slow, along_fast, depth)
    path = np.sqrt(x * x + y * y + z * z)
    return Ray(x / path, y / path, z / path, path)


def plane_coordinates(model: Model, points: Array) -> tuple[Array, Array]:
    """Return where points of the detector's plane are along its axes.

    Parameters
    ----------
    model : Model
        Of one panel.
    points : (..., 3) float64 array
        From the outer corner of the first pixel [m].

    Returns
    -------
    slow, fast : (...,) float64 arrays
        Pixel coordinates: 0 is the centre of the first pixel.
    """
    on_fast, on_slow = points @ model.fast, points @ model.slow
    cosine = float(model.fast @ model.slow)
    sine = 1.0 - cosine * cosine
    fast = (on_fast - cosine * on_slow) / sine / model.pitch_fast - 0.5
    slow = (on_slow - cosine * on_fast) / sine / model.pitch_slow - 0.5
    return np.asarray(slow), np.asarray(fast)


def rays_at(
    model: Model,
    slow: NDArray[np.integer],
    fast: NDArray[np.integer],
    layer: int = 0,
    sub_slow: int = 0,
    sub_fast: int = 0,
) -> Ray:
    """Return the rays to one sub-pixel of the pixels at some rows and columns.

    Parameters
    ----------
    model : Model
    slow : (n_slow,) integer array
        Detector indices of the rows.
    fast : (n_fast,) integer array
        Detector indices of the columns.
    layer, sub_slow, sub_fast : int
        As for :func:`sub_pixel_rays`.
    """
    along_slow = _along(model, slow, sub_slow, model.pitch_slow)
    along_fast = _along(model, fast, sub_fast, model.pitch_fast)
    return rays_to(model, along_slow[:, None], along_fast[None, :], layer * model.layer_step)


def sub_pixel_positions(
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
    along_slow = _along(model, np.arange(tile.slow0, tile.slow1), sub_slow, model.pitch_slow)
    along_fast = _along(model, np.arange(tile.fast0, tile.fast1), sub_fast, model.pitch_fast)
    return positions(model, along_slow[:, None], along_fast[None, :], layer * model.layer_step)


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
    """
    slow, fast = np.arange(tile.slow0, tile.slow1), np.arange(tile.fast0, tile.fast1)
    return rays_at(model, slow, fast, layer, sub_slow, sub_fast)


def _along(model: Model, index: NDArray[np.integer], sub: int, pitch: float) -> Array:
    """Return how far along its axis the middle of one sub-pixel of each pixel is [m]."""
    n = model.oversample
    size = pitch / n
    return np.asarray(size * (index * n + sub) + size / 2.0)


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
