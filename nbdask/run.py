"""``simulate()``: an experiment becomes a store.  The one place that joins all parts."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Sequence

from nbdask.cluster.open import open_cluster
from nbdask.cluster.options import JobOptions
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import in_python
from nbdask.experiment import Experiment
from nbdask.fill.bar import Bar, is_wanted
from nbdask.fill.listen import Listener, Progress, listening
from nbdask.fill.target import Target
from nbdask.geometry.model import Model
from nbdask.gradients.asked import Parameters
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
from nbdask.kernels.registry import kernel_facts
from nbdask.native.library import missing_note
from nbdask.plan.plan import Plan
from nbdask.prepare import Settings, as_recorded, prepare
from nbdask.result import Output, SimulationResult, recorded
from nbdask.shots import Series
from nbdask.shots.cutoff import with_cutoff
from nbdask.simulation import Simulation, Treatment, kept_of
from nbdask.store.address import place_of

_log = logging.getLogger("nbdask.run")

#: Pixels from which on a run measures how fast its store's place is.
_MEASURED = 8192**2


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
    kept = kept_of(settings, treatment)
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
