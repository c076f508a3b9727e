"""``noise()``: a store becomes another one, with photon noise and the detector's effects."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from nbdask.cluster.executor import Done, Installable
from nbdask.cluster.news import Hear, ignore
from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.derive import provenance
from nbdask.derive.block import check_backend
from nbdask.derive.noise_c import check_library
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.sequential import fitting, roi_of, rows_of_tiles
from nbdask.derive.tasks import Context, Source, derive_graphs, result_of
from nbdask.errors import InputError, StoreError
from nbdask.experiment import Experiment
from nbdask.fill.filler import fill
from nbdask.fill.listen import Progress, listening
from nbdask.fill.target import Target, check_outside, resolved
from nbdask.fill.work import Work
from nbdask.graph.tasks import TileResult, written
from nbdask.native.library import missing_note
from nbdask.plan.plan import parse_tile
from nbdask.prepare import Settings
from nbdask.result import Result
from nbdask.shots import Series
from nbdask.store.address import place_of
from nbdask.store.pixels import Kept
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE
from nbdask.store.write import TileWriter

#: Rows of all panels together.
_MOST_ROWS = 2**31 - 1


class NoiseSettings(TypedDict, total=False):
    """Those of :class:`nbdask.prepare.Settings` that noise has."""

    tile: int | str | tuple[int, int] | None
    backend: str | None
    cluster: str | None
    workers: int | None
    threads: int | None
    jobs: JobOptions | None
    durability: str
    compression: str | None
    dtype: str | None


def noise(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    pipeline: Pipeline,
    *,
    overwrite: bool = False,
    resume: bool | str = False,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
    **settings: Unpack[NoiseSettings],
) -> Result:
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
    overwrite : bool
        Replace an existing nbdask store.
    resume : bool or str
        Finish the existing store; ``"verify"``: as for :func:`nbdask.simulate`.
    command : sequence of str, optional
        The command line, for the record.
    progress : callable, optional
        Called with (tiles done, tiles in all) whenever a tile is written.
    **settings
        ``tile`` (None: as in the source), ``backend`` (``"cpu"``, which is compiled, or
        ``"numpy"``), ``cluster``, ``workers``, ``threads``, ``jobs``, ``durability``,
        ``compression`` and ``dtype``, as in :class:`nbdask.prepare.Settings`.

    Returns
    -------
    Result

    Raises
    ------
    NbdaskError
        Before anything is written: a source that is missing or not complete, steps that cannot be
        done, a place that cannot be written.  Later: a tile that failed; the store then keeps the
        status ``running`` and the tiles that are done.
    """
    target = Target(place_of(out, settings.get("durability", "full")), overwrite, resume)
    return _noise(source, target, pipeline, Settings(**settings), command, progress)


def _noise(
    source: str | os.PathLike[str],
    target: Target,
    pipeline: Pipeline,
    settings: Settings,
    command: Sequence[str] | None,
    progress: Progress | None = None,
) -> Result:
    """Do the work of :func:`noise`."""
    start = time.perf_counter()
    if not isinstance(pipeline, Pipeline):
        raise InputError(f"pipeline = {pipeline!r}: must be a Pipeline of steps")
    kept = Kept.of(settings.dtype, settings.compression, counts=True, whole=pipeline.whole)
    reader = complete_source(source, target.place)
    target.check()
    sizes = sizes_of(reader)
    pipeline.check(stacked(reader.grid.panels, reader.grid.shape))
    provenance.check_frames(pipeline, reader.grid.shots)
    provenance.check_seed_is_new(reader, pipeline)
    rest = pipeline.split()
    if rest is not None:
        check_library()
    begun = target.place if target.resume else None
    if rest is not None:
        reader.one_panel("--noise-rng c")
        reader.one_shot("--noise-rng c")
    tile = _tile(settings.tile, reader, rest, begun)
    grid = replace(reader.grid, tile=tile)
    backend = check_backend(settings.backend or "cpu")
    writer = TileWriter(target.place)
    context = Context(Source(reader.place), pipeline, grid, writer, backend, sizes)
    spec = parse_cluster(settings.cluster, settings.workers, settings.threads, settings.jobs)
    root = provenance.start(reader, pipeline, grid, command, spec.kind)
    missing = None if backend == "numpy" else missing_note()
    notes = () if missing is None else (missing,)
    work = Derivation(
        context, root, provenance.image_attributes(reader, pipeline), notes, reader.series
    )
    work.kept = kept
    opened = open_cluster(spec) if rest is None else nullcontext(_InOrder())
    done = fill(work, target, opened, listening(progress))
    seconds = time.perf_counter() - start
    return Result(target.place.name, grid.image_shape, done.statistics, done.notes, seconds)


