"""Derivatives of a model's numbers with respect to one number of the experiment.

An experiment with one field nudged along the imaginary axis (:mod:`~.numbers`) goes through the
functions that build a model; imaginary parts over the nudge are the derivatives.  Only the parts
that can change are built again.  What is chosen in whole numbers (sub-pixels, cells that follow
from a size, steps) stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from nbdask import units
from nbdask.experiment import Experiment, Mosaic
from nbdask.geometry.build import Turning, turning, water_background
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.detector_frame import place_detector, place_panel
from nbdask.geometry.domains import crystal_basis, is_mosaic
from nbdask.geometry.model import Array, Model
from nbdask.geometry.numbers import NUDGE, is_nudged
from nbdask.geometry.rotation import orientation_table, turned_axes
from nbdask.geometry.sensor import place_sensor
from nbdask.geometry.source_grid import build_sources
from nbdask.geometry.vectors import rotate_about

_PLACED = ("fast", "slow", "normal", "origin", "distance", "close_distance")
_TURNED = ("fast", "slow", "normal", "origin")
#: Ways in which panels move.
MOVES = ("shift", "turn")


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Derivatives of the fields of :class:`~.model.Model` of the same name; None: all 0.

    Of several panels ``fast``, ``slow``, ``normal``, ``origin`` and ``close_distance`` have those
    of each, along a first axis; see :meth:`at`.

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

    def at(self, panel: int) -> Slopes:
        """Return the derivatives on one of several panels."""
        held = {name: getattr(self, name) for name in _PLACED}
        return replace(self, **{n: value[panel] for n, value in held.items() if value is not None})

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


def turned_frames(experiment: Experiment, model: Model) -> tuple[Array, Array | None]:
    """Return what turns the unrotated axes into those of each orientation.

    Returns
    -------
    frames : (n, 3, 3) float64 array
        ``frames[o, j]`` is where orientation o takes lab axis j: ``axes[o] = axes_0 @ frames[o]``.
    first_frames : (n_domains, 3, 3) float64 array or None
        The same of ``Model.first_axes``.
    """
    spindle = place_detector(experiment.frame, experiment.detector, experiment.semantics).spindle
    frame = orient_crystal(experiment.crystal, experiment.beam)
    turns = turning(experiment, frame.axes, model.n_domains)
    start, after = np.eye(3), turns.rotations
    if turns.fixed:
        assert after is not None
        start, after = turned_axes(start, after), None
    frames = orientation_table(start, spindle, turns.used, after)
    if turns.used[0] == turns.phi[0]:
        return frames, None
    return frames, orientation_table(start, spindle, turns.phi[:1], after)


def turn_slopes(experiment: Experiment, axis: int, model: Model) -> Slopes:
    """Return the derivatives for turning the crystal, as it is before the spindle turns it.

    Parameters
    ----------
    experiment : Experiment
    axis : int
        0, 1, 2: about lab x, y, z, right-handed.
    model : Model
        Of the experiment.
    """
    frame = orient_crystal(experiment.crystal, experiment.beam)
    turned: Any = frame.axes + 1j * NUDGE * np.cross(np.eye(3)[axis], frame.axes)
    found = {name: _slope(v) for name, v in _of_axes(experiment, turned, model).items()}
    return Slopes(**found)


def panel_slopes(experiment: Experiment, move: str, axis: int, moved: Sequence[int]) -> Slopes:
    """Return the derivatives for moving panels together.

    Parameters
    ----------
    experiment : Experiment
        With panels.
    move : str
        ``"shift"``, or ``"turn"`` right-handed about the sample.
    axis : int
        0, 1, 2: along or about lab x, y, z.
    moved : sequence of int
        Indices of the panels; the others stay.
    """
    frames = [place_panel(experiment.frame, panel) for panel in experiment.detector.panels]
    along, held = np.eye(3)[axis], np.zeros(len(frames))
    held[list(moved)] = 1.0
    rows = {name: np.array([getattr(f, name) for f in frames]) for name in _TURNED}
    if move == "shift":
        found = {"origin": held[:, None] * along, "close_distance": held * (rows["normal"] @ along)}
    else:
        found = {name: held[:, None] * np.cross(along, row) for name, row in rows.items()}
    several = len(frames) > 1
    return Slopes(**{name: value if several else value[0] for name, value in found.items()})


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
    found: dict[str, Any] = {"star": frame.star, "fudge": nudged.crystal.fudge}
    if is_nudged(nudged.crystal.mosaic_spread):
        return found | _of_turning(nudged, model)
    return found | _of_axes(nudged, frame.axes, model)


def _of_axes(nudged: Experiment, axes: Array, model: Model) -> dict[str, Any]:
    """Return axes that change, and what turns with them.

    Gaussian mosaic domains turn about the crystal's own axes.  Where these turn by omega, a domain
    turns by omega more, as does everything, and back before it.
    """
    mosaic = nudged.crystal.mosaic
    if mosaic.model != "gauss" or mosaic.domains or not is_mosaic(nudged.crystal):
        return {"axes": axes}
    basis = crystal_basis(axes)
    omega = 0.5 * np.cross(basis.real, basis.imag).sum(axis=0)
    spindle = place_detector(nudged.frame, nudged.detector, nudged.semantics).spindle
    turns = turning(nudged, axes.real, model.n_domains)

    def spins(phi: Array) -> Any:
        rows = [rotate_about(omega, spindle, angle) for angle in phi]
        return 1j * np.repeat(rows, turns.domains, axis=0)

    still = axes - 1j * np.cross(omega, axes.real)
    return {"axes": still, "spin": spins(turns.used), "first_spin": spins(turns.phi[:1])}


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
    turns = _turns(nudged, model)
    first = None
    if model.first_axes is not None:
        # Where nothing was rotated yet there is no angle that could change.
        first = _spins(turns, spindle, np.zeros(1))
    return {
        "spin": _spins(turns, spindle, turns.used),
        "first_spin": 0.0 if first is None else first,
    }


def _turns(nudged: Experiment, model: Model) -> Turning:
    """Return how a nudged experiment turns."""
    crystal, spread = nudged.crystal, nudged.crystal.mosaic_spread
    mosaic = crystal.mosaic
    if mosaic == Mosaic():
        return turning(nudged)
    still = nudged.replace(crystal=replace(crystal, mosaic_spread=spread and spread.real))
    axes = orient_crystal(still.crystal, still.beam).axes
    turns = turning(still, axes, model.n_domains)
    if not is_nudged(spread) or mosaic.widths is not None or mosaic.domains:
        return turns
    assert turns.rotations is not None
    assert spread is not None
    # Axis times angle of each domain is proportional to the spread.
    vectors = _vectors_of(turns.rotations) * (spread.imag / spread.real)
    columns = turns.rotations.transpose(0, 2, 1)
    change = np.cross(vectors[:, None, :], columns).transpose(0, 2, 1)
    return turns._replace(rotations=turns.rotations + 1j * change)


def _vectors_of(rotations: Array) -> Array:
    """Return axis times angle of rotations by less than half a turn, (n, 3) [rad]."""
    twice = _antisymmetric(rotations - rotations.transpose(0, 2, 1))
    sine = 0.5 * np.linalg.norm(twice, axis=1)
    angle = np.arctan2(sine, 0.5 * (np.trace(rotations, axis1=1, axis2=2) - 1.0))
    still = sine == 0.0
    result: Array = 0.5 * twice * np.where(still, 1.0, angle / np.where(still, 1.0, sine))[:, None]
    return result


def _antisymmetric(matrices: Array) -> Array:
    """Return the vectors of antisymmetric matrices, whose products with them are cross products."""
    return np.stack([matrices[:, 2, 1], matrices[:, 0, 2], matrices[:, 1, 0]], axis=-1)


def _spins(turns: Turning, spindle: Array, phi: Array) -> Any:
    """Return spin of each orientation times the nudge, as imaginary numbers."""
    rotations = np.eye(3)[None] if turns.rotations is None else turns.rotations
    real = rotations.real
    # d(M) M^T is antisymmetric: the matrix of a cross product.
    own = _antisymmetric(rotations.imag @ real.transpose(0, 2, 1))
    if turns.fixed:
        # What domains turn by, before the spindle, is turned by it.
        rows = [angle.imag * spindle + rotate_about(own, spindle, angle.real) for angle in phi]
        return 1j * np.concatenate(rows)
    spins = phi.imag[:, None, None] * (real @ spindle)[None]
    return 1j * (spins + own[None]).reshape(-1, 3)
