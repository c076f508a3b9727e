"""What comes before a run's first tile: its settings, the model, the plan, the cluster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import ClusterSpec
from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Model
from nbdask.gradients.asked import Parameters, asked_slopes, from_record
from nbdask.graph.shot_models import models_of
from nbdask.kernels.registry import (
    check_same_bits,
    choose_backend,
    default_costs,
    kernel_facts,
)
from nbdask.plan.cost import load_costs
from nbdask.plan.demand import Resources
from nbdask.plan.estimate import Storage
from nbdask.plan.memory import parse_bytes
from nbdask.plan.plan import Plan, make_plan, recorded_tile
from nbdask.plan.planes import check_backend, parse_planes
from nbdask.shots import Series
from nbdask.shots.cutoff import check_cutoff
from nbdask.store.earlier import backend_of
from nbdask.store.place import Place
from nbdask.store.speed import measured_storage

_log = logging.getLogger("nbdask.prepare")


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


class Prepared(NamedTuple):
    """A run that was not started.

    Attributes
    ----------
    model : Model
        Of a series that of shot 0.
    plan : Plan
    cluster : ClusterSpec
    """

    model: Model
    plan: Plan
    cluster: ClusterSpec


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
        Resources(
            load_costs(default_costs()),
            spec.layout.times(shards),
            limit,
            Storage() if place is None else measured_storage(place),
        ),
        tile=s.tile,
        steps_per_task=s.steps_per_task,
        outputs=outputs,
        planes=planes,
        slopes=asked_slopes(experiment, model, s.gradient),
        shots=shots,
    )
    for line in plan.describe().splitlines():
        _log.debug("plan: %s", line)
    return Prepared(model, plan, spec)


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
