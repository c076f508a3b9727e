"""The processor's kernel: the same physics as the NumPy one, in loops compiled at installation."""

from __future__ import annotations

import ctypes
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.cull import Cull, CullInputs, banded, cull_inputs, sampled_tiles, share_of_time
from nbdask.kernels.cutoff import (
    CutoffInputs,
    allowed_photons,
    cutoff_inputs,
    cutoff_rows,
    is_worthwhile,
    time_with_cutoff,
)
from nbdask.kernels.interface import MOMENTS, Kernel, Mask, Moments, Partial, Values
from nbdask.kernels.mixed import mixed_inputs
from nbdask.kernels.pack import arguments, lattice_values, pack
from nbdask.kernels.pixels import active_pixels, chosen, scatter
from nbdask.native import library as native
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]
PRECISIONS = ("float64", "mixed")
#: Bytes of scratch memory of a call, on its stack.
_SCRATCH = 2**17
#: Sources and orientations of a sample, at most.
_SAMPLED_SOURCES, _SAMPLED_TURNS = 8, 64
#: Steps of a sample with a cutoff, at most.
_SAMPLED_STEPS = 500
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
    skips : bool
        Whether groups of pixels are skipped where every term is exactly 0; False for tests, which
        compare the bits.

    Raises
    ------
    BackendError
        An unknown precision, or no compiled library.
    """

    name = "cpu"
    version = "2"

    def __init__(
        self, precision: str = "float64", level: str | None = None, skips: bool = True
    ) -> None:
        if precision not in PRECISIONS:
            raise BackendError(f"--precision = {precision!r}: must be float64 or mixed")
        self.precision = precision
        level = level or native.level()
        self._library = native.load(level)
        self.variant = level
        self._skips = skips
        self._wide = level == "x86-64-v4"
        self._library.nb_sum.restype = ctypes.c_longlong
        self._library.nb_reached.restype = ctypes.c_longlong
        self._library.nb_sum_cut.restype = ctypes.c_longlong
        self._shares: WeakKeyDictionary[Model, float] = WeakKeyDictionary()
        self._kept: WeakKeyDictionary[Model, float] = WeakKeyDictionary()

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        if (cutoff := self._cutoff(model)) is not None:
            return Partial(self._sum_cut(model, cutoff, tile, steps, mask)[0], None, 0)
        running = model.running_product
        packed = pack(model)
        values, mixed_values, mixed_axes = packed.values, None, None
        if self.precision == "mixed" and (mixed := mixed_inputs(model, self._wide)):
            values = values | {"height": mixed.height}
            mixed_values, mixed_axes = mixed.struct, mixed.axes
        cull = self.cull_inputs(model)
        active = active_pixels(tile, mask)
        if active is not None and cull is not None:
            active = banded(active, tile.shape[1], cull.struct.rows)
        count = tile.pixels if active is None else active.size
        total, gain = np.empty(count), np.ones(count if running else 0)
        told = arguments(values, tile, steps, active)
        tables = (told, packed.axes, packed.sources, packed.table)
        outside = self._library.nb_sum(
            *pointers(*tables, active, mixed_values, mixed_axes),
            *pointers(cull and cull.struct, total, gain),
        )
        gains = scatter(gain, tile, active, 1.0) if running else None
        return Partial(scatter(total, tile, active, 0.0), gains, outside)

    def _sum_cut(
        self, model: Model, cutoff: CutoffInputs, tile: Tile, steps: StepRange, mask: Mask | None
    ) -> tuple[NDArray[np.float64], int]:
        """Return the sums of a tile without what a cutoff leaves out, and what was evaluated."""
        packed, active = pack(model), active_pixels(tile, mask)
        allowed = allowed_photons(self, model, tile)
        if active is not None:
            active = banded(active, tile.shape[1], cutoff_rows(model))
            allowed = chosen(allowed, active) if allowed is not None else None
        total = np.empty(tile.pixels if active is None else active.size)
        told = arguments(packed.values, tile, steps, active)
        tables = (told, packed.axes, packed.sources, packed.table, active)
        done = self._library.nb_sum_cut(*pointers(*tables, cutoff.struct, allowed, total))
        if done < 0:
            raise MemoryError
        return scatter(total, tile, active, 0.0), done

    def cull_inputs(self, model: Model) -> CullInputs | None:
        """Return what the test of skipped groups reads; None: nothing of this model is skipped."""
        if not self._skips:
            return None
        narrow = self.precision == "mixed" and mixed_inputs(model, self._wide) is not None
        return cull_inputs(model, narrow)

    def share(self, model: Model) -> tuple[float, float]:
        """Return which share of the evaluations is done, and of the time that all would take.

        From a sample of blocks, sources and orientations.
        """
        if self._cutoff(model) is not None:
            kept = self._kept[model]
            return kept, time_with_cutoff(kept)
        return self._exact(model)

    def _exact(self, model: Model) -> tuple[float, float]:
        """Return the same of loops that only skip what is exactly 0."""
        cull = self.cull_inputs(model)
        if cull is None:
            return 1.0, 1.0
        if model not in self._shares:
            self._shares[model] = self._sampled_share(model, cull)
        share = self._shares[model]
        return share, min(1.0, share_of_time(model, share, cull.struct.group))

    def _sampled_share(self, model: Model, cull: CullInputs) -> float:
        packed, reached, tested = pack(model), 0, 0
        source_step = -(-model.n_sources // _SAMPLED_SOURCES)
        turn_step = -(-len(model.axes) // _SAMPLED_TURNS)
        each = len(range(0, model.n_sources, source_step)) * len(
            range(0, len(model.axes), turn_step)
        )
        for tile in sampled_tiles(model, cull.struct):
            told = arguments(packed.values, tile, StepRange(0, model.n_steps), None)
            reached += self._library.nb_reached(
                *pointers(told, packed.sources, cull.struct),
                ctypes.c_int(source_step),
                ctypes.c_int(turn_step),
            )
            tested += tile.pixels * each
        return min(1.0, reached / tested)

    def _cutoff(self, model: Model) -> CutoffInputs | None:
        """Return what the loops of a cutoff read; None: nothing is left out."""
        cutoff = cutoff_inputs(model)
        if cutoff is None:
            return None
        if model not in self._kept:
            self._kept[model] = self._kept_share(model, cutoff)
        return cutoff if is_worthwhile(self._kept[model], self._exact(model)[1]) else None

    def _kept_share(self, model: Model, cutoff: CutoffInputs) -> float:
        """Return the share of the terms that a cutoff keeps, from a sample of blocks and steps."""
        steps = StepRange(0, min(model.n_steps, _SAMPLED_STEPS))
        done = tested = 0
        for tile in sampled_tiles(model, Cull(rows=cutoff_rows(model))):
            done += self._sum_cut(model, cutoff, tile, steps, None)[1]
            tested += tile.pixels * (steps.stop - steps.start)
        return min(1.0, done / tested)

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

    def moments(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Moments:
        """Sum the moments of ``steps``, in float64; see :class:`~.interface.Kernel`."""
        active = active_pixels(tile, mask)
        count = tile.pixels if active is None else active.size
        packed, rows = pack(model), np.zeros((MOMENTS + 1, count))
        told = arguments(packed.values, tile, steps, active)
        tables = (told, packed.axes, packed.sources, packed.table)
        self._library.nb_moments(*pointers(*tables, active, rows))
        sums = np.stack([scatter(row, tile, active, 0.0) for row in rows[:MOMENTS]])
        gain = scatter(rows[MOMENTS], tile, active, 1.0) if model.running_product else None
        return Moments(sums, gain)

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
