"""The numbers of an experiment that an image can be differentiated by: names, values, units.

A name is the experiment's dotted field, with the component of a vector: ``crystal.cell.a``,
``detector.distance``.  ``crystal.turn.x``, ``.y`` and ``.z`` turn the crystal about the lab's axes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbdask.errors import FieldError, nearest
from nbdask.experiment import Experiment, Mosaic
from nbdask.geometry.conventions import centres
from nbdask.geometry.model import Model
from nbdask.geometry.numbers import NUDGE
from nbdask.geometry.sensor import place_sensor
from nbdask.geometry.slopes import (
    Slopes,
    cell_count_slopes,
    combined,
    model_slopes,
    turn_slopes,
)

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
    """

    part: str
    field: str
    place: int | None
    unit: str


def _components(part: str, name: str, ends: Sequence[str], unit: str) -> dict[str, Field]:
    return {f"{part}.{name}.{end}": Field(part, name, i, unit) for i, end in enumerate(ends)}


def _singles(part: str, unit: str, *names: str) -> dict[str, Field]:
    return {f"{part}.{name}": Field(part, name, None, unit) for name in names}


_CELL = {
    f"crystal.cell.{end}": Field("crystal", "cell", index, "m" if index < 3 else "rad")
    for index, end in enumerate((*_ABC, "alpha", "beta", "gamma"))
}
#: Every name, in the order in which they are listed.
FIELDS: dict[str, Field] = {
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
    **_singles("detector", "m", "thickness"),
    **_singles("detector", "1/m", "attenuation"),
    **_singles("scan", "rad", "phi0", "osc", "step"),
    **_singles("background", "m", "water"),
}

_NOT_MODELLED = (
    "crystal.mosaic_spread", "detector.thickness", "background.water", "beam.flux",
)  # fmt: skip


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
        """Check the names."""
        if not self.fields:
            raise FieldError("parameter", self.name, "a name with at least one field")
        for name in self.fields:
            known(name)
        first = FIELDS[next(iter(self.fields))].unit
        object.__setattr__(self, "shown_unit", self.unit or first)


def known(name: str) -> Field:
    """Return what a name stands for.

    Raises
    ------
    FieldError
        There is no such name.
    """
    if name not in FIELDS:
        near = nearest(name, FIELDS)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise FieldError(
            "parameter", name, f"a name that `nbdask parameters` lists{meant}, or its beginning"
        )
    return FIELDS[name]


def parameters_of(names: str | Parameter | Sequence[str | Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters that are named, in order.

    Parameters
    ----------
    names : str, Parameter or sequence of them
        A name, or its beginning, such as ``crystal.cell`` for all six; several in one text are
        separated by commas.

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
    for word in (part.strip() for part in text.split(",")):
        if not word:
            continue
        below = [name for name in FIELDS if name == word or name.startswith(word + ".")]
        result += [Parameter(name, {name: 1.0}) for name in below or [word]]
    return result


def value_of(experiment: Experiment, name: str) -> float | None:
    """Return the value that a field has, given or by default; None: it has none."""
    entry = known(name)
    if entry.field == "turn":
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


def refusal(experiment: Experiment, name: str, model: Model | None = None) -> str | None:
    """Return why an image cannot be differentiated by a field; None: it can.

    Parameters
    ----------
    experiment : Experiment
    name : str
    model : Model, optional
        With it fields without an effect are told as well.
    """
    entry, crystal = known(name), experiment.crystal
    if experiment.lattices:
        return "several crystals"
    if crystal.shape == "tophat":
        return "a tophat crystal: its image is constant between jumps"
    if crystal.diffuse is not None:
        return "diffuse scattering is not differentiated: leave it out"
    beside = experiment.background
    if beside.materials or beside.beamstop is not None or beside.shadow is not None:
        return "materials in the beam and shadows are not differentiated: leave them out"
    if experiment.detector.panels:
        return "panels of a geometry file are not differentiated: place the detector by flags"
    if crystal.shape == "spherical":
        return "a spherical crystal: use a gauss one"
    if crystal.mosaic != Mosaic():
        return "mosaic domains other than nanoBragg's random ones of a cap"
    if experiment.structure.recipe is not None and experiment.structure.recipe.anomalous:
        return "amplitudes for each wavelength of a spectrum: give --energy"
    if entry.field == "cell" and experiment.structure.b_factor != 0.0:
        return "amplitudes with a B factor, which depend on the cell"
    sampling = experiment.sampling
    each = (sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)
    if experiment.semantics == "c" and any(each):
        return "the running product of -oversample_thick, -polar, -omega with C semantics"
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
    if name == "detector.attenuation" and experiment.detector.thickness == 0.0:
        return "no sensor thickness is modelled"
    value = value_of(experiment, name)
    if value is None:
        return "not given"
    if name in _NOT_MODELLED and value == 0.0:
        return "0: not modelled"
    if model is not None and slopes_of(experiment, model, name).nothing:
        return "without effect: other fields take its place"
    return None


def slopes_of(experiment: Experiment, model: Model, name: str) -> Slopes:
    """Return the derivatives of the model's numbers with respect to one field."""
    entry = known(name)
    if entry.field == "turn":
        assert entry.place is not None
        return turn_slopes(experiment, entry.place)
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
            why = refusal(experiment, name)
            if why is not None:
                raise FieldError("parameter", name, f"one that can be refined here ({why})")


def parameter_slopes(
    experiment: Experiment, model: Model, parameters: Sequence[Parameter]
) -> list[Slopes]:
    """Return the derivatives of the model's numbers with respect to each parameter."""
    check_refinable(experiment, parameters)
    return [
        combined([(f, slopes_of(experiment, model, name)) for name, f in p.fields.items()])
        for p in parameters
    ]
