"""The numbers of an experiment that an image can be differentiated by: names, values, units.

A name is the experiment's dotted field, with the component of a vector: ``crystal.cell.a``,
``detector.distance``.  ``crystal.turn.x``, ``.y`` and ``.z`` turn the crystal about the lab's axes,
``detector.shift`` and ``detector.turn`` move all panels, ``panel.NAME.shift`` and
``panel.NAME.turn`` one of them.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from nbdask.errors import FieldError, nearest_dotted
from nbdask.experiment import Experiment
from nbdask.experiment.checks import number as checked
from nbdask.geometry.conventions import centres
from nbdask.geometry.model import Array, Model
from nbdask.geometry.numbers import NUDGE
from nbdask.geometry.sensor import place_sensor
from nbdask.geometry.slopes import (
    MOVES,
    Slopes,
    cell_count_slopes,
    combined,
    model_slopes,
    panel_slopes,
    turn_slopes,
)
from nbdask.geometry.vectors import rotate_about

_XYZ = ("x", "y", "z")
_ABC = ("a", "b", "c")


class Field(NamedTuple):
    """One number of an experiment.

    Attributes
    ----------
    part, field : str
        ``experiment.part.field``.
    place : int or None
        Component of a vector.
    unit : str
        As the experiment has it: SI.
    panel : str or None
        The only panel that moves.
    lattice : int
        Number of the crystal: 0 the first one, ``lattices.0`` is 1.
    """

    part: str
    field: str
    place: int | None
    unit: str
    panel: str | None = None
    lattice: int = 0

    @property
    def is_move(self) -> bool:
        """Whether it moves something from where it is, so that its value is 0."""
        return self.field in MOVES


def _components(part: str, name: str, ends: Sequence[str], unit: str) -> dict[str, Field]:
    return {f"{part}.{name}.{end}": Field(part, name, i, unit) for i, end in enumerate(ends)}


def _singles(part: str, unit: str, *names: str) -> dict[str, Field]:
    return {f"{part}.{name}": Field(part, name, None, unit) for name in names}


_CELL = {
    f"crystal.cell.{end}": Field("crystal", "cell", index, "m" if index < 3 else "rad")
    for index, end in enumerate((*_ABC, "alpha", "beta", "gamma"))
}


class _Fields(dict[str, Field]):
    """Every name; those of single panels and further crystals are found but not listed."""

    def __missing__(self, name: str) -> Field:
        """Return the field of ``panel.q0a1.shift.x``, ``lattices.0.crystal.cell.a`` and so on."""
        start, _, rest = str(name).partition(".")
        number, _, own = rest.partition(".")
        if (
            start == "lattices"
            and number.isdecimal()
            and own.startswith(("crystal.", "structure."))
        ):
            return self[own]._replace(lattice=int(number) + 1)
        panel, *ends = rest.rsplit(".", 2)
        if start == "panel" and panel and ".".join(("detector", *ends)) in self:
            entry = self[".".join(("detector", *ends))]
            if len(ends) == 2 and entry.is_move:
                return entry._replace(panel=panel)
        raise KeyError(name)


#: Every name, in the order in which they are listed.
FIELDS = _Fields(
    {
        **_components("crystal", "turn", _XYZ, "rad"),
        **_components("crystal", "misset", _XYZ, "rad"),
        **_CELL,
        **_components("crystal", "n_cells", _ABC, "1"),
        **_singles("crystal", "rad", "mosaic_spread"),
        **_singles("crystal", "1", "fudge"),
        **_singles("structure", "electron", "default_F"),
        **_singles("beam", "m", "wavelength"),
        **_singles("beam", "photon/m^2", "fluence"),
        **_singles("beam", "photon/s", "flux"),
        **_singles("beam", "1", "polarization"),
        **_singles("detector", "m", "distance", "close_distance", "beam_x", "beam_y"),
        **_singles("detector", "m", "close_x", "close_y"),
        **_singles("detector", "pixel", "org_x", "org_y"),
        **_singles("detector", "rad", "rotx", "roty", "rotz", "twotheta"),
        **_components("detector", "pix0", _XYZ, "m"),
        **_components("detector", "shift", _XYZ, "m"),
        **_components("detector", "turn", _XYZ, "rad"),
        **_singles("detector", "m", "thickness"),
        **_singles("detector", "1/m", "attenuation"),
        **_singles("scan", "rad", "phi0", "osc", "step"),
        **_singles("background", "m", "water"),
    }
)

_NOT_MODELLED = ("crystal.mosaic_spread", "detector.thickness", "background.water", "beam.flux")


@dataclass(frozen=True, slots=True)
class Parameter:
    """Fields that change together: d field / d parameter is the factor of each.

    Parameters
    ----------
    name : str
    fields : mapping of str to float
        Field name -> factor; ``{"crystal.cell.a": 1, "crystal.cell.b": 1}`` keeps a cell
        tetragonal.
    unit : str
        Of the parameter; None: that of the first field.
    """

    name: str
    fields: Mapping[str, float]
    unit: str | None = None
    shown_unit: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Check names and factors."""
        if not self.fields or not isinstance(self.fields, Mapping):
            raise FieldError("parameter", self.name, "a name with a mapping of fields to factors")
        for name, factor in self.fields.items():
            known(name)
            checked(f"factor of {name}", factor)
        first = FIELDS[next(iter(self.fields))].unit
        object.__setattr__(self, "shown_unit", self.unit or first)


