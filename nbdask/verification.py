"""``verify()`` and ``repair()``: a store read again, compared with its records, and repaired."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from nbdask.cluster.executor import Executor
from nbdask.cluster.open import open_cluster
from nbdask.cluster.parse import Where, parse_where
from nbdask.derive.at_once import noise_of
from nbdask.derive.noise import derivation_of
from nbdask.errors import StoreError
from nbdask.fill.again import repeatable
from nbdask.fill.filler import Filler
from nbdask.fill.listen import Progress
from nbdask.fill.work import Work
from nbdask.graph.context import Setup
from nbdask.graph.reread import (
    CORRUPT,
    DIFFERENT,
    MISSING,
    Checked,
    Fault,
    Rereading,
    reread_graphs,
)
from nbdask.plan.machine import available_cores
from nbdask.simulation import simulation_of
from nbdask.statistics import Statistics, combine
from nbdask.store import manifest, schema
from nbdask.store.address import place_of, read_root
from nbdask.store.create import update_attributes
from nbdask.store.lock import Lock
from nbdask.store.provenance import end_attributes, now
from nbdask.store.reader import StoreReader
from nbdask.truth.stored import fault_of, owed, write_owed

__all__ = ["CORRUPT", "DIFFERENT", "MISSING", "Fault", "Repair", "Verification", "repair", "verify"]

_UNCOVERED = (
    "made by an earlier version, without a manifest: attributes and metadata have no checksums, and"
    " were compared with each other only"
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify` found.

    Attributes
    ----------
    path : Path or str
    tiles : int
        Tiles of the image; each was read.
    recomputed : int
        Tiles that were computed again.
    faults : tuple of Fault
        In the order of the tiles.
    remarks : tuple of str
        What is wrong with the store as a whole, and :func:`repair` mends.
    altered : tuple of str
        What beside tiles is not as it was written, or does not follow from the experiment: a copy
        of the store has to take its place.
    notes : tuple of str
        What could not be checked.
    """

    path: Path | str
    tiles: int
    recomputed: int
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]
    altered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all is as it should be."""
        return not (self.faults or self.remarks or self.altered)

    def count(self, kind: str) -> int:
        """Return the number of faults of a kind."""
        return sum(fault.kind == kind for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Repair:
    """What :func:`repair` did.

    Attributes
    ----------
    path : Path or str
    faults : tuple of Fault
        The tiles that were computed again.
    statistics : Statistics
        Of the repaired image.
    truth : bool
        Whether the truth that the run was asked for was missing, and has been written.
    altered : tuple of str
        What else of the store is not as it was written, which cannot be mended.
    mended : tuple of str
        Arrays whose metadata were damaged or altered, and have been written again.
    """

    path: Path | str
    faults: tuple[Fault, ...]
    statistics: Statistics
    truth: bool = False
    altered: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()


def verify(
    path: str | os.PathLike[str],
    recompute: int = 0,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    **where: Unpack[Where],
) -> Verification:
    """Read every tile of a store and compare it with its record.

    Parameters
    ----------
    path : path or str
        The store, or its address.
    recompute : int
        This many tiles, drawn at random, are also computed again from the stored experiment, and
        compared bit by bit; with a store whose kernel is discontinued, to rounding.
    seed : int
        Of the draw.
    progress : callable, optional
        Called with (tiles read, tiles in all).
    **where
        ``cluster``, ``workers``, ``threads`` and ``jobs``, as in :class:`nbdask.prepare.Settings`.

    Raises
    ------
    StoreError
        There is no store, or (for ``recompute``) this nbdask or the input files are not those
        that the store was made with.
    ClusterError
        The cluster cannot be had, or was lost.
    """
    if recompute < 0:
        raise StoreError(f"--recompute {recompute}: must be a whole number of at least 0")
    reader, spec = StoreReader(path), parse_where(where)
    total = len(reader.grid)
    faults: dict[int, Fault] = {}
    done = 0

    def take(checked: Checked) -> None:
        """Keep what is wrong."""
        nonlocal done
        done += 1
        if checked.fault is not None:
            faults[checked.index] = checked.fault
        if progress is not None and done <= total:
            progress(done, total)

    drawn: list[int] = []
    with repeatable(reader.path), open_cluster(spec) as executor:
        _reread(executor, Rereading(reader.place), range(total), take)
        fault = fault_of(reader.place)
        remarks = _whole(reader, fault) if not faults else _truth(reader, fault)
        mendable = manifest.copies(reader.place)
        remarks += tuple(
            f"the metadata of {name} are not those that were written: nbdask repair writes them"
            " again"
            for name in mendable
            if fault is None or name.partition("/")[0] != schema.TRUTH
        )
        # A truth with a fault is written again as a whole.
        spared = mendable if fault is None else (*mendable, schema.TRUTH)
        altered = manifest.alterations(reader, spared)
        if recompute:
            every = range(total)
            sound = [index for index in every if index not in faults] if faults else every
            drawn = sorted(random.Random(seed).sample(sound, min(recompute, len(sound))))
        if drawn:
            treatment = noise_of(reader, "verify")
            context = simulation_of(reader, "verify", spec.threads, treatment).context
            _reread(executor, Rereading(reader.place, context), drawn, take)
    found = tuple(faults[index] for index in sorted(faults))
    notes = () if manifest.NAME in reader.attributes else (_UNCOVERED,)
    return Verification(reader.path, total, len(drawn), found, remarks, altered, notes)


def _reread(
    executor: Executor, shared: Rereading, indices: Iterable[int], take: Callable[[Checked], None]
) -> None:
    """Have tiles read."""
    setup = Setup(secrets.token_hex(8), shared)
    executor.check(setup)
    executor.run(setup, reread_graphs(setup.run, indices), take)


def repair(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Compute the missing and corrupt tiles of a store again.

    Records, statistics and status are brought up to date; sound tiles are not touched.  Damaged
    metadata of arrays are written again from the copies that the root has.

    Parameters
    ----------
    path : path or str
        The store, or its address.
    threads : int, optional
        None: one per core.
    progress : callable, optional
        Called with (tiles repaired, tiles to repair).

    Raises
    ------
    StoreError
        There is no store, another run writes to it, or this nbdask, the input files or the source
        are not those that the store was made with.
    """
    place = place_of(path)
    if read_root(place) is None:
        StoreReader(place)  # says so, in place of a lock that cannot be written
    with Lock(place) as lock:
        place.sweep()
        mended = manifest.mended(place)
        faults = verify(place.name, cluster="threads", threads=threads).faults
        reader, count = StoreReader(place), threads or available_cores()
        notes: tuple[str, ...] = ()
        if faults:
            work = _work(reader, count)
            notes = work.notes
            Filler(work, place, lock).repair([fault.index for fault in faults], count, progress)
        reader.records.settle()
        statistics = combine(reader.summaries(), reader.grid.apart)
        if faults or _unclosed(reader):
            changed = {
                **end_attributes(statistics),
                "repaired": [*reader.attributes.get("repaired", []), now()],
                "notes": list(dict.fromkeys([*reader.attributes.get("notes", []), *notes])),
            }
            update_attributes(place, changed)
    truth = write_owed(place.name, threads)
    altered = manifest.alterations(StoreReader(place))
    return Repair(place.name, faults, statistics, truth, altered, mended)


