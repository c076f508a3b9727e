"""Truth beside the image in a store."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbdask.errors import FieldError, StoreError, counted, in_python
from nbdask.experiment import Experiment, checks
from nbdask.shots import Series
from nbdask.store import schema
from nbdask.store.address import place_of
from nbdask.store.lock import Lock
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.store.tables import (
    ColumnKind,
    TableWriter,
    check_columns,
    has_group,
    open_group,
)
from nbdask.truth.blocks import check_semantics
from nbdask.truth.columns import (
    CRYSTAL,
    RAGGED,
    REFLECTION,
    REFLECTIONS,
    SHOT,
    SHOTS,
    SIDES,
    Column,
)
from nbdask.truth.compute import Wanted, computed, count_of, rows_of, shot_truths
from nbdask.truth.tables import Truth

#: Rows of a chunk of reflections; most of a chunk of shots.
_REFLECTIONS, _SHOTS = 65536, 4096
#: Attribute of a store's root: the truth that its run was asked for.
ASKED = "truth"

#: Called with (shots done, shots in all).
Progress = Callable[[int, int], None]


def _no_bar(label: str) -> AbstractContextManager[Progress | None]:
    """Return a context that shows nothing."""
    return nullcontext(None)


class Written(NamedTuple):
    """What :func:`write_truth` did.

    Attributes
    ----------
    path : Path or str
    shots : int
    reflections : int or None
        None: only the table of shots was asked for.
    """

    path: Path | str
    shots: int
    reflections: int | None

    def describe(self) -> str:
        """Return it in words."""
        text = f"{self.path}: truth of {counted(self.shots, 'shot')}"
        return text if self.reflections is None else f"{text}, {self.reflections} reflections"


def write_truth(
    store: str | os.PathLike[str],
    wanted: Wanted,
    *,
    overwrite: bool = False,
    durability: str = "full",
    progress: Progress | None = None,
) -> Written:
    """Compute the truth of a store's shots, and put it beside the image.

    Pixels are neither read nor written.  Shots are computed one after another, and memory does not
    grow with their number.

    Parameters
    ----------
    store : path or address
    wanted : Wanted
    overwrite : bool
        Replace the truth that the store has.
    durability : str
        ``"full"`` or ``"fast"``; see :func:`nbdask.store.address.place_of`.
    progress : callable, optional
        Called with (shots done, shots in all).

    Raises
    ------
    StoreError
        There is no store, a run writes to it, it has its truth already, or cannot be written.
    InputError
        What cannot be simulated, or whose photons cannot be told apart.
    """
    place = place_of(store, durability)
    reader = StoreReader(place)
    subject = reader.series or reader.experiment
    with Lock(place) as lock:
        count = count_of(subject)
        first_shot = subject.shot(0) if isinstance(subject, Series) else subject
        crystals = len(first_shot.singles)
        writer = TableWriter(
            place, schema.TRUTH, _kinds(count, crystals, wanted), overwrite=overwrite
        )
        writer.add({CRYSTAL: np.arange(crystals)})
        first = 0
        for one in shot_truths(subject, range(count), wanted):
            row = rows_of(one, first)
            writer.add({name: np.asarray(value)[None] for name, value in row.items()})
            if one.reflections is not None:
                writer.add(one.reflections.columns)
                first += row["n_reflections"]
            lock.check()
            if progress is not None:
                progress(one.number + 1, count)
        writer.finish(wanted.attributes())
    return Written(place.name, count, first if wanted.reflections else None)


@dataclass(frozen=True, slots=True)
class KeptTruth:
    """The truth of a run's store, written when its image is complete: an output of the run.

    Parameters
    ----------
    experiment : Experiment
        Of a series what is common.
    wanted : Wanted
    durability : str
        As for :func:`write_truth`.
    bar : callable
        Makes a context that gives a progress function, or None, from a label.
    """

    experiment: Experiment
    wanted: Wanted
    durability: str = "full"
    bar: Callable[[str], AbstractContextManager[Progress | None]] = _no_bar

    @property
    def recorded(self) -> dict[str, Any]:
        """Attributes of the root by which :func:`owed` finds what was asked for."""
        asked: dict[str, Any] = {"reflections": self.wanted.reflections}
        return {ASKED: asked | ({"least": self.wanted.least} if self.wanted.reflections else {})}

    def check(self) -> None:
        """Refuse what cannot be told apart."""
        if self.wanted.reflections:
            check_semantics(self.experiment)

    def write(self, store: Path | str) -> None:
        """Write it; what an earlier run left is replaced."""
        with self.bar("truth") as progress:
            write_truth(
                store,
                self.wanted,
                overwrite=True,
                durability=self.durability,
                progress=progress,
            )


def owed(reader: StoreReader) -> Wanted | None:
    """Return the truth that a store was begun with and does not hold whole; None: it lacks none."""
    asked = reader.attributes.get(ASKED)
    if not isinstance(asked, dict):
        return None
    wanted = Wanted(bool(asked.get("reflections")))
    if wanted.reflections:
        wanted = wanted._replace(least=check_least(float(asked["least"])))
    if fault_of(reader.place) is not None:
        return wanted
    held = stored_truth(reader.place)
    # With whatever limit it was kept since.
    return None if held is not None and _serves(held, wanted.reflections, None) else wanted


def fault_of(place: Place) -> str | None:
    """Return what is wrong with the truth that a store holds, all of it read; None: nothing."""
    try:
        if stored_truth(place) is not None:
            check_columns(place, schema.TRUTH)
    except StoreError as error:
        return str(error)
    return None


def write_owed(store: str | os.PathLike[str], threads: int | None = None) -> bool:
    """Write the truth that a complete store was begun with and does not hold.

    Parameters
    ----------
    store : path or address
    threads : int, optional
        None: as many as there are processors.

    Returns
    -------
    bool
        Whether it was missing.

    Raises
    ------
    NbdaskError
        As of :func:`write_truth`.
    """
    wanted = owed(StoreReader(store))
    if wanted is not None:
        write_truth(store, wanted._replace(threads=threads), overwrite=True)
    return wanted is not None


def _kinds(shots: int, crystals: int, wanted: Wanted) -> dict[str, ColumnKind]:
    """Return the arrays of the group."""
    rows = min(shots, _SHOTS)
    sides = SIDES | {CRYSTAL: crystals}

    def kind(column: Column, count: int) -> ColumnKind:
        """Return a column as an array."""
        shape = tuple(sides[dim] for dim in column.dims[1:])
        return ColumnKind(column.dims, shape, column.dtype, column.attributes, count)

    kinds = {
        SHOT: kind(Column((SHOT,), "int64", "1", "number of the shot"), rows),
        CRYSTAL: kind(Column((CRYSTAL,), "int64", "1", "number of the crystal"), crystals),
    }
    kinds |= {name: kind(column, rows) for name, column in SHOTS.items()}
    if wanted.reflections:
        kinds |= {name: kind(column, rows) for name, column in RAGGED.items()}
        kinds |= {name: kind(column, _REFLECTIONS) for name, column in REFLECTIONS.items()}
    return kinds


def stored_truth(place: Place) -> Truth | None:
    """Return the truth that a store holds, read when it is looked at; None: it holds none.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    if not has_group(place, schema.TRUTH):
        return None
    whole = open_group(place, schema.TRUTH, SHOTS)
    shots = whole[[name for name in (*SHOTS, *RAGGED) if name in whole.variables]]
    if REFLECTION not in whole.dims:
        return Truth(shots)
    for name in (*RAGGED, *REFLECTIONS):
        if name not in whole.variables:
            raise StoreError(f"{place.name} is damaged: {schema.TRUTH} has no column {name}")
    return Truth(shots, whole[list(REFLECTIONS)].drop_vars([SHOT, CRYSTAL], errors="ignore"))


