"""``simulate()``: an experiment becomes a store.  The one place that joins all parts."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nbdask import html
from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import InputError, StoreError, in_python
from nbdask.experiment import Experiment
from nbdask.fill.bar import Bar, is_wanted
from nbdask.fill.listen import Listener, Progress, listening
from nbdask.fill.target import Target
from nbdask.fill.work import Work
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.graph.build import Graph, tile_graphs
from nbdask.graph.context import RunContext
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
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
from nbdask.statistics import Statistics
from nbdask.store.address import place_of
from nbdask.store.earlier import backend_of, note_of
from nbdask.store.place import Place
from nbdask.store.provenance import start_attributes
from nbdask.store.resume import check_same
from nbdask.store.speed import measured_storage

if TYPE_CHECKING:
    from nbdask.store.reader import StoreReader

#: Most pixels of an image of which a result shows a picture.
_MOST_SHOWN = 4096**2
#: Pixels from which on a run measures how fast its store's place is.
_MEASURED = 8192**2


class Output(Protocol):
    """A further file that is made from the finished store, tile by tile."""

    def check(self) -> None:
        """Raise an error before anything is computed if the file could not be written."""

    def write(self, store: Path | str) -> None:
        """Write the file from the complete store."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave.

    Attributes
    ----------
    path : Path or str
        The store that was written: its absolute path, or its address.
    shape : tuple of int
        Pixels of the image, (slow, fast), or of several panels (panel, slow, fast).
    statistics : Statistics
    notes : tuple of str
        What the user should be told.
    seconds : float
        Wall time.
    """

    path: Path | str
    shape: tuple[int, ...]
    statistics: Statistics
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SimulationResult(Result):
    """What a simulation gave: as :class:`Result`, and the plan."""

    plan: Plan

    def _repr_html_(self) -> str:
        """Show the result in a notebook, with a small picture where the image is not very large."""
        numbers = self.statistics
        rows: list[tuple[str, object]] = [
            ("store", self.path),
            ("image", f"{shape_text(self.shape)} pixels ({dims_text(self.shape)})"),
            (
                "maximum",
                f"{numbers.max:.6g} photons at {numbers.place}",
            ),
            ("mean", f"{numbers.mean:.6g} photons"),
            ("kernel", f"{self.plan.backend}, {self.plan.precision}"),
            ("time", f"{self.seconds:.1f} s"),
            *(("note", note) for note in self.notes),
        ]
        return html.table("nbdask result", rows) + _thumbnail(self.path, self.shape)


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape such as 8 x 512 x 1024."""
    return " x ".join(map(str, shape))


def dims_text(shape: Sequence[int]) -> str:
    """Return what the numbers of a shape count."""
    return " x ".join(("panel", "slow", "fast")[-len(shape) :])


def _thumbnail(path: Path | str, shape: tuple[int, ...]) -> str:
    """Return a picture of a store; nothing where it is gone or would take long to read."""
    from nbdask.store.reader import StoreReader

    if len(shape) > 2 or shape[0] * shape[1] > _MOST_SHOWN:
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
    durability : str
        ``"full"`` or ``"fast"``; see :func:`nbdask.store.address.place_of`.
    same_bits : bool
        Refuse kernels whose last bits depend on the kind of processor or GPU.
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


class Prepared(tuple[Model, Plan, ClusterSpec]):
    """Model, plan and cluster of a run that was not started."""

    __slots__ = ()