def _work(reader: StoreReader, threads: int) -> Work:
    """Return the work that a store was made by."""
    if "derived" in reader.attributes:
        return derivation_of(reader)
    return simulation_of(reader, "repair", threads, noise_of(reader, "repair"))


def _whole(reader: StoreReader, fault: str | None) -> tuple[str, ...]:
    """Return what is wrong with a store whose tiles are all sound; ``fault`` is of its truth."""
    wrong = (*_unclosed(reader), *_truth(reader, fault))
    if not wrong and owed(reader) is not None:
        return ("the truth that the run was asked for is not there: nbdask repair writes it",)
    return wrong


def _truth(reader: StoreReader, fault: str | None) -> tuple[str, ...]:
    """Return what is wrong with the truth that a store holds, and who writes it again."""
    if fault is None:
        return ()
    asked = owed(reader) is not None
    again = "nbdask repair" if asked else "nbdask truth --save --overwrite"
    return (f"{fault}: {again} writes it again",)


def _unclosed(reader: StoreReader) -> tuple[str, ...]:
    """Return what is wrong with the root of a store whose tiles are all sound."""
    if reader.attributes["status"] != schema.COMPLETE:
        return ("all tiles are there, but the status is not complete: finish with --resume",)
    expected = end_attributes(combine(reader.summaries(), reader.grid.apart))["statistics"]
    if reader.attributes.get("statistics") != expected:
        return (
            "the statistics of the image are not those of its tiles: nbdask repair counts again",
        )
    return ()
