"""The one evaluation of nanoBragg C that has no rotation to carry over.

Under C semantics a rotation step at exactly phi = 0 keeps the rotation of the evaluation before
it.  The first evaluation of an image has none before it, so it alone is not rotated.  C computes
each panel as an image of its own.  The
pixel is computed again here, in three step ranges, with the kernel that computed the tile.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.kernels.interface import Kernel, merge
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.scattering import scattering_vector, within_dmin
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile


class FirstEvaluation(NamedTuple):
    """The pixel (slow, fast) of the first evaluation, its flat step index, and its panel."""

    slow: int
    fast: int
    step: int
    panel: int = 0

    @property
    def pixel(self) -> Tile:
        """The pixel as a tile."""
        return Tile(self.slow, self.slow + 1, self.fast, self.fast + 1, self.panel)


def patch_carry_over(
    model: Model, kernel: Kernel, tile: Tile, image: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Put the first evaluated pixel right, where the tile holds it.

    Parameters
    ----------
    model : Model
    kernel : Kernel
    tile : Tile
    image : (n_slow, n_fast) float32 array
        The tile's finished pixels; changed in place.

    Returns
    -------
    (n_slow, n_fast) float32 array
        ``image``.
    """
    found = carry_over_pixel(model, kernel, tile)
    if found is not None:
        value, pixel = found
        image[pixel] = value
    return image


def carry_over_pixel(
    model: Model, kernel: Kernel, tile: Tile
) -> tuple[np.float32, tuple[int, int]] | None:
    """Return the first evaluated pixel's value and its place in a tile; None: it is not there."""
    if model.first_axes is None:
        return None
    first = find_first_evaluation(model.at(tile.panel))
    if first is None:
        return None
    first = first._replace(panel=tile.panel)
    if not holds(tile, first):
        return None
    return _carry_over_pixel(model, kernel, first), (
        first.slow - tile.slow0,
        first.fast - tile.fast0,
    )


def holds(tile: Tile, first: FirstEvaluation) -> bool:
    """Return whether a tile holds the pixel of the first evaluation."""
    return tile.slow0 <= first.slow < tile.slow1 and tile.fast0 <= first.fast < tile.fast1


def _carry_over_pixel(model: Model, kernel: Kernel, first: FirstEvaluation) -> np.float32:
    pixel = first.pixel
    parts = [
        kernel.partial(part, pixel, steps, None) for part, steps in carry_over_parts(model, first)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = merge(total, part)
    value: np.float32 = kernel.finish(model, pixel, total, None)[0, 0]
    return value


def carry_over_parts(model: Model, first: FirstEvaluation) -> list[tuple[Model, StepRange]]:
    """Return the step ranges of the first evaluated pixel, each with the model it is done with."""
    assert model.first_axes is not None
    axes = model.axes.copy()
    axes[: model.n_domains] = model.first_axes
    unrotated = replace(model, axes=axes)
    edges = (0, first.step, first.step + model.n_domains, model.n_steps)
    return [
        (unrotated if number == 1 else model, StepRange(*edge))
        for number, edge in enumerate(itertools.pairwise(edges))
        if edge[0] < edge[1]
    ]


#: By model, as long as somebody else has it; every tile of a panel asks.
_firsts: WeakKeyDictionary[Model, FirstEvaluation | None] = WeakKeyDictionary()


def find_first_evaluation(model: Model) -> FirstEvaluation | None:
    """Return the first evaluation in raster order that ROI, mask and dmin let through.

    Parameters
    ----------
    model : Model
        Of one panel.

    Returns
    -------
    FirstEvaluation or None
        None where nothing is evaluated.
    """
    if model not in _firsts:
        _firsts[model] = _search(model)
    return _firsts[model]


def _search(model: Model) -> FirstEvaluation | None:
    slow0, slow1, fast0, fast1 = model.roi
    for slow in range(slow0, slow1 + 1):
        row = Tile(slow, slow + 1, fast0, fast1 + 1)
        todo = np.ones(row.shape, dtype=np.bool_)
        if model.mask is not None:
            todo = model.mask.read(*row.bounds)
        if not todo.any():
            continue
        found = _first_evaluation_in_row(model, row, todo)
        if found is not None:
            return found
    return None


def _first_evaluation_in_row(
    model: Model, row: Tile, todo: NDArray[np.bool_]
) -> FirstEvaluation | None:
    if model.dmin <= 0.0:
        return FirstEvaluation(row.slow0, row.fast0 + int(np.argmax(todo[0])), 0)
    # For each pixel the first (layer, sub-pixel, source) that passes; then the first pixel.
    first_step = np.full(row.shape[1], -1)
    turns = model.n_phi * model.n_domains
    for outer in range(model.layers * model.oversample**2):
        layer, sub = divmod(outer, model.oversample**2)
        ray = sub_pixel_rays(model, row, layer, *divmod(sub, model.oversample))
        for source in range(model.n_sources):
            passed = within_dmin(model, scattering_vector(model, source, ray))[0] & todo[0]
            step = outer * model.n_inner + source * turns
            first_step = np.where((first_step < 0) & passed, step, first_step)
        if (first_step[todo[0]] >= 0).all():
            break
    hits = np.nonzero(first_step >= 0)[0]
    if hits.size == 0:
        return None
    return FirstEvaluation(row.slow0, row.fast0 + int(hits[0]), int(first_step[hits[0]]))