def prepare(
    experiment: Experiment,
    settings: Settings | None = None,
    place: Place | None = None,
    outputs: int = 0,
    *,
    shards: int = 1,
) -> Prepared:
    """Do everything that comes before the first tile, and write nothing that stays.

    Parameters
    ----------
    experiment : Experiment
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
        (model, plan, cluster spec)

    Raises
    ------
    NbdaskError
        Whatever would end the run before its first tile, except the place of the store.
    """
    if not isinstance(experiment, Experiment):
        raise InputError(
            f"experiment = {experiment!r}: must be an nbdask.Experiment, such as"
            " nbdask.from_args(argv) or nbdask.from_toml(path)"
        )
    s = settings or Settings()
    spec = parse_cluster(s.cluster, s.workers, s.threads, s.jobs)
    limit = spec.memory_limit if s.memory_limit is None else parse_bytes(s.memory_limit)
    backend, note = choose_backend(s.backend, spec.kind)
    kernel = kernel_facts(backend, s.precision, spec.here)
    if s.same_bits:
        check_same_bits(kernel.name, kernel.precision)
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
        workers=spec.layout.times(shards),
        memory_limit=limit,
        storage=None if place is None else measured_storage(place),
        outputs=outputs,
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
    durability: str = "full",
    same_bits: bool = False,
    overwrite: bool = False,
    resume: bool | str = False,
    command: Sequence[str] | None = None,
    progress: Progress | bool | None = True,
    listeners: Sequence[Listener] = (),
    outputs: Sequence[Output] = (),
    notes: Sequence[str] = (),
) -> SimulationResult:
    """Simulate an image tile by tile into a zarr store.

    Parameters
    ----------
    experiment : Experiment
    out : path or str
        The store to write: a path, or ``s3://bucket/name``.
    backend, precision, tile, steps_per_task, cluster, workers, threads, memory_limit, jobs,
    durability, same_bits
        See :class:`Settings`.
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
        same_bits=same_bits,
    )
    if isinstance(progress, bool):
        told = [*([Bar()] if progress and is_wanted() else []), *listeners]
    else:
        told = listening(progress, listeners)
    return _simulate(experiment, target, settings, command, told, outputs, notes)


def _simulate(
    experiment: Experiment,
    target: Target,
    settings: Settings,
    command: Sequence[str] | None,
    listeners: Sequence[Listener],
    outputs: Sequence[Output],
    notes: Sequence[str],
) -> SimulationResult:
    """Do the work of :func:`simulate`."""
    start = time.perf_counter()
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
    try:
        done = fill(work, target, open_cluster(spec), listeners)
    finally:
        forget_amplitudes(name)
    for output in outputs:
        output.write(made)
    seconds = time.perf_counter() - start
    return SimulationResult(made, plan.grid.image_shape, done.statistics, done.notes, seconds, plan)


def _is_large(experiment: object) -> bool:
    """Return whether an image is worth the time of measuring its store's place."""
    if not isinstance(experiment, Experiment):
        return False
    return experiment.shape[0] * experiment.shape[1] >= _MEASURED


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
    return replace(settings, tile=tile, steps_per_task=steps, backend=backend)


class Simulation(Work):
    """The tiles of an experiment's image.

    Parameters
    ----------
    run : str
        Name of the run, unique in every process.
    experiment : Experiment
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
        experiment: Experiment,
        model: Model,
        plan: Plan,
        place: Place,
        notes: tuple[str, ...] = (),
        command: Sequence[str] | None = None,
        cluster: str = "threads",
    ) -> None:
        from nbdask.store.write import TileWriter

        writer = TileWriter(place, plan.grid.counts[1])
        super().__init__(
            run=run,
            grid=plan.grid,
            writer=writer,
            context=RunContext.of(model, plan, writer),
            pixel_size=experiment.detector.pixel_size,
            panels=experiment.detector.panels,
            plan=plan,
            notes=notes,
        )
        self.experiment, self.command, self.cluster = experiment, command, cluster

    def attributes(self) -> dict[str, Any]:
        """Return the root's attributes for a run that begins now."""
        return start_attributes(self.experiment, self.plan, self.command, self.cluster)

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
        return tile_graphs(self.run, missing, len(plan.steps), plan.grid, plan.steps)

    def compute(self, index: int) -> TileResult:
        """Return a tile with its pixels."""
        return compute_tile(self.context, index)


def simulation_of(reader: StoreReader, doing: str, threads: int) -> Simulation:
    """Return the work that a store was made by, to compute its tiles again.

    Parameters
    ----------
    reader : StoreReader
    doing : str
        What the user asked for, to begin a message with.
    threads : int
        That tiles will be computed on.

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
    experiment = reader.experiment
    settings = Settings(
        backend_of(attributes),
        attributes["precision"],
        recorded_tile(plan),
        plan["steps_per_task"],
        cluster="threads",
        threads=threads,
    )
    model, now_plan, _ = prepare(experiment, settings)
    work = Simulation(secrets.token_hex(8), experiment, model, now_plan, reader.place)
    work.notes = work.check_same(reader, doing)
    return work
