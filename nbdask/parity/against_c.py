"""``parity()``: an image against the user's nanoBragg C program, region by region."""

from __future__ import annotations

import heapq
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbdask.cluster.open import open_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import BackendError, StoreError
from nbdask.experiment import Experiment
from nbdask.fill.listen import Progress
from nbdask.graph.context import RunContext, Setup
from nbdask.graph.mapped import forget_amplitudes
from nbdask.kernels.registry import get_kernel
from nbdask.parity.binary import Binary, UsersArgv
from nbdask.parity.errors import ParityUsageError
from nbdask.parity.measures import PEAKS
from nbdask.parity.outcome import Outcome, RegionResult, Thresholds
from nbdask.parity.regions import Choice, Region, choose, choose_panels, default_mode
from nbdask.parity.semantics import expected_differences, thread_notes, unique
from nbdask.parity.tasks import Job, region_graph
from nbdask.plan.plan import recorded_tile
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.prepare import Settings, prepare
from nbdask.store.earlier import backend_of
from nbdask.store.provenance import input_files, now
from nbdask.store.reader import StoreReader
from nbdask.store.schema import COMPLETE
from nbdask.version import __version__

#: C counts pixels in an int; it crashes beyond.
MOST_PIXELS = 2**31 - 1
#: Regions whose pictures are kept: the worst ones.
MOST_PICTURES = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be compared, and how.

    Parameters
    ----------
    binary : Binary
    choice : Choice
        Which regions.
    mode : str or None
        ``"roi"``, ``"window"``; None: by the size of the detector.
    semantics : str or None
        Other semantics than the image's own: the regions are then computed again.
    thresholds : Thresholds
    by_precision : bool
        Take the largest allowed deviation from the kernel's precision, not from ``thresholds``.
    settings : Settings
        Cluster; for tiles that are computed also backend, precision and tile size.
    peaks : int
        Brightest local maxima to match in each region.
    pictures : bool
        Draw the regions, for a report.
    keep : str or None
        Folder in which the directories of C are kept.
    progress, report : callable, optional
        Called with (regions done, regions in all); with a line before something slow.
    shot : int or None
        Of a store of a series.
    """

    binary: Binary
    choice: Choice = field(default_factory=Choice)
    mode: str | None = None
    semantics: str | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    by_precision: bool = True
    settings: Settings = field(default_factory=Settings)
    peaks: int = PEAKS
    pictures: bool = False
    keep: str | None = None
    progress: Progress | None = None
    report: Callable[[str], None] | None = None
    shot: int | None = None


@dataclass(frozen=True, slots=True)
class _Side:
    """nbdask's side of the comparison."""

    title: str
    experiment: Experiment
    settings: Settings
    store: StoreReader | None
    users: UsersArgv | None = None
    notes: tuple[str, ...] = ()


def parity(store: str | os.PathLike[str], request: Request) -> Outcome:
    """Compare regions of a store with C runs of the same regions.

    Parameters
    ----------
    store : path or address
    request : Request

    Raises
    ------
    StoreError
        There is no store, or it is not complete.
    ParityUsageError, RunnerError, ShapeError
        See :mod:`nbdask.parity.errors`.
    """
    reader = StoreReader(store)
    if reader.attributes["status"] != COMPLETE:
        raise StoreError(f"{reader.path} is not complete: finish it with --resume first")
    if "derived" in reader.attributes:
        source = reader.attributes["derived"]["source"]["path"]
        raise ParityUsageError(
            f"{reader.path} holds noise or detector effects, which the C program does not compute:"
            f" give the image that it was derived from, {source}"
        )
    if "noise" in reader.attributes:
        raise ParityUsageError(
            f"{reader.path} holds noise or detector effects, which the C program does not compute:"
            " simulate it without --keep-float no"
        )
    reader = reader.chosen(request.shot, "parity")
    experiment = reader.experiment
    plan, title = reader.attributes["plan"], _title(reader)
    backend, precision = _kernel_of(reader)
    settings = replace(
        request.settings,
        backend=backend,
        precision=precision,
        tile=recorded_tile(plan),
        steps_per_task=plan["steps_per_task"],
    )
    own = experiment.semantics
    if request.semantics in (None, own):
        return _compare(_Side(title, experiment, settings, reader), request)
    notes = (
        f"the regions were computed again with --semantics {request.semantics}; the store holds"
        f" {own}",
    )
    again = experiment.replace(semantics=request.semantics)
    return _compare(_Side(title, again, settings, None, notes=notes), request)


