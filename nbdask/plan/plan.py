"""The plan: tiles x step ranges, on what, with how much memory, in what time.  Plain data."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbdask import html
from nbdask.errors import PlanError, counted
from nbdask.geometry.model import Model
from nbdask.plan import memory
from nbdask.plan.demand import Demand, KernelFacts, Resources, Shots
from nbdask.plan.estimate import Estimate, Workers, estimate, format_seconds
from nbdask.plan.planes import Slope, arrays_of
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import TileGrid, shape_text

#: Sides of automatic tiles [pixels]: usual, greatest, least.
USUAL_SIDE, GREATEST_SIDE, LEAST_SIDE = 1024, 2048, 64
#: Least side that a user may ask for, where the detector has it.
LEAST_ASKED = 8
#: Most tiles of a store, each of which is a file.
MOST_TILES = 1 << 24
#: More steps than a pixel has: the steps of a shot of a series are not cut.
ALL_STEPS = 1 << 53
#: Seconds that a task should take, at least.
SHORT_TASK = 0.2
#: Tiles are not cut below this for the sake of more tasks [s].
WORTH_CUTTING = 0.05
#: On a GPU, which one tile should fill with some rounds of threads: sides, and the least
#: seconds of a task that is a part of a tile's steps.
GPU_SIDE, GPU_GREATEST, GPU_TASK = 1024, 2048, 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """Which work is done, in which pieces.

    Attributes
    ----------
    grid : TileGrid
    steps : tuple of StepRange
        Ranges into which the steps of every tile are cut, in order; of a series, those of shot 0.
    per_task : int
        Most steps of a range.
    backend, precision, kernel_version : str
    workers : Workers
    working_tiles : int
        Tiles that touch the region of interest; the others are zeros at no cost.
    task_bytes : int
        Most bytes of one running task.
    process_bytes : int
        Most bytes of one process.
    task_seconds : float
        Estimate.
    estimate : Estimate
        Of the whole run.
    costs : str
        Where the cost figures come from.
    planes : tuple of str
        Further planes of the image; see :mod:`~.planes`.
    slopes : tuple of Slope
        What the image is differentiated by.
    share : float
        Of the evaluations those that are done; the others are exactly 0.
    together : int
        Tiles that are one task: all of a shot that takes little time, else 1.
    """

    grid: TileGrid
    steps: tuple[StepRange, ...]
    per_task: int
    backend: str
    precision: str
    kernel_version: str
    workers: Workers
    working_tiles: int
    task_bytes: int
    process_bytes: int
    task_seconds: float
    estimate: Estimate
    costs: str
    planes: tuple[str, ...] = ()
    slopes: tuple[Slope, ...] = ()
    share: float = 1.0
    together: int = 1

    @property
    def run_seconds(self) -> float:
        """Estimated seconds of the run."""
        return self.estimate.total

    @property
    def tasks(self) -> int:
        """Evaluations of one tile for one step range, or of several tiles."""
        return -(-self.working_tiles * len(self.steps) // self.together)

    @property
    def image_bytes(self) -> int:
        """Bytes of the float32 image before compression."""
        return 4 * self.grid.pixels

    def __repr__(self) -> str:
        """Return image, tiles and time in a line; :meth:`describe` has the rest."""
        shape, tiles = shape_text(self.grid.image_shape), counted(len(self.grid), "tile")
        return f"<Plan: {shape} pixels in {tiles}, about {format_seconds(self.run_seconds)}>"

    def __str__(self) -> str:
        """Return what :meth:`describe` does."""
        return self.describe()

    def describe(self) -> str:
        """Return the plan in a few lines for people."""
        rows, columns = self.grid.counts
        n_steps = self.steps[-1].stop
        longest = max(s.length for s in self.steps)
        shots = f"{self.grid.shots} shots x " if self.grid.shots else ""
        panels = f"{shots}{self.grid.panels} panels x " if self.grid.panels > 1 else shots
        slow, fast = self.grid.shape
        beside = ", ".join(arrays_of(self.planes))
        by = ", ".join(slope.name for slope in self.slopes)
        return "\n".join(
            (
                f"image     {panels}{slow} x {fast} pixels (slow x fast),"
                f" {n_steps} steps each{self._done()},"
                f" {memory.format_bytes(self.image_bytes)} as float32",
                *([f"planes    {beside}, as float32 beside the image"] if beside else []),
                *([f"gradient  by {by}, as float64 beside the image"] if by else []),
                f"tiles     {panels}{rows} x {columns} = {len(self.grid)} of {self.grid.tile[0]} x"
                f" {self.grid.tile[1]} pixels, {self.working_tiles} in the region of interest",
                f"tasks     {self.tasks}: {self._pieces()}, at most {longest} steps,"
                f" about {self.task_seconds:.2g} s each",
                f"kernel    {self.backend}, {self.precision}, version {self.kernel_version}",
                f"workers   {counted(self.workers.workers, 'process', 'es')} x"
                f" {counted(self.workers.threads, 'thread')}",
                f"memory    {memory.format_bytes(self.task_bytes)} per task,"
                f" {memory.format_bytes(self.process_bytes)} per process",
                f"time      about {format_seconds(self.run_seconds)}{self._waiting()}, limited by"
                f" {self.estimate.limit}: {self.estimate.parts()}"
                f" (cost figures: {self.costs}; {self.estimate.storage})",
            )
        )

    def _done(self) -> str:
        return f" of which about {100 * self.share:.2g} % is done" if self.share < 1.0 else ""

    def _pieces(self) -> str:
        if self.together > 1:
            return f"whole shots of {self.together} tiles"
        return f"{len(self.steps)} per tile"

    def _waiting(self) -> str:
        return " and the jobs' time in their queue" if self.workers.queued else ""

    def _repr_html_(self) -> str:
        """Show the plan in a notebook."""
        lines = (line.split(maxsplit=1) for line in self.describe().splitlines())
        return html.table("nbdask plan", [(name, text) for name, text in lines])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict of what determines the pieces of work, and the estimates."""
        longest = max(s.length for s in self.steps)
        return {
            "shape": list(self.grid.image_shape),
            "tile": list(self.grid.tile),
            "tiles": len(self.grid),
            "steps": self.steps[-1].stop,
            "ranges": len(self.steps),
            "steps_per_task": self.per_task if self.grid.shots else longest,
            "backend": self.backend,
            "precision": self.precision,
            "kernel_version": self.kernel_version,
            "workers": self.workers.workers,
            "threads": self.workers.threads,
            "task_bytes": self.task_bytes,
            "process_bytes": self.process_bytes,
            "estimated_seconds": round(self.run_seconds, 3),
            **({"planes": list(self.planes)} if self.planes else {}),
            **({"gradient": [slope.to_dict() for slope in self.slopes]} if self.slopes else {}),
        }


