"""Photons by reflection in plain NumPy: each evaluation of the reference kernel is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nbdask.geometry.model import Array, Model
from nbdask.kernels.interface import Mask
from nbdask.kernels.reference import Bool, ReferenceKernel, Term
from nbdask.physics.position import Ray
from nbdask.physics.scattering import Scattering, whole_indices
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.truth import sums


def sums_of(model: Model, tile: Tile, mask: Mask | None, factor: Array, phi: Array) -> Array:
    """Return the sums of a tile by reflection.

    Parameters
    ----------
    model : Model
        Of one crystal.
    tile : Tile
        At most as many pixels as the reference kernel evaluates at once.
    mask : (n_slow, n_fast) bool array or None
    factor : (n_slow, n_fast) float64 array
        Photons per unit of each pixel's sum.
    phi : (n_orientations,) float64 array
        Spindle angle of each orientation [rad].

    Returns
    -------
    (n, COLUMNS) float64 array
        As of :func:`~.sums.merged`.
    """
    # Halos are no part of a reflection, nor is what a sum starts from.
    bare = replace(model.at(tile.panel), diffuse=None, background=0.0)
    watcher = _Attribution(bare, tile, factor, phi)
    ReferenceKernel(watcher=watcher).partial(bare, tile, StepRange(0, bare.n_steps), mask)
    return sums.merged(watcher.parts)


class _Attribution:
    """Watches the reference kernel, and adds each term to its reflection."""

    def __init__(self, model: Model, tile: Tile, factor: Array, phi: Array) -> None:
        self.model, self.factor, self.phi = model, factor, phi
        self.slow, self.fast = np.mgrid[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1].astype(
            np.float64
        )
        self.parts: list[Array] = []
        self.per_wavelength = 0.0

    def sub_pixel(self, layer: int, sub: int, ray: Ray) -> None:
        """Pass over the rays of a sub-pixel."""

    def source(self, source: int, q: Scattering, counted: Bool, factor: Array | None) -> None:
        """Note the wavelength of a source."""
        self.per_wavelength = 1.0 / float(self.model.wavelength[source])

    def term(self, term: Term) -> None:
        """Add the photons of an evaluation of each pixel to those of the nearest reflection."""
        photons = np.where(term.counted, term.term, 0.0) * self.factor
        code = sums.codes(*whole_indices(self.model, *term.indices))
        there = photons != 0.0
        rows = np.empty((int(there.sum()), sums.COLUMNS))
        rows[:, sums.CODE] = code[there]
        values = (1.0, self.slow, self.fast, self.phi[term.orientation], self.per_wavelength)
        for column, value in enumerate(values, start=1):
            rows[:, column] = (photons * value)[there]
        self.parts = [sums.merged([*self.parts, sums.merged([rows])])]

    def finish(self, capture: Array, polar: Array, omega: Array, image: Array) -> None:
        """Pass over what pixels take once: it is in the factor."""