def _title(reader: StoreReader) -> str:
    """Return what a report calls a store, or a shot of it."""
    return str(reader.path) if reader.shot is None else f"{reader.path}, shot {reader.shot}"


def _kernel_of(reader: StoreReader) -> tuple[str | None, str]:
    """Return backend and precision of a store; of a kernel that cannot run here, the default."""
    backend, precision = backend_of(reader.attributes), reader.attributes["precision"]
    try:
        get_kernel(backend, precision)
    except BackendError:
        return None, "float64"
    return backend, precision


def parity_from_scratch(
    experiment: Experiment,
    request: Request,
    users: UsersArgv | None = None,
    notes: Sequence[str] = (),
    title: str = "nbdask, from flags",
) -> Outcome:
    """Compute an image, or regions of it, with both programs and compare.

    Parameters
    ----------
    experiment : Experiment
    request : Request
    users : UsersArgv, optional
        The user's own arguments, for C; None: written from the experiment.
    notes : sequence of str
        What the reader should know of the arguments.
    title : str
        What the report calls the image.

    Raises
    ------
    ParityUsageError, RunnerError, ShapeError
        See :mod:`nbdask.parity.errors`.
    """
    choice = request.choice
    if choice.empty and default_mode(experiment.shape) == "roi":
        request = replace(request, choice=replace(choice, whole=True))
    side = _Side(title, experiment, request.settings, None, users, tuple(notes))
    return _compare(side, request)


def _compare(side: _Side, request: Request) -> Outcome:
    experiment = side.experiment
    mode = request.mode or default_mode(experiment.shape)
    users = side.users if mode == "roi" else None
    _check(side, request, mode, users)
    # Also where nothing is computed: input files that changed since are refused here.
    model, plan, spec = prepare(experiment, side.settings)
    kernel = get_kernel(plan.backend, plan.precision)
    if side.store is None and request.report is not None and kernel.needs_compiling(model):
        request.report("compiling kernels for this kind of experiment, once on this machine")
    panels = experiment.detector.panels
    needed = side.store is None or model.first_axes is not None or bool(panels)
    job = Job(
        experiment=experiment,
        binary=request.binary,
        mode=mode,
        context=RunContext.of(model, plan) if needed else None,
        store=None if side.store is None else str(side.store.path),
        users=users,
        keep=request.keep,
        peaks=request.peaks,
        pictures=request.pictures,
        shot=request.shot,
    )
    bright = [] if side.store is None else _brightness(side.store)
    if len(panels) > 1:
        sizes = [(panel.n_slow, panel.n_fast) for panel in panels]
        regions = list(choose_panels(plan.grid, sizes, request.choice, bright))
    else:
        regions = list(choose(plan.grid, request.choice, Tile.within(model.roi), bright))
    grid = plan.grid if side.store is None else None
    results = _run(job, regions, grid, spec, request)
    notes = [
        *side.notes,
        *expected_differences(experiment, verbatim=users is not None),
        *(note for region in results for note in region.notes),
        *thread_notes(experiment, request.binary.threads),
        *model.notes,
    ]
    thresholds = request.thresholds
    made = {"backend": plan.backend, "precision": plan.precision}
    made |= {"kernel_version": plan.kernel_version}
    if side.store is not None:
        made = {name: side.store.attributes[name] for name in made}
    if request.by_precision:
        thresholds = thresholds.for_precisions(made["precision"])
    return Outcome(
        kind="parity",
        image=side.title,
        reference=f"nanoBragg C ({Path(request.binary.path).name})",
        shape=experiment.shape,
        thresholds=thresholds,
        regions=results,
        facts=_facts(side, request, mode, users is not None) | made,
        notes=unique(notes),
    )


