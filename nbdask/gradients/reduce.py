"""Sums over all tiles of an image, in a fixed order: nothing else leaves a task."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import dask.array as da
import numpy as np
from dask.base import compute
from dask.delayed import delayed

from nbdask.errors import FieldError, InputError
from nbdask.geometry.model import Array
from nbdask.gradients.work import Work
from nbdask.plan.tiles import Tile

T = TypeVar("T")
#: Bytes of the planes that a task holds at once.
_STRIP_BYTES = 2 << 20


def over_tiles(
    work: Work,
    images: list[Any],
    task: Callable[..., T],
    add: Callable[[T, T], T],
    margin: int = 0,
) -> T:
    """Return the sum of a task's result over all tiles, in their order.

    Parameters
    ----------
    work : Work
    images : list of arrays or None
        (n_slow, n_fast) each, of several panels (n_panels, n_slow, n_fast); a task gets their
        pixels of its tile, or None.
    task : callable
        ``task(work, index, *pixels)``.
    add : callable
    margin : int
        Pixels around its tile that a task gets besides, where the image has them.

    Raises
    ------
    InputError
        An image of another shape.
    """
    shared = delayed(work, traverse=False)
    blocks = [_blocks(image, work, margin) for image in images]
    total: Any = None
    for index in range(len(work.grid)):
        pixels = [None if parts is None else parts[index] for parts in blocks]
        part = delayed(task)(shared, index, *pixels)
        total = part if total is None else delayed(add)(total, part)
    result: T = compute(total)[0]
    return result


def given(name: str, image: Any) -> None:
    """Refuse None, and the path of a file, where an image is needed.

    Raises
    ------
    FieldError
    """
    allowed = "an array of the image's shape, as numpy.load or nbdask.open give it"
    if image is None or isinstance(image, (str, bytes, os.PathLike)):
        raise FieldError(name, image, allowed)
    if hasattr(image, "shape"):
        return
    # Anything but an array: rows of different lengths, or a whole xarray.Dataset.
    try:
        np.asarray(image)
    except (TypeError, ValueError):
        raise FieldError(name, f"a {type(image).__name__}", allowed) from None


def given_mask(mask: Any) -> None:
    """Refuse a mask of anything but truth values.

    Raises
    ------
    FieldError
    """
    if mask is None:
        return
    given("mask", mask)
    kind = mask.dtype if hasattr(mask, "dtype") else np.asarray(mask).dtype
    if getattr(kind, "kind", "b") not in "biu":
        raise FieldError("mask", f"an array of {kind}", "of bool, True where a pixel counts")


def _blocks(image: Any, work: Work, margin: int) -> list[Any] | None:
    if image is None:
        return None
    held = getattr(image, "data", image) if hasattr(image, "dims") else image
    if not isinstance(held, da.Array) and not hasattr(held, "shape"):
        held = np.asarray(held)
    if tuple(held.shape) != work.grid.image_shape:
        sizes = zip(work.grid.image_shape[::-1], ("fast", "slow", "panel"), strict=False)
        wanted = " x ".join(f"{count} ({axis})" for count, axis in reversed(list(sizes)))
        has = " x ".join(map(str, held.shape)) or "no"
        raise InputError(f"an image of {has} pixels: must have the experiment's {wanted}")
    kind = getattr(held.dtype, "kind", "f")
    if kind not in "biuf":
        raise InputError(f"an image of {held.dtype}: must hold real numbers")
    chunks = (1, *work.grid.tile)[-held.ndim :]
    array = held.rechunk(chunks) if isinstance(held, da.Array) else da.from_array(held, chunks)
    planes = [array] if held.ndim == 2 else [array[panel] for panel in range(work.grid.panels)]
    if not margin:
        return [block for plane in planes for block in plane.to_delayed().ravel()]
    wide = [widened(tile, work.grid.shape, margin) for tile in work.grid]
    return [planes[t.panel][t.slow0 : t.slow1, t.fast0 : t.fast1] for t in wide]


def widened(tile: Tile, shape: tuple[int, int], margin: int) -> Tile:
    """Return a tile with the pixels around it that an image has."""
    return tile._replace(
        slow0=max(0, tile.slow0 - margin),
        slow1=min(shape[0], tile.slow1 + margin),
        fast0=max(0, tile.fast0 - margin),
        fast1=min(shape[1], tile.fast1 + margin),
    )


def strips(tile: Tile, parameters: int) -> list[Tile]:
    """Return a tile's rows in pieces whose planes stay small."""
    row = 8 * (1 + parameters) * tile.shape[1]
    rows = max(1, _STRIP_BYTES // row)
    edges = [*range(tile.slow0, tile.slow1, rows), tile.slow1]
    return [tile._replace(slow0=a, slow1=b) for a, b in pairwise(edges)]


def inside(pixels: Array, tile: Tile, part: Tile) -> Array:
    """Return the pixels of a part of a tile."""
    slow, fast = part.slow0 - tile.slow0, part.fast0 - tile.fast0
    return pixels[slow : slow + part.shape[0], fast : fast + part.shape[1]]
