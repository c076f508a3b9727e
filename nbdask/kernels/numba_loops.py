"""The loops over a tile: pixels by blocks, then layers, sub-pixels and sources."""

from __future__ import annotations

from typing import Any

from nbdask.kernels.numba_jit import chosen_by_type, entry, full_width_vectors
from nbdask.kernels.numba_lattice import add_orientations
from nbdask.kernels.numba_rays import add_weighted, find_rays, place_pixels, scatter
from nbdask.kernels.numba_rows import copy, fill
from nbdask.kernels.numba_tricubic import add_interpolated, find_indices
from nbdask.kernels.numba_types import ConstantAmplitude, TricubicAmplitude
from nbdask.kernels.numba_work import PLANE, SUM, TOTAL


def add_terms(
    lattice: Any,
    amplitude: Any,
    axes: Any,
    first: int,
    last: int,
    limited: bool,
    work: Any,
    pixels: int,
    count: int,
) -> int:
    """Add the terms of a range of orientations to row SUM; return evaluations outside the list."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(add_terms)
def _choose_terms(
    lattice: Any,
    amplitude: Any,
    axes: Any,
    first: Any,
    last: Any,
    limited: Any,
    work: Any,
    pixels: Any,
    count: Any,
) -> Any:
    if amplitude.instance_class is TricubicAmplitude:
        return _add_tricubic
    return _add_direct


def _add_direct(
    lattice: Any,
    amplitude: Any,
    axes: Any,
    first: int,
    last: int,
    limited: bool,
    work: Any,
    pixels: int,
    count: int,
) -> int:
    add_orientations(lattice, amplitude, axes, first, last, work, count)
    return 0


def _add_tricubic(
    lattice: Any,
    amplitude: Any,
    axes: Any,
    first: int,
    last: int,
    limited: bool,
    work: Any,
    pixels: int,
    count: int,
) -> int:
    # One orientation at a time: its lattice factors, then its amplitudes where they matter.
    full_width_vectors()
    total, plane = work.wide[SUM], work.wide[PLANE]
    copy(total, count, plane)
    outside = 0
    for o in range(first, last):
        fill(total, 0.0, count)
        add_orientations(lattice, ConstantAmplitude(1.0), axes, o, o + 1, work, count)
        find_indices(axes, o, work, count)
        outside += add_interpolated(amplitude, limited, work, pixels)
    copy(plane, count, total)
    return outside


def orientations_of(light: Any, axes: Any) -> int:
    """Return how many orientations a sub-pixel of a layer has, over all sources."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(orientations_of)
def _choose_count(light: Any, axes: Any) -> Any:
    if axes.ndim == 2:
        return lambda light, axes: axes.shape[0]
    return lambda light, axes: light.weight.size * axes.shape[0]


def add_inner(
    place: Any,
    light: Any,
    each: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    height: float,
    layer: int,
    low: int,
    high: int,
    work: Any,
    pixels: int,
    count: int,
) -> int:
    """Add a range of sources' orientations to row TOTAL; return evaluations outside the list."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(add_inner)
def _choose_inner(
    place: Any,
    light: Any,
    each: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    height: Any,
    layer: Any,
    low: Any,
    high: Any,
    work: Any,
    pixels: Any,
    count: Any,
) -> Any:
    return _add_lit if axes.ndim == 2 else _add_sources


def _add_lit(
    place: Any,
    light: Any,
    each: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    height: float,
    layer: int,
    low: int,
    high: int,
    work: Any,
    pixels: int,
    count: int,
) -> int:
    # Each source's orientations are in the table: straight from rays to terms.
    full_width_vectors()
    total, terms = work.wide[TOTAL], work.wide[SUM]
    fill(terms, 0.0, count)
    add_orientations(lattice, amplitude, axes, low, high, work, count)
    for i in range(count):
        total[i] += terms[i] * height
    return 0


def _add_sources(
    place: Any,
    light: Any,
    each: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    height: float,
    layer: int,
    low: int,
    high: int,
    work: Any,
    pixels: int,
    count: int,
) -> int:
    terms = work.wide[SUM]
    turns = axes.shape[0]
    outside = 0
    for source in range(low // turns, (high + turns - 1) // turns):
        if not scatter(light, source, work, count):
            continue
        first = max(low - source * turns, 0)
        last = min(high - source * turns, turns)
        fill(terms, 0.0, count)
        outside += add_terms(
            lattice, amplitude, axes, first, last, light.dmin > 0.0, work, pixels, count
        )
        add_weighted(place, light, each, layer, source, height, work, count)
    return outside


@entry
def sum_steps(
    place: Any,
    light: Any,
    each: Any,
    lattice: Any,
    amplitude: Any,
    axes: Any,
    height: float,
    tile: tuple[int, int, int],
    active: Any,
    start: int,
    stop: int,
    work: Any,
    sums: Any,
) -> int:
    """Sum the terms of a range of steps for the pixels of a tile.

    Parameters
    ----------
    place, light, each, lattice, amplitude, axes, height
        See :class:`~nbdask.kernels.numba_types.Inputs`.
    tile : (slow0, fast0, width)
        First pixel and width of the tile.
    active : (n,) int64 array
        Flat indices in the tile of the pixels to be evaluated; empty: all of them.
    start, stop : int
        Half-open range of flat steps.
    work : Work
        Scratch memory of this call.
    sums : (n,) float64 array
        Sums of the pixels to be evaluated; written.

    Returns
    -------
    int
        Evaluations whose interpolation left the amplitude grid.
    """
    full_width_vectors()
    total = work.wide[TOTAL]
    size = total.size
    inner = orientations_of(light, axes)
    subs = place.oversample * place.oversample
    outside = 0
    for begin in range(0, sums.size, size):
        pixels = min(size, sums.size - begin)
        count = place_pixels(tile, active, begin, pixels, work)
        fill(total, 0.0, count)
        for outer in range(start // inner, (stop + inner - 1) // inner):
            low = max(start - outer * inner, 0)
            high = min(stop - outer * inner, inner)
            layer, sub = divmod(outer, subs)
            sub_slow, sub_fast = divmod(sub, place.oversample)
            find_rays(place, layer, sub_slow, sub_fast, work, count)
            outside += add_inner(
                place, light, each, lattice, amplitude, axes, height, layer, low, high,
                work, pixels, count,
            )  # fmt: skip
        copy(total, pixels, sums[begin:])
    return outside
