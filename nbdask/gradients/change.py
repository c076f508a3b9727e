"""Steps of a fit: an experiment with other values of its parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nbdask.experiment import Crystal, Experiment
from nbdask.experiment.lattice import Lattice
from nbdask.geometry.build import build_model
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.model import Array, Model
from nbdask.geometry.vectors import rotate_about, rotate_xyz
from nbdask.gradients.parameters import (
    FIELDS,
    Parameter,
    moved_panels,
    of_crystal,
    value_of,
    with_value,
)


def frozen(experiment: Experiment) -> Experiment:
    """Return an experiment whose whole numbers are given, so that no step changes them.

    Sub-pixels, cells that follow from the sample's size, rotation steps, mosaic domains; whether
    amplitudes are interpolated.
    """
    model = build_model(experiment)
    models = [share.model for share in model.lattices] or [model]
    sampling = dataclasses.replace(experiment.sampling, oversample=model.oversample)
    if len({one.interpolate for one in models}) == 1:
        sampling = dataclasses.replace(sampling, interpolate=model.interpolate)
    scan = experiment.scan
    if scan.osc is not None and scan.step:
        scan = dataclasses.replace(scan, count=model.n_phi)
    lattices = tuple(
        dataclasses.replace(lattice, crystal=_counted(lattice.crystal, one))
        for lattice, one in zip(experiment.lattices, models[1:], strict=True)
    )
    crystal = _counted(experiment.crystal, models[0])
    return experiment.replace(crystal=crystal, lattices=lattices, sampling=sampling, scan=scan)


def _counted(crystal: Crystal, model: Model) -> Crystal:
    """Return a crystal whose numbers of cells and domains are given."""
    if any(crystal.size):
        counts = tuple(int(n) for n in model.n_cells)
        crystal = dataclasses.replace(crystal, size=(0.0, 0.0, 0.0), n_cells=counts)
    if crystal.mosaic.tolerance is not None:
        mosaic = dataclasses.replace(crystal.mosaic, tolerance=None)
        crystal = dataclasses.replace(crystal, mosaic=mosaic, mosaic_domains=model.n_domains)
    return crystal


def stepped(
    experiment: Experiment, parameters: Sequence[Parameter], changes: Sequence[float] | Array
) -> Experiment:
    """Return an experiment whose parameters have changed.

    Raises
    ------
    FieldError
        A value that its field refuses.
    """
    fields: dict[str, float] = {}
    for parameter, change in zip(parameters, changes, strict=True):
        for name, factor in parameter.fields.items():
            fields[name] = fields.get(name, 0.0) + factor * float(change)
    moves = {name: fields.pop(name) for name in list(fields) if FIELDS[name].is_move}
    values = {name: (value_of(experiment, name) or 0.0) + by for name, by in fields.items()}
    return moved(with_values(experiment, values), moves)


def moved(experiment: Experiment, moves: Mapping[str, float]) -> Experiment:
    """Return an experiment whose crystal and panels have moved.

    Parameters
    ----------
    experiment : Experiment
    moves : mapping of str to float
        ``crystal.turn.x``, ``panel.NAME.shift.y`` and so on -> angle [rad] or way [m]; the
        components of a turn are axis times angle.
    """
    vectors: dict[tuple[str | None, str], Array] = {}
    turns: dict[int, Array] = {}
    for name, by in moves.items():
        entry = FIELDS[name]
        if entry.part == "detector":
            held = vectors.setdefault((entry.panel, entry.field), np.zeros(3))
        else:
            held = turns.setdefault(entry.lattice, np.zeros(3))
        held[entry.place] += by
    for number, turn in turns.items():
        if turn.any():
            experiment = of_crystal(experiment, number, partial(turned, turn=turn))
    return moved_panels(experiment, vectors) if vectors else experiment


def with_values(experiment: Experiment, values: Mapping[str, float]) -> Experiment:
    """Return an experiment in which fields have other values.

    Raises
    ------
    FieldError
        A value that its field refuses.
    """
    result = experiment
    for name, value in values.items():
        result = with_value(result, name, value)
    # Built again, so that every value is checked.
    parts = {FIELDS[name].part for name in values if not FIELDS[name].lattice}
    checked: dict[str, Any] = {part: dataclasses.replace(getattr(result, part)) for part in parts}
    if any(FIELDS[name].lattice for name in values):
        checked["lattices"] = tuple(map(_checked, result.lattices))
    return result.replace(**checked)


def _checked(lattice: Lattice) -> Lattice:
    """Return a further crystal whose values are checked."""
    own = lattice.structure and dataclasses.replace(lattice.structure)
    return dataclasses.replace(lattice, crystal=dataclasses.replace(lattice.crystal), structure=own)


def turned(experiment: Experiment, turn: Array) -> Experiment:
    """Return an experiment whose crystal is turned about the lab's axes.

    Parameters
    ----------
    experiment : Experiment
    turn : (3,) float64 array
        Axis times angle [rad], right-handed.
    """
    misset = orient_crystal(experiment.crystal, experiment.beam).misset
    vectors = [rotate_xyz(v, *misset) for v in np.eye(3)]
    angle = math.sqrt(float(turn @ turn))
    # Columns of the rotation matrix are where it takes the lab's axes.
    matrix = np.array([rotate_about(v, turn / angle, angle) for v in vectors]).T
    angles = (
        math.atan2(matrix[2, 1], matrix[2, 2]),
        math.atan2(-matrix[2, 0], math.hypot(matrix[2, 1], matrix[2, 2])),
        math.atan2(matrix[1, 0], matrix[0, 0]),
    )
    crystal = dataclasses.replace(experiment.crystal, misset=angles, misset_seed=None)
    return experiment.replace(crystal=crystal)
