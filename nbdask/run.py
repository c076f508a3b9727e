"""``simulate()``: an experiment becomes a store.  The one place that joins all parts."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import InputError, StoreError, in_python
from nbdask.experiment import DetectorPanel, Experiment
from nbdask.fill.bar import Bar, is_wanted
from nbdask.fill.listen import Listener, Progress, listening
from nbdask.fill.target import Target
from nbdask.fill.work import Work
from nbdask.geometry.model import Model
from nbdask.gradients.asked import Parameters, asked_slopes, from_record
from nbdask.graph.build import Graph, tile_graphs
from nbdask.graph.context import After, RunContext
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
from nbdask.graph.shot_models import models_of
from nbdask.graph.slopes import TileSlopes
from nbdask.graph.tasks import TileResult, compute_tile
from nbdask.kernels.registry import (
    check_same_bits,
    choose_backend,
    default_costs,
    has_same_bits,
    kernel_facts,
)
from nbdask.native.library import missing_note
from nbdask.plan.cost import load_costs
from nbdask.plan.memory import parse_bytes
from nbdask.plan.plan import Plan, make_plan, recorded_tile
from nbdask.plan.planes import arrays_of, check_backend, parse_planes
from nbdask.plan.tiles import TileGrid
from nbdask.result import Output, SimulationResult, recorded
from nbdask.shots import Series
from nbdask.shots.cutoff import check_cutoff, with_cutoff
from nbdask.store.address import place_of
from nbdask.store.earlier import backend_of, note_of
from nbdask.store.pixels import Kept
from nbdask.store.place import Place
from nbdask.store.provenance import start_attributes
from nbdask.store.resume import check_same
from nbdask.store.speed import measured_storage

_log = logging.getLogger("nbdask.run")

if TYPE_CHECKING:
    from nbdask.store.reader import StoreReader

#: Pixels from which on a run measures how fast its store's place is.
_MEASURED = 8192**2


class Treatment(Protocol):
    """What is done to each tile of a simulation before it is written."""

    @property
    def whole(self) -> bool:
        """Whether all pixels are whole numbers afterwards."""

    def attributes(self) -> dict[str, Any]:
        """Return what goes on record, as ``noise``: all that the pixels depend on."""

    def image(self) -> Mapping[str, str]:
        """Return ``long_name`` and ``units`` of what the image holds."""

    def after(self, grid: TileGrid, panels: tuple[DetectorPanel, ...]) -> After:
        """Return what treats a tile; raise an error where it cannot be done tile by tile."""


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
    durability : str
        ``"full"`` or ``"fast"``; see :func:`nbdask.store.address.place_of`.
    same_bits : bool
        Refuse kernels whose last bits depend on the kind of processor or GPU.
    planes : str or sequence of str, optional
        Further planes: ``"wavelength,hkl"``, or one of both; see :mod:`nbdask.plan.planes`.
    gradient : str, Parameter or sequence of them, optional
        Parameters of the image's derivatives; see :func:`nbdask.gradient`.
    compression : str, optional
        ``"lz4"`` or ``"zstd"``; None: what suits the image.
    dtype : str, optional
        Type of the stored pixels: ``"float32"``, or of whole numbers ``"int32"``, ``"uint16"``.
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
    durability: str = "full"
    same_bits: bool = False
    planes: str | Sequence[str] | None = None
    gradient: Parameters | None = None
    compression: str | None = None
    dtype: str | None = None


class Prepared(tuple[Model, Plan, ClusterSpec]):
    """Model (of a series that of shot 0), plan and cluster of a run that was not started."""

    __slots__ = ()


def prepare(
    experiment: Experiment | Series,
    settings: Settings | None = None,
    place: Place | None = None,
    outputs: int = 0,
    *,
    shards: int = 1,
) -> Prepared:
    """Do everything that comes before the first tile, and write nothing that stays.

    Parameters
    ----------
    experiment : Experiment or Series
    settings : Settings, optional
    place : Place, optional
        Of the store; for the estimated time, a file without a name is written there.
    outputs : int
        Files that will be made of the finished store, for the estimated time.
    shards : int
        Runs, each as this one, that share the tiles.

    Returns
    -------
    Prepared

    Raises
    ------
    NbdaskError
        Whatever would end the run before its first tile, except the place of the store.
    """
    if not isinstance(experiment, Experiment | Series):
        raise InputError(
            f"experiment = {experiment!r}: must be an nbdask.Experiment, such as"
            " nbdask.from_args(argv) or nbdask.from_toml(path), or an nbdask.Series of them"
        )
    s = settings or Settings()
    spec = parse_cluster(s.cluster, s.workers, s.threads, s.jobs)
    limit = spec.memory_limit if s.memory_limit is None else parse_bytes(s.memory_limit)
    backend, note = choose_backend(s.backend, spec.kind)
    kernel = kernel_facts(backend, s.precision, spec.here)
    planes = parse_planes(s.planes)
    check_backend(planes, kernel.name, s.gradient is not None)
    if s.same_bits:
        check_same_bits(kernel.name, kernel.precision)
    check_cutoff(experiment, kernel.name)
    model, shots = models_of(experiment)
    notes = [told for told in (note, kernel.note) if told is not None]
    model = replace(model, notes=(*model.notes, *notes))
    plan = make_plan(
        model,
        kernel,
        load_costs(default_costs()),
        tile=s.tile,
        steps_per_task=s.steps_per_task,
        workers=spec.layout.times(shards),
        memory_limit=limit,
        storage=None if place is None else measured_storage(place),
        outputs=outputs,
        planes=planes,
        slopes=asked_slopes(experiment, model, s.gradient),
        shots=shots,
    )
    for line in plan.describe().splitlines():
        _log.debug("plan: %s", line)
    return Prepared((model, plan, spec))


@in_python
def simulate(
    experiment: Experiment | Series,
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
    durability: str = "full",
    same_bits: bool = False,
    planes: str | Sequence[str] | None = None,
    gradient: Parameters | None = None,
    compression: str | None = None,
    dtype: str | None = None,
    cutoff: float | str | None = None,
    treatment: Treatment | None = None,
    overwrite: bool = False,
    resume: bool | str = False,
    command: Sequence[str] | None = None,
    progress: Progress | bool | None = True,
    listeners: Sequence[Listener] = (),
    outputs: Sequence[Output] = (),
    notes: Sequence[str] = (),
) -> SimulationResult:
    """Simulate an image, or all shots of a series, tile by tile into a zarr store.

    Parameters
    ----------
    experiment : Experiment or Series
    out : path or str
        The store to write: a path, or ``s3://bucket/name``.
    backend, precision, tile, steps_per_task, cluster, workers, threads, memory_limit, jobs,
    durability, same_bits, planes, gradient, compression, dtype
        See :class:`Settings`.
    cutoff : float or "auto", optional
        Photons that each pixel may lack; it replaces ``sampling.cutoff`` of the experiment.
    treatment : Treatment, optional
        What is done to each tile before it is written, such as :class:`nbdask.derive.Noise`.
    overwrite : bool
        Replace an existing nbdask store.
    resume : bool or str
        Finish the existing store: compute its missing tiles.  The others' files have to be there
        with their sizes, the newest with their checksums; ``"verify"``: all with checksums.
    command : sequence of str, optional
        The command line, for the record.
    progress : callable or bool
        A function: called with (tiles done, tiles in all) whenever a tile is written.  True: in
        notebooks and on terminals a bar, if the package tqdm is installed.  False or None: nothing.
    listeners : sequence of Listener
        Hear of the run in more detail, or work on the store while it is filled.
    outputs : sequence of Output
        Files made from the finished store, such as :class:`nbdask.export.floatfile.FloatFile`.
    notes : sequence of str
        The caller's remarks for the record.

    Raises
    ------
    NbdaskError
        Before anything is written: something that cannot be used.  Later: a tile that failed; the
        store then keeps the status ``running`` and the tiles that are done.
    """
    target = Target(place_of(out, durability), overwrite, resume)
    settings = Settings(
        *(backend, precision, tile, steps_per_task, cluster, workers, threads, memory_limit, jobs),
        *(durability, same_bits, planes, gradient, compression, dtype),
    )
    if isinstance(progress, bool):
        told = [*([Bar()] if progress and is_wanted() else []), *listeners]
    else:
        told = listening(progress, listeners)
    what = with_cutoff(experiment, cutoff), treatment
    return _simulate(what, target, settings, command, told, outputs, notes)


def _simulate(
    what: tuple[Experiment | Series, Treatment | None],
    target: Target,
    settings: Settings,
    command: Sequence[str] | None,
    listeners: Sequence[Listener],
    outputs: Sequence[Output],
    notes: Sequence[str],
) -> SimulationResult:
    """Do the work of :func:`simulate`."""
    start, (experiment, treatment) = time.perf_counter(), what
    counts, whole = treatment is not None, treatment is not None and treatment.whole
    kept = Kept.of(settings.dtype, settings.compression, counts=counts, whole=whole)
    target.check()
    for output in outputs:
        output.check()
    if target.resume:
        settings = as_recorded(target.place, settings)
    place = target.place if _is_large(experiment) else None
    model, plan, spec = prepare(experiment, settings, place, len(outputs))
    for text in _beforehand(model, plan, spec, settings):
        for listener in listeners:
            listener.say(text)
    from nbdask.fill.filler import fill

    name, made = secrets.token_hex(8), target.place.name
    model = map_amplitudes(model, name)
    told = (*notes, *model.notes)
    work = Simulation(name, experiment, model, plan, target.place, told, command, spec.kind)
    work.kept, work.more = kept, recorded(outputs)
    if treatment is not None:
        work.treat(treatment)
    try:
        done = fill(work, target, open_cluster(spec), listeners)
    finally:
        forget_amplitudes(name)
    for output in outputs:
        output.write(made)
        _log.info("output of %s written", made)
    seconds = time.perf_counter() - start
    return SimulationResult(made, plan.grid.image_shape, done.statistics, done.notes, seconds, plan)


def _is_large(work: object) -> bool:
    """Return whether an image is worth the time of measuring its store's place."""
    shots, common = (work.n_shots, work.experiment) if isinstance(work, Series) else (1, work)
    return isinstance(common, Experiment) and shots * common.shape[0] * common.shape[1] >= _MEASURED


