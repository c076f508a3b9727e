"""What a run asks for: seconds and bytes of its tiles, of an image or of many shots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from nbdask.geometry.model import Model
from nbdask.plan import memory
from nbdask.plan.cost import Costs
from nbdask.plan.estimate import STORED, Pieces, Storage, Workers
from nbdask.plan.leading import least_seconds, most_tasks
from nbdask.plan.machine import total_memory
from nbdask.plan.planes import arrays_of
from nbdask.plan.tiles import Tile, TileGrid

#: Seconds that a task should take, at most.
LONG_TASK = 2.0
#: Tasks per thread below which the work is cut finer.
TASKS_PER_THREAD = 2
#: Seconds in which the model of a shot of a series is built.
MODEL_SECONDS = 0.003
#: Cost of a pixel in a tile of zeros, outside the region of interest, relative to another.
EMPTY_SHARE = 0.4


class KernelFacts(Protocol):
    """What a plan needs to know of a kernel."""

    name: str
    precision: str
    version: str

    @property
    def on_device(self) -> bool:
        """Whether the tasks of a process share a GPU."""

    @property
    def costs(self) -> Mapping[str, float]:
        """Nanoseconds by key that the kernel knows better than anyone."""

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes that evaluating ``pixels`` needs in addition to its result planes."""

    def share(self, model: Model) -> tuple[float, float]:
        """Return which share of the evaluations is done, and of the time that all would take."""


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """How many shots a series has, and what some of them cost.

    Attributes
    ----------
    count : int
        0: an image that is none of a series.
    sample : tuple of Model
        Some of them, such as the first, the last and a few between.
    """

    count: int
    sample: tuple[Model, ...]

    @property
    def largest(self) -> Model:
        """The one of most evaluations."""
        return max(self.sample, key=lambda model: model.evaluated * model.n_steps)

    def total(self, cost: Callable[[Model], float]) -> float:
        """Return what all shots cost, from the mean of the sample."""
        mean = sum(map(cost, self.sample)) / len(self.sample)
        return max(1, self.count) * mean


class Resources(NamedTuple):
    """What a run is given: how fast it computes, with how many tasks, how much memory, where to.

    Parameters
    ----------
    costs : Costs
    workers : Workers
    memory_limit : int or str, optional
        Bytes that each process may use.  None: its share of 70 % of what the machine has.
    storage : Storage
        How fast the store's place is; by default, what is usual.
    """

    costs: Costs
    workers: Workers = Workers()
    memory_limit: int | str | None = None
    storage: Storage = Storage()

    @property
    def limit(self) -> int:
        """Bytes that each process may use."""
        if self.memory_limit is None:
            return int(memory.DEFAULT_SHARE * total_memory() / self.workers.processes)
        return memory.parse_bytes(self.memory_limit)


