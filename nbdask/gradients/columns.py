"""Which parameters of which shots are one and the same: the columns of a joint fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError
from nbdask.gradients.parameters import FIELDS, Parameter, parameters_of

Indices = NDArray[np.int64]
Names = str | Parameter | Sequence[str | Parameter]


class Part(NamedTuple):
    """The parameters of one shot, by their places in the list that all shots have.

    Attributes
    ----------
    own, common : (n,) int64 arrays
        Those that no other shot depends on, and the others.
    column : (n_common,) int64 array
        Columns of the common ones.
    """

    own: Indices
    common: Indices
    column: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Parameters of all shots.

    Attributes
    ----------
    parameters : tuple of Parameter
        Of each shot.
    parts : tuple of Part
        One for each shot.
    names : tuple of str
        Of the common columns, with the group where there are several.
    """

    parameters: tuple[Parameter, ...]
    parts: tuple[Part, ...]
    names: tuple[str, ...]

    def at(self, shot: int, own: NDArray[np.float64], common: NDArray[np.float64]) -> list[float]:
        """Return a vector of one shot's parameters from its own ones and the common ones."""
        part = self.parts[shot]
        values = np.empty(len(self.parameters))
        values[part.own], values[part.common] = own, common[part.column]
        found: list[float] = values.tolist()
        return found


def columns_of(
    shots: int, each: Names, shared: Names, groups: Mapping[str, Sequence[Hashable]]
) -> Columns:
    """Return the columns of a joint fit.

    Parameters
    ----------
    shots : int
    each : names
        Parameters that every shot has its own of.
    shared : names
        Parameters that all shots have in common.
    groups : mapping of str to sequence
        Names -> a label for each shot; shots of the same label have the parameter in common.

    Raises
    ------
    FieldError
        A name that comes twice, none at all, or labels for another number of shots.
    """
    if not isinstance(groups, Mapping):
        raise FieldError("groups", groups, "a dict of names to a label for each shot")
    labels: dict[str, list[Hashable]] = {}
    parameters: list[Parameter] = []
    kinds: list[tuple[Names, list[Hashable]]] = [
        (each, list(range(shots))),
        (shared, [None] * shots),
        *((names, list(given)) for names, given in groups.items()),
    ]
    for names, given in kinds:
        if len(given) != shots:
            raise FieldError(
                "groups", f"{len(given)} labels of {names}", f"one for each of {shots}"
            )
        for parameter in parameters_of(names) if _is_any(names) else ():
            if parameter.name in labels:
                raise FieldError("parameter", parameter.name, "named once")
            labels[parameter.name] = given
            parameters.append(parameter)
    check_fitted(parameters)
    return _numbered(tuple(parameters), labels, shots)


def _is_any(names: Names) -> bool:
    return names is not None and (not isinstance(names, Sized) or len(names) > 0)


def check_fitted(parameters: Sequence[Parameter]) -> None:
    """Refuse what an image has a derivative by but no fit changes."""
    if not parameters:
        raise FieldError("parameters", "none", "at least one name, such as crystal.turn")
    for parameter in parameters:
        for name in parameter.fields:
            if FIELDS[name].field == "n_cells":
                raise FieldError("parameter", name, "left out: a fit keeps whole numbers of cells")


def _numbered(
    parameters: tuple[Parameter, ...], labels: Mapping[str, list[Hashable]], shots: int
) -> Columns:
    """Give numbers to what several shots have in common."""
    numbers: dict[tuple[str, Hashable], int] = {}
    names: list[str] = []
    for parameter in parameters:
        given = labels[parameter.name]
        counts = Counter(given)
        several = [label for label, count in counts.items() if count > 1]
        for label in several:
            numbers[parameter.name, label] = len(names)
            names.append(parameter.name if len(counts) == 1 else f"{parameter.name}[{label}]")
    parts = []
    for shot in range(shots):
        found = [numbers.get((p.name, labels[p.name][shot]), -1) for p in parameters]
        column = np.array(found, dtype=np.int64)
        parts.append(
            Part(np.flatnonzero(column < 0), np.flatnonzero(column >= 0), column[column >= 0])
        )
    return Columns(parameters, tuple(parts), tuple(names))
