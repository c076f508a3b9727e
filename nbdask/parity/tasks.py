"""The tasks of a comparison: plain functions of a run's name and small numbers.

For one region: C runs in one task, tiles that must be computed in others, and a last one compares.
The pixels stay where they are made; what comes back is small.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import NbdaskError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Model
from nbdask.graph.build import Graph
from nbdask.graph.context import RunContext, Shared, context_of
from nbdask.graph.tasks import compute_tile
from nbdask.kernels.carry_over import find_first_evaluation, patch_carry_over
from nbdask.kernels.reference import ReferenceKernel
from nbdask.parity.binary import Binary, CRun, UsersArgv, run_c
from nbdask.parity.errors import RunnerError
from nbdask.parity.measures import PEAKS, measure
from nbdask.parity.outcome import RegionResult
from nbdask.parity.pictures import region_pictures
from nbdask.parity.regions import Region
from nbdask.parity.semantics import outside_note
from nbdask.parity.window import of_panel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.checked import CheckedImage, overlapping
from nbdask.store.reader import StoreReader

_log = logging.getLogger("nbdask.parity")

Image = NDArray[np.float32]
#: Two values of a pixel that are the same except for rounding.
_SAME = 2e-7


@dataclass(frozen=True, slots=True)
class Job(Shared):
    """What all tasks of a comparison share.  Picklable.

    Attributes
    ----------
    experiment : Experiment
        With the semantics that is compared.
    binary : Binary
    mode : str
        ``"roi"`` or ``"window"``.
    context : RunContext or None
        To compute tiles, or the first pixel of a region; None where neither is needed.
    store : str or None
        Where stored pixels are read; None: they are computed.
    shot : int or None
        Of a store of a series.
    users : UsersArgv or None
        The user's own arguments for C.
    keep : str or None
        Folder in which the directories of C are kept.
    peaks : int
        Brightest local maxima to match.
    pictures : bool
    """

    experiment: Experiment
    binary: Binary
    mode: str
    context: RunContext | None
    store: str | None
    users: UsersArgv | None = None
    keep: str | None = None
    peaks: int = PEAKS
    pictures: bool = False
    shot: int | None = None

    @property
    def requires(self) -> tuple[str, str, str] | None:
        """Kernel that every process must have, where tiles are computed."""
        return None if self.context is None else self.context.requires

    def enter(self, run: str) -> Self:
        """Make the kernel ready."""
        if self.context is None:
            return self
        context = self.context.enter(run)
        if self.store is None:
            _warm_up(context)
        return replace(self, context=context)

    def leave(self, run: str) -> None:
        """Close what was read."""
        _readers.pop(run, None)
        _images.pop(run, None)
        if self.context is not None:
            self.context.leave(run)


def _warm_up(context: RunContext) -> None:
    """Load the compiled kernel, so that it does not count as time of the first tile."""
    model = context.model.at(0)
    pixel = Tile(model.roi[0], model.roi[0] + 1, model.roi[2], model.roi[2] + 1)
    kernel = context.kernel()
    kernel.finish(model, pixel, kernel.partial(model, pixel, StepRange(0, 1), None), None)


_readers: dict[str, StoreReader] = {}
_images: dict[str, CheckedImage] = {}
_lock = Lock()


class Computed(NamedTuple):
    """A tile that was computed: its pixels, seconds, and evaluations outside the list's grid."""

    tile: Tile
    image: Image
    seconds: float
    outside: int


def region_graph(run: str, number: int, region: Region, grid: TileGrid | None) -> Graph:
    """Return the graph of one region, whose result is a :class:`RegionResult`.

    Parameters
    ----------
    run : str
        Name under which the job is installed.
    number : int
        Of the region.
    region : Region
    grid : TileGrid or None
        Tiles that are to be computed; None: the pixels are in a store.
    """
    # A list: dask looks tuples up among the keys of the graph.
    bounds = [int(x) for x in region.tile]
    graph: dict[Any, Any] = {(f"c-{run}", number): (reference, run, bounds)}
    tiles: list[Any] = []
    if grid is not None:
        for index in overlapping(grid, region.tile):
            tiles.append((f"tile-{run}", number, index))
            graph[tiles[-1]] = (computed, run, index, bounds)
    key = (f"region-{run}", number)
    graph[key] = (judged, run, bounds, region.why, (f"c-{run}", number), tiles)
    return Graph(key, graph)


#: Of a region: first and last (exclusive) slow and fast index, panel.
Bounds = Sequence[int]


def reference(run: str, bounds: Bounds) -> CRun:
    """Run C for a region, or where it cannot compute the panel, the reference kernel."""
    job: Job = context_of(run)
    region = Tile(*bounds)
    experiment, reason = of_panel(job.experiment, region.panel)
    if reason is not None:
        return _by_reference(job, region, reason)
    if job.experiment.detector.panels:
        assert job.context is not None
        # The number that is best for all panels, not for this one.
        wanted = replace(experiment.sampling, oversample=job.context.model.oversample)
        experiment = experiment.replace(sampling=wanted)
    found = run_c(job.binary, experiment, region, job.mode, users=job.users, keep=job.keep)
    return replace(found, image=_without_bad(job, region, found.image))


def _panel_mask(job: Job, region: Tile) -> NDArray[np.bool_] | None:
    """Return which pixels of a region are evaluated; None: all, as far as C does not know."""
    if not job.experiment.detector.panels or job.context is None:
        return None
    mask = job.context.model.at(region.panel).mask
    return None if mask is None else mask.read(*region.bounds)