@dataclass(frozen=True)
class Demand:
    """The figures that the choice rests on."""

    model: Model
    kernel: KernelFacts
    costs: Costs
    workers: Workers
    storage: Storage
    limit: int
    shots: Shots
    planes: tuple[str, ...] = ()
    slopes: int = 0

    @property
    def roi(self) -> Tile:
        """The region of interest."""
        return Tile.within(self.model.roi)

    @property
    def n_panels(self) -> int:
        """Panels of all shots."""
        return max(1, self.shots.count) * self.model.n_panels

    def working_tiles(self, tile: tuple[int, int]) -> int:
        """Return how many tiles of a size touch the region of interest."""
        roi = self.roi
        rows = (roi.slow1 - 1) // tile[0] - roi.slow0 // tile[0] + 1
        columns = (roi.fast1 - 1) // tile[1] - roi.fast0 // tile[1] + 1
        return rows * columns * self.n_panels

    @property
    def on_device(self) -> bool:
        """Whether a process's tasks share a GPU, and its threads only what comes afterwards."""
        return self.kernel.on_device

    @property
    def share(self) -> float:
        """Share of the evaluations that is done; the others are 0 and skipped."""
        parts = _parts(self.model)
        return sum(n * self.kernel.share(m)[0] for n, m in parts) / self.model.n_steps

    def _evaluating(self, evaluated: int, model: Model | None = None) -> float:
        """Return the seconds of pixels' steps, of the largest shot or of another one."""
        name, precision = self.kernel.name, self.kernel.precision
        total = 0.0
        for count, part in _parts(model or self.shots.largest):
            step = self.costs.per_evaluation(part, name, precision) * self.kernel.share(part)[1]
            if self.planes:
                step += self.costs.of_planes(part, name)
            if self.slopes:
                step += self.costs.of_slopes(part, name)
            total += count * step
        return evaluated * total

    @property
    def _stored(self) -> float:
        """Bytes of a pixel in the store, with those of further planes and derivatives."""
        return STORED * (1 + len(arrays_of(self.planes)) + 2 * self.slopes)

    def _background(self, pixels: int) -> float:
        """Return the seconds of pixels' amorphous background, which a processor computes."""
        return pixels * self.costs.background(self.model)

    def _finishing(self, pixels: int) -> float:
        """Return the seconds of what is done once for each pixel."""
        return pixels * self.costs.per_pixel(self.kernel.name, self.kernel.precision)

    def gpu_seconds(self, tile: tuple[int, int]) -> float:
        """Return the seconds of the fullest tile on a GPU."""
        slow, fast = self.roi.shape
        return self._evaluating(min(tile[0], slow) * min(tile[1], fast))

    def tile_seconds(self, tile: tuple[int, int]) -> float:
        """Return the seconds of the fullest tile."""
        slow, fast = self.roi.shape
        evaluated = min(tile[0], slow) * min(tile[1], fast)
        once = self._finishing(tile[0] * tile[1]) + self._background(evaluated)
        return self._evaluating(evaluated) + once + self._files(tile)

    def _files(self, tile: tuple[int, int]) -> float:
        """Return the seconds of a tile's files."""
        return self.costs.of_run("tile") + self.storage.seconds(self._stored * tile[0] * tile[1])

    @property
    def work_seconds(self) -> float:
        """Seconds of all evaluations on one thread."""
        return self.shots.total(lambda model: self._evaluating(model.evaluated, model))

    @property
    def wanted_tasks(self) -> int:
        """Tasks into which work is cut: some for each thread, unless leading takes longer then."""
        many = TASKS_PER_THREAD * self.workers.total
        return min(many, most_tasks(self.work_seconds)) if self.workers.led else many

    @property
    def long_task(self) -> float:
        """Seconds of a task at most: many workers need longer ones."""
        return max(LONG_TASK, least_seconds(self.workers.total)) if self.workers.led else LONG_TASK

    def pieces(self, grid: TileGrid, ranges: int, outputs: int) -> Pieces:
        """Return the work of a run."""
        pixels, tile = grid.pixels, grid.tile
        working = min(self.working_tiles(tile) * tile[0] * tile[1], pixels)
        return Pieces(
            tiles=len(grid),
            working=self.working_tiles(tile),
            ranges=ranges,
            pixels=tile[0] * tile[1],
            evaluating=self.work_seconds,
            finishing=self._finishing(working + round(EMPTY_SHARE * (pixels - working)))
            + self.shots.total(lambda model: self._background(model.evaluated))
            + MODEL_SECONDS * max(0, self.shots.count - 1),
            fullest=self.tile_seconds(tile),
            size=self._stored * working,
            on_device=self.on_device,
            copied=outputs * pixels,
        )

    def task_bytes(self, pixels: int, ranges: int) -> int:
        """Return the most bytes of a task."""
        working, arrays = self.kernel.working_bytes, len(arrays_of(self.planes))
        own = memory.task_bytes(self.shots.largest, pixels, ranges, working, arrays)
        return own + pixels * memory.slope_bytes(self.slopes)

    def process_bytes(self, task: int) -> int:
        """Return the most bytes of a process whose tasks take this many each."""
        return memory.process_bytes(task, memory.model_bytes(self.model), self.workers.threads)

    def fits(self, side: int, ranges: int) -> bool:
        """Whether square tiles of a side fit the memory."""
        pixels = min(side, self.model.n_slow) * min(side, self.model.n_fast)
        return self.process_bytes(self.task_bytes(pixels, ranges)) <= self.limit


def _parts(model: Model) -> list[tuple[int, Model]]:
    """Return each crystal's steps and model."""
    models = [share.model for share in model.lattices] or [model]
    return [(one.n_steps, one) for one in models]
