"""``noise()``: a store becomes another one, with photon noise and the detector's effects."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.derive import provenance
from nbdask.derive.noise_c import check_library
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.sequential import fitting, roi_of, rows_of_tiles
from nbdask.derive.tasks import Context, Setup, Source, derive_graphs, summary_of
from nbdask.derive.work import check_backend
from nbdask.errors import InputError, StoreError
from nbdask.experiment import Experiment
from nbdask.graph.tasks import TileResult
from nbdask.native.library import missing_note
from nbdask.plan.plan import parse_tile
from nbdask.plan.tiles import TileGrid
from nbdask.run import Progress
from nbdask.statistics import Statistics, TileSummary, combine
from nbdask.store.address import place_of
from nbdask.store.create import create_store, update_attributes
from nbdask.store.lock import Lock
from nbdask.store.place import Place
from nbdask.store.provenance import end_attributes, now
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE, RUNNING, summary_from
from nbdask.store.space import check_space
from nbdask.store.write import TileWriter


@dataclass(frozen=True, slots=True)
class NoiseResult:
    """What a run gave.

    Attributes
    ----------
    path : Path or str
        The store that was written.
    shape : tuple of int
        Pixels of the image, (slow, fast).
    statistics : Statistics
    notes : tuple of str
        What the user should be told.
    seconds : float
        Wall time.
    """

    path: Path | str
    shape: tuple[int, int]
    statistics: Statistics
    notes: tuple[str, ...]
    seconds: float


def noise(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    pipeline: Pipeline,
    *,
    tile: int | str | tuple[int, int] | None = None,
    backend: str = "cpu",
    cluster: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    jobs: JobOptions | None = None,
    overwrite: bool = False,
    resume: bool = False,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> NoiseResult:
    """Write a store whose image is that of another one after the steps of a pipeline.

    The pixels depend on the source, the pipeline and nothing else: not on tiles, workers, backend
    or machine.

    Parameters
    ----------
    source : path or str
        A complete store, or its address.
    out : path or str
        The store to write: a path, or ``s3://bucket/name``.
    pipeline : Pipeline
    tile : int, str or tuple of int, optional
        Pixels of a tile (slow, fast); None: as in the source.
    backend : str
        ``"cpu"`` (compiled) or ``"numpy"``.
    cluster, workers, threads, jobs
        See :class:`nbdask.run.Settings`.
    overwrite : bool
        Replace an nbdask store that is there already.
    resume : bool
        Finish the store that is there already.
    command : sequence of str, optional
        The words of the command line, for the record.
    progress : callable, optional
        Called with (tiles done, tiles in all) whenever a tile is written.

    Returns
    -------
    NoiseResult

    Raises
    ------
    NbdaskError
        Before anything is written: a source that is missing or not complete, steps that cannot be
        done, a place that cannot be written.  Later: a tile that failed; the store then keeps the
        status ``running`` and the tiles that are done.
    """
    start = time.perf_counter()
    if not isinstance(pipeline, Pipeline):
        raise InputError(f"pipeline = {pipeline!r}: must be a Pipeline of steps")
    place = place_of(out)
    reader = complete_source(source, place)
    check_place(place, overwrite, resume)
    pipeline.check(reader.grid.shape)
    provenance.check_seed_is_new(reader, pipeline)
    rest = pipeline.split()
    if rest is not None:
        check_library()
    grid = TileGrid(reader.grid.shape, _tile(tile, reader, rest, place if resume else None))
    writer = TileWriter(place, grid.counts[1])
    context = Context(Source(reader.place), pipeline, grid, writer, check_backend(backend))
    spec = parse_cluster(cluster, workers, threads, jobs)
    attributes = provenance.start(reader, pipeline, grid, command, spec.kind)
    run = _Run(context, place, attributes, provenance.image_attributes(reader, pipeline))
    if backend != "numpy":
        missing = missing_note()
        run.notes += () if missing is None else (missing,)
    with Lock(place) as lock:
        if resume:
            run.reopen()
        run.notes += check_space(place, grid, len(grid) - run.finished)
        if run.finished < len(grid):
            done = run.follower(lock, progress)
            if rest is None:
                run.on_cluster(spec, overwrite, done)
            else:
                run.begin(overwrite)
                run.in_sequence(rest, done)
        statistics = run.close()
    seconds = time.perf_counter() - start
    return NoiseResult(place.name, grid.shape, statistics, run.notes, seconds)


def _tile(
    given: int | str | tuple[int, int] | None,
    source: StoreReader,
    rest: Pipeline | None,
    begun: Place | None,
) -> tuple[int, int]:
    """Choose the size of tiles: as given, as a store was begun, or as the source has them."""
    if given is not None:
        return parse_tile(given)
    if begun is not None:
        return StoreReader(begun).grid.tile
    tile = source.grid.tile
    return tile if rest is None else fitting(tile, source.grid.shape)


def check_place(place: Place, overwrite: bool, resume: bool) -> None:
    """Raise an error, before anything is computed, if a store cannot be written or finished."""
    if not resume:
        place.check_free(overwrite)
    elif overwrite:
        raise StoreError("--resume and --overwrite exclude each other: give one of them")
    elif not place.exists():
        raise StoreError(
            f"--resume: {place.name} does not exist; leave --resume out to start the run"
        )


def complete_source(source: str | os.PathLike[str] | Place, out: Place) -> StoreReader:
    """Open a store whose image is complete.

    Raises
    ------
    StoreError
        It is not, or it is the store to write, or one of them lies inside the other.
    """
    reader = StoreReader(source)
    if _resolved(reader.path) == _resolved(out.name):
        raise StoreError(f"--out {out.name} is the store that is read: name another one")
    check_outside(out.name, reader.path, "--out")
    if reader.attributes["status"] != COMPLETE:
        raise StoreError(
            f"{reader.path} is not complete: finish its run with --resume first, then add noise"
        )
    return reader


def check_outside(path: Path | str, store: Path | str, flag: str) -> None:
    """Refuse a store to write that lies in another one, or holds it.

    Parameters
    ----------
    path, store : Path or str
        The store to write and the other one; names of places.
    flag : str
        What names ``path``.

    Raises
    ------
    StoreError
    """
    here, there = _resolved(path), _resolved(store)
    if here.startswith(f"{there}/"):
        raise StoreError(f"{flag} {path}: must lie outside the store {store}")
    if there.startswith(f"{here}/"):
        raise StoreError(f"{flag} {path}: must not hold the store {store}")


def _resolved(name: Path | str) -> str:
    """Return a path without links, or an address as it is."""
    return str(name.resolve()) if isinstance(name, Path) else name.rstrip("/")


class _Run:
    """One run: its store, its tiles, their summaries."""

    def __init__(
        self, context: Context, place: Place, attributes: dict[str, Any], image: dict[str, str]
    ) -> None:
        self.context, self.place, self.attributes = context, place, attributes
        self.image = image
        self.notes: tuple[str, ...] = ()
        count = len(context.grid)
        self.summaries: NDArray[np.float64] = np.zeros((count, len(TileSummary._fields)))
        self.missing: Iterable[int] = range(count)
        self.begun: StoreReader | None = None
        self.finished = 0
        self.computed = False

    def reopen(self) -> None:
        """Find the missing tiles of a store that was begun with the same pipeline."""
        self.place.sweep()
        reader = self.begun = StoreReader(self.place)
        provenance.check_same(reader, self.attributes)
        done = reader.done()
        for index, summary in zip(np.flatnonzero(done), reader.summaries(), strict=True):
            self.summaries[index] = summary
        self.missing = [int(index) for index in np.flatnonzero(~done)]
        self.finished = int(done.sum())

    def begin(self, overwrite: bool) -> None:
        """Make the store without pixels, or put the time of resumption on record."""
        self.computed = True
        if self.begun is not None:
            times = [*self.begun.attributes.get("resumed", []), now()]
            update_attributes(self.place, {"status": RUNNING, "resumed": times})
            return
        experiment = Experiment.from_dict(self.attributes["experiment"])
        create_store(
            self.place,
            self.context.grid,
            self.attributes | {"notes": list(self.notes)},
            pixel_size=experiment.detector.pixel_size,
            overwrite=overwrite,
            image=self.image,
        )

    def follower(self, lock: Lock, progress: Progress | None) -> Callable[[TileResult], None]:
        """Return what takes note of a finished tile."""

        def done(result: TileResult) -> None:
            """Take note of a finished tile."""
            self.summaries[result.index] = result.summary
            self.finished += 1
            lock.check()
            if progress is not None:
                progress(self.finished, len(self.context.grid))

        return done

    def on_cluster(
        self, spec: ClusterSpec, overwrite: bool, done: Callable[[TileResult], None]
    ) -> None:
        """Compute and write all missing tiles as tasks, a bounded number of them at a time."""
        setup = Setup(secrets.token_hex(8), self.context)
        with open_cluster(spec) as executor:
            executor.check(setup)
            self.begin(overwrite)
            executor.run(setup, derive_graphs(setup.run, self.missing), done)

    def in_sequence(self, rest: Pipeline, done: Callable[[TileResult], None]) -> None:
        """Make and write all missing tiles in raster order, here."""
        context, missing = self.context, set(self.missing)
        grid, columns = context.grid, context.grid.counts[1]
        experiment = Experiment.from_dict(self.attributes["experiment"])
        roi = roi_of(experiment, grid.shape)
        rows = rows_of_tiles(context.source.read, grid, roi, context.pipeline.seed)
        for row, photons in enumerate(rows):
            for index in range(row * columns, (row + 1) * columns):
                # Tiles that are done are drawn again all the same: the sequence goes through them.
                if index not in missing:
                    continue
                start, tile = time.perf_counter(), grid[index]
                values = photons[:, tile.fast0 : tile.fast1]
                pixels = rest.block(values, tile, grid.shape, context.backend)
                summary = summary_of(pixels, tile, start)
                context.writer(index, tile, pixels, summary)
                done(TileResult(index, None, summary))

    def close(self) -> Statistics:
        """Mark the store complete; return the statistics."""
        statistics = combine(summary_from(row) for row in self.summaries)
        if self.begun is None or self.begun.attributes["status"] != COMPLETE or self.computed:
            update_attributes(self.place, {**end_attributes(statistics), "notes": list(self.notes)})
        return statistics


@dataclass(frozen=True)
class NoisyCopy:
    """A noisy store made from a finished run; an output of :func:`nbdask.simulate`.

    Parameters
    ----------
    path : path or str
        The store to write.
    pipeline : Pipeline
    shape : tuple of int
        Pixels of the image, (slow, fast).
    options : dict
        Further arguments of :func:`noise`.
    report : callable, optional
        Called with a line of text before the work begins.
    """

    path: str | os.PathLike[str]
    pipeline: Pipeline
    shape: tuple[int, int]
    options: dict[str, Any]
    report: Callable[[str], None] | None = None

    def _resumes(self) -> bool:
        """Whether this is to go on with a run."""
        # A run that was cut off before its noise has begun has nothing to resume here.
        return bool(self.options.get("resume")) and place_of(self.path).exists()

    def check(self) -> None:
        """Raise an error before anything is computed if the store could not be made."""
        self.pipeline.check(self.shape)
        if self.pipeline.split() is not None:
            check_library()
        check_place(place_of(self.path), bool(self.options.get("overwrite")), self._resumes())

    def write(self, store: Path | str) -> None:
        """Write it from the complete store."""
        if self.report is not None:
            self.report(f"adding noise: {self.path}")
        noise(store, self.path, self.pipeline, **{**self.options, "resume": self._resumes()})
