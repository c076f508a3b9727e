"""The table of shots: what each was made of, from its experiment alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nbdask import units
from nbdask.experiment import Experiment
from nbdask.geometry.build import domain_count
from nbdask.geometry.vectors import Array
from nbdask.truth.setting import Setting


def shot_values(experiment: Experiment) -> dict[str, Any]:
    """Return the values of one shot, by the names of :data:`.columns.SHOTS`.

    Parameters
    ----------
    experiment : Experiment
        Files that it names are not read.

    Returns
    -------
    dict of str to array
        In the units of the columns, of the shape of their dimensions after that of shots.
    """
    settings = [Setting.of(single) for single in experiment.singles]
    weights = [experiment.weight, *(lattice.weight for lattice in experiment.lattices)]
    crystals = [_crystal(*pair) for pair in zip(settings, weights, strict=True)]
    own = {name: np.array([one[name] for one in crystals]) for name in crystals[0]}
    return own | _shot(settings[0])


def _shot(setting: Setting) -> dict[str, Any]:
    """Return what all crystals of a shot share."""
    experiment, sources = setting.experiment, setting.sources
    per = 1.0 / sources.wavelength
    spread = math.sqrt(
        float(sources.weight @ (per - setting.per_wavelength) ** 2) / float(sources.weight.sum())
    )
    return {
        "fluence": experiment.beam.effective_fluence,
        "flux": experiment.beam.flux,
        "energy": units.EV_ANGSTROM * setting.per_wavelength * 1e-10,
        "bandwidth": spread / setting.per_wavelength,
        "wavelength": 1e10 / setting.per_wavelength,
        "phi": units.to_degrees(float(setting.phi.mean())),
        "osc": units.to_degrees(setting.osc),
        "distance": setting.detector.distance * 1e3,
    }


def _crystal(setting: Setting, weight: float) -> dict[str, Any]:
    """Return what is a crystal's own."""
    experiment, frame = setting.experiment, setting.crystal
    crystal = experiment.crystal
    axes = setting.axes_at(float(setting.phi.mean())) @ setting.turn.T * 1e10
    lengths = np.linalg.norm(axes, axis=1)
    return {
        "reciprocal_matrix": np.linalg.inv(axes),
        "cell": cell_of(axes),
        "quaternion": quaternion_of(axes),
        "mosaic_spread": np.degrees(_widths(experiment)),
        "mosaic_domains": domain_count(experiment),
        "n_cells": frame.n_cells,
        "size": lengths * np.array(frame.n_cells),
        "scale": weight * units.R_E_SQR * experiment.beam.effective_fluence,
        "mosaic_seed": crystal.mosaic_seed,
        "misset_seed": -1 if crystal.misset_seed is None else crystal.misset_seed,
    }


def _widths(experiment: Experiment) -> tuple[float, ...]:
    """Return the mosaic spread about a, c* x a and c* [rad]."""
    crystal = experiment.crystal
    if crystal.mosaic.domains:
        return (math.nan,) * 3
    return crystal.mosaic.widths or (crystal.mosaic_spread or 0.0,) * 3


def cell_of(axes: Array) -> Array:
    """Return a, b, c and alpha, beta, gamma [degrees] of rows a, b, c, (6,)."""
    lengths = np.linalg.norm(axes, axis=1)
    products = (axes @ axes.T) / np.outer(lengths, lengths)
    cosines = np.clip([products[1, 2], products[0, 2], products[0, 1]], -1.0, 1.0)
    return np.concatenate([lengths, np.degrees(np.arccos(cosines))])


def quaternion_of(axes: Array) -> Array:
    """Return U of a crystal as a unit quaternion w, x, y, z; NaN of a left-handed one.

    Parameters
    ----------
    axes : (3, 3) float64 array
        Rows a, b, c.

    Returns
    -------
    (4,) float64 array
        U turns a crystal whose a is along x, and b in the x-y plane at y above 0, into this one.
    """
    a = axes[0] / np.linalg.norm(axes[0])
    c_star = np.cross(axes[0], axes[1])
    c_star /= np.linalg.norm(c_star)
    if axes[2] @ c_star < 0.0:
        return np.full(4, np.nan)
    u = np.array([a, np.cross(c_star, a), c_star]).T
    # The eigenvector of Bar-Itzhack's matrix, which no angle makes ill-conditioned.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = u
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    found = np.linalg.eigh(symmetric)[1][:, -1]
    first = found[np.flatnonzero(np.abs(found) > 1e-12)[0]]
    return np.asarray(found * np.sign(first))
