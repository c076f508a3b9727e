"""Which pixels of a reduced image are masked: they were not evaluated, and are 0 in the store."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.assembly import AssembledLevels
from nbdask.errors import InputFileError
from nbdask.geometry.model import PixelMask
from nbdask.geometry.panel_frames import BadPixels
from nbdask.inputs.smv import open_mask
from nbdask.plan.tiles import Tile
from nbdask.store.levels import Levels
from nbdask.store.reader import StoreReader

Flags = NDArray[np.bool_]
#: Most pixels of a panel whose mask is looked at for one picture; beyond, none counts as masked.
_MOST = 2**28


def masked_pixels(levels: Levels, region: Tile, factor: int) -> Flags | None:
    """Return which pixels of a canvas stand for masked ones only.

    Parameters
    ----------
    levels : Levels
    region : Tile
        Of the canvas, in pixels of the image: whole multiples of the factor.
    factor : int
        Pixels of the image along each side of one of the canvas; its corners are looked at.

    Returns
    -------
    (n_slow, n_fast) bool array or None
        None: there is no mask, or the file of ``-mask`` is gone.
    """
    masks = _masks(levels.reader)
    if all(mask is None for mask in masks):
        return None
    rows = _corners(region.slow0, region.slow1, factor, levels.grid.shape[0])
    columns = _corners(region.fast0, region.fast1, factor, levels.grid.shape[1])
    bad = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    between = np.zeros_like(bad)
    if isinstance(levels, AssembledLevels):
        between[:] = True
        for number in levels.plane.touched(region):
            _put(levels, number, masks[number], (rows, columns), bad, between)
    else:
        bad[:] = _look(masks[0], rows[:, None], columns[None, :])
    each = min(factor, 2)
    bins = (region.shape[0] // factor, each, region.shape[1] // factor, each)
    none = (bad | between).reshape(bins).all(axis=(1, 3))
    return np.asarray(none & bad.reshape(bins).any(axis=(1, 3)))


def _masks(reader: StoreReader) -> list[PixelMask | None]:
    """Return the mask of each panel."""
    experiment = reader.experiment
    other: PixelMask | None = None
    if experiment.sampling.mask is not None:
        try:
            found = open_mask(experiment.sampling.mask)
        except InputFileError:
            found = None
        if found is not None and (found.n_slow, found.n_fast) == reader.grid.shape:
            other = found
    panels = experiment.detector.panels
    if not panels:
        return [other]
    return [BadPixels(one, other) if one.bad or one.bad_areas else other for one in panels]


def _corners(start: int, stop: int, factor: int, side: int) -> NDArray[np.int64]:
    """Return first and last pixel of each pixel of a canvas along one side; one at full size."""
    first = np.arange(start, stop, factor, dtype=np.int64)
    ends = first[:, None] + np.unique([0, factor - 1])[None, :]
    return np.asarray(np.minimum(ends, side - 1).ravel())


def _look(mask: PixelMask | None, slow: NDArray[np.int64], fast: NDArray[np.int64]) -> Flags:
    """Return which pixels of a panel are masked; the indices broadcast."""
    corner, end = (int(slow.min()), int(fast.min())), (int(slow.max()) + 1, int(fast.max()) + 1)
    if mask is None or (end[0] - corner[0]) * (end[1] - corner[1]) > _MOST:
        return np.zeros(np.broadcast_shapes(slow.shape, fast.shape), dtype=np.bool_)
    good = mask.read(corner[0], end[0], corner[1], end[1])
    return ~np.asarray(good, dtype=np.bool_)[slow - corner[0], fast - corner[1]]


def _put(
    levels: AssembledLevels,
    number: int,
    mask: PixelMask | None,
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    bad: Flags,
    between: Flags,
) -> None:
    """Look at the places of a picture where a panel, and none before it, is."""
    box = levels.plane.boxes[number]
    ends = np.searchsorted(places[0], box[:2]), np.searchsorted(places[1], box[2:])
    here = slice(*ends[0]), slice(*ends[1])
    slow, fast = (
        np.floor(x + 0.5).astype(np.int64)
        for x in levels.plane.pixels_under(
            number,
            places[0][here[0], None].astype(np.float64),
            places[1][None, here[1]].astype(np.float64),
        )
    )
    n_slow, n_fast = levels.plane.sizes[number]
    inside = (slow >= 0) & (slow < n_slow) & (fast >= 0) & (fast < n_fast) & between[here]
    if inside.any():
        bad[here][inside] = _look(mask, slow[inside], fast[inside])
        between[here][inside] = False
