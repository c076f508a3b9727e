"""Parameters that a run is asked for, and as a store has them on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbdask.errors import FieldError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.parameters import Parameter, parameters_of, value_of
from nbdask.plan.planes import Slope
from nbdask.shots import Series

#: Parameters, or their names.
Parameters = str | Parameter | Sequence[str | Parameter]


def asked_slopes(
    work: Experiment | Series, model: Model, asked: Parameters | None
) -> tuple[Slope, ...]:
    """Return what an image is to be differentiated by.

    Parameters
    ----------
    work : Experiment or Series
    model : Model
        Of a series that of shot 0.
    asked : parameters or None

    Raises
    ------
    FieldError
        A parameter that cannot be refined.
    """
    if asked is None:
        return ()
    alone = isinstance(work, Experiment)
    experiment = work if isinstance(work, Experiment) else work.shot(0)
    try:
        parameters = parameters_of(asked)
        basis_of(experiment, model, parameters)
    except FieldError as error:
        if error.field not in ("parameter", "parameters"):
            raise
        raise FieldError("--gradient", error.given, error.allowed) from None
    return tuple(
        Slope(p.name, p.shown_unit, dict(p.fields), shown_value(experiment, p) if alone else None)
        for p in parameters
    )


def from_record(slopes: Sequence[Mapping[str, Any]] | None) -> tuple[Parameter, ...] | None:
    """Return the parameters that a plan has on record; None: it has none."""
    if slopes is None:
        return None
    return tuple(Parameter(slope["name"], slope["fields"], slope["unit"]) for slope in slopes)


def shown_value(experiment: Experiment, parameter: Parameter) -> float:
    """Return a field's value; of a combination 0, its change."""
    if list(parameter.fields.values()) != [1.0]:
        return 0.0
    return value_of(experiment, next(iter(parameter.fields))) or 0.0
