"""Pixel factors: solid angle, polarization, capture in a sensor layer.

Formulas: specification, intensity (S-INT).  All results are float64 arrays, as those of the rays;
sources and layers are counted from 0, layers from the side that the beam meets first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.physics.position import Ray

Array = NDArray[np.float64]


def solid_angle(model: Model, ray: Ray) -> Array:
    """Return the solid angle of a whole pixel seen at a sub-pixel's place [sr].

    ``area / R^2 * close_distance / R``; a point pixel: ``1 / R^2`` [1/m^2].
    """
    if model.point_pixel:
        return 1.0 / ray.path / ray.path
    return model.area / ray.path / ray.path * model.close_distance / ray.path


def scattering_cosine(model: Model, source: int, ray: Ray) -> Array:
    """Return the cosine of the scattering angle 2 theta: the product incident . d."""
    x, y, z = model.incident[source]
    cosine: Array = x * ray.x + y * ray.y + z * ray.z
    return cosine


def polarization_factor(model: Model, source: int, ray: Ray) -> Array:
    """Return the polarization factor of one source (Kahn et al., J. Appl. Cryst. 15 (1982) 330).

    ``0.5 * (1 + c^2 - K cos(2 psi) (1 - c^2))`` with c the cosine of the scattering angle and psi
    the angle between the ray's projection on the source's E-B plane and E.
    """
    c = scattering_cosine(model, source, ray)
    squared = c * c
    if model.kahn == 0.0:
        unpolarized: Array = 0.5 * (1.0 + squared)
        return unpolarized
    e, b = model.polar_e[source], model.polar_b[source]
    on_e = ray.x * e[0] + ray.y * e[1] + ray.z * e[2]
    on_b = ray.x * b[0] + ray.y * b[1] + ray.z * b[2]
    psi = -np.arctan2(on_b, on_e)
    factor: Array = 0.5 * (1.0 + squared - model.kahn * np.cos(2.0 * psi) * (1.0 - squared))
    return factor


def capture_fraction(model: Model, layer: int, ray: Ray) -> Array:
    """Return the share of the photons that stop in one sensor layer; 1 without a thickness.

    ``exp(-t dz mu / rho) - exp(-(t + 1) dz mu / rho)`` with rho the cosine between ray and
    detector normal; negative where the ray comes from behind the sensor.
    """
    if model.thickness == 0.0:
        return np.ones_like(ray.path)
    rho = ray.x * model.normal[0] + ray.y * model.normal[1] + ray.z * model.normal[2]
    depth = model.layer_step * model.mu
    captured: Array = np.exp(-layer * depth / rho) - np.exp(-(layer + 1) * depth / rho)
    return captured
