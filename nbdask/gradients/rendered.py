"""An image as a function of values and amplitudes, for libraries that differentiate programs.

:mod:`nbdask.torch` and :mod:`nbdask.jax` are made of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.geometry.slopes import MOVES
from nbdask.gradients.adjoint import adjoint
from nbdask.gradients.change import moved, with_values
from nbdask.gradients.parameters import FIELDS, known, value_of
from nbdask.gradients.work import image_of

_XYZ = "xyz"
_SHIFT, _TURN = MOVES
#: What moves (the crystal, all panels, or ``panel.NAME``) -> by how much, for each kind of move.
_Moves = Mapping[str, Mapping[str, Array]]
_CRYSTAL, _DETECTOR = "crystal", "detector"


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """An image as a function.

    Parameters
    ----------
    experiment : Experiment
        What is simulated, but for what follows.
    names : tuple of str
        Fields whose values are given.
    amplitudes : tuple of int or None
        Shape of the amplitudes that are given; None: the experiment's own.
    backend, tile
        As for :func:`nbdask.gradient`.

    Raises
    ------
    FieldError
        An unknown name, one that cannot be given, amplitudes without reflections.
    """

    experiment: Experiment
    names: tuple[str, ...]
    amplitudes: tuple[int, ...] | None = None
    backend: str | None = None
    tile: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check names and amplitudes."""
        panels = self.experiment.detector.panels
        for name in self.names:
            entry = known(name)
            if not entry.is_move:
                if value_of(self.experiment, name) is None:
                    raise FieldError("parameters", name, "a field that has a number here")
                continue
            if entry.lattice:
                raise FieldError("parameters", name, "a turn of the first crystal")
            if entry.part == _DETECTOR and not panels:
                raise FieldError("parameters", name, "left out without panels of a geometry file")
            if entry.panel is not None and entry.panel not in [panel.name for panel in panels]:
                raise FieldError("parameters", name, "a panel that there is")
        if self.amplitudes is None:
            return
        rows = self.experiment.structure.reflections
        different = len({row[:3] for row in rows}) == len(rows)
        if not rows or self.amplitudes != (len(rows),) or not different:
            allowed = f"one number for each of the {len(rows)} different structure.reflections"
            raise FieldError("amplitudes", self.amplitudes, allowed)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the image: ([panel,] slow, fast)."""
        count = self.experiment.n_panels
        return self.experiment.shape if count == 1 else (count, *self.experiment.shape)

    def at(self, values: Sequence[float] | Array, amplitudes: Array | None = None) -> Place:
        """Return the image's experiment for some values.

        Raises
        ------
        FieldError
            A value that its field refuses.
        """
        given = dict(zip(self.names, map(float, values), strict=True))
        fixed = {name: value for name, value in given.items() if not FIELDS[name].is_move}
        moves = {name: value for name, value in given.items() if name not in fixed}
        there = moved(with_values(self.experiment, fixed), moves)
        if amplitudes is not None:
            rows = there.structure.reflections
            changed = tuple((*row[:3], float(f)) for row, f in zip(rows, amplitudes, strict=True))
            there = there.replace(
                structure=dataclasses.replace(there.structure, reflections=changed)
            )
        return Place(self, there, _vectors(moves))


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An image at one place of its values.

    Attributes
    ----------
    rendering : Rendering
    experiment : Experiment
        With the values.
    moves : mapping
        What was moved from where the experiment had it.
    """

    rendering: Rendering
    experiment: Experiment
    moves: _Moves

    def image(self) -> Array:
        """Return the image, ([panel,] slow, fast) float64 [photons]."""
        return image_of(self.experiment, self.rendering.backend, self.rendering.tile)

    def pull(self, cotangent: Array, amplitudes: bool) -> tuple[Array, Array | None]:
        """Return the derivatives of a scalar by values and amplitudes.

        Parameters
        ----------
        cotangent : ([panel,] slow, fast) array
            Its derivatives by the pixels.
        amplitudes : bool
            Whether those by amplitudes are wanted.

        Returns
        -------
        (names,) float64 array, (n,) float64 array or None
        """
        rendering, parts = self.rendering, self._parts()
        fixed = [name for name in rendering.names if not FIELDS[name].is_move]
        steps = [name for part in parts for name in _step_names(part)]
        found = adjoint(
            self.experiment,
            np.asarray(cotangent),
            [*fixed, *steps] or "beam.fluence",
            amplitudes=amplitudes,
            backend=rendering.backend,
            tile=rendering.tile,
        )
        by = {name: found.values[name] for name in fixed}
        for part in parts:
            for name, value in self._by_moves(part, found.values).items():
                by[name] = by.get(name, 0.0) + value
        by_value = np.array([by[name] for name in rendering.names], dtype=np.float64)
        if not amplitudes:
            return by_value, None
        assert found.amplitudes is not None
        low = [int(found.amplitudes[axis][0]) for axis in "hkl"]
        rows = np.array([row[:3] for row in self.experiment.structure.reflections]) - low
        return by_value, found.amplitudes.values[tuple(rows.T)]

    def _parts(self) -> list[str]:
        """Return what is moved by itself: beside single panels all of them, one by one."""
        single = [part for part in self.moves if part.startswith("panel.")]
        parts = [part for part in self.moves if part == _CRYSTAL]
        if _DETECTOR not in self.moves:
            return parts + single
        if not single:
            return [*parts, _DETECTOR]
        return parts + [f"panel.{panel.name}" for panel in self.experiment.detector.panels]

    def _by_moves(self, part: str, steps: Mapping[str, float]) -> dict[str, float]:
        """Return derivatives by the moves of a part from those by small further steps of it.

        A turn comes before a shift, and a further step turns about the sample: of what is shifted
        by s it moves by omega x s more than the turn before the shift does.
        """
        owners = [part] if part in self.moves else []
        if part.startswith("panel.") and _DETECTOR in self.moves:
            owners.append(_DETECTOR)
        nothing = np.zeros(3)
        shift, turn = (sum((self.moves[o][move] for o in owners), nothing) for move in MOVES)
        by = {
            move: np.array([steps.get(f"{part}.{move}.{n}", 0.0) for n in _XYZ]) for move in MOVES
        }
        by[_TURN] = turn_jacobian(turn).T @ (by[_TURN] - np.cross(shift, by[_SHIFT]))
        return {
            f"{owner}.{move}.{n}": float(value)
            for owner in owners
            for move in MOVES
            for n, value in zip(_XYZ, by[move], strict=True)
        }


