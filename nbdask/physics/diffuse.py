"""Diffuse scattering around reflections: liquid-like motion.

Formulas: specification, diffuse scattering (S-DIF).
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.physics.scattering import nearest
from nbdask.physics.structure_factor import nearest_amplitude

Array = NDArray[np.float64]


def quadratic(form: Array, x: Array, y: Array, z: Array) -> Array:
    """Return the value of a quadratic form of six numbers: xx, yy, zz, 2 xy, 2 xz, 2 yz."""
    squares = form[0] * x * x + form[1] * y * y + form[2] * z * z
    return np.asarray(squares + form[3] * x * y + form[4] * x * z + form[5] * y * z)


def diffuse_term(model: Model, h: Array, k: Array, el: Array, source: int) -> Array:
    """Return what is added to (F_cell F_latt)^2, for fractional indices of one shape."""
    total = np.zeros_like(h)
    if model.diffuse is None:
        return total
    whole = [nearest(index) for index in (h, k, el)]
    motions = []
    for form in model.diffuse.forms:
        w = quadratic(form[6:], *whole)
        motions.append(w * np.exp(-w))
    reach = range(-model.diffuse.stencil, model.diffuse.stencil + 1)
    for offset in product(reach, repeat=3):
        near = [index + d for index, d in zip(whole, offset, strict=True)]
        strength = nearest_amplitude(model, near[0], near[1], near[2], source) ** 2
        away = [index - at for index, at in zip((h, k, el), near, strict=True)]
        halos = np.zeros_like(h)
        for form, motion in zip(model.diffuse.forms, motions, strict=True):
            halos += motion / (1.0 + quadratic(form[:6], *away)) ** 2
        total += strength * halos
    return model.diffuse.factor * total