def _beforehand(model: Model, plan: Plan, spec: ClusterSpec, settings: Settings) -> list[str]:
    """Return what is told before the first tile: what takes seconds, what will be slow."""
    # Also where nobody is told: what cannot be compiled is refused before anything is written.
    compiles = kernel_facts(plan.backend, plan.precision, spec.here).needs_compiling(model)
    text = "compiling kernels for this kind of experiment, once on this machine"
    told = [text] if compiles else []
    if settings.backend is None and plan.backend == "numpy":
        told.append(str(missing_note()))
    return told


def as_recorded(place: Place, settings: Settings) -> Settings:
    """Fill in what was chosen when the store was started, since the choice may differ today."""
    from nbdask.store.reader import StoreReader

    plan = StoreReader(place).attributes["plan"]
    tile = recorded_tile(plan) if settings.tile is None else settings.tile
    steps = settings.steps_per_task or plan["steps_per_task"]
    backend = settings.backend
    if backend in (None, "auto") and "backend" in plan:
        then = backend_of(plan)
        backend = backend if choose_backend(backend)[0] == then else then
    planes = plan.get("planes") if settings.planes is None else settings.planes
    gradient = from_record(plan.get("gradient")) if settings.gradient is None else settings.gradient
    return replace(
        settings, tile=tile, steps_per_task=steps, backend=backend, planes=planes, gradient=gradient
    )


