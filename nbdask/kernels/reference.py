"""The NumPy kernel: built from the formulas of ``physics``, readable, the measure of the others."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.interface import MOMENTS, Kernel, Mask, Moments, Partial
from nbdask.physics.diffuse import diffuse_term
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.lattice import lattice_factor
from nbdask.physics.position import Ray, sub_pixel_rays
from nbdask.physics.scattering import (
    Scattering,
    miller_index,
    scattering_vector,
    whole_indices,
    within_dmin,
)
from nbdask.physics.structure_factor import cell_factor
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]

#: Pixels that are evaluated at once, so that temporaries stay in cache.
_BLOCK = 32768


class Term(NamedTuple):
    """One evaluation of every pixel of a block, and what it made of the running sums.

    Attributes
    ----------
    orientation : int
        phi step * domains + domain.
    axes : (3, 3) float64 array
        a, b, c [m].
    indices : three float64 arrays
        Fractional h, k, l.
    lattice, amplitude, term : float64 arrays
        F_latt, F_cell, and what is added to the sum.
    counted : bool array
        False: left out of the sum.
    total, gain : float64 arrays
        Effect of the step range so far on the running sum; see :class:`~.interface.Partial`.
    """

    orientation: int
    axes: Array
    indices: tuple[Array, Array, Array]
    lattice: Array
    amplitude: Array
    term: Array
    counted: Bool
    total: Array
    gain: Array


class Watcher(Protocol):
    """Is shown the kernel's own intermediate values, block by block, in the order of the steps."""

    def sub_pixel(self, layer: int, sub: int, ray: Ray) -> None:
        """Note that a sub-pixel of a layer begins: its number and its rays."""

    def source(self, source: int, q: Scattering, counted: Bool, factor: Array | None) -> None:
        """Note that a source begins: scattering vectors, where dmin passes, factor of terms."""

    def term(self, term: Term) -> None:
        """Note an evaluation that was added."""

    def finish(self, capture: Array, polar: Array, omega: Array, image: Array) -> None:
        """Note the pixels' capture fraction, polarization factor, solid angle and photons."""


