"""The NumPy gradient: plane by plane, readable, the measure of the compiled one.

Where a ray goes, and the scattering vector, indices, solid angle and capture that follow, are the
functions of ``physics`` evaluated on a model whose numbers are nudged along the imaginary axis;
what has kinks or look-ups (lattice factor, amplitude, polarization) has slopes of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Array, Model
from nbdask.geometry.numbers import NUDGE
from nbdask.geometry.slopes import Slopes
from nbdask.gradients.amplitude import amplitude_slopes
from nbdask.gradients.basis import Basis
from nbdask.gradients.lattice import LatticeSlopes, form_slope, lattice_slopes
from nbdask.kernels.interface import Mask
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.position import Ray, sub_pixel_rays
from nbdask.physics.scattering import Scattering, miller_index, scattering_vector, within_dmin
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

_NUDGED = (
    "fast", "slow", "normal", "distance", "close_distance", "layer_step", "mu", "wavelength",
)  # fmt: skip


def slope_sums(
    model: Model, basis: Basis, tile: Tile, steps: StepRange, mask: Mask | None
) -> Array:
    """Return the sum of each pixel over a range of steps, and its derivatives.

    Parameters
    ----------
    model : Model
    basis : Basis
    tile : Tile
    steps : StepRange
    mask : (n_slow, n_fast) bool array or None

    Returns
    -------
    (1 + parameters, n_slow, n_fast) float64 array
        The sum itself comes first.
    """
    model, basis = model.at(tile.panel), basis.at(model, tile.panel)
    return np.stack(
        [_Sums(model, tile, mask).run(steps), *(
            _Slope(model, basis.frames, slopes, tile, mask).run(steps) for slopes in basis.slopes
        )]
    )  # fmt: skip


def nudged_model(model: Model, slopes: Slopes) -> Model:
    """Return the model with the numbers of detector and sources nudged along their slopes."""
    nudge = 1j * NUDGE
    changed = {name: getattr(model, name) + nudge * slopes.get(name) for name in _NUDGED}
    # All arrays of the nudged model are complex, whatever its slopes are.
    origin = model.origin + nudge * slopes.get("origin")
    return replace(model, origin=origin, **changed)


class _Sums:
    """The sum over a range of steps."""

    def __init__(self, model: Model, tile: Tile, mask: Mask | None) -> None:
        self.model, self.tile, self.mask = model, tile, mask
        self.total = np.zeros(tile.shape)
        self.factor: Array | float = 1.0
        self.factor_slope: Array | float = 0.0

    def run(self, steps: StepRange) -> Array:
        """Go through the steps and return the sum."""
        model, turns = self.model, len(self.model.axes)
        for step in range(steps.start, steps.stop):
            outer, inner = divmod(step, model.n_inner)
            source, orientation = divmod(inner, turns)
            layer, sub = divmod(outer, model.oversample**2)
            if step == steps.start or orientation == 0:
                ray = sub_pixel_rays(model, self.tile, layer, *divmod(sub, model.oversample))
                counted = within_dmin(model, scattering_vector(model, source, ray))
                if self.mask is not None:
                    counted = counted & self.mask
                self.begin(layer, sub, source, ray)
            self.total += np.where(counted, self.term(source, orientation), 0.0)
        return self.total

    def begin(self, layer: int, sub: int, source: int, ray: Ray) -> None:
        """Note where the next terms are evaluated."""
        self.q = scattering_vector(self.model, source, ray)
        self.factor = _term_factor(self.model, layer, source, ray)

    def term(self, source: int, orientation: int) -> Array:
        """Return what is added to the sum."""
        model = self.model
        h, k, el = (miller_index(axis, self.q) for axis in model.axes[orientation])
        amplitude, _ = amplitude_slopes(model, h, k, el, source)
        lattice = lattice_slopes(model, h, k, el).squared
        weight = model.weight[source] * model.domain_weight[orientation % model.n_domains]
        result: Array = amplitude**2 * lattice * weight * self.factor
        return result


class _Slope(_Sums):
    """The derivative of the sum over a range of steps with respect to one parameter."""

    def __init__(
        self, model: Model, frames: Array, slopes: Slopes, tile: Tile, mask: Mask | None
    ) -> None:
        super().__init__(model, tile, mask)
        self.slopes = slopes
        self.nudged = nudged_model(model, slopes)
        self.axes = axis_slopes(model, frames, slopes)
        self.form = form_slope(model, slopes)

    def begin(self, layer: int, sub: int, source: int, ray: Ray) -> None:
        """Note where the next terms are evaluated, and how that changes."""
        super().begin(layer, sub, source, ray)
        along = divmod(sub, self.model.oversample)
        moved = sub_pixel_rays(self.nudged, self.tile, layer, *along)
        self.moved_q = scattering_vector(self.nudged, source, moved)
        self.factor_slope = _term_factor_slope(
            self.model, self.nudged, self.slopes, layer, source, ray, moved
        )

    def term(self, source: int, orientation: int) -> Array:
        """Return what is added to the derivative."""
        model = self.model
        h, k, el = (miller_index(axis, self.q) for axis in model.axes[orientation])
        moves = [
            miller_index(axis, _imaginary(self.moved_q)) + miller_index(slope, self.q)
            for axis, slope in zip(model.axes[orientation], self.axes[orientation], strict=True)
        ]
        found = lattice_slopes(model, h, k, el)
        amplitude, steep = amplitude_slopes(model, h, k, el, source)
        squared, slope = amplitude**2, self._lattice(found, moves)
        value, change = squared * found.squared, squared * slope
        if steep is not None:
            along = sum(d * move for d, move in zip(steep, moves, strict=True))
            change = change + 2.0 * amplitude * along * found.squared
        change = change + 2.0 * amplitude * self.slopes.get("default_F") * found.squared
        weight = model.weight[source] * model.domain_weight[orientation % model.n_domains]
        result: Array = weight * (change * self.factor + value * self.factor_slope)
        return result

    def _lattice(self, found: LatticeSlopes, moves: list[Array]) -> Array:
        """Return the change of the squared lattice factor."""
        change = sum(d * move for d, move in zip(found.by_index, moves, strict=True))
        if self.slopes.n_cells is not None:
            change = change + sum(
                d * n for d, n in zip(found.by_cells, self.slopes.n_cells, strict=True)
            )
        if self.slopes.fudge is not None:
            change = change + found.by_fudge * self.slopes.fudge
        if self.form is not None:
            change = change + found.by_form * sum(
                self.form[i, j] * found.away[i] * found.away[j] for i in range(3) for j in range(3)
            )
        return np.asarray(change)


def axis_slopes(model: Model, frames: Array, slopes: Slopes) -> Array:
    """Return the derivatives of ``model.axes``, (n, 3, 3)."""
    result = np.zeros_like(model.axes)
    if slopes.axes is not None:
        result = result + slopes.axes @ frames
    if slopes.spin is not None:
        result = result + np.cross(slopes.spin[:, None, :], model.axes)
    return result


def _imaginary(q: Scattering) -> Scattering:
    return Scattering(*(part.imag / NUDGE for part in q))


def _term_factor(model: Model, layer: int, source: int, ray: Ray) -> Array | float:
    """Return the product of the factors that go with every term."""
    product: Array | float = 1.0
    if model.each_thick:
        product = product * capture_fraction(model, layer, ray)
    if model.each_polar:
        product = product * polarization_factor(model, source, ray)
    if model.each_omega:
        product = product * solid_angle(model, ray)
    return product


def _term_factor_slope(
    model: Model, nudged: Model, slopes: Slopes, layer: int, source: int, ray: Ray, moved: Ray
) -> Array | float:
    """Return the derivative of the factors that go with every term."""
    product: Any = 1.0 + 0.0j
    if model.each_thick:
        product = product * capture_fraction(nudged, layer, moved)
    if model.each_polar:
        polar, slope = polarization_slope(model, slopes, source, ray, moved)
        product = product * (polar + 1j * NUDGE * slope)
    if model.each_omega:
        product = product * solid_angle(nudged, moved)
    return np.asarray(product).imag / NUDGE


def polarization_slope(
    model: Model, slopes: Slopes, source: int, ray: Ray, moved: Ray
) -> tuple[Array, Array]:
    """Return the polarization factor of one source and its derivative (S-GRAD-11)."""
    vectors = (model.incident[source], model.polar_e[source], model.polar_b[source])
    (c, dc), (e, de), (b, db) = (_along(vector, ray, moved) for vector in vectors)
    length = e * e + b * b
    with np.errstate(invalid="ignore", divide="ignore"):
        # Psi is 0 on the beam, and its slope taken to be.
        double = np.where(length > 0.0, (e * e - b * b) / length, 1.0)
        turn = np.where(length > 0.0, 4.0 * e * b * (b * de - e * db) / length**2, 0.0)
    across, kahn = 1.0 - c * c, model.kahn
    factor = 0.5 * (1.0 + c * c - kahn * double * across)
    slope = (
        c * dc * (1.0 + kahn * double)
        - 0.5 * kahn * turn * across
        - 0.5 * double * across * slopes.get("kahn")
    )
    return factor, slope


def _along(vector: Array, ray: Ray, moved: Ray) -> tuple[Array, Array]:
    """Return a ray's component along a vector and its derivative."""
    parts = zip(vector, (ray.x, ray.y, ray.z), (moved.x, moved.y, moved.z), strict=True)
    value, slope = np.zeros_like(ray.x), np.zeros_like(ray.x)
    for component, still, going in parts:
        value = value + component * still
        slope = slope + component * (going.imag / NUDGE)
    return value, slope


