"""What an image is differentiated by: derivatives of the model for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nbdask.experiment import Experiment
from nbdask.geometry.model import Array, Model
from nbdask.geometry.slopes import Slopes, turned_frames
from nbdask.gradients.parameters import Parameter, parameter_slopes


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Derivatives of a model.  Picklable.

    Attributes
    ----------
    frames : (n, 3, 3) float64 array
        See :func:`~nbdask.geometry.slopes.turned_frames`.
    first_frames : (n_domains, 3, 3) float64 array or None
    slopes : tuple of Slopes
        One for each parameter.
    """

    frames: Array
    first_frames: Array | None
    slopes: tuple[Slopes, ...]


def basis_of(experiment: Experiment, model: Model, parameters: Sequence[Parameter]) -> Basis:
    """Return the derivatives of a model with respect to some parameters.

    Raises
    ------
    FieldError
        A parameter that an image cannot be differentiated by.
    """
    return Basis(*turned_frames(experiment), tuple(parameter_slopes(experiment, model, parameters)))


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