def known(name: str) -> Field:
    """Return what a name stands for.

    Raises
    ------
    FieldError
        There is no such name.
    """
    try:
        return FIELDS[name]
    except KeyError:
        near = nearest_dotted(str(name), FIELDS)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise FieldError(
            "parameter", name, f"a name that `nbdask parameters` lists{meant}, or its beginning"
        ) from None


def parameters_of(names: str | Parameter | Sequence[str | Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters that are named, in order.

    Parameters
    ----------
    names : str, Parameter or sequence of them
        A name, or its beginning, such as ``crystal.cell`` for all six; several in one text are
        separated by commas.  ``edge=crystal.cell.a+crystal.cell.b`` ties fields under a new name,
        each times a factor where there is one: ``c=2*crystal.cell.a+crystal.cell.c``.

    Raises
    ------
    FieldError
        An unknown name, one that comes twice, or none at all.
    """
    if not isinstance(names, (str, Parameter, Iterable)):
        raise FieldError("parameters", names, "names, such as crystal.turn")
    given = [names] if isinstance(names, (str, Parameter)) else list(names)
    found: dict[str, Parameter] = {}
    for item in given:
        for parameter in [item] if isinstance(item, Parameter) else _named(item):
            if parameter.name in found:
                raise FieldError("parameter", parameter.name, "named once")
            found[parameter.name] = parameter
    if not found:
        raise FieldError("parameters", names, "at least one name, such as crystal.turn")
    return tuple(found.values())


def _named(text: str) -> list[Parameter]:
    if not isinstance(text, str):
        raise FieldError("parameter", text, "a name, or a Parameter")
    result = []
    for word in filter(None, map(str.strip, text.split(","))):
        if "=" in word:
            result.append(_tied(word))
            continue
        names = [*FIELDS, *_moves_of(word), *_of_lattice(word)]
        below = [name for name in names if name == word or name.startswith(word + ".")]
        result += [Parameter(name, {name: 1.0}) for name in below or [word]]
    return result


def _tied(word: str) -> Parameter:
    """Return the parameter of ``NAME=FACTOR*FIELD+FIELD...``."""
    name, _, terms = (part.strip() for part in word.partition("="))
    allowed = "NAME=FIELD+FIELD, each FIELD or FACTOR*FIELD, such as edge=crystal.cell.a"
    fields: dict[str, float] = {}
    for term in terms.split("+"):
        factor, _, held = term.rpartition("*")
        try:
            value = float(factor) if "*" in term else 1.0
        except ValueError:
            raise FieldError("parameter", word, allowed) from None
        if not name or not math.isfinite(value) or held.strip() in fields:
            raise FieldError("parameter", word, allowed)
        fields[held.strip()] = value
    return Parameter(name, fields)


def _moves_of(word: str) -> list[str]:
    """Return the names by which a panel moves, from the beginning of one of them."""
    panel = word.removesuffix(".shift").removesuffix(".turn")
    if not word.startswith("panel.") or word.endswith(tuple(f".{axis}" for axis in _XYZ)):
        return []
    return [f"{panel}.{move}.{axis}" for move in MOVES for axis in _XYZ]


def _of_lattice(word: str) -> list[str]:
    """Return the names of a further crystal, from the beginning of one of them."""
    start = re.match(r"lattices\.[0-9]+\.", word)
    own = [name for name in FIELDS if name.startswith(("crystal.", "structure."))]
    return [start[0] + name for name in own] if start else []


def value_of(experiment: Experiment, name: str) -> float | None:
    """Return the value that a field has, given or by default; None: it has none."""
    entry = known(name)
    if entry.lattice:
        return value_of(experiment.singles[entry.lattice], _own_name(name))
    if entry.is_move:
        return 0.0
    held = getattr(getattr(experiment, entry.part), entry.field)
    if held is None:
        held = _default(experiment, entry.field)
    if held is None or isinstance(held, str):
        return None
    return float(held if entry.place is None else held[entry.place])


def _default(experiment: Experiment, name: str) -> Any:
    """Return what is used where a field is not given, if that is a number of its own."""
    if name == "misset":
        return (0.0, 0.0, 0.0)
    if name in ("beam_x", "beam_y"):
        centre = centres(experiment.frame.convention, experiment.detector)
        return centre.x_beam if name == "beam_x" else centre.y_beam
    if name == "attenuation" and experiment.detector.thickness > 0.0:
        return place_sensor(experiment.detector).mu
    return None


def with_value(experiment: Experiment, name: str, value: Any) -> Experiment:
    """Return an experiment in which one field has another value, which is not checked.

    A nudged number is one that no field would take.
    """
    entry = known(name)
    if entry.lattice:
        own = _own_name(name)
        return of_crystal(experiment, entry.lattice, lambda single: with_value(single, own, value))
    if entry.is_move and entry.part == "detector":
        assert entry.place is not None
        along = np.eye(3)[entry.place] * value
        return moved_panels(experiment, {(entry.panel, entry.field): along})
    part = copy.copy(getattr(experiment, entry.part))
    held = getattr(part, entry.field)
    if entry.place is not None:
        parts = list(_default(experiment, entry.field) if held is None else held)
        parts[entry.place] = value
        value = tuple(parts)
    object.__setattr__(part, entry.field, value)
    whole = copy.copy(experiment)
    object.__setattr__(whole, entry.part, part)
    return whole


def moved_panels(
    experiment: Experiment, moves: Mapping[tuple[str | None, str], Array]
) -> Experiment:
    """Return an experiment whose panels have moved: turned about the sample, then shifted.

    Parameters
    ----------
    experiment : Experiment
    moves : mapping of (panel or None, "shift" or "turn") to (3,) arrays
        Metres; axis times angle [rad].  None: all panels.
    """
    nothing, panels = np.zeros(3), []
    for panel in experiment.detector.panels:
        shift, turn = (
            moves.get((None, move), nothing) + moves.get((panel.name, move), nothing)
            for move in MOVES
        )
        vectors = np.array([panel.origin, panel.fast, panel.slow])
        angle = math.sqrt(float(turn @ turn))
        if angle:
            vectors = rotate_about(vectors, turn / angle, angle)
        vectors[0] += shift
        origin, fast, slow = ((float(x), float(y), float(z)) for x, y, z in vectors)
        panels.append(replace(panel, origin=origin, fast=fast, slow=slow))
    return experiment.replace(detector=replace(experiment.detector, panels=tuple(panels)))


def of_crystal(
    experiment: Experiment, number: int, change: Callable[[Experiment], Experiment]
) -> Experiment:
    """Return an experiment whose crystal of some number is changed as it would be alone."""
    if number == 0:
        found = change(experiment.replace(lattices=(), weight=1.0))
        return experiment.replace(crystal=found.crystal, structure=found.structure)
    found, held = change(experiment.singles[number]), list(experiment.lattices)
    lattice = held[number - 1]
    own = None if lattice.structure is None else found.structure
    held[number - 1] = replace(lattice, crystal=found.crystal, structure=own)
    return experiment.replace(lattices=tuple(held))


def refusal(experiment: Experiment, name: str, model: Model | None = None) -> str | None:
    """Return why an image cannot be differentiated by a field; None: it can.

    Parameters
    ----------
    experiment : Experiment
    name : str
    model : Model, optional
        With it fields without an effect are told as well.
    """
    entry = known(name)
    if entry.lattice:
        return _refusal_of_further(experiment, entry.lattice, _own_name(name))
    if experiment.lattices:
        own = experiment.singles[0]
        return refusal(own, name, model.lattices[0].model if model is not None else None)
    crystal = experiment.crystal
    if crystal.shape == "tophat":
        return "a tophat crystal: its image is constant between jumps"
    if crystal.diffuse is not None:
        return "diffuse scattering is not differentiated: leave it out"
    if entry.part == "detector" and experiment.background.beamstop is not None:
        return "a beam stop, at whose edge the image would change: leave it out"
    if entry.part == "detector" and entry.is_move != bool(experiment.detector.panels):
        if entry.is_move:
            return "no panels of a geometry file: use detector.distance, beam_x, rotx and so on"
        return "panels of a geometry file: use detector.shift, detector.turn, panel.NAME.shift"
    if entry.panel is not None:
        names = [panel.name for panel in experiment.detector.panels]
        if entry.panel not in names:
            return f"no panel of that name: {', '.join(names[:4])}{', ...' * (len(names) > 4)}"
    if entry.field == "cell" and experiment.structure.b_factor != 0.0:
        return "amplitudes with a B factor, which depend on the cell"
    sampling = experiment.sampling
    each = (sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)
    if experiment.semantics == "c" and any(each):
        return "the running product of -oversample_thick, -polar, -omega with C semantics"
    if name == "crystal.mosaic_spread" and (crystal.mosaic.domains or crystal.mosaic.widths):
        return "crystal.mosaic gives the domains"
    if crystal.misset == "random" and entry.field == "misset":
        return "a random orientation has no angles: use crystal.turn"
    if entry.field == "n_cells":
        assert entry.place is not None
        if crystal.size[entry.place] > 0.0:
            return "it follows from crystal.size"
        if crystal.cells_matrix is not None:
            return "crystal.cells_matrix gives the cells"
        return None
    if name == "crystal.fudge" and crystal.shape == "square":
        return "without effect on a square crystal"
    if name == "structure.default_F" and experiment.structure.has_list:
        return "a list of structure factors: amplitudes of an adjoint tell it"
    if name == "beam.polarization" and not (experiment.beam.polarized or each[1]):
        return "the polarization factor is switched off"
    value = value_of(experiment, name)
    if name == "detector.attenuation" and 0.0 in (experiment.detector.thickness, value):
        return "no sensor thickness is modelled, or nothing is captured in it"
    if value is None:
        return "not given"
    if name in _NOT_MODELLED and value == 0.0:
        return "0: not modelled"
    if model is not None and slopes_of(experiment, model, name).nothing:
        return "without effect: other fields take its place"
    return None


def _refusal_of_further(experiment: Experiment, number: int, name: str) -> str | None:
    """Return why an image cannot be differentiated by a field of a further crystal."""
    if number > len(experiment.lattices):
        last = len(experiment.lattices) - 1
        return f"no such crystal: lattices.0 to lattices.{last}" if last >= 0 else "one crystal"
    if known(name).part == "structure" and experiment.lattices[number - 1].structure is None:
        return "the first crystal's amplitudes are taken"
    return refusal(experiment.singles[number], name)


def slopes_of(experiment: Experiment, model: Model, name: str) -> Slopes:
    """Return the derivatives of the model's numbers with respect to one field."""
    entry = known(name)
    if entry.is_move:
        assert entry.place is not None
        if entry.part == "crystal":
            return turn_slopes(experiment, entry.place, model)
        panels = experiment.detector.panels
        moved = [i for i, panel in enumerate(panels) if entry.panel in (None, panel.name)]
        return panel_slopes(experiment, entry.field, entry.place, moved)
    if entry.field == "n_cells":
        assert entry.place is not None
        return cell_count_slopes(entry.place)
    value = value_of(experiment, name)
    assert value is not None
    nudged = with_value(experiment, name, complex(value, NUDGE))
    return model_slopes(nudged, entry.part, model)


def check_refinable(experiment: Experiment, parameters: Sequence[Parameter]) -> None:
    """Refuse parameters that an image cannot be differentiated by.

    Raises
    ------
    FieldError
        The field, and why not.
    """
    for parameter in parameters:
        for name in parameter.fields:
            if (why := refusal(experiment, name)) is not None:
                raise FieldError("parameter", name, f"one that can be refined here ({why})")


def parameter_slopes(
    experiment: Experiment, number: int, model: Model, parameters: Sequence[Parameter]
) -> list[Slopes]:
    """Return the derivatives of one crystal's model with respect to each parameter.

    Parameters
    ----------
    experiment : Experiment
    number : int
        Of the crystal; what is the crystal's own changes that one alone.
    model : Model
        Of that crystal.
    parameters : sequence of Parameter
    """
    return [
        combined(
            [
                (factor, slopes_of(experiment.singles[number], model, _own_name(name)))
                for name, factor in parameter.fields.items()
                if _belongs(experiment, name, number)
            ]
        )
        for parameter in parameters
    ]


def _own_name(name: str) -> str:
    """Return the name that a field of a further crystal has in the experiment of it alone."""
    return name.split(".", 2)[2] if known(name).lattice else name


def _belongs(experiment: Experiment, name: str, number: int) -> bool:
    """Whether a field changes the crystal of that number."""
    entry = known(name)
    shared = number > 0 and experiment.lattices[number - 1].structure is None
    if entry.part == "structure" and shared and entry.lattice == 0:
        return True
    return entry.part not in ("crystal", "structure") or entry.lattice == number
