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


def nearest(index: Array) -> Array:
    """Return the nearest whole number, halves going down: ``ceil(x - 0.5)``."""
    whole: Array = np.ceil(index - 0.5)
    return whole