@in_python
def ground_truth(
    source: str | os.PathLike[str] | Experiment | Series,
    *,
    shots: int | slice | Iterable[int] | None = None,
    reflections: bool = False,
    least: float | None = None,
    threads: int | None = None,
) -> Truth:
    """Return what is true of an image, or of the shots of a series.

    Parameters
    ----------
    source : store, Experiment or Series
        Of a store, by its path or address, what it holds of its truth is read and the rest computed
        from the experiment on record.  Pixels are never read.
    shots : int, slice or sequence of int, optional
        Numbers of the shots; None: all.
    reflections : bool
        Also every reflection.
    least : float, optional
        Reflections of fewer photons on a panel are left out; None: 0.01, or as the store has it.
    threads : int, optional
        To compute reflections with; None: as many as there are processors.

    Raises
    ------
    NbdaskError
        No such store or shot; what cannot be simulated, or whose photons cannot be told apart.
    """
    wanted = Wanted(reflections, threads=threads)
    if least is not None:
        wanted = wanted._replace(least=check_least(least))
    if isinstance(source, Experiment | Series):
        return computed(source, _numbers(shots, count_of(source)), wanted)
    reader = StoreReader(source)
    subject = reader.series or reader.experiment
    numbers = _numbers(shots, count_of(subject))
    held = stored_truth(reader.place)
    if held is not None and _serves(held, reflections, least):
        kept = held if reflections else Truth(held.shots)
        return kept if shots is None else kept.chosen(numbers)
    return computed(subject, numbers, wanted)


def check_least(least: float) -> float:
    """Return a least number of photons.

    Raises
    ------
    FieldError
        It is none.
    """
    if not 0.0 <= least < math.inf:
        raise FieldError("least", least, "a number of photons of at least 0")
    return least


def _serves(held: Truth, reflections: bool, least: float | None) -> bool:
    """Whether a store holds what is asked for."""
    if not reflections:
        return True
    return held.reflections is not None and least in (None, held.shots.attrs["least_photons"])


def _numbers(shots: int | slice | Iterable[int] | None, count: int) -> list[int] | range:
    """Return the numbers of the shots that are meant.

    Raises
    ------
    FieldError
        One that is none.
    """
    if shots is None:
        return range(count)
    if isinstance(shots, slice):
        shots = range(count)[shots]
    given: list[object] = list(shots) if isinstance(shots, Iterable) else [shots]
    if not given:
        raise FieldError("shots", shots, "one or more numbers of shots")
    return [checks.integer("shots", number, low=0, high=count - 1) for number in given]