def parse_tile(value: object) -> tuple[int, int]:
    """Read the size of a tile: ``512``, ``"512"``, ``"512,256"`` or ``(512, 256)`` (slow, fast).

    Returns
    -------
    tuple of int
        Pixels (slow, fast).

    Raises
    ------
    PlanError
        Not one or two whole numbers of at least 8.
    """
    words: Any = re.split(r"[,x]", value) if isinstance(value, str) else value
    if isinstance(value, str) and not re.fullmatch(r"\s*\d+\s*(?:[,x]\s*\d+\s*)?", value, re.ASCII):
        words = None
    items: list[Any] = list(words) if isinstance(words, (list, tuple)) else [words]
    try:
        numbers = [int(item) for item in items]
        if any(isinstance(i, bool) or (isinstance(i, float) and i != int(i)) for i in items):
            raise ValueError
        if len(numbers) not in (1, 2) or min(numbers) < LEAST_ASKED:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise PlanError(
            f"--tile = {value!r}: must be one whole number, or two as SLOW,FAST,"
            f" of at least {LEAST_ASKED} pixels each"
        ) from None
    return (numbers[0], numbers[-1])


def recorded_tile(plan: Mapping[str, Any]) -> tuple[int, int]:
    """Return the size of tiles to ask for, so that they are those of a plan on record."""
    slow, fast = (max(int(side), LEAST_ASKED) for side in plan["tile"])
    return (slow, fast)


