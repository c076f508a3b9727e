"""Where a reflection is expected by Ewald's construction alone, and how far its node is from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nbdask.geometry.model import Array, Model
from nbdask.physics.position import plane_coordinates
from nbdask.truth.setting import Setting
from nbdask.truth.sums import Reflections


class Prediction(NamedTuple):
    """What the geometry says of each reflection; vectors in the lab frame.

    Attributes
    ----------
    s1 : (n, 3) float64 array
        Scattered wave vector, 1 / wavelength long [1/m].
    excitation_error : (n,) float64 array
        Distance of the node from the sphere of the mean wavelength, outside above 0 [1/m].
    slow, fast : (n,) float64 arrays
        Where s1 meets the front of the panel; NaN where it does not, and on curved detectors.
    """

    s1: Array
    excitation_error: Array
    slow: Array
    fast: Array


def predict(setting: Setting, model: Model, found: Reflections) -> Prediction:
    """Return what the geometry says of the reflections on a panel.

    Each is looked at by the mean spindle angle and the mean energy of its own photons, at the mean
    orientation of all domains.

    Parameters
    ----------
    setting : Setting
    model : Model
        Of one panel.
    found : Reflections
    """
    nodes = turned(found.hkl @ setting.star.T, setting.detector.spindle, found.phi)
    own = nodes + found.per_wavelength[:, None] * setting.beam
    mean = nodes + setting.per_wavelength * setting.beam
    d = own / np.linalg.norm(own, axis=1, keepdims=True)
    slow, fast = _on_plane(model, d)
    return Prediction(
        d * found.per_wavelength[:, None],
        np.linalg.norm(mean, axis=1) - setting.per_wavelength,
        slow,
        fast,
    )


def turned(vectors: Array, axis: Array, angles: Array) -> Array:
    """Turn each of some vectors, (n, 3), about a unit vector by its own angle [rad]."""
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along = (vectors @ axis)[:, None] * axis
    return np.asarray(along + cosine * (vectors - along) + sine * np.cross(axis, vectors))


def _on_plane(model: Model, d: Array) -> tuple[Array, Array]:
    """Return where rays meet a panel, in pixels."""
    if model.curved:
        nowhere = np.full(len(d), np.nan)
        return nowhere, nowhere
    forward = d @ model.normal
    with np.errstate(divide="ignore", invalid="ignore"):
        path = (model.origin @ model.normal) / forward
        path = np.where(path > 0.0, path, np.nan)
    return plane_coordinates(model, path[:, None] * d - model.origin)
