"""Sums over all tiles of an image, in a fixed order: nothing else leaves a task."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import dask.array as da
import numpy as np
from dask.base import compute
from dask.delayed import delayed

from nbdask.errors import InputError
from nbdask.gradients.work import Work
from nbdask.plan.tiles import Tile

T = TypeVar("T")
#: Bytes of the planes that a task holds at once.
_STRIP_BYTES = 2 << 20


def over_tiles(
    work: Work, images: list[Any], task: Callable[..., T], add: Callable[[T, T], T]
) -> T:
    """Return the sum of a task's result over all tiles, in their order.

    Parameters
    ----------
    work : Work
    images : list of arrays or None
        (n_slow, n_fast) each; a task gets their pixels of its tile, or None.
    task : callable
        ``task(work, index, *pixels)``.
    add : callable

    Raises
    ------
    InputError
        An image of another shape.
    """
    shared = delayed(work, traverse=False)
    blocks = [_blocks(image, work) for image in images]
    total: Any = None
    for index in range(len(work.grid)):
        pixels = [None if parts is None else parts[index] for parts in blocks]
        part = delayed(task)(shared, index, *pixels)
        total = part if total is None else delayed(add)(total, part)
    result: T = compute(total)[0]
    return result


def _blocks(image: Any, work: Work) -> list[Any] | None:
    if image is None:
        return None
    held = getattr(image, "data", image) if hasattr(image, "dims") else image
    if not isinstance(held, da.Array) and not hasattr(held, "shape"):
        held = np.asarray(held)
    if tuple(held.shape) != work.grid.shape:
        raise InputError(
            f"an image of {' x '.join(map(str, held.shape))} pixels: must have the experiment's"
            f" {work.grid.shape[0]} (slow) x {work.grid.shape[1]} (fast)"
        )
    kind = getattr(held.dtype, "kind", "f")
    if kind not in "biuf":
        raise InputError(f"an image of {held.dtype}: must hold real numbers")
    chunks = work.grid.tile
    array = held.rechunk(chunks) if isinstance(held, da.Array) else da.from_array(held, chunks)
    return list(array.to_delayed().ravel())


def strips(tile: Tile, parameters: int) -> list[Tile]:
    """Return a tile's rows in pieces whose planes stay small."""
    row = 8 * (1 + parameters) * tile.shape[1]
    rows = max(1, _STRIP_BYTES // row)
    edges = [*range(tile.slow0, tile.slow1, rows), tile.slow1]
    return [Tile(a, b, tile.fast0, tile.fast1) for a, b in pairwise(edges)]