def _check(side: _Side, request: Request, mode: str, users: UsersArgv | None) -> None:
    """Refuse, before anything is started, what C cannot do."""
    experiment = side.experiment
    n_slow, n_fast = experiment.shape
    if mode == "roi" and n_slow * n_fast > MOST_PIXELS:
        raise ParityUsageError(
            f"--mode roi: {n_slow} x {n_fast} pixels are more than C can count ({MOST_PIXELS}):"
            " use --mode window"
        )
    if request.choice.brightest and side.store is None:
        raise ParityUsageError(
            f"--brightest {request.choice.brightest}: needs a store whose tiles have been computed,"
            " with its own semantics"
        )
    if experiment.sampling.cutoff is not None:
        raise ParityUsageError(
            f"--cutoff {experiment.sampling.cutoff}: pixels may lack so many photons, and C adds"
            " all terms: compare an image without --cutoff"
        )
    sources = experiment.sources
    if sources.weights == "apply" and len({p.weight for p in sources.points}) > 1:
        raise ParityUsageError(
            f"--source-weights {sources.weights}: C ignores the weights of sources; give"
            " --source-weights ignore"
        )
    if experiment.lattices:
        raise ParityUsageError("--crystals: C has one crystal; leave it out")
    if sources.spectrum is not None:
        raise ParityUsageError("--spectrum: C ignores the weights of wavelengths; leave it out")
    if experiment.crystal.diffuse is not None:
        raise ParityUsageError(
            "--diffuse-gamma: C has no diffuse scattering: compare an image without it"
        )
    if experiment.background.materials:
        names = ", ".join(material.name for material in experiment.background.materials)
        raise ParityUsageError(
            f"--background {names}: C has only -water: compare an image without --background"
        )
    if experiment.background.beamstop is not None or experiment.background.shadow is not None:
        raise ParityUsageError(
            "--beamstop, --shadow: C has no shadows: compare an image without them"
        )
    if users is None:
        width = experiment.sources.dispersion
        step = width.step is not None and width.count != 1
        if step and (width.count is None or (width.range, width.step) != (1.0, 1.0 / width.count)):
            raise ParityUsageError(
                f"sources.dispersion.step = {width.step}: no flag of nanoBragg sets it; give range"
                " and count"
            )


def _brightness(reader: StoreReader) -> Iterator[tuple[float, int]]:
    """Yield the brightest pixel and the number of each tile."""
    for index, summary in enumerate(reader.summaries()):
        yield summary.max, index


def _run(
    job: Job,
    regions: Sequence[Region],
    grid: TileGrid | None,
    spec: ClusterSpec,
    request: Request,
) -> tuple[RegionResult, ...]:
    """Compare the regions on the cluster; return the results in their order."""
    setup = Setup(secrets.token_hex(8), job)
    graphs = (region_graph(setup.run, i, r, grid) for i, r in enumerate(regions))
    results: dict[Tile, RegionResult] = {}
    pictured: list[tuple[float, Tile]] = []

    def done(result: RegionResult) -> None:
        """Keep a result, and pictures of the worst regions only."""
        results[result.tile] = result
        heapq.heappush(pictured, (result.measures.max_rel, result.tile))
        if len(pictured) > MOST_PICTURES:
            _, mildest = heapq.heappop(pictured)
            results[mildest] = replace(results[mildest], pictures=None)
        if request.progress is not None:
            request.progress(len(results), len(regions))

    try:
        with open_cluster(spec) as executor:
            executor.check(setup)
            executor.run(setup, graphs, done)
    finally:
        forget_amplitudes(setup.run)
    return tuple(results[region.tile] for region in regions)


def _facts(side: _Side, request: Request, mode: str, verbatim: bool) -> dict[str, Any]:
    """Return what belongs on record."""
    binary, experiment = request.binary, side.experiment
    return {
        "date": now(),
        "nbdask_version": __version__,
        "fingerprint": experiment.fingerprint(),
        "semantics": experiment.semantics,
        "pixels_from": "store" if side.store is not None else "computed",
        "program": {
            "name": Path(binary.path).name,
            "path": binary.path,
            "sha256": binary.sha256,
            "threads": binary.threads,
        },
        "arguments_from": "the command line" if verbatim else "the experiment",
        "mode": mode,
        **({} if request.shot is None else {"shot": request.shot}),
        "seed": request.choice.seed,
        "inputs": input_files(experiment),
    }
