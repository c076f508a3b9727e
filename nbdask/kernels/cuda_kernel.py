"""The kernel of the GPU: one pass per tile and step range, for any launcher."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.cuda_facts import PRECISIONS, VERSION, copied_blocks
from nbdask.kernels.cuda_launch import Buffer, Launcher, Task
from nbdask.kernels.cuda_pack import GpuPacked, gpu_pack
from nbdask.kernels.interface import Kernel, Mask, Partial
from nbdask.kernels.pack import arguments
from nbdask.kernels.pixels import active_pixels, chosen, scatter
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

#: Models whose tables stay on the device when no task reads them: one run has one model, and one
#: more for its first pixel.
_MODELS = 3
#: Says that photons go to the places of their pixels in the tile (native/src/card.cu).
_IN_PLACE = 2
#: Bytes of a task's smallest buffers, each rounded up by the device's pool.
_SMALL = 4096


class CudaKernel(Kernel):
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
    version = VERSION

    def __init__(self, precision: str, launcher: Launcher) -> None:
        if precision == "auto":
            precision = "pairs" if launcher.slow_float64 else "float64"
        if precision not in PRECISIONS:
            allowed = ", ".join(PRECISIONS)
            raise BackendError(f"--precision = {precision!r}: must be one of {allowed}, auto")
        self.precision = precision
        self.launcher = launcher
        self._ready: OrderedDict[int, Ready] = OrderedDict()
        self._lock, self._loading = Lock(), Lock()

    def partial(self, model: Model, tile: Tile, steps: StepRange, mask: Mask | None) -> Partial:
        """Evaluate ``steps`` for every pixel of ``tile``; see :class:`~.interface.Kernel`."""
        running = model.running_product
        active = active_pixels(tile, mask)
        if active is not None and active.size == 0:
            return Partial(np.zeros(tile.shape), np.ones(tile.shape) if running else None, 0)
        with self.task(model, _device_bytes(model, tile, active)) as (task, ready):
            sums = self._sum(task, ready, tile, steps, active)
            total = scatter(task.download(sums.total), tile, active, 0.0)
            gain = scatter(task.download(sums.gain), tile, active, 1.0) if running else None
            return Partial(total, gain, int(task.download(sums.outside)[0]))

    def finish(
        self, model: Model, tile: Tile, partial: Partial, mask: Mask | None
    ) -> NDArray[np.float32]:
        """Turn the merged sum into photons; see :class:`~.interface.Kernel`."""
        active = active_pixels(tile, mask)
        if active is not None and active.size == 0:
            return np.zeros(tile.shape, dtype=np.float32)
        with self.task(model, _device_bytes(model, tile, active)) as (task, ready):
            total = task.upload(chosen(partial.total, active))
            gain = task.empty(1, np.float64)
            if partial.gain is not None:
                gain = task.upload(chosen(partial.gain, active))
            sums = _Sums(total, gain, None, _listed(task, active))
            return self._finish(task, ready, tile, sums, active)

    def image(self, model: Model, tile: Tile, mask: Mask | None) -> tuple[NDArray[np.float32], int]:
        """Evaluate and finish a tile; the sums never leave the device.

        See :class:`~.interface.Kernel`.
        """
        active = active_pixels(tile, mask)
        if active is not None and active.size == 0:
            return np.zeros(tile.shape, dtype=np.float32), 0
        with self.task(model, _device_bytes(model, tile, active)) as (task, ready):
            sums = self._sum(task, ready, tile, StepRange(0, model.n_steps), active)
            image = self._finish(task, ready, tile, sums, active)
            return image, int(task.download(sums.outside)[0])

    def device_image(self, model: Model, tile: Tile, mask: Mask | None) -> tuple[Any, int]:
        """Do the same as :meth:`image`, but leave the image on the device; it is the caller's."""
        active = active_pixels(tile, mask)
        with self.task(model, _device_bytes(model, tile, active)) as (task, ready):
            image = task.result(tile.shape)
            if active is not None and active.size == 0:
                return task.hand_over(image), 0
            sums = self._sum(task, ready, tile, StepRange(0, model.n_steps), active)
            self._photons(task, ready, tile, sums, active, image)
            return task.hand_over(image), int(task.download(sums.outside)[0])

    def put(self, value: np.float32, image: Any, pixel: tuple[int, int]) -> None:
        """Overwrite one pixel of a :meth:`device_image`."""
        with self.launcher.task(_SMALL, self._spare) as task:
            task.put(value, image, pixel)

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
            Called before the first tile and after each has been started; on a GPU it can record
            an event in the current stream.
        """
        with self.task(model, _device_bytes(model, tiles[0], None)) as (task, ready):
            sums = self._room(task, model, tiles[0].pixels, None)
            mark()
            for tile in tiles:
                self._launch(task, ready, tile, steps, None, sums)
                mark()
            task.download(sums.outside)

    def needs_compiling(self, model: Model) -> bool:
        """Return True if this machine must first compile the loops for this model."""
        return not self.launcher.is_compiled(gpu_pack(model, self.precision).program)

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes of this machine's memory that evaluating a tile needs."""
        return self.launcher.working_bytes(copied_blocks(model, pixels))

    def _sum(
        self,
        task: Task,
        ready: Ready,
        tile: Tile,
        steps: StepRange,
        active: NDArray[np.int32] | None,
    ) -> _Sums:
        """Start the evaluation of a tile; return where its results will be."""
        count = tile.pixels if active is None else active.size
        sums = self._room(task, ready.model, count, active)
        self._launch(task, ready, tile, steps, active, sums)
        return sums

    def _room(
        self, task: Task, model: Model, count: int, active: NDArray[np.int32] | None
    ) -> _Sums:
        return _Sums(
            total=task.empty(count, np.float64),
            gain=task.empty(count if model.running_product else 1, np.float64),
            outside=task.zeros(1, np.uint64),
            listed=_listed(task, active),
        )

    def _launch(
        self,
        task: Task,
        ready: Ready,
        tile: Tile,
        steps: StepRange,
        active: NDArray[np.int32] | None,
        sums: _Sums,
    ) -> None:
        count = tile.pixels if active is None else active.size
        values = arguments(ready.packed.values, tile, steps, active)
        buffers = (ready.axes, ready.sources, ready.table)
        task.launch(
            self.launcher.compile(ready.packed.program),
            "nb_sum",
            count,
            (values, *buffers, sums.listed, sums.total, sums.gain, sums.outside),
        )

    def _finish(
        self,
        task: Task,
        ready: Ready,
        tile: Tile,
        sums: _Sums,
        active: NDArray[np.int32] | None,
    ) -> NDArray[np.float32]:
        count = tile.pixels if active is None else active.size
        image = task.empty(count, np.float32)
        self._photons(task, ready, tile, sums, active, image)
        return scatter(task.download(image), tile, active, 0.0)

    def _photons(
        self,
        task: Task,
        ready: Ready,
        tile: Tile,
        sums: _Sums,
        active: NDArray[np.int32] | None,
        image: Buffer,
    ) -> None:
        """Start the entry that makes photons, in an image with room for them or for the tile."""
        count = tile.pixels if active is None else active.size
        values = arguments(ready.packed.values, tile, StepRange(0, 0), active)
        if active is not None and image.size == tile.pixels:
            values["listed"] = _IN_PLACE
        task.launch(
            self.launcher.compile(ready.packed.program),
            "nb_finish",
            count,
            (values, ready.sources, sums.listed, sums.total, sums.gain, image),
        )

    @contextmanager
    def task(self, model: Model, device_bytes: int) -> Iterator[tuple[Task, Ready]]:
        """Return a task and what it reads, which stays on the device until the task has ended.

        Parameters
        ----------
        model : Model
        device_bytes : int
            Most bytes of the task's own buffers.
        """
        ready = self._hold(model)
        try:
            with self.launcher.task(device_bytes, self._spare) as task:
                yield task, ready
        finally:
            self._let_go(ready)

    def _hold(self, model: Model) -> Ready:
        """Return a model's tables on the device and its program, held for one task more."""
        with self._lock:
            found = self._known(model)
        if found is not None:
            return found
        # One at a time, but tasks of other models go on meanwhile.
        with self._loading:
            with self._lock:
                found = self._known(model)
            if found is not None:
                return found
            packed = gpu_pack(model, self.precision)
            buffers: list[Buffer] = []
            try:
                for table in (packed.axes, packed.sources, packed.table):
                    buffers.append(self.launcher.resident(table, self._spare))
            except BaseException:
                self._release(buffers)
                raise
            # The table of amplitudes may be large, and is on the device now.
            lean = packed._replace(table=np.zeros(0))
            found = Ready(model, lean, *buffers)
            with self._lock:
                self._ready[id(model)] = found
                found.tasks += 1
        while len(self._ready) > _MODELS and self._spare():
            pass
        return found

    def _known(self, model: Model) -> Ready | None:
        found = self._ready.get(id(model))
        if found is not None:
            self._ready.move_to_end(id(model))
            found.tasks += 1
        return found

    def _let_go(self, ready: Ready) -> None:
        with self._lock:
            ready.tasks -= 1
        while len(self._ready) > _MODELS and self._spare():
            pass

    def _spare(self) -> bool:
        """Release the tables that were last read longest ago; False: all are being read."""
        with self._lock:
            idle = next((key for key, ready in self._ready.items() if ready.tasks == 0), None)
            if idle is None:
                return False
            ready = self._ready.pop(idle)
        self._release((ready.axes, ready.sources, ready.table))
        return True

    def _release(self, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            self.launcher.release(buffer)


class Ready:
    """A model whose tables are on the device; the model is held, so that its id stays its own."""

    def __init__(
        self,
        model: Model,
        packed: GpuPacked,
        axes: Buffer,
        sources: Buffer,
        table: Buffer,
    ) -> None:
        self.model, self.packed = model, packed
        self.axes, self.sources, self.table = axes, sources, table
        #: Tasks that may be reading the tables.
        self.tasks = 0


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
