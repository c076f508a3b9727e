"""Derivative planes of a tile, from whichever kernel computes its sums."""

from __future__ import annotations

from typing import Protocol

from nbdask.geometry.model import Array, Model
from nbdask.gradients.basis import Basis, unrotated
from nbdask.gradients.reference import finish_planes, slope_sums
from nbdask.kernels.carry_over import (
    FirstEvaluation,
    carry_over_parts,
    find_first_evaluation,
    holds,
)
from nbdask.kernels.interface import Mask
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile


class SlopeKernel(Protocol):
    """One implementation of the derivatives.

    Attributes
    ----------
    name : str
    """

    name: str

    def sums(
        self, model: Model, basis: Basis, tile: Tile, steps: StepRange, mask: Mask | None
    ) -> Array:
        """Return the sums of a range of steps and their derivatives; see ``slope_sums``."""

    def finish(
        self, model: Model, basis: Basis, tile: Tile, sums: Array, mask: Mask | None
    ) -> Array:
        """Turn them into photons; see ``finish_planes``."""

    def planes(self, model: Model, basis: Basis, tile: Tile, mask: Mask | None) -> Array:
        """Return :meth:`finish` of the sums of all steps."""


class ReferenceSlopes:
    """The derivatives in plain NumPy."""

    name = "numpy"

    def sums(
        self, model: Model, basis: Basis, tile: Tile, steps: StepRange, mask: Mask | None
    ) -> Array:
        """Return the sums of a range of steps and their derivatives."""
        return slope_sums(model, basis, tile, steps, mask)

    def finish(
        self, model: Model, basis: Basis, tile: Tile, sums: Array, mask: Mask | None
    ) -> Array:
        """Turn them into photons."""
        return finish_planes(model, basis, tile, sums, mask)

    def planes(self, model: Model, basis: Basis, tile: Tile, mask: Mask | None) -> Array:
        """Return photons and derivatives of all steps."""
        sums = self.sums(model, basis, tile, StepRange(0, model.n_steps), mask)
        return self.finish(model, basis, tile, sums, mask)


def tile_planes(
    kernel: SlopeKernel, model: Model, basis: Basis, tile: Tile, mask: Mask | None = None
) -> Array:
    """Return the photons of a tile and their derivatives.

    Parameters
    ----------
    kernel : SlopeKernel
    model : Model
    basis : Basis
    tile : Tile
    mask : (n_slow, n_fast) bool array or None
        True where a pixel is evaluated; None: everywhere.

    Returns
    -------
    (1 + parameters, n_slow, n_fast) float64 array
        Photons per pixel, then photons per unit of each parameter.
    """
    if model.lattices:
        return _several(kernel, model, basis, tile, mask)
    planes = kernel.planes(model, basis, tile, mask)
    first = None if model.first_axes is None else find_first_evaluation(model.at(tile.panel))
    if first is not None and holds(tile, first):
        first = first._replace(panel=tile.panel)
        place = (slice(None), first.slow - tile.slow0, first.fast - tile.fast0)
        planes[place] = _first_pixel(kernel, model, basis, first)
    return planes


def _several(
    kernel: SlopeKernel, model: Model, basis: Basis, tile: Tile, mask: Mask | None
) -> Array:
    """Return photons and derivatives of several crystals, whose sums add up."""
    sums = sum(
        factor * kernel.sums(own, part, tile, StepRange(0, own.n_steps), mask)
        for (factor, own), part in zip(model.lattices, basis.lattices, strict=True)
    )
    return kernel.finish(model, basis, tile, sums, mask)  # type: ignore[arg-type]


def _first_pixel(kernel: SlopeKernel, model: Model, basis: Basis, first: FirstEvaluation) -> Array:
    """Return the one pixel whose first evaluation has no rotation to carry over (S-SEM-01)."""
    pixel = first.pixel
    still = unrotated(basis, model.n_domains)
    sums = sum(
        kernel.sums(part, basis if part is model else still, pixel, steps, None)
        for part, steps in carry_over_parts(model, first)
    )
    return kernel.finish(model, basis, pixel, sums, None)[:, 0, 0]  # type: ignore[arg-type]


def reference_planes(model: Model, basis: Basis, tile: Tile, mask: Mask | None = None) -> Array:
    """Return the same by the NumPy gradient."""
    return tile_planes(ReferenceSlopes(), model, basis, tile, mask)
