"""From merged sums to photons: the factors that each pixel takes once, background and scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbdask.kernels.numba_formulas import polarization
from nbdask.kernels.numba_jit import block, entry, full_width_vectors
from nbdask.kernels.numba_rays import (
    find_rays,
    multiply_captured,
    multiply_solid_angle,
    place_pixels,
    scatter,
)
from nbdask.kernels.numba_rows import any_zero, fill
from nbdask.kernels.numba_work import COUNTED, DX, DY, DZ, PLANE, SUM, WEIGHT


@entry
def finish_pixels(
    place: Any,
    light: Any,
    each: Any,
    running: bool,
    background: float,
    scale: float,
    tile: tuple[int, int, int],
    active: Any,
    work: Any,
    sums: Any,
    gains: Any,
    image: Any,
) -> None:
    """Turn sums over all steps into photons.

    Parameters
    ----------
    place, light, each
        See :class:`~nbdask.kernels.numba_types.Inputs`.
    running : bool
        Whether the running sum was multiplied after each term; ``gains`` is read only then.
    background, scale : float
        What the sum starts from, and photons per unit of the sum.
    tile, active, work
        As for :func:`~.numba_loops.sum_steps`.
    sums, gains : (n,) float64 arrays
        Of the pixels to be evaluated.
    image : (n,) float32 array
        Photons of these pixels; written.
    """
    full_width_vectors()
    size = work.wide[SUM].size
    # As a variable, so that no second version is compiled for the constant.
    zero = int(np.int64(0))
    terms, start, weight = work.wide[PLANE], work.wide[SUM], work.wide[WEIGHT]
    for begin in range(0, sums.size, size):
        pixels = min(size, sums.size - begin)
        count = place_pixels(tile, active, begin, pixels, work)
        # Row PLANE collects the factor of the terms, row SUM that of the background.
        fill(terms, 1.0, count)
        fill(start, 1.0, count)
        find_rays(place, zero, zero, zero, work, count)
        fill(weight, 1.0, count)
        multiply_solid_angle(place, work, count)
        _collect(each.omega, work, count)
        if light.polarized:
            _first_polarization(place, light, work, count)
            _collect(each.polar, work, count)
        if place.depth >= 0.0:
            last = place.layers - 1
            if last > 0 or light.polarized:
                # The search for a polarization factor may have left other rays.
                find_rays(place, last, zero, zero, work, count)
            fill(weight, 1.0, count)
            multiply_captured(place, last, work, count)
            _collect(each.thick, work, count)
        if running:
            for i in range(pixels):
                whole = gains[begin + i] * background + sums[begin + i]
                image[begin + i] = np.float32(scale * whole * terms[i])
        else:
            for i in range(pixels):
                whole = background * start[i] + sums[begin + i] * terms[i]
                image[begin + i] = np.float32(scale * whole)


@block
def _collect(in_terms: bool, work: Any, count: int) -> None:
    """Multiply row WEIGHT into the background's factor, and into the terms' unless they have it."""
    full_width_vectors()
    terms, start, weight = work.wide[PLANE], work.wide[SUM], work.wide[WEIGHT]
    for i in range(count):
        start[i] *= weight[i]
    if not in_terms:
        for i in range(count):
            terms[i] *= weight[i]


@block
def _first_polarization(place: Any, light: Any, work: Any, count: int) -> None:
    """Store in row WEIGHT each pixel's polarization factor.

    It is that of the first source that passes dmin, at the first sub-pixel where one does; one
    that is exactly 0 gives way to the next.  Where none does it is 0.  The rays of the very
    first sub-pixel are there already.
    """
    weight = work.wide[WEIGHT]
    fill(weight, 0.0, count)
    for layer in range(place.layers):
        for sub_slow in range(place.oversample):
            for sub_fast in range(place.oversample):
                if layer + sub_slow + sub_fast > 0:
                    find_rays(place, layer, sub_slow, sub_fast, work, count)
                for source in range(light.weight.size):
                    if scatter(light, source, work, count):
                        _fill_polarization(light, source, work, count)
                    if not any_zero(weight, count):
                        return


@block
def _fill_polarization(light: Any, source: int, work: Any, count: int) -> None:
    """Put a source's polarization factor where row WEIGHT is still 0 and the source counts."""
    full_width_vectors()
    dx, dy, dz = work.wide[DX], work.wide[DY], work.wide[DZ]
    weight, counted = work.wide[WEIGHT], work.wide[COUNTED]
    x, y, z = light.incident[source, 0], light.incident[source, 1], light.incident[source, 2]
    ex, ey, ez = light.polar_e[source, 0], light.polar_e[source, 1], light.polar_e[source, 2]
    bx, by, bz = light.polar_b[source, 0], light.polar_b[source, 1], light.polar_b[source, 2]
    kahn = light.kahn
    if light.dmin <= 0.0:
        fill(counted, 1.0, count)
    for i in range(count):
        c = dx[i] * x + dy[i] * y + dz[i] * z
        on_e = dx[i] * ex + dy[i] * ey + dz[i] * ez
        on_b = dx[i] * bx + dy[i] * by + dz[i] * bz
        factor = counted[i] * polarization(c, on_e, on_b, kahn)
        weight[i] = factor if weight[i] == 0.0 else weight[i]