def _without_bad(job: Job, region: Tile, image: Image) -> Image:
    """Return what C gave with bad pixels of a panel, of which it does not know, as 0."""
    mask = _panel_mask(job, region)
    return image if mask is None else np.where(mask, image, np.float32(0.0))


def _by_reference(job: Job, region: Tile, reason: str) -> CRun:
    """Compute a region with the reference kernel."""
    assert job.context is not None
    start, kernel, model = time.perf_counter(), ReferenceKernel(), job.context.model
    image, _ = kernel.image(model, region, _panel_mask(job, region))
    image = patch_carry_over(model, kernel, region, image)
    seconds = time.perf_counter() - start
    note = f"panels with {reason}: compared with the reference kernel (numpy), not with C"
    return CRun(image, (), seconds, "", "", (note,))


def computed(run: str, index: int, bounds: Bounds) -> Computed:
    """Compute what a region needs of a tile; the rest of the tile is 0."""
    job: Job = context_of(run)
    context = job.context
    assert context is not None
    region = Tile(*bounds)
    model = _within(context.model.at(region.panel), region)
    assert model is not None, "the region holds nothing of the region of interest"
    _log.debug("tile %d of region %s", index, region)
    try:
        result = compute_tile(replace(context, model=model), index)
    except NbdaskError:
        raise
    except Exception as error:
        raise RunnerError(f"nbdask, tile {index}: {type(error).__name__}: {error}") from error
    assert result.image is not None
    tile, summary = context.grid[index], result.summary
    return Computed(tile, result.image, summary.seconds, summary.outside)


def judged(
    run: str,
    bounds: Bounds,
    why: str,
    theirs: CRun,
    tiles: Sequence[Computed],
) -> RegionResult:
    """Compare a region with what C made of it."""
    job: Job = context_of(run)
    region = Tile(*bounds)
    if job.store is None:
        ours, seconds = _pasted(region, tiles)
        outside = sum(tile.outside for tile in tiles)
    else:
        ours, seconds, outside = _stored(run, (job.store, job.shot), region)
    notes = list(theirs.notes)
    if job.experiment.semantics == "spec":
        notes += outside_note(outside)
    first, panels = _as_first_of_run(job, region, ours), job.experiment.detector.panels
    return RegionResult(
        region,
        why,
        measure(ours, theirs.image, (region.slow0, region.fast0), job.peaks),
        seconds,
        theirs.seconds,
        theirs.argv,
        theirs.stdout,
        theirs.stderr,
        tuple(notes),
        first,
        region_pictures(ours, theirs.image) if job.pictures else None,
        panels[region.panel].name if len(panels) > 1 else None,
    )


def _pasted(region: Tile, tiles: Sequence[Computed]) -> tuple[Image, float]:
    """Return a region's pixels from the tiles that touch it, and the seconds that they took."""
    image = np.zeros(region.shape, dtype=np.float32)
    for tile, pixels, _, _ in tiles:
        part = tile.intersect(region)
        assert part is not None
        image[
            part.slow0 - region.slow0 : part.slow1 - region.slow0,
            part.fast0 - region.fast0 : part.fast1 - region.fast0,
        ] = pixels[
            part.slow0 - tile.slow0 : part.slow1 - tile.slow0,
            part.fast0 - tile.fast0 : part.fast1 - tile.fast0,
        ]
    return image, sum(tile.seconds for tile in tiles)


def _stored(run: str, where: tuple[str, int | None], region: Tile) -> tuple[Image, float, int]:
    """Return a region's pixels from a shot of the store, its seconds' share, and outsiders."""
    path, shot = where
    with _lock:
        reader = _readers.get(run)
        if reader is None:
            reader = StoreReader(path).chosen(shot, "parity")
            _readers[run] = reader
            _images[run] = CheckedImage(reader, missing=True)
    # Copied, since the first pixel may be replaced.
    image = np.array(_images[run].read(region), dtype=np.float32)
    seconds, outside = 0.0, 0
    for index in overlapping(reader.grid, region):
        record, part = reader.record(index), reader.grid[index].intersect(region)
        if record is not None and part is not None:
            seconds += record["seconds"] * part.pixels / reader.grid[index].pixels
            outside += int(record["outside"])
    return image, seconds, outside


def _as_first_of_run(job: Job, region: Tile, image: Image) -> tuple[int, int] | None:
    """Give the first pixel of a region the value that it has where C's run begins with it.

    C's carry-over of rotations spares the first evaluation of a run, which in a run of one
    region is that region's.  The pixel is replaced only where it is right for the whole image;
    its place (slow, fast) is returned.
    """
    context = job.context
    if context is None or context.model.first_axes is None:
        return None
    if of_panel(job.experiment, region.panel)[1] is not None:
        return None
    model = _within(context.model.at(region.panel), region)
    first = None if model is None else find_first_evaluation(model)
    if model is None or first is None:
        return None
    pixel = first._replace(panel=region.panel).pixel
    kernel, plain = context.kernel(), replace(model, first_axes=None)
    total = kernel.partial(plain, pixel, StepRange(0, model.n_steps), None)
    value = kernel.finish(plain, pixel, total, None)
    here = (first.slow - region.slow0, first.fast - region.fast0)
    if not abs(float(image[here]) - float(value[0, 0])) <= _SAME * abs(float(value[0, 0])):
        return None
    image[here] = patch_carry_over(model, kernel, pixel, value)[0, 0]
    return first.slow, first.fast


def _within(model: Model, region: Tile) -> Model | None:
    """Return the model with a region as its region of interest; None: nothing is evaluated."""
    part = region.intersect(Tile.within(model.roi))
    if part is None:
        return None
    return replace(model, roi=(part.slow0, part.slow1 - 1, part.fast0, part.fast1 - 1))