class Simulation(Work):
    """The tiles of an experiment's image, or of all shots of a series.

    Parameters
    ----------
    run : str
        Name of the run, unique in every process.
    experiment : Experiment or Series
    model : Model
    plan : Plan
    place : Place
        Of the store.
    notes : tuple of str
    command : sequence of str, optional
        The command line, for the record.
    cluster : str
        Kind of cluster, for the record.
    """

    context: RunContext
    plan: Plan

    def __init__(
        self,
        run: str,
        experiment: Experiment | Series,
        model: Model,
        plan: Plan,
        place: Place,
        notes: tuple[str, ...] = (),
        command: Sequence[str] | None = None,
        cluster: str = "threads",
    ) -> None:
        from nbdask.store.write import TileWriter

        writer = TileWriter(place)
        series = experiment if isinstance(experiment, Series) else None
        common = experiment.experiment if isinstance(experiment, Series) else experiment
        context = RunContext.of(model, plan, writer, series)
        super().__init__(
            run=run,
            grid=plan.grid,
            writer=writer,
            context=replace(context, slopes=TileSlopes.of(experiment, plan)),
            pixel_size=common.detector.pixel_size,
            panels=common.detector.panels,
            series=series,
            plan=plan,
            notes=notes,
            planes=arrays_of(plan.planes, plan.slopes),
            slopes=len(plan.slopes),
        )
        self.experiment, self.command, self.cluster = experiment, command, cluster
        self.noise: dict[str, Any] | None = None
        self.more: Mapping[str, Any] = {}  # further attributes of the root

    def treat(self, treatment: Treatment) -> None:
        """Do something to each tile before it is written."""
        self.noise, self.image = treatment.attributes(), treatment.image()
        after = treatment.after(self.grid, self.panels)
        self.context = replace(self.context, after=after)

    def attributes(self) -> dict[str, Any]:
        """Return the root's attributes for a run that begins now."""
        what = (self.experiment, self.plan, self.command, self.cluster, self.noise)
        return {**start_attributes(*what), **self.more}

    def check_same(self, reader: StoreReader, doing: str = "--resume") -> tuple[str, ...]:
        """Make sure that a store was started with the same settings; note a kernel that is gone."""
        check_same(reader, self.attributes(), doing)
        return note_of(reader.attributes, self.plan.kernel_version)

    @property
    def same_bits(self) -> bool:
        """Whether the kernel gives the same bits everywhere."""
        return has_same_bits(self.plan.backend, self.plan.precision)

    def graphs(self, missing: Iterable[int]) -> Iterator[Graph]:
        """Yield the graph of one missing tile after another."""
        plan = self.plan
        return tile_graphs(self.run, missing, len(plan.steps), plan.grid, plan.steps, plan.together)

    def compute(self, index: int) -> TileResult:
        """Return a tile with its pixels."""
        return compute_tile(self.context, index)