def finish_planes(model: Model, basis: Basis, tile: Tile, sums: Array, mask: Mask | None) -> Array:
    """Turn the sums over all steps into photons and their derivatives.

    Parameters
    ----------
    model, basis, tile, mask
        As for :func:`slope_sums`.
    sums : (1 + parameters, n_slow, n_fast) float64 array

    Returns
    -------
    (1 + parameters, n_slow, n_fast) float64 array
        Photons per pixel, and per unit of each parameter; 0 where nothing is evaluated.
    """
    model, basis = model.at(tile.panel), basis.at(model, tile.panel)
    planes = np.empty_like(sums)
    for number, slopes in enumerate((Slopes(), *basis.slopes)):
        start, terms = _once(model, slopes, tile)
        background = model.background + 1j * NUDGE * slopes.get("background")
        total = sums[0] + (1j * NUDGE * sums[number] if number else 0.0)
        scale = model.scale + 1j * NUDGE * slopes.get("scale")
        photons = scale * (background * start + total * terms)
        planes[number] = photons.imag / NUDGE if number else photons.real
    if mask is not None:
        planes[:, ~mask] = 0.0
    return planes


def _once(model: Model, slopes: Slopes, tile: Tile) -> tuple[NDArray[np.complex128], ...]:
    """Return the factors of a pixel's background and of its terms, nudged."""
    nudged = nudged_model(model, slopes)
    front = sub_pixel_rays(nudged, tile, 0, 0, 0)
    back = sub_pixel_rays(nudged, tile, model.layers - 1, 0, 0)
    factors: list[tuple[bool, Any]] = [
        (model.each_thick, capture_fraction(nudged, model.layers - 1, back)),
        (model.each_omega, solid_angle(nudged, front)),
    ]
    if model.polarized:
        factors.append((model.each_polar, _pixel_polarization(model, nudged, slopes, tile)))
    start = terms = np.ones(tile.shape, dtype=np.complex128)
    for each, factor in factors:
        start = start * factor
        terms = terms if each else terms * factor
    return start, terms


def _pixel_polarization(
    model: Model, nudged: Model, slopes: Slopes, tile: Tile
) -> NDArray[np.complex128]:
    """Return the one polarization factor of each pixel, nudged; see ``pixel_polarization``."""
    result = np.zeros(tile.shape, dtype=np.complex128)
    for layer in range(model.layers):
        for sub in range(model.oversample**2):
            along = divmod(sub, model.oversample)
            ray = sub_pixel_rays(model, tile, layer, *along)
            moved = sub_pixel_rays(nudged, tile, layer, *along)
            for source in range(model.n_sources):
                open_ = result.real == 0.0
                if not open_.any():
                    return result
                passed = within_dmin(model, scattering_vector(model, source, ray))
                factor, slope = polarization_slope(model, slopes, source, ray, moved)
                result = np.where(open_ & passed, factor + 1j * NUDGE * slope, result)
    return result
