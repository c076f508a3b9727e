"""The processor's kernel: the same physics as the NumPy one, in loops compiled at installation."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.interface import Mask, Partial
from nbdask.kernels.pack import arguments, pack
from nbdask.kernels.pixels import active_pixels, chosen, spread
from nbdask.native.library import library
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

PRECISIONS = ("float64", "mixed")


class CpuKernel:
    """The physics in compiled loops, one thread per call.

    Parameters
    ----------
    precision : str
        ``"float64"``, or ``"mixed"``: lattice factors in float32.

    Raises
    ------
    BackendError
        An unknown precision, or no compiled library.
    """

    name = "cpu"
    version = "2"

    def __init__(self, precision: str = "float64") -> None:
        if precision not in PRECISIONS:
            raise BackendError(f"--precision = {precision!r}: must be float64 or mixed")
        self.precision = precision
        self._library = library()
        self._library.nb_sum.restype = ctypes.c_longlong

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        running = model.running_product
        active = active_pixels(tile, mask)
        count = tile.pixels if active is None else active.size
        total, gain = np.zeros(count), np.ones(count if running else 0)
        packed = pack(model)
        told = arguments(packed.values, tile, steps, active)
        outside = self._library.nb_sum(
            *_pointers(told, packed.axes, packed.sources, packed.table, active, total, gain)
        )
        gains = spread(gain, tile, active, 1.0) if running else None
        return Partial(spread(total, tile, active, 0.0), gains, outside)

    def finish(
        self, model: Model, tile: Tile, partial: Partial, mask: Mask | None
    ) -> NDArray[np.float32]:
        """Turn the merged sum into photons; see :class:`~.interface.Kernel`."""
        active = active_pixels(tile, mask)
        packed = pack(model)
        told = arguments(packed.values, tile, StepRange(0, 0), active)
        total = chosen(partial.total, active)
        gain = np.ones(0) if partial.gain is None else chosen(partial.gain, active)
        image = np.zeros(total.size, dtype=np.float32)
        self._library.nb_finish(*_pointers(told, packed.sources, active, total, gain, image))
        return spread(image, tile, active, 0.0)


def _pointers(*arrays: Any) -> list[ctypes.c_void_p]:
    """Return the addresses of arrays; nothing for None."""
    found = (None if array is None else np.asarray(array).ctypes.data for array in arrays)
    return [ctypes.c_void_p(address) for address in found]
