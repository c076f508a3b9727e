"""Spots that stand out from their surroundings, found on a reduced image, placed at full size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.assembly import AssembledLevels
from nbdask.derive.canvas import Canvas
from nbdask.plan.tiles import Tile
from nbdask.store.levels import MAX, Levels

#: Spots are at least this part of the picture apart.
_APART = 0.04
#: They exceed what lies around them by this part of themselves.
_RISE = 0.05
#: The same of spots at a border, in units of themselves, above the brightest around: a smooth
#: background that falls towards the inside of a panel has its maxima in the corners.
_RISE_AT_BORDERS = 0.5
#: Where their surroundings are looked at: steps along slow and fast in pixels of the picture.
_AROUND = [(s, f) for s in (-4, -2, 0, 2, 4) for f in (-4, -2, 0, 2, 4) if max(abs(s), abs(f)) == 4]


class Spot(NamedTuple):
    """A local maximum: indices of its pixel and photons there."""

    slow: int
    fast: int
    photons: float


def brightest(levels: Levels, canvas: Canvas, region: Tile, count: int) -> list[Spot]:
    """Find the brightest spots of a region.

    Parameters
    ----------
    levels : Levels
    canvas : Canvas
        The region reduced by maximum.
    region : Tile
        In pixels of the image.
    count : int
        Most spots.

    Returns
    -------
    list of Spot
        Those that exceed their surroundings most first, apart by 4 % of the picture. A smooth
        background, whose maxima lie at the borders of panels and masked pixels, has none.
    """
    known = np.isfinite(canvas.values())
    values = np.where(known, canvas.values(), 0.0)
    slow, fast = _local_maxima(values)
    border = _at_borders(known)[slow, fast]
    rise = values[slow, fast] - _surroundings(values, slow, fast, border)
    least_rise = np.where(border, _RISE_AT_BORDERS, _RISE)
    spots = rise > least_rise * values[slow, fast]
    slow, fast, rise = slow[spots], fast[spots], rise[spots]
    order = np.argsort(rise, kind="stable")[::-1]
    least = max(2.0, _APART * max(values.shape))
    chosen: list[tuple[int, int]] = []
    for index in order:
        pixel = (int(slow[index]), int(fast[index]))
        if all(abs(pixel[0] - s) > least or abs(pixel[1] - f) > least for s, f in chosen):
            chosen.append(pixel)
        if len(chosen) == count:
            break
    return [_placed(levels, canvas, region, pixel) for pixel in chosen]


def _local_maxima(values: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return places above 0 that none of the eight neighbours exceeds."""
    padded = np.pad(values, 1)
    highest = values > 0.0
    rows, columns = values.shape
    for s in range(3):
        for f in range(3):
            highest &= values >= padded[s : s + rows, f : f + columns]
    found = np.nonzero(highest)
    return found[0], found[1]


def _at_borders(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which places touch one that is masked, on no panel, or not in the picture."""
    padded = np.pad(known, 1)
    rows, columns = known.shape
    inner = np.ones_like(known)
    for s in range(3):
        for f in range(3):
            inner &= padded[s : s + rows, f : f + columns]
    return ~inner


def _surroundings(
    values: NDArray[np.float32],
    slow: NDArray[np.intp],
    fast: NDArray[np.intp],
    border: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the median around each place, of what is above 0; at borders the greatest."""
    padded = np.pad(values, 4)
    ring = np.stack([padded[slow + 4 + s, fast + 4 + f] for s, f in _AROUND])
    empty = ~(ring > 0.0).any(axis=0)
    ring[:, empty] = 0.0
    median = np.nanmedian(np.where((ring > 0.0) | empty, ring, np.nan), axis=0)
    return np.asarray(np.where(border, ring.max(axis=0), median), dtype=np.float32)


def _placed(levels: Levels, canvas: Canvas, region: Tile, pixel: tuple[int, int]) -> Spot:
    """Find the brightest pixel of the image under one of the canvas."""
    factor, corner = canvas.factor, canvas.region
    slow, fast = corner.slow0 + pixel[0] * factor, corner.fast0 + pixel[1] * factor
    reach = factor * levels.reach if isinstance(levels, AssembledLevels) else 0
    around = Tile(slow - reach, slow + factor + reach, fast - reach, fast + factor + reach)
    part = around.intersect(region)
    assert part is not None
    pixels, value = levels.read(MAX, 0, part), canvas.values()[pixel]
    # Further away there may be brighter ones, which are spots of their own.
    where = int(np.argmax(np.where(pixels <= value, pixels, -np.inf)))
    row, column = divmod(where, pixels.shape[1])
    return Spot(part.slow0 + row, part.fast0 + column, float(pixels[row, column]))