def sizes_of(reader: StoreReader) -> tuple[tuple[int, int], ...]:
    """Return the pixels of each panel, (slow, fast), where there are several."""
    if reader.grid.panels == 1:
        return ()
    return tuple((panel.n_slow, panel.n_fast) for panel in reader.panels)


def stacked(panels: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of an image's panels below one another, as maps and random numbers see them.

    Raises
    ------
    InputError
        More rows than random numbers are counted by.
    """
    rows = panels * shape[0]
    if rows > _MOST_ROWS:
        raise InputError(
            f"{panels} panels of {shape[0]} rows are {rows} rows: noise can be added to at most"
            f" {_MOST_ROWS}"
        )
    return (rows, shape[1])


def _tile(
    given: int | str | tuple[int, int] | None,
    source: StoreReader,
    rest: Pipeline | None,
    begun: Place | None,
) -> tuple[int, int]:
    """Choose the size of tiles: as given, as a store was started, or as the source has them."""
    if given is not None:
        return parse_tile(given)
    if begun is not None:
        return StoreReader(begun).grid.tile
    tile = source.grid.tile
    return tile if rest is None else fitting(tile, source.grid.shape)


def complete_source(source: str | os.PathLike[str] | Place, out: Place) -> StoreReader:
    """Open a store whose image is complete.

    Raises
    ------
    StoreError
        It is not, or it is the store to write, or one of them lies inside the other.
    """
    reader = StoreReader(source)
    if resolved(reader.path) == resolved(out.name):
        raise StoreError(f"--out {out.name} is the store that is read: name another one")
    check_outside(out.name, reader.path, "--out")
    if reader.attributes["status"] != COMPLETE:
        raise StoreError(
            f"{reader.path} is not complete: finish its run with --resume first, then add noise"
        )
    return reader


class Derivation(Work):
    """The tiles of an image after the steps of a pipeline.

    Parameters
    ----------
    context : Context
    root : dict
        The root's attributes.
    image : mapping
        What the image holds: ``long_name`` and ``units``.
    notes : tuple of str
    series : Series, optional
    """

    context: Context

    def __init__(
        self,
        context: Context,
        root: dict[str, Any],
        image: Mapping[str, str],
        notes: tuple[str, ...] = (),
        series: Series | None = None,
    ) -> None:
        self.root, self.experiment = root, Experiment.from_dict(root["experiment"])
        super().__init__(
            run=secrets.token_hex(8),
            grid=context.grid,
            writer=context.write_tile,
            context=context,
            pixel_size=self.experiment.detector.pixel_size,
            panels=self.experiment.detector.panels,
            image=image,
            series=series,
            notes=notes,
        )

    def attributes(self) -> dict[str, Any]:
        """Return the root's attributes."""
        return self.root

    def check_same(self, reader: StoreReader, doing: str = "--resume") -> tuple[str, ...]:
        """Make sure that a store was started with the same pipeline and source."""
        provenance.check_same(reader, self.root, doing)
        return ()

    def graphs(self, missing: Iterable[int]) -> Iterator[Any]:
        """Yield the graph of one missing tile after another; in raster order, the tile itself."""
        rest = self.context.pipeline.split()
        if rest is None:
            return derive_graphs(self.run, missing)
        return self._in_order(rest, set(missing))

    def _in_order(self, rest: Pipeline, missing: set[int]) -> Iterator[TileResult]:
        """Make and write all missing tiles in raster order."""
        context = self.context
        grid, columns = context.grid, context.grid.counts[1]
        roi = roi_of(self.experiment, grid.shape)
        rows = rows_of_tiles(context.source.read, grid, roi, context.pipeline.seed)
        for row, photons in enumerate(rows):
            for index in range(row * columns, (row + 1) * columns):
                # Tiles that are done are drawn again too: the sequence goes through them.
                if index not in missing:
                    continue
                start, tile = time.perf_counter(), grid[index]
                values = photons[:, tile.fast0 : tile.fast1]
                pixels = rest.block(values, tile, grid.shape, context.backend)
                result = result_of(index, pixels, tile, start)
                yield written(self.writer, tile, result)

    def compute(self, index: int) -> TileResult:
        """Return a tile with its pixels."""
        return self.context.compute(index)


class _InOrder:
    """Takes tiles that come finished, one after another."""

    hear: Hear = staticmethod(ignore)

    def check(self, setup: Installable) -> None:
        """Nothing to check: this process does it all."""

    def run(self, setup: Installable, graphs: Iterator[Any], done: Done) -> None:
        """Go through the tiles."""
        for result in graphs:
            done(result)


def derivation_of(reader: StoreReader) -> Derivation:
    """Return the work that a store was made by, to compute its tiles again.

    Raises
    ------
    StoreError
        Its source is gone or has other pixels, or its tiles cannot be made one by one.
    """
    derived = reader.attributes["derived"]
    again = f"nbdask noise {derived['source']['path']} --out {reader.path} --overwrite"
    if derived["version"] != provenance.VERSION:
        raise StoreError(
            f"repair: {reader.path} was made by an nbdask whose noise has version"
            f" {derived['version']}, here it has {provenance.VERSION}; {again} makes it again"
        )
    pipeline = Pipeline.from_dict(derived["pipeline"])
    if pipeline.split() is not None:
        raise StoreError(
            f"repair: {reader.path} has nanoBragg's own noise, which is made as a whole; {again}"
            " with its other options makes it again"
        )
    source = complete_source(derived["source"]["path"], reader.place)
    if provenance.pixels_checksum(source) != derived["source"]["pixels_sha256"]:
        raise StoreError(
            f"repair: {source.path} has other pixels than when {reader.path} was made from it;"
            f" {again} with its other options makes it again"
        )
    writer = TileWriter(reader.place)
    sizes = sizes_of(reader)
    context = Context(Source(source.place), pipeline, reader.grid, writer, "cpu", sizes)
    image = provenance.image_attributes(source, pipeline)
    return Derivation(context, reader.attributes, image, series=reader.series)


@dataclass(frozen=True)
class NoisyCopy:
    """A noisy store made from a finished run; an output of :func:`nbdask.simulate`.

    Parameters
    ----------
    target : Target
        The store to write.
    pipeline : Pipeline
    shape : tuple of int
        Pixels of the image, (slow, fast).
    settings : Settings
    command : sequence of str, optional
        The command line, for the record.
    report : callable, optional
        Called with a line of text before the work begins.
    """

    target: Target
    pipeline: Pipeline
    shape: tuple[int, int]
    settings: Settings
    command: Sequence[str] | None = None
    report: Callable[[str], None] | None = None

    def _now(self) -> Target:
        """Return the target as it is now."""
        # A run that was cut off before its noise has started has nothing to resume here.
        target = self.target
        return replace(target, resume=target.resume and target.place.exists())

    def check(self) -> None:
        """Raise an error before anything is computed if the store could not be made."""
        self.pipeline.check(self.shape)
        if self.pipeline.split() is not None:
            check_library()
        self._now().check()

    def write(self, store: Path | str) -> None:
        """Write it from the complete store."""
        if self.report is not None:
            self.report(f"adding noise: {self.target.place.name}")
        _noise(store, self._now(), self.pipeline, self.settings, self.command)