def simulation_of(
    reader: StoreReader, doing: str, threads: int, treatment: Treatment | None = None
) -> Simulation:
    """Return the work that a store was made by, to compute its tiles again.

    Parameters
    ----------
    reader : StoreReader
    doing : str
        What the user asked for, to begin a message with.
    threads : int
        That tiles will be computed on.
    treatment : Treatment, optional
        With which it was made.

    Raises
    ------
    StoreError
        The store was not simulated, or this nbdask or the input files are not those that it was
        made with.
    """
    attributes = reader.attributes
    if "derived" in attributes:
        source = attributes["derived"]["source"]["path"]
        raise StoreError(
            f"{doing}: {reader.path} was derived from {source}, not simulated: leave"
            " --recompute out"
        )
    plan = attributes["plan"]
    experiment = reader.series or reader.experiment
    settings = Settings(
        backend_of(attributes),
        attributes["precision"],
        recorded_tile(plan),
        plan["steps_per_task"],
        cluster="threads",
        threads=threads,
        planes=plan.get("planes"),
        gradient=from_record(plan.get("gradient")),
    )
    model, now_plan, _ = prepare(experiment, settings)
    work = Simulation(secrets.token_hex(8), experiment, model, now_plan, reader.place)
    if treatment is not None:
        work.treat(treatment)
    work.notes = work.check_same(reader, doing)
    return work
