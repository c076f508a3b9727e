"""nanoBragg C's own photon noise as the first step of a pipeline: whole images, in raster order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.noise_c import CNoise
from nbdask.experiment import Experiment
from nbdask.plan.tiles import Tile, TileGrid

#: Rows that are drawn at a time.
_ROWS = 64
#: Bytes of a row of tiles, which is in memory as a whole.
_MOST_BYTES = 256 << 20


def fitting(tile: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Return a tile so low that a row of tiles fits into memory."""
    rows = max(8, _MOST_BYTES // (4 * shape[1]))
    return (min(tile[0], rows), tile[1])


def roi_of(experiment: Experiment, shape: tuple[int, int]) -> Tile:
    """Return the region of interest: C draws for no other pixel."""
    roi = experiment.sampling.roi
    if roi is None:
        return Tile(0, shape[0], 0, shape[1])
    slow0, slow1, fast0, fast1 = roi
    return Tile(slow0, min(slow1 + 1, shape[0]), fast0, min(fast1 + 1, shape[1]))


def rows_of_tiles(
    read: Callable[[Tile], NDArray[np.float32]], grid: TileGrid, roi: Tile, seed: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the photons of one row of tiles after another.

    Parameters
    ----------
    read : callable
        Returns the means of a rectangle.
    grid : TileGrid
    roi : Tile
        Zeros outside.
    seed : int

    Yields
    ------
    (tile_slow, n_fast) float32 array
    """
    noise = CNoise(seed)
    for start in range(0, grid.shape[0], grid.tile[0]):
        stop = min(start + grid.tile[0], grid.shape[0])
        photons = np.zeros((stop - start, grid.shape[1]), dtype=np.float32)
        for row in range(max(start, roi.slow0), min(stop, roi.slow1), _ROWS):
            part = Tile(row, min(row + _ROWS, stop, roi.slow1), roi.fast0, roi.fast1)
            drawn = noise.image_rows(read(part))
            photons[part.slow0 - start : part.slow1 - start, part.fast0 : part.fast1] = drawn
        yield photons
