"""``simulate()``: an experiment becomes a store.  The one place that joins all parts."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nbdask import html
from nbdask.cluster.executor import Executor, dashboard_of
from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import InputError, StoreError, in_python
from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.graph.build import tile_graphs
from nbdask.graph.context import RunContext, Setup
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
from nbdask.graph.tasks import TileResult
from nbdask.graph.watch import Follower, Start, Watch
from nbdask.kernels.registry import choose_backend, default_costs, kernel_facts
from nbdask.native.library import missing_note
from nbdask.plan.cost import load_costs
from nbdask.plan.memory import parse_bytes
from nbdask.plan.plan import Plan, make_plan
from nbdask.statistics import Statistics, TileSummary, combine
from nbdask.store.address import place_of
from nbdask.store.lock import Lock
from nbdask.store.place import Place

if TYPE_CHECKING:
    from nbdask.store.reader import StoreReader

#: Called after each finished tile with the tiles that are done and those of the whole image.
Progress = Callable[[int, int], None]
#: Most pixels of an image of which a result shows a picture.
_MOST_SHOWN = 4096**2


class Output(Protocol):
    """A further file that is made from the finished store, tile by tile."""

    def check(self) -> None:
        """Raise an error before anything is computed if the file could not be written."""

    def write(self, store: Path | str) -> None:
        """Write the file from the complete store."""


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What a run gave.

    Attributes
    ----------
    path : Path or str
        The store: its absolute path, or its address.
    shape : tuple of int
        Pixels of the image, (slow, fast).
    statistics : Statistics
    plan : Plan
    notes : tuple of str
        What the user should be told.
    seconds : float
        Wall time.
    """

    path: Path | str
    shape: tuple[int, int]
    statistics: Statistics
    plan: Plan
    notes: tuple[str, ...]
    seconds: float

    def _repr_html_(self) -> str:
        """Show the result in a notebook, with a small picture where the image is not very large."""
        numbers = self.statistics
        rows: list[tuple[str, object]] = [
            ("store", self.path),
            ("image", f"{self.shape[0]} x {self.shape[1]} pixels (slow x fast)"),
            (
                "maximum",
                f"{numbers.max:.6g} photons at slow {numbers.max_slow}, fast {numbers.max_fast}",
            ),
            ("mean", f"{numbers.mean:.6g} photons"),
            ("kernel", f"{self.plan.backend}, {self.plan.precision}"),
            ("time", f"{self.seconds:.1f} s"),
            *(("note", note) for note in self.notes),
        ]
        return html.table("nbdask result", rows) + _thumbnail(self.path, self.shape)


