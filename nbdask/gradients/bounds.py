"""Bounds of a fit: least and greatest values of fields, and how far parameters may still change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment import Experiment
from nbdask.gradients.arrow import Room
from nbdask.gradients.columns import Columns
from nbdask.gradients.parameters import Field, Parameter, known, value_of, with_value

#: Field -> least and greatest value.
Bounds = Mapping[str, tuple[float, float]]
_FIELD = "--bounds"
#: Bounds that a field has by what it is.
_OWN = {"beam.polarization": (-1.0, 1.0)}
#: Fields above 0: a step leaves a tenth of one, so that it may become as small as it likes.
_ABOVE_NOTHING = (
    "crystal.mosaic_spread", "crystal.fudge", "beam.fluence", "beam.flux", "detector.thickness",
    "detector.attenuation", "scan.osc", "scan.step", "background.water",
)  # fmt: skip
_LEFT = 0.1


def checked_bounds(given: Any) -> dict[str, tuple[float, float]]:
    """Return bounds as floats.

    Parameters
    ----------
    given : mapping of str to (float, float), or None
        A bound may be infinite.

    Raises
    ------
    FieldError
        An unknown field, one that only moves, or no two numbers in ascending order.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise FieldError(_FIELD, given, "a dict of field to (least, greatest value)")
    found = {}
    for name, pair in given.items():
        try:
            low, high = (float(end) for end in pair)
        except (TypeError, ValueError):
            low, high = math.nan, math.nan
        if not low <= high:
            allowed = f"two numbers for {name}, the least and the greatest value"
            raise FieldError(_FIELD, pair, allowed)
        if _known(name).is_move:
            raise FieldError(_FIELD, name, "of a field that has a value; a turn or shift has none")
        found[name] = (low, high)
    return found


def _known(name: str) -> Field:
    """Return what a name stands for; the message is of bounds where there is none such."""
    try:
        return known(name)
    except FieldError as error:
        raise FieldError(_FIELD, name, error.allowed) from None


def with_own(bounds: Bounds, parameters: Sequence[Parameter]) -> Bounds:
    """Return bounds together with those that fitted fields have by what they are."""
    found = dict(bounds)
    for name in {name for parameter in parameters for name in parameter.fields} & _OWN.keys():
        (low, high), (least, most) = found.get(name, _OWN[name]), _OWN[name]
        found[name] = (max(low, least), min(high, most))
    return found


def check_starts(
    bounds: Bounds,
    parameters: Sequence[Parameter],
    experiments: Sequence[Experiment],
) -> None:
    """Refuse bounds of what is not fitted, and fields that start outside of theirs.

    Raises
    ------
    FieldError
    """
    fitted = {name for parameter in parameters for name in parameter.fields}
    for name, (low, high) in bounds.items():
        if name not in fitted:
            raise FieldError(_FIELD, name, "of a field that is fitted")
        for experiment in experiments:
            value = value_of(experiment, name)
            if value is not None and not low <= value <= high:
                allowed = f"around the value of {name} at the start, {value:.9g}"
                raise FieldError(_FIELD, (low, high), allowed)


def room_of(bounds: Bounds, columns: Columns, experiments: Sequence[Experiment]) -> Room:
    """Return how far parameters may change from where they are."""
    own, common = [], (np.full(len(columns.names), -np.inf), np.full(len(columns.names), np.inf))
    for part, experiment in zip(columns.parts, experiments, strict=True):
        low, high = np.array([_ways(bounds, p, experiment) for p in columns.parameters]).T
        own.append((low[part.own], high[part.own]))
        # What is common may go as far as every shot lets it.
        np.maximum.at(common[0], part.column, low[part.common])
        np.minimum.at(common[1], part.column, high[part.common])
    return Room(own, common)


def _ways(bounds: Bounds, parameter: Parameter, experiment: Experiment) -> tuple[float, float]:
    """Return how far down and up a parameter may change until one of its fields meets a bound."""
    low, high = -math.inf, math.inf
    for name, factor in parameter.fields.items():
        entry, value = known(name), value_of(experiment, name)
        if not factor or value is None:
            continue
        least, most = bounds.get(name, (-math.inf, math.inf))
        if f"{entry.part}.{entry.field}" in _ABOVE_NOTHING:
            least = max(least, _LEFT * value)
        ends = sorted((end - value) / factor for end in (least, most))
        low, high = max(low, ends[0]), min(high, ends[1])
    return min(low, 0.0), max(high, 0.0)


def within(experiment: Experiment, bounds: Bounds) -> Experiment:
    """Return an experiment with fields that rounding has put beyond their bounds put onto them."""
    for name, (low, high) in bounds.items():
        value = value_of(experiment, name)
        if value is not None and not low <= value <= high:
            experiment = with_value(experiment, name, min(max(value, low), high))
    return experiment
