"""The value that an experiment itself has for a field that varies."""

from __future__ import annotations

import dataclasses
from typing import Any

from nbdask import units
from nbdask.experiment import Experiment
from nbdask.geometry.conventions import centres
from nbdask.shots.apply import PLACES, crystal_at
from nbdask.shots.crystals import cell_of
from nbdask.shots.names import DETECTOR_TURN, SHIFT, TILT, TURN, field_of


def held_value(experiment: Experiment, name: str) -> float | None:
    """Return the value of a field [SI], given or by default; None: there is none.

    Raises
    ------
    FieldError
        No field of that name may vary.
    """
    field_of(name)
    if name in (*SHIFT, *TURN, *TILT, *DETECTOR_TURN) or name.startswith("crystal.misset."):
        held = experiment.crystal.misset if "misset" in name else None
        return held[PLACES[name[-1]]] if isinstance(held, tuple) else 0.0
    if name == "background.scale":
        return 1.0
    if name == "beam.energy":
        return units.EV_ANGSTROM / units.to_angstrom(experiment.beam.wavelength)
    owner, _, rest = name.partition(".cell.")
    if rest:
        return cell_of(crystal_at(experiment, owner), experiment.beam)[PLACES[rest]]
    if name in ("detector.beam_x", "detector.beam_y"):
        centre = centres(experiment.frame.convention, experiment.detector)
        return centre.x_beam if name.endswith("x") else centre.y_beam
    value: Any = experiment
    for part in name.split("."):
        if isinstance(value, tuple):
            place = int(part) if part.isdigit() else PLACES[part]
            value = value[place] if place < len(value) else None
        elif dataclasses.is_dataclass(value):
            value = getattr(value, part, None)
        else:
            return None
    return None if value is None or dataclasses.is_dataclass(value) else float(value)
