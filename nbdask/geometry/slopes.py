"""Derivatives of a model's numbers with respect to one number of the experiment.

An experiment with one field nudged along the imaginary axis (:mod:`~.numbers`) goes through the
functions that build a model; imaginary parts over the nudge are the derivatives.  Only the parts
that can change are built again.  What is chosen in whole numbers (sub-pixels, cells that follow
from a size, steps) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from nbdask import units
from nbdask.experiment import Experiment
from nbdask.geometry.build import Turning, turning, water_background
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.detector_frame import place_detector
from nbdask.geometry.model import Array, Model
from nbdask.geometry.numbers import NUDGE, is_nudged
from nbdask.geometry.rotation import orientation_table
from nbdask.geometry.sensor import place_sensor
from nbdask.geometry.source_grid import build_sources

_PLACED = ("fast", "slow", "normal", "origin", "distance", "close_distance")


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Derivatives of the fields of :class:`~.model.Model` of the same name; None: all 0.

    Attributes
    ----------
    axes : (3, 3) float64 array
        Of the rows a, b, c [m] before the spindle and the mosaic domains turn them.
    spin : (n, 3) float64 array
        How each orientation turns: the derivative of a turned vector v is ``spin x v``, besides
        that of the unturned one.
    first_spin : (n_domains, 3) float64 array
        The same of ``Model.first_axes``.
    """

    axes: Array | None = None
    spin: Array | None = None
    first_spin: Array | None = None
    star: Array | None = None
    n_cells: Array | None = None
    fast: Array | None = None
    slow: Array | None = None
    normal: Array | None = None
    origin: Array | None = None
    distance: Array | None = None
    close_distance: Array | None = None
    layer_step: Array | None = None
    mu: Array | None = None
    wavelength: Array | None = None
    kahn: Array | None = None
    fudge: Array | None = None
    default_F: Array | None = None
    background: Array | None = None
    scale: Array | None = None

    @property
    def nothing(self) -> bool:
        """Whether all derivatives are 0."""
        return all(getattr(self, item.name) is None for item in fields(self))

    def get(self, name: str) -> Array:
        """Return a derivative as an array; a single 0 where there is none."""
        value = getattr(self, name)
        return np.zeros(()) if value is None else value


def combined(parts: list[tuple[float, Slopes]]) -> Slopes:
    """Return the sum of derivatives, each times a factor."""
    sums: dict[str, Any] = {}
    for item in fields(Slopes):
        held = [(f, getattr(s, item.name)) for f, s in parts if getattr(s, item.name) is not None]
        if held:
            sums[item.name] = sum((f * value for f, value in held[1:]), held[0][0] * held[0][1])
    return Slopes(**sums)


def turned_frames(experiment: Experiment) -> tuple[Array, Array | None]:
    """Return what turns the unrotated axes into those of each orientation.

    Returns
    -------
    frames : (n, 3, 3) float64 array
        ``frames[o, j]`` is where orientation o takes lab axis j: ``axes[o] = axes_0 @ frames[o]``.
    first_frames : (n_domains, 3, 3) float64 array or None
        The same of ``Model.first_axes``.
    """
    spindle = place_detector(experiment.frame, experiment.detector, experiment.semantics).spindle
    turns = turning(experiment)
    frames = orientation_table(np.eye(3), spindle, turns.used, turns.rotations)
    if turns.used[0] == turns.phi[0]:
        return frames, None
    return frames, orientation_table(np.eye(3), spindle, turns.phi[:1], turns.rotations)


def turn_slopes(experiment: Experiment, axis: int) -> Slopes:
    """Return the derivatives for turning the crystal, as it is before the spindle turns it.

    Parameters
    ----------
    experiment : Experiment
    axis : int
        0, 1, 2: about lab x, y, z, right-handed.
    """
    frame = orient_crystal(experiment.crystal, experiment.beam)
    return Slopes(axes=np.cross(np.eye(3)[axis], frame.axes))


