"""Further crystals in the beam."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.structure import StructureFactors


@dataclass(frozen=True, slots=True)
class Lattice:
    """A crystal beside the first one, in the same beam and on the same detector.

    Parameters
    ----------
    crystal : Crystal
    weight : float
        Factor on its photons.
    structure : StructureFactors or None
        None: those of the first crystal.
    """

    crystal: Crystal
    weight: float = 1.0
    structure: StructureFactors | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.crystal, Crystal):
            raise FieldError("lattices.crystal", self.crystal, "a Crystal")
        if self.structure is not None and not isinstance(self.structure, StructureFactors):
            raise FieldError("lattices.structure", self.structure, "a StructureFactors")
        weight = checks.not_negative("lattices.weight", self.weight)
        checks.assign(self, weight=weight)
