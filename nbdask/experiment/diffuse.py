"""Diffuse scattering of a crystal whose molecules move."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

#: Greatest half-width of a stencil: 7 x 7 x 7 reciprocal cells.
MOST_STENCIL = 3


@dataclass(frozen=True, slots=True)
class Diffuse:
    """Liquid-like motion: displacements that are correlated over some distance.

    The axes of both tensors are those of the cell's own frame: the first along a, the third along
    c*.

    Parameters
    ----------
    gamma : tuple of 3 floats
        Correlation lengths of the displacements [m].
    sigma : tuple of 3 floats
        Root mean square displacements [m].
    stencil : int
        Halos of reciprocal cells up to this far along h, k and l reach a point.
    laue : str
        Space group or point group whose Laue symmetry the scattering has.
    scale : float
        Factor on the diffuse scattering.
    physical : bool
        Multiply by the number of cells times the volume of the reciprocal cell, as follows from
        the model; False: as diffBragg has it.
    """

    gamma: tuple[float, ...]
    sigma: tuple[float, ...]
    stencil: int = 1
    laue: str = "P 1"
    scale: float = 1.0
    physical: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        name = "crystal.diffuse."
        for field in ("gamma", "sigma"):
            values = checks.vector(name + field, getattr(self, field))
            if min(values) <= 0.0 or max(values) > 1.0:
                raise FieldError(name + field, values, "three lengths above 0, in metres")
            checks.assign(self, **{field: values})
        checks.assign(
            self,
            stencil=checks.integer(name + "stencil", self.stencil, low=0, high=MOST_STENCIL),
            laue=checks.text(name + "laue", self.laue),
            scale=checks.not_negative(name + "scale", self.scale),
            physical=checks.flag(name + "physical", self.physical),
        )