def _thumbnail(path: Path | str, shape: tuple[int, int]) -> str:
    """Return a picture of a store; nothing where it is gone or would take long to read."""
    from nbdask.store.reader import StoreReader

    if shape[0] * shape[1] > _MOST_SHOWN:
        return ""
    try:
        image = StoreReader(path).image
        return html.picture(np.asarray(image[...], dtype=np.float32))
    except StoreError:
        return ""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is done; nothing here changes a pixel by more than the last float32 digit.

    Parameters
    ----------
    backend : str, optional
        A name of :data:`nbdask.kernels.registry.BACKENDS` such as ``"cpu"``, or ``"auto"``; None
        and ``"auto"``: see :func:`nbdask.kernels.registry.choose_backend`.
    precision : str
        ``"float64"``, ``"mixed"`` (this one does change pixels: up to 1e-5), ``"pairs"`` (cuda
        only), or ``"auto"``; see :func:`nbdask.kernels.registry.get_kernel`.
    tile : int, str or tuple of int, optional
        Pixels of a tile (slow, fast); None: chosen.
    steps_per_task : int, optional
        Most steps of one task; None: chosen.
    cluster : str, optional
        ``"threads"``, ``"local"``, a batch system, ``"mpi"`` or the address of a scheduler; see
        :mod:`nbdask.cluster.parse`.  None: as dask's configuration says, else ``"threads"``.
    workers, threads : int, optional
        Processes, and threads in each.
    memory_limit : int or str, optional
        Bytes that each process may use.
    jobs : JobOptions, optional
        Memory, wall time, queue and so on of the jobs of a batch system; a named profile.
    """

    backend: str | None = None
    precision: str = "float64"
    tile: int | str | tuple[int, int] | None = None
    steps_per_task: int | None = None
    cluster: str | None = None
    workers: int | None = None
    threads: int | None = None
    memory_limit: int | str | None = None
    jobs: JobOptions | None = None


class Prepared(tuple[Model, Plan, ClusterSpec]):
    """Model, plan and cluster of a run that was not started."""

    __slots__ = ()


def prepare(experiment: Experiment, settings: Settings | None = None) -> Prepared:
    """Do everything that comes before the first tile, and write nothing.

    Parameters
    ----------
    experiment : Experiment
    settings : Settings, optional

    Returns
    -------
    Prepared
        (model, plan, cluster spec)

    Raises
    ------
    NbdaskError
        Whatever would end the run before its first tile, but for the place of the store.
    """
    if not isinstance(experiment, Experiment):
        raise InputError(
            f"experiment = {experiment!r}: must be an nbdask.Experiment, such as"
            " nbdask.from_args(words) or nbdask.from_toml(path)"
        )
    s = settings or Settings()
    spec = parse_cluster(s.cluster, s.workers, s.threads, s.jobs)
    limit = spec.memory_limit if s.memory_limit is None else parse_bytes(s.memory_limit)
    backend, note = choose_backend(s.backend, spec.kind)
    kernel = kernel_facts(backend, s.precision, spec.here)
    model = build_model(experiment)
    for told in (note, kernel.note):
        if told is not None:
            model = replace(model, notes=(*model.notes, told))
    plan = make_plan(
        model,
        kernel,
        load_costs(default_costs()),
        tile=s.tile,
        steps_per_task=s.steps_per_task,
        workers=spec.layout,
        memory_limit=limit,
    )
    return Prepared((model, plan, spec))


@in_python
def simulate(
    experiment: Experiment,
    out: str | os.PathLike[str],
    *,
    backend: str | None = None,
    precision: str = "float64",
    tile: int | str | tuple[int, int] | None = None,
    steps_per_task: int | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    jobs: JobOptions | None = None,
    overwrite: bool = False,
    resume: bool = False,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
    report: Callable[[str], None] | None = None,
    watch: Watch | None = None,
    outputs: Sequence[Output] = (),
    notes: Sequence[str] = (),
    followers: Sequence[Follower] = (),
) -> SimulationResult:
    """Simulate an image tile by tile into a zarr store.

    Parameters
    ----------
    experiment : Experiment
    out : path or str
        The store to write: a path, or ``s3://bucket/name``.
    backend, precision, tile, steps_per_task, cluster, workers, threads, memory_limit, jobs
        See :class:`Settings`.
    overwrite : bool
        Replace an nbdask store that is there already.
    resume : bool
        Finish the store that is there already: only its missing tiles are computed.
    command : sequence of str, optional
        The words of the command line, for the record.
    progress : callable, optional
        Called with (tiles done, tiles in all) whenever a tile is written.
    report : callable, optional
        Called with a line of text before something that takes seconds (compiling kernels), and
        where compiled loops are missing, so that all takes longer.
    watch : Watch, optional
        Follows the run in more detail.
    outputs : sequence of Output
        Files made from the finished store, such as :class:`nbdask.export.floatfile.FloatFile`.
    notes : sequence of str
        Remarks of the caller that belong on record.
    followers : sequence of Follower
        Work on the store while it is filled, such as
        :class:`nbdask.derive.pyramid.GrowingPyramid`.

    Returns
    -------
    SimulationResult

    Raises
    ------
    NbdaskError
        Before anything is written: a plan, kernel, cluster, input file or path that cannot be
        used.  Later: a tile that failed; the store then keeps the status ``running`` and the
        tiles that are done.
    """
    start = time.perf_counter()
    place = place_of(out)
    _check_place(place, overwrite, resume)
    for output in outputs:
        output.check()
    settings = Settings(
        backend, precision, tile, steps_per_task, cluster, workers, threads, memory_limit, jobs
    )
    if resume:
        settings = _as_recorded(place, settings)
    model, plan, spec = prepare(experiment, settings)
    # Also where nobody is told: what cannot be compiled is refused before anything is written.
    compiles = kernel_facts(plan.backend, plan.precision, spec.here).needs_compiling(model)
    if compiles and report is not None:
        report("compiling kernels for this kind of experiment, once on this machine")
    if settings.backend is None and plan.backend == "numpy" and report is not None:
        report(str(missing_note()))
    name = secrets.token_hex(8)
    model = map_amplitudes(model, name)
    run = _Run(name, experiment, model, plan, spec, place, command, (*notes, *model.notes))
    try:
        with Lock(place) as lock:
            if resume:
                run.reopen()
            run.check_space()
            run.compute(overwrite, progress, watch, lock, followers)
            statistics, remarks = run.close()
    finally:
        forget_amplitudes(name)
    for output in outputs:
        output.write(place.name)
    seconds = time.perf_counter() - start
    return SimulationResult(place.name, plan.grid.shape, statistics, plan, remarks, seconds)


def _check_place(place: Place, overwrite: bool, resume: bool) -> None:
    if not resume:
        place.check_free(overwrite)
    elif overwrite:
        raise StoreError("--resume and --overwrite exclude each other: give one of them")
    elif not place.exists():
        raise StoreError(
            f"--resume: {place.name} does not exist; leave --resume out to start the run"
        )


def _as_recorded(place: Place, settings: Settings) -> Settings:
    """Fill in what was chosen when the store was begun, since the choice may differ today."""
    from nbdask.store.earlier import backend_of
    from nbdask.store.reader import StoreReader

    plan = StoreReader(place).attributes["plan"]
    tile = (plan["tile"][0], plan["tile"][1]) if settings.tile is None else settings.tile
    steps = settings.steps_per_task or plan["steps_per_task"]
    backend = settings.backend
    if backend in (None, "auto") and "backend" in plan:
        then = backend_of(plan)
        backend = backend if choose_backend(backend)[0] == then else then
    return replace(settings, tile=tile, steps_per_task=steps, backend=backend)


class _Run:
    """One run: its store, its tiles, their summaries."""

    def __init__(
        self,
        name: str,
        experiment: Experiment,
        model: Model,
        plan: Plan,
        spec: ClusterSpec,
        place: Place,
        command: Sequence[str] | None,
        notes: tuple[str, ...],
    ) -> None:
        self.name = name
        self.experiment, self.model, self.plan, self.spec = experiment, model, plan, spec
        self.place, self.command, self.notes = place, command, notes
        # One row per tile rather than objects: a million tiles are 80 MB.
        self.summaries: NDArray[np.float64] = np.zeros((len(plan.grid), len(TileSummary._fields)))
        self.missing: Iterable[int] = range(len(plan.grid))
        self.finished = 0
        self.computed = False
        self.begun: StoreReader | None = None

    def _attributes(self) -> dict[str, Any]:
        from nbdask.store.provenance import start_attributes

        return start_attributes(
            self.experiment,
            self.plan,
            command=self.command,
            cluster=self.spec.kind,
            notes=self.notes,
        )

    def _create(self, overwrite: bool) -> None:
        """Make the store without pixels."""
        from nbdask.store.create import create_store

        create_store(
            self.place,
            self.plan.grid,
            self._attributes(),
            pixel_size=self.model.pixel_size,
            overwrite=overwrite,
        )

    def _mark_resumed(self, reader: StoreReader) -> None:
        """Put the time of resumption on record."""
        from nbdask.store.create import update_attributes
        from nbdask.store.provenance import now
        from nbdask.store.schema import RUNNING

        times = [*reader.attributes.get("resumed", []), now()]
        update_attributes(self.place, {"status": RUNNING, "resumed": times})

    def reopen(self) -> None:
        """Find the missing tiles of a store that was begun with the same settings."""
        from nbdask.store.earlier import note_of
        from nbdask.store.reader import StoreReader
        from nbdask.store.resume import check_same

        self.place.sweep()
        reader = self.begun = StoreReader(self.place)
        check_same(reader, self._attributes())
        self.notes += note_of(reader.attributes, self.plan.kernel_version)
        done = reader.done()
        for index, summary in zip(np.flatnonzero(done), reader.summaries(), strict=True):
            self.summaries[index] = summary
        self.missing = (int(index) for index in np.flatnonzero(~done))
        self.finished = int(done.sum())

    def _start(self, executor: Executor) -> Start:
        """Return how things stand before the first tile."""
        columns = [TileSummary._fields.index(name) for name in ("n_evaluated", "n_masked")]
        working = int(self.summaries[:, columns].any(axis=1).sum()) if self.finished else 0
        return Start(self.plan, self.finished, working, dashboard_of(executor))

    def check_space(self) -> None:
        """Refuse what cannot fit on the disk; note what may not."""
        from nbdask.store.space import check_space

        left = len(self.plan.grid) - self.finished
        self.notes += check_space(self.place, self.plan.grid, left)

    def compute(
        self,
        overwrite: bool,
        progress: Progress | None,
        watch: Watch | None,
        lock: Lock,
        followers: Sequence[Follower],
    ) -> None:
        """Make the store once the cluster is there; compute and write the missing tiles."""
        if self.finished == len(self.plan.grid):
            with self._followed(followers):
                return
        from nbdask.store.write import TileWriter

        writer = TileWriter(self.place, self.plan.grid.counts[1])
        setup = Setup(self.name, RunContext.of(self.model, self.plan, writer))

        def done(result: TileResult) -> None:
            """Note a finished tile, and stop where another run took the store over."""
            self.summaries[result.index] = result.summary
            self.finished += 1
            lock.check()
            if progress is not None:
                progress(self.finished, len(self.plan.grid))
            if watch is not None:
                watch.tile(self.finished, result.summary)
            for follower in followers:
                follower.tile(result.index)

        graphs = tile_graphs(setup.run, self.missing, len(self.plan.steps))
        self.computed = True
        with open_cluster(self.spec) as executor:
            executor.check(setup)
            if self.begun is None:
                self._create(overwrite)
            else:
                self._mark_resumed(self.begun)
            if watch is not None:
                watch.begin(self._start(executor))
            with self._followed(followers):
                executor.run(setup, graphs, done)

    @contextmanager
    def _followed(self, followers: Sequence[Follower]) -> Iterator[None]:
        """Let others work on the store meanwhile."""
        complete, begun = False, []
        try:
            for follower in followers:
                begun.append(follower)
                follower.begin(self.place.name)
            yield
            complete = True
        finally:
            for follower in begun:
                follower.end(complete)

    def close(self) -> tuple[Statistics, tuple[str, ...]]:
        """Mark the store complete; return the statistics and all notes."""
        from nbdask.store.create import update_attributes
        from nbdask.store.provenance import end_attributes
        from nbdask.store.schema import COMPLETE, summary_from

        tiles = (summary_from(row) for row in self.summaries)
        statistics = combine(tiles)
        outside = int(self.summaries[:, TileSummary._fields.index("outside")].sum())
        notes = self.notes
        if outside:
            notes += (
                f"{outside} evaluations needed structure factors outside the grid of the list for"
                " their interpolation: default_F was used for them",
            )
        if self.begun is None or self.begun.attributes["status"] != COMPLETE or self.computed:
            update_attributes(self.place, {**end_attributes(statistics), "notes": list(notes)})
        return statistics, notes
