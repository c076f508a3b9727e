"""Values common to every evaluation of a pixel: detector, crystal, beam."""

from __future__ import annotations

import numpy as np

from nbdask import units
from nbdask.experiment import Experiment
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.detector_frame import place_detector
from nbdask.geometry.model import Array, Model
from nbdask.geometry.rotation import carried_angles, phi_angles
from nbdask.physics.amorphous import pixel_rays, seen_by
from nbdask.physics.coarse import amorphous_photons
from nbdask.physics.shadow import transmission
from nbdask.plan.tiles import Tile
from nbdask.trace.entries import Value


def numbers(values: Array) -> Value:
    """Return an array's numbers as plain floats."""
    return tuple(float(x) for x in values.reshape(-1))


def frame_values(experiment: Experiment, model: Model) -> dict[str, Value]:
    """Return the values of :data:`~nbdask.trace.quantities.FRAME`."""
    placed = place_detector(experiment.frame, experiment.detector, experiment.semantics)
    crystal = orient_crystal(experiment.crystal, experiment.beam)
    divisor = model.n_sources * model.n_domains * model.n_phi * model.oversample**2
    axes = {name: numbers(crystal.axes[i]) for i, name in enumerate("abc")}
    stars = {f"{name}*": numbers(model.star[i]) for i, name in enumerate("abc")}
    return {
        "fluence": (float(experiment.beam.effective_fluence),),
        "r_e^2": (units.R_E_SQR,),
        "steps": (divisor,),
        "background": (float(model.background),),
        "per_term": tuple(int(x) for x in (model.each_thick, model.each_polar, model.each_omega)),
        "fast": numbers(model.fast),
        "slow": numbers(model.slow),
        "normal": numbers(model.normal),
        "beam": numbers(model.beam),
        "spindle": numbers(placed.spindle),
        "pixel_size": (float(model.pitch_fast),),
        **_panel_values(model),
        "distance": (float(model.distance),),
        "close_distance": (float(model.close_distance),),
        "origin": numbers(model.origin),
        "sensor": (float(model.thickness), float(model.layer_step), float(model.mu)),
        **axes,
        **stars,
        "cells": numbers(model.n_cells),
        "kahn": (float(model.kahn),),
    }


def _panel_values(model: Model) -> dict[str, Value]:
    """Return what only panels of a geometry file have: pitches that differ, axes at an angle."""
    if model.pitch_fast == model.pitch_slow and model.area == model.pitch_fast * model.pitch_slow:
        return {}
    return {"pitch_slow": (float(model.pitch_slow),), "pixel_area": (float(model.area),)}


def later_values(model: Model, pixel: Tile) -> dict[str, Value]:
    """Return what background and shadows do to one pixel."""
    found = _amorphous_values(model, pixel) if model.amorphous else {}
    share = transmission(model, pixel)
    return found if share is None else found | {"transmission": numbers(share)}


def _amorphous_values(model: Model, pixel: Tile) -> dict[str, Value]:
    slow, fast = np.array([float(pixel.slow0)]), np.array([float(pixel.fast0)])
    stol = seen_by(model, 0, pixel_rays(model, slow, fast, 0, 0))[0]
    return {
        "amorphous_stol": numbers(stol),
        "amorphous_F": tuple(float(m.curve(stol)[0]) for m in model.amorphous),
        "amorphous": numbers(amorphous_photons(model, pixel, None)),
    }


def phi_table(experiment: Experiment) -> list[Value]:
    """Return (nominal angle, angle used) of every phi step [rad]."""
    nominal = phi_angles(experiment.scan)
    used = carried_angles(nominal) if experiment.semantics == "c" else nominal
    return [(float(a), float(b)) for a, b in zip(nominal, used, strict=True)]
