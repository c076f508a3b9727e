"""The processor's kernel: the same physics as the NumPy one, in loops compiled at installation."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.interface import Kernel, Mask, Partial, Values
from nbdask.kernels.mixed import mixed_inputs
from nbdask.kernels.pack import arguments, lattice_values, pack
from nbdask.kernels.pixels import active_pixels, chosen, scatter
from nbdask.native import library as native
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

PRECISIONS = ("float64", "mixed")
#: Bytes of scratch memory of a call, on its stack.
_SCRATCH = 2**17
#: Where a probe puts its values.
_PROBED = {
    "d": (0, 3),
    "R": (3, 4),
    "solid_angle": (4, 5),
    "capture": (5, 6),
    "q": (6, 9),
    "polarization": (9, 10),
    "hkl": (10, 13),
    "F_latt^2": (13, 14),
    "F_cell^2": (14, 15),
}


class CpuKernel(Kernel):
    """The physics in compiled loops, one thread per call.

    Parameters
    ----------
    precision : str
        ``"float64"``, or ``"mixed"``: lattice factors in float32.
    level : str or None
        Level of the library, for tests; None: this processor's.

    Raises
    ------
    BackendError
        An unknown precision, or no compiled library.
    """

    name = "cpu"
    version = "2"

    def __init__(self, precision: str = "float64", level: str | None = None) -> None:
        if precision not in PRECISIONS:
            raise BackendError(f"--precision = {precision!r}: must be float64 or mixed")
        self.precision = precision
        level = level or native.level()
        self._library = native.load(level)
        self.variant = level
        self._wide = level == "x86-64-v4"
        self._library.nb_sum.restype = ctypes.c_longlong

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        running = model.running_product
        active = active_pixels(tile, mask)
        count = tile.pixels if active is None else active.size
        total, gain = np.zeros(count), np.ones(count if running else 0)
        packed = pack(model)
        values, mixed_values, mixed_axes = packed.values, None, None
        if self.precision == "mixed" and (mixed := mixed_inputs(model, self._wide)):
            values = values | {"height": mixed.height}
            mixed_values, mixed_axes = mixed.struct, mixed.axes
        told = arguments(values, tile, steps, active)
        tables = (told, packed.axes, packed.sources, packed.table)
        outside = self._library.nb_sum(
            *pointers(*tables, active, mixed_values, mixed_axes, total, gain)
        )
        gains = scatter(gain, tile, active, 1.0) if running else None
        return Partial(scatter(total, tile, active, 0.0), gains, outside)

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
        self._library.nb_finish(*pointers(told, packed.sources, active, total, gain, image))
        return scatter(image, tile, active, 0.0)

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes of scratch memory, and of the list of pixels where some are left out.

        The table of squared amplitudes, as large as the model's grid and shared by all tasks of a
        process, is not counted.
        """
        return _SCRATCH + (0 if model.all_pixels else 32 * pixels)

    def probe(self, model: Model, slow: int, fast: int, step: int) -> Values:
        """Return what the compiled formulas give at one evaluation.

        Parameters
        ----------
        model : Model
        slow, fast : int
            The pixel, of the first panel where there are several.
        step : int
            Flat step index.

        Returns
        -------
        dict
            ``d`` (3), ``R`` [m], ``solid_angle`` [sr], ``capture``, ``q`` (3) [1/m],
            ``polarization``, ``hkl`` (3), ``F_latt^2`` and ``F_cell^2``.
        """
        outer, inner = divmod(step, model.n_inner)
        source, orientation = divmod(inner, model.n_phi * model.n_domains)
        packed = pack(model)
        told = arguments(packed.values, Tile(slow, slow + 1, fast, fast + 1), StepRange(0, 0), None)
        found = np.zeros(15)
        self._library.nb_probe(
            *pointers(told, packed.axes, packed.sources, packed.table),
            ctypes.c_int(outer),
            ctypes.c_int(source),
            ctypes.c_int(orientation),
            *pointers(found),
        )
        # Without the amplitude that a constant one puts into the height.
        found[13] *= lattice_values(model)[1]
        parts = {name: found[first:last] for name, (first, last) in _PROBED.items()}
        return {name: tuple(float(x) for x in part) for name, part in parts.items()}


def pointers(*arrays: Any) -> list[ctypes.c_void_p]:
    """Return the addresses of arrays and structures; nothing for None."""
    return [ctypes.c_void_p(_address(array)) for array in arrays]


def _address(array: Any) -> int | None:
    if array is None:
        return None
    if isinstance(array, ctypes.Structure):
        return ctypes.addressof(array)
    return int(np.asarray(array).ctypes.data)