def _check_count(grid: TileGrid) -> None:
    if len(grid) > MOST_TILES:
        fewer = "fewer shots (in several stores)" if grid.shots > 1 else "fewer pixels"
        raise PlanError(
            f"{' x '.join(map(str, grid.image_shape))} pixels in tiles of {grid.tile[0]} x"
            f" {grid.tile[1]} are {len(grid)} tiles: must be at most {MOST_TILES}: give a greater"
            f" --tile, or {fewer}"
        )


def make_plan(
    model: Model,
    kernel: KernelFacts,
    resources: Resources,
    *,
    tile: object = None,
    steps_per_task: int | None = None,
    outputs: int = 0,
    planes: tuple[str, ...] = (),
    slopes: tuple[Slope, ...] = (),
    shots: Shots | None = None,
) -> Plan:
    """Choose tiles and step ranges, or check those asked for.

    Parameters
    ----------
    model : Model
        Of a series, that of shot 0.
    kernel : KernelFacts
    resources : Resources
    tile : int, str or tuple of int, optional
        Pixels of a tile (slow, fast); clipped to the detector.  None: chosen.
    steps_per_task : int, optional
        Most steps of one task.  None: chosen.
    outputs : int
        Files that are made of the finished store.
    planes : tuple of str
        Further planes of the image.
    slopes : tuple of Slope
        What the image is differentiated by.
    shots : Shots, optional
        Where a series is planned.

    Raises
    ------
    PlanError
        A size that is not allowed, or a run that does not fit the memory.
    """
    workers, storage = resources.workers, resources.storage
    costs, limit = resources.costs.of_gpu(kernel.costs), resources.limit
    several = shots or Shots(0, (model,))
    demand = Demand(model, kernel, costs, workers, storage, limit, several, planes, len(slopes))
    per_task = _checked_steps(steps_per_task)
    side = _choose_tile(demand, per_task) if tile is None else parse_tile(tile)
    shape = (model.n_slow, model.n_fast)
    tiles = (min(side[0], shape[0]), min(side[1], shape[1]))
    grid = TileGrid(shape, tiles, model.n_panels, demand.shots.count)
    _check_count(grid)
    per_task = per_task or _choose_steps(demand, grid)
    if steps_per_task is None and grid.shots and per_task >= demand.shots.largest.n_steps:
        per_task = ALL_STEPS
    steps = tuple(split_steps(model.n_steps, per_task))
    together = _choose_together(demand, grid, len(steps))
    task, need = _fitting_bytes(demand, grid, len(steps), resources.memory_limit)
    return Plan(
        grid=grid,
        steps=steps,
        per_task=per_task,
        backend=kernel.name,
        precision=kernel.precision,
        kernel_version=kernel.version,
        workers=workers,
        working_tiles=demand.working_tiles(grid.tile),
        task_bytes=task,
        process_bytes=need,
        task_seconds=together * demand.tile_seconds(grid.tile) / len(steps),
        estimate=estimate(demand.pieces(grid, len(steps), outputs), workers, costs, storage),
        costs=costs.source,
        planes=planes,
        slopes=slopes,
        share=demand.share,
        together=together,
    )


