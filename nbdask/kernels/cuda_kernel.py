"""The kernel of the card: one pass per tile and step range, whatever launcher runs it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.cuda_launch import Buffer, Launcher, Module, Task
from nbdask.kernels.cuda_pack import CardPacked, card_pack
from nbdask.kernels.interface import Mask, Partial
from nbdask.kernels.pack import arguments
from nbdask.kernels.pixels import active_pixels, chosen, spread
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

PRECISIONS = ("float64", "mixed", "pairs")
#: Models whose tables stay on the device: one run has one model, and one more for its first pixel.
_MODELS = 3
#: Bytes of a task's smallest buffers, each rounded up by the device's pool.
_SMALL = 4096


class CudaKernel:
    """The physics in CUDA C++.

    Parameters
    ----------
    precision : str
        ``"float64"``; ``"mixed"``: lattice factors of square and gauss crystals in float32;
        ``"pairs"``: their Miller indices in pairs of float32 too; ``"auto"``: pairs where the
        device's float64 rate is a small part of its float32 rate, else float64.
    launcher : Launcher

    Raises
    ------
    BackendError
        An unknown precision.
    """

    name = "cuda"
    version = "2"

    def __init__(self, precision: str, launcher: Launcher) -> None:
        if precision == "auto":
            precision = "pairs" if launcher.slow_float64 else "float64"
        if precision not in PRECISIONS:
            allowed = ", ".join(PRECISIONS)
            raise BackendError(f"--precision = {precision!r}: must be one of {allowed}, auto")
        self.precision = precision
        self.launcher = launcher
        self._ready: OrderedDict[int, _Ready] = OrderedDict()
        self._lock = Lock()

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        running = model.running_product
        active = active_pixels(tile, mask)
        if active is not None and active.size == 0:
            return Partial(np.zeros(tile.shape), np.ones(tile.shape) if running else None, 0)
        with self.launcher.task(_device_bytes(model, tile, active)) as task:
            sums = self._sum(task, model, tile, steps, active)
            total = spread(task.download(sums.total), tile, active, 0.0)
            gain = spread(task.download(sums.gain), tile, active, 1.0) if running else None
            return Partial(total, gain, int(task.download(sums.outside)[0]))

    def finish(
        self, model: Model, tile: Tile, partial: Partial, mask: Mask | None
    ) -> NDArray[np.float32]:
        """Turn the merged sum into photons; see :class:`~.interface.Kernel`."""
        active = active_pixels(tile, mask)
        if active is not None and active.size == 0:
            return np.zeros(tile.shape, dtype=np.float32)
        with self.launcher.task(_device_bytes(model, tile, active)) as task:
            total = task.upload(chosen(partial.total, active))
            gain = task.empty(1, np.float64)
            if partial.gain is not None:
                gain = task.upload(chosen(partial.gain, active))
            sums = _Sums(total, gain, None, _listed(task, active))
            return self._finish(task, model, tile, sums, active)

    def image(self, model: Model, tile: Tile, mask: Mask | None) -> tuple[NDArray[np.float32], int]:
        """Evaluate all steps of a tile and finish it; the sums never leave the device.

        Parameters
        ----------
        model : Model
        tile : Tile
        mask : (n_slow, n_fast) bool array or None

        Returns
        -------
        image : (n_slow, n_fast) float32 array
            Photons, the same bits as from :meth:`partial` over all steps and :meth:`finish`.
        outside : int
            Evaluations whose interpolation neighbourhood left the amplitude grid.
        """
        active = active_pixels(tile, mask)
        if active is not None and active.size == 0:
            return np.zeros(tile.shape, dtype=np.float32), 0
        with self.launcher.task(_device_bytes(model, tile, active)) as task:
            sums = self._sum(task, model, tile, StepRange(0, model.n_steps), active)
            image = self._finish(task, model, tile, sums, active)
            return image, int(task.download(sums.outside)[0])

    def repeat(
        self, model: Model, tiles: Sequence[Tile], steps: StepRange, mark: Callable[[], None]
    ) -> None:
        """Sum tiles one after another in one task, and leave the sums there: for benchmarks.

        Parameters
        ----------
        model : Model
        tiles : sequence of Tile
            Of one size.
        steps : StepRange
        mark : callable
            Called before the first tile and after each has been started; on a card it can record
            an event in the current stream.
        """
        with self.launcher.task(len(tiles) * _device_bytes(model, tiles[0], None)) as task:
            mark()
            for tile in tiles:
                sums = self._sum(task, model, tile, steps, None)
                mark()
            task.download(sums.outside)

    def needs_compiling(self, model: Model) -> bool:
        """Return True if this machine must first compile the loops for this model."""
        return not self.launcher.is_compiled(card_pack(model, self.precision).program)

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes of this machine's memory that evaluating a tile needs."""
        slow0, slow1, fast0, fast1 = model.roi
        whole = (slow0, slow1, fast0, fast1) == (0, model.n_slow - 1, 0, model.n_fast - 1)
        listed = 0 if whole and model.mask is None else 32
        each = 8 + listed + (8 if model.running_product else 0)
        return self.launcher.working_bytes(pixels, each)

    def _sum(
        self,
        task: Task,
        model: Model,
        tile: Tile,
        steps: StepRange,
        active: NDArray[np.int32] | None,
    ) -> _Sums:
        """Start the evaluation of a tile; return where its results will be."""
        ready = self._prepare(model)
        count = tile.pixels if active is None else active.size
        sums = _Sums(
            total=task.empty(count, np.float64),
            gain=task.empty(count if model.running_product else 1, np.float64),
            outside=task.zeros(1, np.uint64),
            listed=_listed(task, active),
        )
        values = arguments(ready.packed.values, tile, steps, active)
        buffers = (ready.axes, ready.sources, ready.table)
        task.launch(
            ready.module,
            "nb_sum",
            count,
            (values, *buffers, sums.listed, sums.total, sums.gain, sums.outside),
        )
        return sums

    def _finish(
        self,
        task: Task,
        model: Model,
        tile: Tile,
        sums: _Sums,
        active: NDArray[np.int32] | None,
    ) -> NDArray[np.float32]:
        ready = self._prepare(model)
        count = tile.pixels if active is None else active.size
        values = arguments(ready.packed.values, tile, StepRange(0, 0), active)
        image = task.empty(count, np.float32)
        task.launch(
            ready.module,
            "nb_finish",
            count,
            (values, ready.sources, sums.listed, sums.total, sums.gain, image),
        )
        return spread(task.download(image), tile, active, 0.0)

    def _prepare(self, model: Model) -> _Ready:
        """Return a model's tables on the device and its compiled program."""
        with self._lock:
            found = self._ready.pop(id(model), None)
            if found is None:
                packed = card_pack(model, self.precision)
                module = self.launcher.compile(packed.program)
                tables = (packed.axes, packed.sources, packed.table)
                buffers = [self.launcher.resident(array) for array in tables]
                # The table of amplitudes may be large, and is on the device now.
                lean = packed._replace(table=np.zeros(0))
                found = _Ready(model, lean, module, *buffers)
            self._ready[id(model)] = found
            while len(self._ready) > _MODELS:
                self._ready.popitem(last=False)
            return found


class _Ready(NamedTuple):
    """A model whose tables are on the device; the model is held, so that its id stays its own."""

    model: Model
    packed: CardPacked
    module: Module
    axes: Buffer
    sources: Buffer
    table: Buffer


class _Sums(NamedTuple):
    """Buffers of a tile on the device."""

    total: Buffer
    gain: Buffer
    outside: Buffer
    listed: Buffer


def _device_bytes(model: Model, tile: Tile, active: NDArray[np.int32] | None) -> int:
    """Return the most bytes of a tile's buffers on the device."""
    count = tile.pixels if active is None else active.size
    # Sum (float64) and image (float32), the gains of a running product, the list of pixels.
    each = 12 + (8 if model.running_product else 0) + (0 if active is None else 4)
    return each * count + _SMALL


def _listed(task: Task, active: NDArray[np.int32] | None) -> Buffer:
    return task.empty(1, np.int32) if active is None else task.upload(active)
