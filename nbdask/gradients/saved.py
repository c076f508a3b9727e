"""Where a fit stands, as a file: what a fit that was stopped goes on from.

Numbers are written so that they are read with the same bits; a fit that goes on takes the steps
that it would have taken.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nbdask.errors import InputError
from nbdask.experiment import Experiment
from nbdask.files import check_target, whole_file
from nbdask.gradients.change import with_values
from nbdask.gradients.parameters import FIELDS, Parameter, of_crystal, value_of

_FORMAT = "nbdask fit 1"
_PANELS, _VECTORS = "panels.", ("origin", "fast", "slow")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a fit stands.

    Attributes
    ----------
    stage : int
        Number of the blur.
    damping : float
    losses : tuple of float
        Of this stage.
    moved : list of lists of float
        Changes of each shot's parameters since the start.
    values : list of dicts
        Of each shot: field -> value.
    amplitudes : list of float or None
    """

    stage: int = 0
    damping: float = 1e-3
    losses: tuple[float, ...] = ()
    moved: list[list[float]] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)
    amplitudes: list[float] | None = None


@dataclass(frozen=True, slots=True)
class StateFile:
    """The file, and what the fit is of.

    Parameters
    ----------
    path : path
    about : mapping
        What must be the same when the fit goes on, by what it is called in messages.
    """

    path: str | os.PathLike[str]
    about: Mapping[str, Any]

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a file that cannot be written, or one that is there and is not asked for.

        Raises
        ------
        InputError
        """
        if resume and overwrite:
            raise InputError(f"--state {self.path}: --resume and --overwrite exclude each other")
        check_target(self.path, "--state", InputError, overwrite=resume or overwrite)
        if resume and not Path(self.path).exists():
            raise InputError(
                f"--resume: {self.path} does not exist; leave --resume out to start the fit"
            )

    def read(self) -> Standing:
        """Return where the fit stood.

        Raises
        ------
        InputError
            It is no such file, or of another fit.
        """
        try:
            held = json.loads(Path(self.path).read_text())
            about, standing = held["about"], Standing(**held["standing"])
            if held["format"] != _FORMAT or not isinstance(about, dict):
                raise ValueError(held["format"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"--state {self.path}: is not the state of a fit") from error
        other = [
            name for name, value in json.loads(self._text()).items() if about.get(name) != value
        ]
        if other:
            raise InputError(
                f"--resume: {self.path} is of a fit with other {', '.join(other)}: leave --resume"
                " out, or give what it was started with"
            )
        if not self._is_sound(standing):
            raise InputError(f"--state {self.path}: is not the state of a fit")
        return dataclasses.replace(standing, losses=tuple(standing.losses))

    def _is_sound(self, standing: Standing) -> bool:
        """Whether what was read is one that this fit could have written."""
        shots, blur = len(self.about["experiments"]), self.about["settings"][2]
        try:
            numbers = [standing.damping, *standing.losses, *(standing.amplitudes or ())]
            for moved, values in zip(standing.moved, standing.values, strict=True):
                numbers += [*moved, *values.values()]
            sizes = [len(moved) for moved in standing.moved]
            finite = all(math.isfinite(number) for number in numbers)
            staged = standing.stage in range(len(blur) + 1) and len(standing.losses) > 0
            staged = staged and standing.damping > 0.0
        except (AttributeError, TypeError, ValueError):
            return False
        return finite and staged and sizes == [len(self.about["parameters"])] * shots

    def _text(self) -> str:
        return json.dumps(dict(self.about))

    def write(self, standing: Standing) -> None:
        """Put a state in the place of the last one, as a whole."""
        held = {
            "format": _FORMAT,
            "about": dict(self.about),
            "standing": dataclasses.asdict(standing),
        }
        with whole_file(self.path, "--state", InputError) as fresh:
            fresh.write_text(json.dumps(held))


def values_of(experiment: Experiment, parameters: Sequence[Parameter]) -> dict[str, float]:
    """Return what parameters change, by name; turns as misset angles, panels by their vectors."""
    names = dict.fromkeys(name for parameter in parameters for name in parameter.fields)
    moving = [FIELDS[name] for name in names if FIELDS[name].is_move]
    fields = [name for name in names if not FIELDS[name].is_move]
    for number in sorted({entry.lattice for entry in moving if entry.part == "crystal"}):
        fields += _angles_of(number)
    held = {name: value_of(experiment, name) for name in fields}
    # A random orientation that was not turned yet has no angles.
    values = {name: value for name, value in held.items() if value is not None}
    panels = experiment.detector.panels
    if not any(entry.part == "detector" for entry in moving):
        panels = ()
    for number, panel in enumerate(panels):
        for vector in _VECTORS:
            for place, value in enumerate(getattr(panel, vector)):
                values[f"{_PANELS}{number}.{vector}.{place}"] = value
    return values


def _angles_of(number: int) -> list[str]:
    """Return the names of the misset angles of a crystal."""
    whose = "" if number == 0 else f"lattices.{number - 1}."
    return [f"{whose}crystal.misset.{axis}" for axis in "xyz"]


def _set(experiment: Experiment, angles: tuple[float, ...]) -> Experiment:
    """Return an experiment whose crystal has misset angles, whatever it had before."""
    crystal = dataclasses.replace(experiment.crystal, misset=angles, misset_seed=None)
    return experiment.replace(crystal=crystal)


def restored(experiment: Experiment, values: Mapping[str, float]) -> Experiment:
    """Return an experiment with values that :func:`values_of` gave."""
    for number in range(len(experiment.singles)):
        names = _angles_of(number)
        if all(name in values for name in names):
            angles = tuple(values[name] for name in names)
            experiment = of_crystal(experiment, number, partial(_set, angles=angles))
    fields = {name: value for name, value in values.items() if not name.startswith(_PANELS)}
    experiment = with_values(experiment, fields)
    if len(fields) == len(values):
        return experiment
    panels = [copy.copy(panel) for panel in experiment.detector.panels]
    for number, panel in enumerate(panels):
        for vector in _VECTORS:
            found = tuple(values[f"{_PANELS}{number}.{vector}.{place}"] for place in range(3))
            # Not built anew: directions would be normalised again, to other bits.
            object.__setattr__(panel, vector, found)
    detector = copy.copy(experiment.detector)
    object.__setattr__(detector, "panels", tuple(panels))
    return experiment.replace(detector=detector)
