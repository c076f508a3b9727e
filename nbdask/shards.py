"""Simulations in shards: independent runs that fill one store, and how far they are."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

from nbdask.cluster.executor import Executor
from nbdask.cluster.open import open_cluster
from nbdask.errors import ClusterError, in_python
from nbdask.experiment import Experiment
from nbdask.fill.close import finish as finish_store
from nbdask.fill.listen import Listener
from nbdask.fill.shard import Share, begin, fill_shard, is_there
from nbdask.fill.standing import Standing, standing
from nbdask.graph.mapped import forget_amplitudes, map_amplitudes
from nbdask.plan.shards import Shard
from nbdask.prepare import Settings, as_recorded, prepare
from nbdask.result import Output, recorded
from nbdask.shots import Series
from nbdask.simulation import Simulation, Treatment, kept_of
from nbdask.store.address import place_of
from nbdask.store.place import Place
from nbdask.store.schema import COMPLETE
from nbdask.truth.stored import write_owed


@in_python
def simulate_shard(
    experiment: Experiment | Series,
    out: str | os.PathLike[str],
    shard: Shard | str,
    settings: Settings | None = None,
    *,
    command: Sequence[str] | None = None,
    listeners: Sequence[Listener] = (),
    notes: Sequence[str] = (),
    treatment: Treatment | None = None,
    outputs: Sequence[Output] = (),
) -> Share:
    """Compute one shard of an image or a series into a store that is shared with the others.

    Any may run at any time, at the same time, twice, or be killed and run again.  The first one
    makes the store; the last one closes it.

    Parameters
    ----------
    experiment : Experiment or Series
    out : path or str
        The store: a path, or ``s3://bucket/name``.
    shard : Shard or str
        ``"3/200"``: the third of 200.
    settings : Settings, optional
        The same for all shards; on threads of this process.
    command : sequence of str, optional
        The command line without its shard, for the record.
    listeners : sequence of Listener
        Hear of the shard; tiles are counted of the shard alone.
    notes : sequence of str
        The caller's remarks for the record.
    treatment : Treatment, optional
        What is done to each tile before it is written, by every shard alike.
    outputs : sequence of Output
        Made from the store by the shard that completes it.

    Raises
    ------
    NbdaskError
        The store was begun with other settings, something cannot be used, or a tile failed.
    """
    shard = Shard.parse(shard) if isinstance(shard, str) else shard
    settings = settings or Settings()
    if settings.cluster not in (None, "threads"):
        raise ClusterError(
            f"--shard {shard} with --cluster {settings.cluster}: a shard runs on threads of its own"
            " process; leave --cluster out, or leave --shard out and let the cluster do it all"
        )
    settings = replace(settings, cluster="threads")
    place = place_of(out, settings.durability)
    for output in outputs:
        output.check()
    told = _Told(command, notes, treatment, recorded(outputs))
    share = _filled(experiment, place, settings, shard, told, listeners)
    if share.closed is not None:
        for output in outputs:
            output.write(place.name)
    return share


class _Told(NamedTuple):
    """What a shard is told: the command, notes, treatment and further attributes of the root."""

    command: Sequence[str] | None
    notes: Sequence[str]
    treatment: Treatment | None
    more: Mapping[str, Any]


def _filled(
    experiment: Experiment | Series,
    place: Place,
    settings: Settings,
    shard: Shard,
    told: _Told,
    listeners: Sequence[Listener],
) -> Share:
    """Make the store where none is there, and compute what is missing of the shard."""
    there = is_there(place)
    work, opened = _work(experiment, place, settings, shard, there, told)
    try:
        if not there and not begin(work, place, shard.count):
            # Another process was first: its choice of tiles counts.
            forget_amplitudes(work.run)
            work, opened = _work(experiment, place, settings, shard, True, told)
        return fill_shard(work, place, shard, opened, listeners)
    finally:
        forget_amplitudes(work.run)


def _work(
    experiment: Experiment | Series,
    place: Place,
    settings: Settings,
    shard: Shard,
    there: bool,
    told: _Told,
) -> tuple[Simulation, AbstractContextManager[Executor]]:
    """Return the work of a shard, and the threads that do it."""
    kept = kept_of(settings, told.treatment)
    if there:
        settings = as_recorded(place, settings)
    model, plan, spec = prepare(experiment, settings, shards=shard.count)
    name = secrets.token_hex(8)
    model = map_amplitudes(model, name)
    remarks = (*told.notes, *model.notes)
    work = Simulation(name, experiment, model, plan, place, remarks, told.command, spec.kind)
    work.kept, work.more = kept, told.more
    if told.treatment is not None:
        work.treat(told.treatment)
    return work, open_cluster(spec)


@in_python
def finish(out: str | os.PathLike[str]) -> Standing:
    """Close a store whose tiles are all there: records, statistics, status, and the truth.

    Parameters
    ----------
    out : path or str

    Returns
    -------
    Standing
        How far it is now; not complete where tiles are missing.

    Raises
    ------
    StoreError
        There is no store, pixels of tiles on record are not there, or it cannot be written.
    """
    place = place_of(out)
    finish_store(place)
    found = standing(place)
    if found.status == COMPLETE:
        write_owed(out)
    return found


@in_python
def status(out: str | os.PathLike[str]) -> Standing:
    """Say how far a store is.

    Parameters
    ----------
    out : path or str

    Raises
    ------
    StoreError
        There is no store, or it is damaged.
    """
    return standing(place_of(out))
