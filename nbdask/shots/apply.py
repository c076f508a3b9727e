"""Values of fields -> the experiment that has them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbdask import units
from nbdask.errors import FieldError
from nbdask.experiment import Background, Crystal, Experiment, Sources, checks
from nbdask.shots.crystals import each_crystal, reoriented, turned, with_cell
from nbdask.shots.frames import moved, tilted, turned_panels
from nbdask.shots.names import DETECTOR_TURN, QUATERNION, SHIFT, SPECTRUM, STAR, TILT, TURN
from nbdask.shots.rotations import matrices, turn_matrix

#: Component of a vector or a cell -> its place.
PLACES = {
    **dict(zip("xyz", range(3), strict=True)),
    **dict(zip(("a", "b", "c", "alpha", "beta", "gamma"), range(6), strict=True)),
}
_SCALE, _ENERGY = "background.scale", "beam.energy"
#: Names of which all are needed.
_TOGETHER = (QUATERNION, STAR)


def with_values(experiment: Experiment, values: Mapping[str, float]) -> Experiment:
    """Return an experiment in which some fields have other values.

    Names that are no fields do this:

    - ``crystal.orientation`` (quaternion), then ``crystal.turn`` (rotation vector): turn all
      crystals in the laboratory, before the spindle does.
    - ``crystal.a_star``, ``b_star``, ``c_star``: in place of the first crystal's cell, matrix and
      misset.
    - ``beam.energy``: the wavelength.
    - ``beam.tilt.vertical``, then ``.horizontal``: turn beam and polarization.
    - ``detector.turn`` (rotation vector): turns all panels about the sample.
    - ``detector.shift``: moves the detector, or all its panels.
    - ``background.scale``: a factor on thicknesses, and on the volume of water.

    With another wavelength the crystals stay as they are, also those given by a matrix in units of
    1/wavelength, and a spectrum moves with it.

    Parameters
    ----------
    experiment : Experiment
    values : mapping of str to float
        Dotted field -> value [SI].

    Raises
    ------
    FieldError
        No such field, or a value that it refuses.
    """
    left = {name: value for name, value in values.items() if name != SPECTRUM}
    for names in _TOGETHER:
        _refuse_some(names, left)
    if _ENERGY in left:
        energy = left.pop(_ENERGY)
        if not energy > 0.0:
            raise FieldError(_ENERGY, energy, "a number above 0")
        left["beam.wavelength"] = units.from_ev(energy)
    quaternion, star = (_taken(left, n) if n[0] in left else () for n in _TOGETHER)
    turn, shift, tilt = (_taken(left, names) for names in (TURN, SHIFT, TILT))
    panels = _taken(left, DETECTOR_TURN)
    scale = left.pop(_SCALE, None)
    shot = _with_fields(experiment, left)
    if star:
        shot = shot.replace(crystal=reoriented(shot.crystal, star, shot.beam))
    if quaternion:
        if not any(quaternion):
            raise FieldError("crystal.orientation", quaternion, "a quaternion that is not 0")
        shot = turned(shot, matrices(np.array(quaternion)))
    if any(turn):
        shot = turned(shot, turn_matrix(np.array(turn)))
    if scale is not None:
        shot = shot.replace(background=_scaled(shot.background, scale))
    if any(panels):
        shot = turned_panels(shot, turn_matrix(np.array(panels)))
    if any(shift):
        shot = moved(shot, shift)
    if any(tilt):
        shot = tilted(shot, horizontal=tilt[0], vertical=tilt[1])
    return shot


def _refuse_some(names: Sequence[str], values: Mapping[str, float]) -> None:
    """Refuse a part of what only counts as a whole."""
    given = [name for name in names if name in values]
    if given and len(given) < len(names):
        raise FieldError("shots", ", ".join(given), f"all of {', '.join(names)}")


def _taken(values: dict[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """Take values out, 0 where there are none."""
    return tuple(values.pop(name, 0.0) for name in names)


def _with_fields(experiment: Experiment, values: Mapping[str, float]) -> Experiment:
    """Return an experiment with other values of its fields; crystals stay as they were."""
    if not values:
        return experiment
    cells: dict[str, dict[int, float]] = {}
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *above, last = name.split(".")
        owner, _, inner = ".".join(above).rpartition(".")
        if inner == "cell" and crystal_at(experiment, owner).matrix is not None:
            cells.setdefault(owner, {})[PLACES[last]] = value
            continue
        branch = tree
        for part in above:
            branch = branch.setdefault(part, {})
        branch[last] = value
    shot = _rebuilt(experiment, tree, "")
    assert isinstance(shot, Experiment)
    ratio = shot.beam.wavelength / experiment.beam.wavelength
    if ratio == 1.0 and not cells:
        return shot

    def settled(crystal: Crystal, name: str) -> Crystal:
        """Return a crystal as it was but for the cell that is asked for."""
        if crystal.matrix is None:
            return crystal
        matrix = tuple(number * ratio for number in crystal.matrix)
        crystal = dataclasses.replace(crystal, matrix=matrix)
        return with_cell(crystal, cells[name], shot.beam) if name in cells else crystal

    shot = each_crystal(shot, settled)
    return shot if ratio == 1.0 else shot.replace(sources=_moved_spectrum(shot.sources, ratio))


def crystal_at(experiment: Experiment, name: str) -> Crystal:
    """Return the crystal of a dotted name: ``crystal`` or ``lattices.1.crystal``."""
    if name == "crystal":
        return experiment.crystal
    number = int(name.split(".")[1])
    if number >= len(experiment.lattices):
        allowed = f"below {len(experiment.lattices)}, the number of further crystals"
        raise FieldError("lattices", number, allowed)
    return experiment.lattices[number].crystal


def _rebuilt(held: Any, tree: Any, prefix: str) -> Any:
    """Return what a field holds with the values that a tree has for its parts."""
    if not isinstance(tree, dict):
        return tree
    if dataclasses.is_dataclass(held) and not isinstance(held, type):
        parts = {
            name: _rebuilt(getattr(held, name), below, f"{prefix}{name}.")
            for name, below in tree.items()
        }
        return dataclasses.replace(held, **parts)
    if held is None and prefix == "crystal.misset.":
        held = (0.0, 0.0, 0.0)
    if not isinstance(held, tuple):
        field = prefix + next(iter(tree))
        raise FieldError(field, "a column", "left out: the experiment has no such part")
    items = list(held)
    for name, below in tree.items():
        place = int(name) if name.isdigit() else PLACES[name]
        if place >= len(items):
            raise FieldError(prefix + name, "a column", f"one of the {len(items)} that there are")
        items[place] = _rebuilt(items[place], below, f"{prefix}{name}.")
    return tuple(items)


def _moved_spectrum(sources: Sources, ratio: float) -> Sources:
    """Return sources whose spectrum has wavelengths ``ratio`` times as long."""
    if sources.spectrum is None:
        return sources
    waves = tuple(wave * ratio for wave in sources.spectrum.wavelengths)
    spectrum = dataclasses.replace(sources.spectrum, wavelengths=waves)
    return dataclasses.replace(sources, spectrum=spectrum)


def _scaled(background: Background, scale: float) -> Background:
    """Return a background of ``scale`` times the photons."""
    checks.not_negative(_SCALE, scale)
    if not background.materials and background.water == 0.0:
        raise FieldError(_SCALE, scale, "left out: the experiment has no background")
    materials = () if scale == 0.0 else background.materials
    return dataclasses.replace(
        background,
        water=background.water * math.cbrt(scale),
        materials=tuple(
            dataclasses.replace(material, thickness=material.thickness * scale)
            for material in materials
        ),
    )
