"""Photons that amorphous materials scatter, pixel by pixel.

Formulas: specification, background (S-BKG).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.background.formula import exp_of, signed_square
from nbdask.geometry.model import Model
from nbdask.physics.factors import solid_angle
from nbdask.physics.position import Ray, rays_to
from nbdask.physics.scattering import scattering_vector

Array = NDArray[np.float64]


class Seen(NamedTuple):
    """What some pixels see of the materials; arrays as the pixels.

    Attributes
    ----------
    photons : float64 array
    least, most : float64 arrays
        sin(theta)/lambda [1/m] over sources, at the front's first sub-pixel.
    path : float64 array
        Distance from the sample there [m].
    """

    photons: Array
    least: Array
    most: Array
    path: Array


def photons_at(model: Model, slow: Array, fast: Array) -> Seen:
    """Return the photons of pixels, the mean over their sub-pixels.

    Parameters
    ----------
    model : Model
        Of one panel.
    slow, fast : (n,) float64 arrays
        Indices of pixels; they need be neither whole nor on the detector.
    """
    total = np.zeros(slow.shape)
    first: Seen | None = None
    for layer in range(model.layers):
        for sub in range(model.oversample**2):
            ray = pixel_rays(model, slow, fast, layer, sub)
            lit = _captured(model, layer, ray) * solid_angle(model, ray)
            least, most = np.full(slow.shape, np.inf), np.zeros(slow.shape)
            for source in range(model.n_sources):
                stol, weight = seen_by(model, source, ray)
                total += lit * weight * squared_amplitudes(model, stol)
                if first is None:
                    least, most = np.minimum(least, stol), np.maximum(most, stol)
            first = first or Seen(total, least, most, ray.path)
    assert first is not None
    return first._replace(photons=total / (model.oversample**2 * model.n_sources))


def pixel_rays(model: Model, slow: Array, fast: Array, layer: int, sub: int) -> Ray:
    """Return the rays to one sub-pixel of a panel's pixels."""
    sub_slow, sub_fast = divmod(sub, model.oversample)
    n = model.oversample
    along_slow = model.pitch_slow * (slow + (sub_slow + 0.5) / n)
    along_fast = model.pitch_fast * (fast + (sub_fast + 0.5) / n)
    return rays_to(model, along_slow, along_fast, layer * model.layer_step)


def squared_amplitudes(model: Model, stol: Array) -> Array:
    """Return the sum over materials of molecules times sign(F) F^2, times r_e^2 and fluence."""
    total = np.zeros(stol.shape)
    for material in model.amorphous:
        total += material.factor * signed_square(material.curve(stol), material.clipped)
    return total


def seen_by(model: Model, source: int, ray: Ray) -> tuple[Array, Array]:
    """Return sin(theta)/lambda [1/m] for one source, and its weight times the Kahn factor."""
    q = scattering_vector(model, source, ray)
    stol = 0.5 * np.sqrt(q.x * q.x + q.y * q.y + q.z * q.z)
    weight = model.weight[source]
    if not model.polarized:
        return stol, np.full(stol.shape, weight)
    x, y, z = model.incident[source]
    c = x * ray.x + y * ray.y + z * ray.z
    factor = 1.0 + c * c
    if model.kahn != 0.0:
        e, b = model.polar_e[source], model.polar_b[source]
        on_e = ray.x * e[0] + ray.y * e[1] + ray.z * e[2]
        on_b = ray.x * b[0] + ray.y * b[1] + ray.z * b[2]
        ee, bb = on_e * on_e, on_b * on_b
        # cos(2 psi) without the angle; along the beam, where there is none, its factor is 0.
        factor = factor - model.kahn * (ee - bb) / np.maximum(ee + bb, 1e-300) * (1.0 - c * c)
    return stol, weight * (0.5 * factor)


def _captured(model: Model, layer: int, ray: Ray) -> Array:
    """Return the share that stops in a layer, as :func:`~.factors.capture_fraction`."""
    if model.thickness == 0.0:
        return np.ones_like(ray.path)
    rho = ray.x * model.normal[0] + ray.y * model.normal[1] + ray.z * model.normal[2]
    depth = model.layer_step * model.mu / rho
    share: Array = exp_of(-layer * depth) - exp_of(-(layer + 1) * depth)
    return share
