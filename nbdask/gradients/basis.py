"""What an image is differentiated by: derivatives of the model for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nbdask.experiment import Experiment
from nbdask.geometry.model import Array, Model
from nbdask.geometry.slopes import Slopes, turned_frames
from nbdask.gradients.parameters import Parameter, check_refinable, parameter_slopes


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Basis:
    """Derivatives of a model.  Picklable.

    Attributes
    ----------
    frames : (n, 3, 3) float64 array
        See :func:`~nbdask.geometry.slopes.turned_frames`.
    first_frames : (n_domains, 3, 3) float64 array or None
    slopes : tuple of Slopes
        One for each parameter.
    lattices : tuple of Basis
        Of several crystals: that of each one alone.
    """

    frames: Array
    first_frames: Array | None
    slopes: tuple[Slopes, ...]
    lattices: tuple[Basis, ...] = ()

    def at(self, model: Model, panel: int) -> Basis:
        """Return the derivatives of ``model.at(panel)``; the same object of one panel."""
        if not model.panels:
            return self
        return replace(self, slopes=tuple(entry.at(panel) for entry in self.slopes), lattices=())


def basis_of(experiment: Experiment, model: Model, parameters: Sequence[Parameter]) -> Basis:
    """Return the derivatives of a model with respect to some parameters.

    Raises
    ------
    FieldError
        A parameter that an image cannot be differentiated by.
    """
    check_refinable(experiment, parameters)
    singles = experiment.singles
    models = [share.model for share in model.lattices] or [model]
    each = []
    for number, (single, own) in enumerate(zip(singles, models, strict=True)):
        slopes = parameter_slopes(experiment, number, own, parameters)
        each.append(Basis(*turned_frames(single, own), tuple(slopes)))
    return each[0] if len(each) == 1 else replace(each[0], lattices=tuple(each))


def unrotated(basis: Basis, n_domains: int) -> Basis:
    """Return the basis that belongs to the model with ``first_axes`` at its first step."""
    assert basis.first_frames is not None
    frames = basis.frames.copy()
    frames[:n_domains] = basis.first_frames
    slopes = []
    for entry in basis.slopes:
        if entry.spin is not None:
            spin = entry.spin.copy()
            spin[:n_domains] = entry.get("first_spin")
            entry = replace(entry, spin=spin)
        slopes.append(entry)
    return replace(basis, frames=frames, slopes=tuple(slopes))
