"""Several crystals: the sum of a tile is that of all their models, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import Model
from nbdask.kernels.interface import Kernel, Mask, Partial, merge
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile


def partial_of(
    kernel: Kernel, model: Model, tile: Tile, steps: StepRange, mask: Mask | None
) -> Partial:
    """Evaluate steps of a tile, of whichever crystals they are.

    Parameters
    ----------
    kernel : Kernel
    model : Model
    tile : Tile
    steps : StepRange
        Flat indices; those of one crystal follow those of the one before.
    mask : (n_slow, n_fast) bool array or None
    """
    if not model.lattices:
        return kernel.partial(model, tile, steps, mask)
    result: Partial | None = None
    start = 0
    for factor, own in model.lattices:
        low, high = max(steps.start - start, 0), min(steps.stop - start, own.n_steps)
        start += own.n_steps
        if low >= high:
            continue
        found = kernel.partial(own, tile, StepRange(low, high), mask)
        found = found._replace(total=factor * found.total)
        result = found if result is None else merge(result, found)
    assert result is not None
    return result


def image_of(
    kernel: Kernel, model: Model, tile: Tile, mask: Mask | None
) -> tuple[NDArray[np.float32], int]:
    """Evaluate all steps of a tile and finish it; see :meth:`~.interface.Kernel.image`."""
    if not model.lattices:
        return kernel.image(model, tile, mask)
    whole = partial_of(kernel, model, tile, StepRange(0, model.n_steps), mask)
    return kernel.finish(model, tile, whole, mask), whole.outside