def _step_names(part: str) -> list[str]:
    """Return the names of small steps of what moves."""
    moves = (_TURN,) if part == _CRYSTAL else MOVES
    return [f"{part}.{move}.{n}" for move in moves for n in _XYZ]


def _vectors(moves: Mapping[str, float]) -> _Moves:
    """Return moves by what is moved."""
    found: dict[str, dict[str, Array]] = {}
    for name, value in moves.items():
        entry = FIELDS[name]
        part = entry.part if entry.panel is None else f"panel.{entry.panel}"
        held = found.setdefault(part, {move: np.zeros(3) for move in MOVES})
        held[entry.field][entry.place] += value
    return found


def turn_jacobian(turn: Array) -> Array:
    """Return what small turns after a turn are by changes of it.

    Parameters
    ----------
    turn : (3,) float64 array
        Axis times angle [rad].

    Returns
    -------
    (3, 3) float64 array
        The identity where nothing is turned.
    """
    angle = math.sqrt(float(turn @ turn))
    if angle < 1e-8:
        return np.eye(3)
    x, y, z = turn
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    half = math.sin(0.5 * angle) / angle
    result: Array = (
        np.eye(3)
        + 2.0 * half * half * cross
        + (angle - math.sin(angle)) / angle**3 * (cross @ cross)
    )
    return result
