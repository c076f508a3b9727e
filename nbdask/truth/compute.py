"""Truth computed from experiments, shot by shot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray

from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.graph.shot_models import ShotModels
from nbdask.shots import Series
from nbdask.truth.columns import (
    CRYSTAL,
    FRAME,
    PIXELS,
    RAGGED,
    REFLECTIONS,
    SHOT,
    SHOTS,
    VERSION,
    Column,
)
from nbdask.truth.reflections import LEAST, ShotReflections, shot_reflections
from nbdask.truth.shots import shot_values
from nbdask.truth.tables import Truth

#: Column of a series' values with the number of each shot's spectrum.
_SPECTRUM = "sources.spectrum"


def count_of(subject: Experiment | Series) -> int:
    """Return the number of shots: 1 of an experiment."""
    return subject.n_shots if isinstance(subject, Series) else 1


class Wanted(NamedTuple):
    """What is computed of each shot.

    Attributes
    ----------
    reflections : bool
        Every reflection too.
    least : float
        Reflections of fewer photons are left out.
    threads : int or None
    """

    reflections: bool = False
    least: float = LEAST
    threads: int | None = None

    def attributes(self) -> dict[str, Any]:
        """Return what tables say of themselves."""
        made: dict[str, Any] = {"truth_version": VERSION, "frame": FRAME, "pixels": PIXELS}
        return made | {"least_photons": self.least} if self.reflections else made


class ShotTruth(NamedTuple):
    """What is true of one shot."""

    number: int
    values: dict[str, Any]
    reflections: ShotReflections | None


def shot_truths(
    subject: Experiment | Series, numbers: Iterable[int], wanted: Wanted
) -> Iterator[ShotTruth]:
    """Yield what is true of some shots, one after another.

    Parameters
    ----------
    subject : Experiment or Series
    numbers : iterable of int
    wanted : Wanted
    """
    models: ShotModels | None = None
    if isinstance(subject, Series) and wanted.reflections:
        models = ShotModels(subject, build_model(subject.shot(0)))
    for number in numbers:
        experiment, spectrum = subject, -1
        if isinstance(subject, Series):
            experiment = subject.shot(number)
            held = subject.values(number, number + 1).get(_SPECTRUM)
            spectrum = -1 if held is None else int(held[0])
        assert isinstance(experiment, Experiment)
        found = None
        if wanted.reflections:
            model = None if models is None else models[number]
            found = shot_reflections(
                experiment, model=model, least=wanted.least, threads=wanted.threads
            )
        values = shot_values(experiment) | {"spectrum_index": spectrum}
        yield ShotTruth(number, values, found)


def rows_of(one: ShotTruth, first: int) -> dict[str, Any]:
    """Return a shot's values by column, those that lead to its reflections too.

    Parameters
    ----------
    one : ShotTruth
    first : int
        Number of its first reflection.
    """
    row = {SHOT: one.number, **one.values}
    if one.reflections is not None:
        found = one.reflections
        count = len(found.columns["h"])
        row |= dict(
            zip(RAGGED, (first, count, found.left_out, found.photons_left_out), strict=True)
        )
    return row


def computed(subject: Experiment | Series, numbers: Iterable[int], wanted: Wanted) -> Truth:
    """Return the truth of some shots, held in memory.

    Parameters
    ----------
    subject, numbers, wanted
        As for :func:`shot_truths`.
    """
    rows: list[dict[str, Any]] = []
    parts: list[ShotReflections] = []
    first = 0
    for one in shot_truths(subject, numbers, wanted):
        rows.append(rows_of(one, first))
        if one.reflections is not None:
            parts.append(one.reflections)
            first += rows[-1]["n_reflections"]
    kinds = SHOTS | RAGGED if wanted.reflections else SHOTS
    table = {name: np.array([row[name] for row in rows]) for name in kinds}
    made = dataset(table, kinds, wanted.attributes())
    crystals = np.arange(made.sizes[CRYSTAL])
    made = made.assign_coords({SHOT: [row[SHOT] for row in rows], CRYSTAL: crystals})
    if not wanted.reflections:
        return Truth(made)
    joined = {name: np.concatenate([one.columns[name] for one in parts]) for name in REFLECTIONS}
    return Truth(made, dataset(joined, REFLECTIONS, wanted.attributes()))


def dataset(
    values: dict[str, Any], kinds: dict[str, Column], attributes: dict[str, Any]
) -> xarray.Dataset:
    """Return columns as a dataset."""
    return xarray.Dataset(
        {
            name: (kind.dims, values[name].astype(kind.dtype, copy=False), kind.attributes)
            for name, kind in kinds.items()
        },
        attrs=attributes,
    )
