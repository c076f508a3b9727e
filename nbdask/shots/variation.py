"""What every variation of a series is: columns of numbers, one row a shot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import Experiment

Array = NDArray[np.float64]
#: Name of a field -> its values, one for each shot.
Columns = dict[str, Array]
#: Most shots that are believed to be meant.
MOST_SHOTS = 10**9
#: Shots by number.
Shots = NDArray[np.int64]


class Variation(ABC):
    """Something that differs from shot to shot, in a way that seed and number alone decide."""

    #: Name in dict forms.
    kind: ClassVar[str]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Dotted names of the fields that it sets."""

    @property
    def rows(self) -> int | None:
        """Shots that it is known for; None: any."""
        return None

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers with the seed of the series."""
        return False

    @abstractmethod
    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the values of some shots [SI], a column for each name."""

    def change(self, experiment: Experiment, seed: int, shot: int) -> Experiment:
        """Return the experiment of a shot, which has its values, with what no value tells."""
        return experiment

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict with its ``kind``."""

    def tables(self) -> Mapping[str, Array]:
        """Return arrays too large for the dict form, by the checksum that it names."""
        return {}

    @classmethod
    @abstractmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> Variation:
        """Build from the dict form and the arrays stored beside it."""