def cell_count_slopes(axis: int) -> Slopes:
    """Return the derivatives for the number of cells along a, b or c, taken as a real number."""
    return Slopes(n_cells=np.eye(3)[axis])


def model_slopes(nudged: Experiment, part: str, model: Model) -> Slopes:
    """Return the derivatives for the nudged field.

    Parameters
    ----------
    nudged : Experiment
        With one field of one part nudged by ``NUDGE``.
    part : str
        Name of that part, such as ``"crystal"``.
    model : Model
        Of the experiment.
    """
    make = {
        "crystal": _of_crystal,
        "detector": _of_detector,
        "beam": _of_beam,
        "scan": _of_turning,
        "background": _of_water,
        "structure": _of_structure,
    }
    found = make[part](nudged, model)
    slopes = {name: _slope(value) for name, value in found.items()}
    return Slopes(**{name: value for name, value in slopes.items() if value is not None})


def _slope(value: Any) -> Array | None:
    """Return the derivative from a nudged value; None where it is 0."""
    slope = np.asarray(value).imag / NUDGE
    return slope if slope.any() else None


def _of_crystal(nudged: Experiment, model: Model) -> dict[str, Any]:
    frame = orient_crystal(nudged.crystal, nudged.beam)
    found: dict[str, Any] = {"axes": frame.axes, "star": frame.star, "fudge": nudged.crystal.fudge}
    if is_nudged(nudged.crystal.mosaic_spread):
        found |= _of_turning(nudged, model)
    return found


def _of_detector(nudged: Experiment, model: Model) -> dict[str, Any]:
    placed = place_detector(nudged.frame, nudged.detector, nudged.semantics)
    sensor = place_sensor(nudged.detector)
    found = {name: getattr(placed, name) for name in _PLACED}
    return found | {"mu": sensor.mu, "layer_step": sensor.layer_step}


def _of_beam(nudged: Experiment, model: Model) -> dict[str, Any]:
    beam, found = nudged.beam, {}
    if is_nudged(beam.wavelength):
        frame = orient_crystal(nudged.crystal, beam)
        placed = place_detector(nudged.frame, nudged.detector, nudged.semantics)
        light = build_sources(nudged.sources, beam.wavelength, placed.beam, placed.polarization)
        found = {"axes": frame.axes, "star": frame.star, "wavelength": light.wavelength}
    fluence = beam.effective_fluence
    return (
        found
        | _of_water(nudged, model)
        | {
            "kahn": beam.polarization,
            "scale": units.R_E_SQR * fluence / model.n_steps * model.layers,
        }
    )


def _of_water(nudged: Experiment, model: Model) -> dict[str, Any]:
    water = nudged.background.water
    return {"background": water_background(water, nudged.beam.effective_fluence)}


def _of_structure(nudged: Experiment, model: Model) -> dict[str, Any]:
    return {"default_F": nudged.structure.default_F * nudged.structure.scale}


def _of_turning(nudged: Experiment, model: Model) -> dict[str, Any]:
    """Return how each orientation turns, as a nudged number of value 0."""
    spindle = place_detector(nudged.frame, nudged.detector, nudged.semantics).spindle
    turns = turning(nudged)
    first = None
    if model.first_axes is not None:
        # Where nothing was rotated yet there is no angle that could change.
        first = _spins(turns, spindle, np.zeros(1))
    return {
        "spin": _spins(turns, spindle, turns.used),
        "first_spin": 0.0 if first is None else first,
    }


def _spins(turns: Turning, spindle: Array, phi: Array) -> Any:
    """Return spin of each orientation times the nudge, as imaginary numbers."""
    rotations = np.eye(3)[None] if turns.rotations is None else turns.rotations
    real = rotations.real
    along = real @ spindle
    spins = phi.imag[:, None, None] * along[None]
    # d(M) M^T is antisymmetric: the matrix of a cross product.
    matrix = rotations.imag @ real.transpose(0, 2, 1)
    own = np.stack([matrix[:, 2, 1], matrix[:, 0, 2], matrix[:, 1, 0]], axis=-1)
    return 1j * (spins + own[None]).reshape(-1, 3)
