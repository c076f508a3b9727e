"""Scattering vector, resolution limit and fractional Miller indices.

Formulas: specification, intensity (S-INT).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.physics.position import Ray

Array = NDArray[np.float64]


class Scattering(NamedTuple):
    """Scattering vectors q = (d - incident) / wavelength: components [1/m], arrays as the rays'."""

    x: Array
    y: Array
    z: Array


def scattering_vector(model: Model, source: int, ray: Ray) -> Scattering:
    """Return q of every pixel's ray for one source."""
    wave = model.wavelength[source]
    x, y, z = model.incident[source]
    return Scattering((ray.x - x) / wave, (ray.y - y) / wave, (ray.z - z) / wave)


def within_dmin(model: Model, q: Scattering) -> NDArray[np.bool_]:
    """Return True where a term counts: no limit, q = 0, or 1/|q| of at least dmin."""
    if model.dmin <= 0.0:
        return np.ones(q.x.shape, dtype=np.bool_)
    half = 0.5 * np.sqrt(q.x * q.x + q.y * q.y + q.z * q.z)
    with np.errstate(divide="ignore"):
        return np.asarray((half == 0.0) | (model.dmin <= 0.5 / half))


def miller_index(axis: Array, q: Scattering) -> Array:
    """Return the fractional index along one real-space cell vector [m]: the product axis . q.

    Parameters
    ----------
    axis : (3,) float64 array
        a, b or c as it is turned at that step [m].
    q : Scattering
        [1/m]

    Returns
    -------
    float64 array
        Dimensionless.
    """
    index: Array = axis[0] * q.x + axis[1] * q.y + axis[2] * q.z
    return index


def nearest_nodes(
    model: Model, h: Array, k: Array, el: Array
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """Return the nearest node of a centred lattice, and the way to it.

    Parameters
    ----------
    model : Model
        Of spherical spots.
    h, k, el : float64 arrays
        Fractional indices.

    Returns
    -------
    whole : three float64 arrays
        h, k, l of the node.
    away : three float64 arrays
        From the node, in the basis of nodes.
    """
    assert model.nodes is not None
    place = [row[0] * h + row[1] * k + row[2] * el for row in np.linalg.inv(model.nodes)]
    low = [np.floor(x) for x in place]
    best = np.full(h.shape, np.inf)
    chosen, away = [np.zeros(h.shape) for _ in low], [np.zeros(h.shape) for _ in low]
    for corner in np.ndindex(2, 2, 2):
        rest = [x - y - c for x, y, c in zip(place, low, corner, strict=True)]
        length = sum(
            (form[0] * rest[0] + form[1] * rest[1] + form[2] * rest[2]) ** 2
            for form in model.spot_form
        )
        better = length < best
        best = np.where(better, length, best)
        for i in range(3):
            chosen[i] = np.where(better, low[i] + corner[i], chosen[i])
            away[i] = np.where(better, rest[i], away[i])
    first, second, third = (
        row[0] * chosen[0] + row[1] * chosen[1] + row[2] * chosen[2] for row in model.nodes
    )
    return (first, second, third), (away[0], away[1], away[2])


def whole_indices(model: Model, h: Array, k: Array, el: Array) -> tuple[Array, Array, Array]:
    """Return the whole indices whose amplitude fractional ones take."""
    if model.nodes is not None:
        return nearest_nodes(model, h, k, el)[0]
    return nearest(h), nearest(k), nearest(el)


def nearest(index: Array) -> Array:
    """Return the nearest whole number, halves going down: ``ceil(x - 0.5)``."""
    whole: Array = np.ceil(index - 0.5)
    return whole
