"""The shots of a store as fits start from them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from nbdask.derive.over_shots import parse_shots
from nbdask.errors import StoreError, in_python
from nbdask.experiment import Experiment
from nbdask.gradients.search import Shot, shots_of
from nbdask.store.open import open_store
from nbdask.store.reader import StoreReader


@in_python
def read_shots(
    store: str | os.PathLike[str],
    shots: str | None = None,
    *,
    experiment: Experiment | None = None,
    mask: Any = None,
    background: float = 0.0,
    readout: float = 0.0,
) -> list[Shot]:
    """Return shots of a series' store for :func:`nbdask.fit_joint`.

    Each has its image, lazy, and starts where the series has it: with its own orientation and
    whatever else varies.

    Parameters
    ----------
    store : path or address
        Of a series, simulated or noisy.
    shots : str, optional
        ``"FIRST:END[:STEP]"``, END not included; None: all.
    experiment : Experiment, optional
        What is common to start from, in place of the series' own; what varies stays.
    mask, background, readout
        As for :class:`nbdask.Shot`.

    Raises
    ------
    NbdaskError
        No store of a series, no such shots, or an experiment that does not go with what varies.
    """
    reader = StoreReader(store)
    chosen = parse_shots(shots, reader)
    series = reader.series
    if series is None:
        raise StoreError(f"{reader.path} holds no series: must be simulated with --shots")
    if experiment is not None:
        series = dataclasses.replace(series, experiment=experiment)
    data = open_store(store)["image"]
    return shots_of(series, data, chosen, mask=mask, background=background, readout=readout)


def is_series(store: str | os.PathLike[str]) -> bool:
    """Whether a store holds the shots of a series."""
    return bool(StoreReader(store).grid.shots)
