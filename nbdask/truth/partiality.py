"""The photons of a reflection in full: of a still in exact position, of a scan passed through.

Formulas: specification, truth (S-TRUTH).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import GAUSS, ROUND, SPHERICAL, SQUARE, Array, Model
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.lattice import GAUSS_WIDTH, ROUND_SCALE, TOPHAT_LIMIT
from nbdask.physics.position import Ray
from nbdask.physics.structure_factor import nearest_amplitude
from nbdask.truth.prediction import Prediction, turned
from nbdask.truth.setting import Setting
from nbdask.truth.sums import Reflections


def squared_amplitudes(model: Model, hkl: NDArray[np.int64]) -> Array:
    """Return |F|^2 of whole indices, the mean over all sources by their weights.

    Parameters
    ----------
    model : Model
    hkl : (n, 3) int64 array

    Returns
    -------
    (n,) float64 array
        [electrons^2]
    """
    h, k, el = hkl.T.astype(np.float64)
    total = np.zeros(len(h))
    tables, firsts = np.unique(model.f_table, return_index=True)
    for table, source in zip(tables, firsts, strict=True):
        share = model.weight[model.f_table == table].sum() / model.weight.sum()
        total += share * nearest_amplitude(model, h, k, el, int(source)) ** 2
    return total


def full_photons(
    setting: Setting, model: Model, found: Reflections, predicted: Prediction, squared: Array
) -> Array:
    """Return the photons of each reflection in full.

    Parameters
    ----------
    setting : Setting
    model : Model
        Of one crystal and one panel; the scale includes the crystal's weight.
    found : Reflections
    predicted : Prediction
    squared : (n,) float64 array
        |F|^2 [electrons^2].

    Returns
    -------
    (n,) float64 array
        Of a still with the node on the sphere for every source and domain; of a scan of a crystal
        that is turned all the way through, at the scan's speed.
    """
    wave = 1.0 / found.per_wavelength
    d = predicted.s1 * wave[:, None]
    steps = model.n_sources * model.n_domains * model.n_phi * model.oversample**2
    scale = model.scale * steps * _factors(model, d)
    axis = setting.detector.spindle
    if setting.osc == 0.0:
        # As the crystal at spindle angle 0 sees it.
        area = plane_integral(model, setting.crystal.axes, turned(d, axis, -found.phi))
    else:
        nodes = turned(found.hkl @ setting.star.T, axis, found.phi)
        speed = np.abs(np.einsum("ij,ij->i", d, np.cross(axis, nodes)))
        with np.errstate(divide="ignore"):
            area = volume_integral(model, setting.crystal.axes) / (abs(setting.osc) * speed)
    return np.asarray(scale * squared * wave**2 * area)


def _factors(model: Model, d: Array) -> Array:
    """Return polarization, capture and the model's solid angle over the true one, by direction."""
    path = _path(model, d)
    ray = Ray(d[:, 0], d[:, 1], d[:, 2], path)
    factor = model.area * model.close_distance / path**3
    factor = solid_angle(model, ray) / factor
    if model.polarized:
        total = sum(
            weight * polarization_factor(model, source, ray)
            for source, weight in enumerate(model.weight)
        )
        factor = factor * total / model.weight.sum()
    layers = range(model.layers)
    if model.each_thick:
        return np.asarray(factor * sum(capture_fraction(model, layer, ray) for layer in layers))
    return np.asarray(factor * model.layers * capture_fraction(model, model.layers - 1, ray))


def _path(model: Model, d: Array) -> Array:
    """Return the way to a panel along rays [m]."""
    if model.curved:
        return np.full(len(d), model.distance)
    return np.asarray((model.origin @ model.normal) / (d @ model.normal))


def plane_integral(model: Model, axes: Array, normal: Array) -> Array:
    """Return the integral of F_latt^2 over planes through a node [1/m^2].

    Parameters
    ----------
    model : Model
        Its shape, cells and fudge are read.
    axes : (3, 3) float64 array
        Rows a, b, c [m] of the crystal as ``normal`` is given for it.
    normal : (n, 3) float64 array
        Unit normals of the planes.

    Returns
    -------
    (n,) float64 array
    """
    if model.shape == SQUARE:
        return _of_square(model, axes, normal)
    per_area, _ = _contents(model)
    form = _form(model, axes)
    along = np.linalg.solve(form.T, normal.T)
    with np.errstate(divide="ignore"):
        return np.asarray(per_area / (abs(np.linalg.det(form)) * np.linalg.norm(along, axis=0)))


def volume_integral(model: Model, axes: Array) -> float:
    """Return the integral of F_latt^2 around a node [1/m^3]; parameters as above."""
    if model.shape == SQUARE:
        return model.n_cells_total / abs(float(np.linalg.det(axes)))
    return _contents(model)[1] / abs(float(np.linalg.det(_form(model, axes))))


def _form(model: Model, axes: Array) -> Array:
    """Return M with rho = |M dq|, the radius that the lattice factor depends on; dq in 1/m."""
    if model.shape == ROUND:
        return np.asarray(np.diag(model.n_cells) @ axes)
    to_nodes = np.eye(3) if model.nodes is None else np.linalg.inv(model.nodes)
    return np.asarray(model.spot_form @ to_nodes @ axes)


def _contents(model: Model) -> tuple[float, float]:
    """Return the integrals of F_latt^2 over a plane and over space of rho."""
    fudge, squared = model.fudge, model.n_cells_total**2
    if fudge == 0.0:
        return np.inf, np.inf
    if model.shape == ROUND:
        # 3 j1(x) / x: the integrals of j1^2 / x and j1^2 are 1/4 and pi/6.
        height = squared * ROUND_SCALE**2
        return height * 4.5 / (np.pi * fudge), height * 6.0 / (np.pi * fudge**1.5)
    if model.shape in (GAUSS, SPHERICAL):
        per = 1.0 / fudge if model.shape == SPHERICAL else 0.5 * np.pi * GAUSS_WIDTH / fudge
        return squared * per, squared * per**1.5
    limit = TOPHAT_LIMIT / fudge
    return squared * np.pi * limit, squared * 4.0 / 3.0 * np.pi * limit**1.5


def _of_square(model: Model, axes: Array, normal: Array) -> Array:
    """Return the plane integral of a square crystal: that of its overlap with itself, shifted."""
    n = model.n_cells
    per = np.abs(normal @ np.linalg.inv(axes))
    with np.errstate(divide="ignore"):
        end = (n / per).min(axis=1)
    one, two, three = per.T
    terms = (
        n[0] * n[1] * n[2],
        -(n[1] * n[2] * one + n[0] * n[2] * two + n[0] * n[1] * three),
        n[0] * two * three + n[1] * one * three + n[2] * one * two,
        -one * two * three,
    )
    total = sum(term * end ** (power + 1) / (power + 1) for power, term in enumerate(terms))
    return np.asarray(2.0 * total / abs(float(np.linalg.det(axes))))
