"""Background from amorphous material."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.experiment import checks


@dataclass(frozen=True, slots=True)
class Background:
    """A cube of water around the crystal.

    Parameters
    ----------
    water : float
        Edge of the cube [m]; 0: none.
    """

    water: float = 0.0

    def __post_init__(self) -> None:
        """Check the size."""
        checks.not_negative("background.water", self.water)