class ReferenceKernel(Kernel):
    """The physics in plain NumPy, float64.

    Parameters
    ----------
    precision : str
        ``"float64"``.
    watcher : Watcher, optional
        Is shown every intermediate value; it changes none.
    """

    name = "numpy"
    precision = "float64"
    version = "1"

    def __init__(self, precision: str = "float64", watcher: Watcher | None = None) -> None:
        if precision != self.precision:
            raise BackendError(f"--precision = {precision!r}: the numpy kernel has only float64")
        self.watcher = watcher

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        model = model.at(tile.panel)
        total = np.zeros(tile.shape)
        gain = np.ones(tile.shape) if model.running_product else None
        outside = 0
        rows = max(1, _BLOCK // max(1, tile.shape[1]))
        for first in range(0, tile.shape[0], rows):
            part = slice(first, min(first + rows, tile.shape[0]))
            block = Tile(tile.slow0 + part.start, tile.slow0 + part.stop, tile.fast0, tile.fast1)
            sums = _Sums(model, block, None if mask is None else mask[part], self.watcher)
            with np.errstate(over="ignore", invalid="ignore"):
                sums.run(steps)
            total[part] = sums.total
            if gain is not None:
                gain[part] = sums.gain
            outside += sums.outside
        return Partial(total, gain, outside)

    def finish(
        self, model: Model, tile: Tile, partial: Partial, mask: Mask | None
    ) -> NDArray[np.float32]:
        """Turn the merged sum into photons; see :class:`~.interface.Kernel`."""
        model = model.at(tile.panel)
        front = sub_pixel_rays(model, tile, 0, 0, 0)
        back = sub_pixel_rays(model, tile, model.layers - 1, 0, 0)
        factors = (
            (model.each_thick, capture_fraction(model, model.layers - 1, back)),
            (model.each_polar, pixel_polarization(model, tile)),
            (model.each_omega, solid_angle(model, front)),
        )
        background = np.full(tile.shape, model.background)
        intensity = partial.total
        if model.running_product:
            assert partial.gain is not None
            intensity = intensity + partial.gain * background
            background = np.zeros(tile.shape)
        for each, factor in factors:
            background = background * factor
            if not each:
                intensity = intensity * factor
        with np.errstate(over="ignore", invalid="ignore"):
            image = model.scale * (background + intensity)
            if mask is not None:
                image = np.where(mask, image, 0.0)
            if self.watcher is not None:
                capture, polar, omega = (factor for _, factor in factors)
                self.watcher.finish(capture, polar, omega, image)
            return image.astype(np.float32)

    def moments(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Moments:
        """Sum the moments of ``steps``; see :class:`~.interface.Kernel`."""
        model = model.at(tile.panel)
        sums, gain = np.zeros((MOMENTS, *tile.shape)), np.ones(tile.shape)
        rows = max(1, _BLOCK // max(1, tile.shape[1]))
        for first in range(0, tile.shape[0], rows):
            part = slice(first, min(first + rows, tile.shape[0]))
            block = Tile(tile.slow0 + part.start, tile.slow0 + part.stop, tile.fast0, tile.fast1)
            found = _Moments(model, block, None if mask is None else mask[part], None)
            with np.errstate(over="ignore", invalid="ignore"):
                found.run(steps)
            sums[:, part], gain[part] = found.moments, found.gain
        return Moments(sums, gain if model.running_product else None)

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes of the temporaries: about 40 planes of a block, 16 of the tile."""
        return 8 * (40 * min(pixels, 2 * _BLOCK) + 16 * pixels)


def pixel_polarization(model: Model, tile: Tile) -> Array:
    """Return the one polarization factor of each pixel, for the model of its panel.

    It is that of the first source that passes dmin, at the first sub-pixel where one does; 0
    where none does.  A factor that is exactly 0 gives way to the next.
    """
    if not model.polarized:
        return np.ones(tile.shape)
    factor = np.zeros(tile.shape)
    for layer in range(model.layers):
        for sub in range(model.oversample**2):
            ray = sub_pixel_rays(model, tile, layer, *divmod(sub, model.oversample))
            for source in range(model.n_sources):
                open_ = factor == 0.0
                if not open_.any():
                    return factor
                passed = within_dmin(model, scattering_vector(model, source, ray))
                factor = np.where(open_ & passed, polarization_factor(model, source, ray), factor)
    return factor


class _Sums:
    """Running sums of one block of pixels."""

    def __init__(
        self, model: Model, tile: Tile, mask: Mask | None, watcher: Watcher | None
    ) -> None:
        self.watcher = watcher
        self.model = model
        self.tile = tile
        self.mask = mask
        self.total = np.zeros(tile.shape)
        self.gain = np.ones(tile.shape)
        self.outside = 0

    def run(self, steps: StepRange) -> None:
        """Go through a range of flat steps, sub-pixel by sub-pixel."""
        if self.mask is not None and not self.mask.any():
            return
        inner = self.model.n_inner
        for outer in range(steps.start // inner, -(-steps.stop // inner)):
            start = max(steps.start - outer * inner, 0)
            stop = min(steps.stop - outer * inner, inner)
            layer, sub = divmod(outer, self.model.oversample**2)
            self._sub_pixel(layer, sub, StepRange(start, stop))

    def _sub_pixel(self, layer: int, sub: int, steps: StepRange) -> None:
        model = self.model
        ray = sub_pixel_rays(model, self.tile, layer, *divmod(sub, model.oversample))
        if self.watcher is not None:
            self.watcher.sub_pixel(layer, sub, ray)
        orientations = model.n_phi * model.n_domains
        for source in range(steps.start // orientations, -(-steps.stop // orientations)):
            start = max(steps.start - source * orientations, 0)
            stop = min(steps.stop - source * orientations, orientations)
            q = scattering_vector(model, source, ray)
            counted = within_dmin(model, q)
            if self.mask is not None:
                counted = counted & self.mask
            factor = self._term_factor(layer, source, ray)
            if self.watcher is not None:
                self.watcher.source(source, q, counted, factor)
            for orientation in range(start, stop):
                self._term(source, orientation, q, counted, factor)

    def _term_factor(self, layer: int, source: int, ray: Ray) -> Array | None:
        """Return the product of the factors that go with every term, or None."""
        model = self.model
        factor: Array | None = None
        if model.each_thick:
            factor = capture_fraction(model, layer, ray)
            if model.running_product and model.thickness == 0.0:
                factor = np.zeros_like(factor)  # what C's two exponentials give without a sensor
        if model.each_polar:
            polar = polarization_factor(model, source, ray)
            factor = polar if factor is None else factor * polar
        if model.each_omega:
            omega = solid_angle(model, ray)
            factor = omega if factor is None else factor * omega
        return factor

    def _term(
        self, source: int, orientation: int, q: Scattering, counted: Bool, factor: Array | None
    ) -> None:
        """Add one term (F_cell F_latt)^2 to every pixel that counts."""
        model = self.model
        h, k, el = (miller_index(axis, q) for axis in model.axes[orientation])
        lattice = lattice_factor(model, h, k, el)
        amplitude, outside = cell_factor(model, h, k, el, source)
        if outside is not None:
            self.outside += int(np.count_nonzero(outside & counted & (lattice != 0.0)))
        weight = model.weight[source] * model.domain_weight[orientation % model.n_domains]
        term = amplitude * amplitude * lattice * lattice
        if model.diffuse is not None:
            term = term + diffuse_term(model, h, k, el, source)
        term = term * weight
        if not model.running_product:
            if factor is not None:
                term = term * factor
            self.total += np.where(counted, term, 0.0)
        else:
            assert factor is not None
            if model.background == 0.0:
                counted = counted & (lattice != 0.0)
            self.total = np.where(counted, (self.total + term) * factor, self.total)
            self.gain = np.where(counted, self.gain * factor, self.gain)
        if self.watcher is not None:
            axes, indices = model.axes[orientation], (h, k, el)
            parts = (orientation, axes, indices, lattice, amplitude, term, counted)
            self.watcher.term(Term(*parts, self.total, self.gain))


class _Moments(_Sums):
    """Running moments of one block of pixels."""

    def __init__(
        self, model: Model, tile: Tile, mask: Mask | None, watcher: Watcher | None
    ) -> None:
        super().__init__(model, tile, mask, watcher)
        self.moments = np.zeros((MOMENTS, *tile.shape))

    def _term(
        self, source: int, orientation: int, q: Scattering, counted: Bool, factor: Array | None
    ) -> None:
        """Add what one term gives: its weight, and that times wavelength and whole indices."""
        model = self.model
        h, k, el = (miller_index(axis, q) for axis in model.axes[orientation])
        lattice = lattice_factor(model, h, k, el)
        amplitude, _ = cell_factor(model, h, k, el, source)
        weight = model.weight[source] * model.domain_weight[orientation % model.n_domains]
        term = amplitude * amplitude * lattice * lattice * weight
        wavelength = np.full_like(term, 1e10 * model.wavelength[source])
        values = np.stack([np.ones_like(term), wavelength, *whole_indices(model, h, k, el)])
        factor = np.ones_like(term) if factor is None else factor
        if not model.running_product:
            self.moments += np.where(counted, term * factor * values, 0.0)
            return
        if model.background == 0.0:
            counted = counted & (lattice != 0.0)
        self.moments = np.where(counted, (self.moments + term * values) * factor, self.moments)
        self.gain = np.where(counted, self.gain * factor, self.gain)
