"""A simulation as the work that fills a store; also made anew from the record of a store."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from nbdask.errors import StoreError
from nbdask.experiment import DetectorPanel, Experiment
from nbdask.fill.work import Work
from nbdask.geometry.model import Model
from nbdask.gradients.asked import from_record
from nbdask.graph.build import Graph, tile_graphs
from nbdask.graph.context import After, RunContext
from nbdask.graph.slopes import TileSlopes
from nbdask.graph.tasks import TileResult, compute_tile
from nbdask.kernels.registry import has_same_bits
from nbdask.plan.plan import Plan, recorded_tile
from nbdask.plan.planes import arrays_of
from nbdask.plan.tiles import TileGrid
from nbdask.prepare import Settings, prepare
from nbdask.shots import Series
from nbdask.store.earlier import backend_of, note_of
from nbdask.store.pixels import Kept
from nbdask.store.place import Place
from nbdask.store.provenance import start_attributes
from nbdask.store.resume import check_same

if TYPE_CHECKING:
    from nbdask.store.reader import StoreReader


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


def kept_of(settings: Settings, treatment: Treatment | None) -> Kept:
    """Return how pixels are kept, which depends on what is done to them before.

    Raises
    ------
    FieldError
        They cannot be kept so.
    """
    whole = treatment is not None and treatment.whole
    return Kept.of(settings.dtype, settings.compression, counts=treatment is not None, whole=whole)


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