def _choose_tile(demand: Demand, steps_per_task: int | None) -> tuple[int, int]:
    """Choose the side of square tiles: a power of two.

    The greatest that keeps tasks short enough, gives every thread a few, and fits the memory.
    """
    many = demand.wanted_tasks
    tiles: Callable[[int], int] = lambda side: demand.working_tiles((side, side))  # noqa: E731
    seconds: Callable[[int], float] = lambda side: demand.tile_seconds((side, side))  # noqa: E731
    n_steps = demand.shots.largest.n_steps
    ranges = 1 if steps_per_task is None else -(-n_steps // steps_per_task)
    if demand.on_device:
        side = GPU_GREATEST if tiles(GPU_GREATEST) >= 2 * many else GPU_SIDE
        while side > LEAST_SIDE and not demand.fits(side, ranges):
            side //= 2
        return (side, side)
    side = USUAL_SIDE
    if seconds(side) < SHORT_TASK and tiles(GREATEST_SIDE) >= 2 * many:
        side = GREATEST_SIDE
    # Very large detectors keep tiles of a fair size and cut the steps instead: fewer files.
    pixels = demand.n_panels * demand.model.n_slow * demand.model.n_fast
    floor = 128 if pixels <= 8192**2 else 256
    while side > floor and seconds(side) > demand.long_task and steps_per_task is None:
        side //= 2
    while side > LEAST_SIDE and tiles(side) < many and seconds(side // 2) >= WORTH_CUTTING:
        side //= 2
    while side > LEAST_SIDE and not demand.fits(side, max(ranges, 1)):
        side //= 2
    return (side, side)


def _choose_steps(demand: Demand, grid: TileGrid) -> int:
    """Choose the steps of a task: all of them, unless tiles alone are too long or too few."""
    n_steps = demand.shots.largest.n_steps
    if demand.on_device:
        parts = max(1, int(demand.gpu_seconds(grid.tile) / GPU_TASK))
        return -(-n_steps // min(parts, n_steps))
    seconds = demand.tile_seconds(grid.tile)
    parts = max(1, math.ceil(seconds / demand.long_task))
    wanted = -(-demand.wanted_tasks // demand.working_tiles(grid.tile))
    parts = max(parts, min(wanted, int(seconds / SHORT_TASK)))
    return -(-n_steps // min(parts, n_steps))


def _choose_together(demand: Demand, grid: TileGrid, ranges: int) -> int:
    """Choose the tiles of a task: a whole shot where it is short and there are many."""
    if not grid.shots or ranges > 1 or demand.on_device:
        return 1
    short = grid.per_shot * demand.tile_seconds(grid.tile) <= SHORT_TASK
    return grid.per_shot if short and grid.shots >= demand.wanted_tasks else 1


def _checked_steps(value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PlanError(f"--steps-per-task = {value!r}: must be a whole number of at least 1")
    return value


def _fitting_bytes(
    demand: Demand, grid: TileGrid, ranges: int, limit: int | str | None
) -> tuple[int, int]:
    """Return the bytes of a task and of a process; refuse what the memory does not hold."""
    task = demand.task_bytes(grid.tile[0] * grid.tile[1], ranges)
    need = demand.process_bytes(task)
    if need <= demand.limit:
        return task, need
    threads, text = demand.workers.threads, memory.format_bytes
    base = memory.PROCESS_BYTES + memory.model_bytes(demand.model)
    where = "--memory-limit is" if limit is not None else "a process's share of this machine is"
    smallest = base + demand.task_bytes(min(LEAST_SIDE**2, grid.tile[0] * grid.tile[1]), ranges)
    raise PlanError(
        f"a process needs {text(need)} ({text(base)} for itself and its input, and"
        f" {counted(threads, 'task')} at a time of {text(task)} for tiles of {grid.tile[0]} x"
        f" {grid.tile[1]} pixels)"
        f" but {where} {text(demand.limit)}: give a smaller --tile, fewer --threads, or a greater"
        f" --memory-limit (one thread with small tiles needs {text(smallest)})"
    )
