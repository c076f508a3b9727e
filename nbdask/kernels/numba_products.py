"""C semantics of factors that go with every term: the running sum is multiplied after each one.

This rare mode is evaluated pixel by pixel with the library's functions: which terms count depends
on whether a lattice factor is exactly 0.
"""

from __future__ import annotations

from math import cos, exp, pi, sin, sqrt
from typing import Any

import numpy as np

from nbdask.geometry.model import GAUSS, ROUND, SQUARE
from nbdask.kernels.numba_amplitude import place_of
from nbdask.kernels.numba_jit import block, chosen_by_type, entry
from nbdask.kernels.numba_rays import find_rays, place_pixels, scatter, term_factors
from nbdask.kernels.numba_rows import copy, fill
from nbdask.kernels.numba_tricubic import interpolated_squared
from nbdask.kernels.numba_types import ConstantAmplitude, TricubicAmplitude
from nbdask.kernels.numba_work import COUNTED, PLANE, QX, QY, QZ, TOTAL, WEIGHT
from nbdask.physics.lattice import GAUSS_WIDTH, ROUND_SCALE, TOPHAT_LIMIT


@block
def _grating(x: float, cells: float) -> float:
    away = x - np.rint(x)
    if away == 0.0:
        return cells
    many = cells * away
    return sin(pi * (many - np.rint(many))) / sin(pi * away)


@block
def lattice_factor(crystal: Any, h: float, k: float, el: float) -> float:
    """Return the lattice factor F_latt up to its sign; see :mod:`~nbdask.physics.lattice`."""
    a, b, c = crystal.cells[0], crystal.cells[1], crystal.cells[2]
    if crystal.shape == SQUARE:
        return _grating(h, a) * _grating(k, b) * _grating(el, c)
    dh, dk, dl = h - np.ceil(h - 0.5), k - np.ceil(k - 0.5), el - np.ceil(el - 0.5)
    if crystal.shape == ROUND:
        radius2 = (dh * a) ** 2 + (dk * b) ** 2 + (dl * c) ** 2
        x = pi * sqrt(crystal.fudge * radius2)
        if x < 0.05:
            u = x * x
            series = 1.0 - u / 10.0 * (1.0 - u / 28.0 * (1.0 - u / 54.0))
            return a * b * c * ROUND_SCALE * series
        return a * b * c * ROUND_SCALE * 3.0 * (sin(x) / x - cos(x)) / (x * x)
    star = crystal.star
    x = dh * star[0, 0] + dk * star[1, 0] + dl * star[2, 0]
    y = dh * star[0, 1] + dk * star[1, 1] + dl * star[2, 1]
    z = dh * star[0, 2] + dk * star[1, 2] + dl * star[2, 2]
    squared_radius = (x * x + y * y + z * z) * (a * a * b * b * c * c)
    if crystal.shape == GAUSS:
        return a * b * c * exp(-(squared_radius / GAUSS_WIDTH * crystal.fudge))
    return a * b * c if squared_radius * crystal.fudge < TOPHAT_LIMIT else 0.0


def amplitude_squared(amplitude: Any, h: float, k: float, el: float) -> float:
    """Return the squared amplitude at fractional indices; below 0: outside the list."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(amplitude_squared)
def _choose_amplitude(amplitude: Any, h: Any, k: Any, el: Any) -> Any:
    if amplitude.instance_class is ConstantAmplitude:
        return lambda amplitude, h, k, el: amplitude.default_squared
    if amplitude.instance_class is TricubicAmplitude:
        return lambda amplitude, h, k, el: interpolated_squared(amplitude, h, k, el)
    return _nearest_squared


def _nearest_squared(amplitude: Any, h: float, k: float, el: float) -> Any:
    return amplitude.table[
        place_of(amplitude, np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(el - 0.5))
    ]


@entry
def run_products(
    place: Any,
    light: Any,
    each: Any,
    crystal: Any,
    amplitude: Any,
    axes: Any,
    skip_zero: bool,
    tile: tuple[int, int, int],
    active: Any,
    start: int,
    stop: int,
    work: Any,
    sums: Any,
    gains: Any,
) -> int:
    """Run through a range of steps: I becomes (I + term) * factor with each.

    Parameters
    ----------
    crystal : Crystal
        Shape and size, from :mod:`~nbdask.kernels.numba_types`.
    skip_zero : bool
        Whether terms with a lattice factor of 0 are left out, their factor too.
    sums, gains : (n,) float64 arrays
        Effect on the running sum of each pixel to be evaluated, I -> gain * I + sum; written.

    The other arguments and the result are those of :func:`~.numba_loops.sum_steps`.
    """
    turns = axes.shape[0]
    inner = light.weight.size * turns
    subs = place.oversample * place.oversample
    total, gain = work.wide[TOTAL], work.wide[PLANE]
    outside = 0
    for begin in range(0, sums.size, total.size):
        pixels = min(total.size, sums.size - begin)
        count = place_pixels(tile, active, begin, pixels, work)
        fill(total, 0.0, count)
        fill(gain, 1.0, count)
        for outer in range(start // inner, (stop + inner - 1) // inner):
            low = max(start - outer * inner, 0)
            high = min(stop - outer * inner, inner)
            layer, sub = divmod(outer, subs)
            sub_slow, sub_fast = divmod(sub, place.oversample)
            find_rays(place, layer, sub_slow, sub_fast, work, count)
            for source in range(low // turns, (high + turns - 1) // turns):
                if not scatter(light, source, work, count):
                    continue
                term_factors(place, light, each, layer, source, work, count)
                if each.thick and place.depth < 0.0:
                    # What two exponentials of 0 leave in C where no sensor is modelled.
                    fill(work.wide[WEIGHT], 0.0, count)
                for o in range(max(low - source * turns, 0), min(high - source * turns, turns)):
                    outside += _one_orientation(
                        light, crystal, amplitude, axes[o], skip_zero, source, work, pixels
                    )
        copy(total, pixels, sums[begin:])
        copy(gain, pixels, gains[begin:])
    return outside


@block
def _one_orientation(
    light: Any,
    crystal: Any,
    amplitude: Any,
    cell: Any,
    skip_zero: bool,
    source: int,
    work: Any,
    pixels: int,
) -> int:
    qx, qy, qz = work.wide[QX], work.wide[QY], work.wide[QZ]
    total, gain = work.wide[TOTAL], work.wide[PLANE]
    weight, counted = work.wide[WEIGHT], work.wide[COUNTED]
    outside = 0
    for i in range(pixels):
        if light.dmin > 0.0 and counted[i] == 0.0:
            continue
        h = cell[0, 0] * qx[i] + cell[0, 1] * qy[i] + cell[0, 2] * qz[i]
        k = cell[1, 0] * qx[i] + cell[1, 1] * qy[i] + cell[1, 2] * qz[i]
        el = cell[2, 0] * qx[i] + cell[2, 1] * qy[i] + cell[2, 2] * qz[i]
        lattice = lattice_factor(crystal, h, k, el)
        strength = amplitude_squared(amplitude, h, k, el)
        if strength < 0.0:
            strength = amplitude.default_squared
            outside += 1 if lattice != 0.0 else 0
        if lattice == 0.0 and skip_zero:
            continue
        term = strength * lattice * lattice * light.weight[source]
        total[i] = (total[i] + term) * weight[i]
        gain[i] *= weight[i]
    return outside
