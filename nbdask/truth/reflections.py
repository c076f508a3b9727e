"""The table of reflections of one shot."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Array, Model
from nbdask.truth import columns, sums
from nbdask.truth.blocks import SumsOf, crystals, reflection_sums
from nbdask.truth.partiality import full_photons, squared_amplitudes
from nbdask.truth.prediction import predict
from nbdask.truth.setting import Setting
from nbdask.units import to_degrees

#: Reflections of fewer photons are left out unless another number is given.
LEAST = 0.01


class ShotReflections(NamedTuple):
    """The reflections of one shot.

    Attributes
    ----------
    columns : dict of str to array
        By the names of :data:`.columns.REFLECTIONS`, in their units; in the order of panels,
        crystals, h, k, l.
    left_out : int
        Reflections of fewer photons than asked for, which are not listed.
    photons_left_out : float
        Their photons.
    """

    columns: dict[str, NDArray[Any]]
    left_out: int
    photons_left_out: float


def shot_reflections(
    experiment: Experiment,
    *,
    model: Model | None = None,
    least: float = LEAST,
    sums_of: SumsOf | None = None,
    threads: int | None = None,
) -> ShotReflections:
    """Return the reflections of an image.

    Parameters
    ----------
    experiment : Experiment
    model : Model, optional
        Of the experiment; None: it is built.
    least : float
        Reflections of fewer photons on a panel are left out; 0: none is.
    sums_of, threads
        As for :func:`~.blocks.reflection_sums`.

    Raises
    ------
    InputError
        As there; or an input file that cannot be used.
    """
    model = build_model(experiment) if model is None else model
    settings = [Setting.of(single) for single in experiment.singles]
    weights = [experiment.weight, *(lattice.weight for lattice in experiment.lattices)]
    found = reflection_sums(model, [setting.phi for setting in settings], sums_of, threads)
    parts, left_out, lost = [], 0, 0.0
    for panel, of_crystals in enumerate(found):
        for number, (rows, own) in enumerate(zip(of_crystals, crystals(model), strict=True)):
            photons = rows[:, sums.PHOTONS]
            kept = photons >= least
            left_out += int((~kept).sum())
            lost += float(photons[~kept].sum())
            table = _table(settings[number], own.at(panel), rows[kept], weights[number])
            size = int(kept.sum())
            place = {"panel_number": panel, "crystal_number": number}
            parts.append(table | {name: np.full(size, value) for name, value in place.items()})
    joined = {
        name: np.concatenate([part[name] for part in parts]).astype(column.dtype)
        for name, column in columns.REFLECTIONS.items()
    }
    return ShotReflections(joined, left_out, lost)


def _table(setting: Setting, model: Model, rows: Array, weight: float) -> dict[str, Array]:
    """Return the columns of the reflections of one crystal on one panel."""
    found = sums.taken_apart(rows)
    predicted = predict(setting, model, found)
    squared = squared_amplitudes(model, found.hkl)
    full = weight * full_photons(setting, model, found, predicted, squared)
    with np.errstate(divide="ignore", invalid="ignore"):
        partiality = np.where(full > 0.0, found.photons / full, np.nan)
    return {
        **{name: found.hkl[:, axis] for axis, name in enumerate("hkl")},
        "fast_centroid": found.fast,
        "slow_centroid": found.slow,
        "photons": found.photons,
        "partiality": np.where(np.isfinite(full), partiality, np.nan),
        "F_squared": squared,
        "excitation_error": predicted.excitation_error * 1e-10,
        "phi_centroid": to_degrees(1.0) * found.phi,
        "wavelength_centroid": 1e10 / found.per_wavelength,
        "fast_predicted": predicted.fast,
        "slow_predicted": predicted.slow,
        "s1": predicted.s1 @ setting.turn.T * 1e-10,
    }
