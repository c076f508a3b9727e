"""Orientations of the crystal, uniform in SO(3): random ones and a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nbdask.counter import check_seed
from nbdask.experiment import checks
from nbdask.shots.draw import circle, uniforms
from nbdask.shots.names import QUATERNION
from nbdask.shots.variation import Array, Columns, Shots, Variation

#: Most points of a grid: their angles keep ten digits.
MOST_POINTS = 10**6
#: The positive root of x**4 = x + 4.
_PSI = 1.533751168755204288118041413


@dataclass(frozen=True, slots=True)
class Orientations(Variation):
    """Random orientations: a rotation of each shot, uniform in SO(3).

    The rotation U is active and acts in the laboratory on the crystal as the experiment has it, in
    the orientation that its cell or matrix and its misset give, before the spindle turns it:
    a* of the shot is U a*.

    Parameters
    ----------
    seed : int or None
        Of the random numbers; None: the series' own.
    """

    seed: int | None = None
    kind: ClassVar[str] = "orientations"

    def __post_init__(self) -> None:
        """Check the seed."""
        if self.seed is not None:
            checks.assign(self, seed=check_seed(self.seed, "orientations.seed"))

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set."""
        return QUATERNION

    @property
    def is_random(self) -> bool:
        """Whether the seed of the series is used."""
        return self.seed is None

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the quaternions of some shots."""
        own = seed if self.seed is None else self.seed
        quaternions = uniform_quaternions(uniforms(own, "crystal.orientation", shots, 3))
        return dict(zip(QUATERNION, quaternions.T, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form."""
        return {"kind": self.kind, **({} if self.seed is None else {"seed": self.seed})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> Orientations:
        """Build from the dict form."""
        return cls(data.get("seed"))


@dataclass(frozen=True, slots=True)
class Grid(Variation):
    """A grid of orientations that covers SO(3) evenly: super-Fibonacci spirals (Alexa 2022).

    Parameters
    ----------
    count : int
        Points of the grid, of which the shots are the first ones.
    """

    count: int
    kind: ClassVar[str] = "grid"

    def __post_init__(self) -> None:
        """Check the number of points."""
        count = checks.integer("orientations.grid", self.count, low=1, high=MOST_POINTS)
        checks.assign(self, count=count)

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set."""
        return QUATERNION

    @property
    def rows(self) -> int:
        """Shots that it is known for."""
        return self.count

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the quaternions of some shots."""
        quaternions = spiral_quaternions(np.asarray(shots, dtype=np.float64), self.count)
        return dict(zip(QUATERNION, quaternions.T, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form."""
        return {"kind": self.kind, "count": self.count}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> Grid:
        """Build from the dict form."""
        return cls(data["count"])


def uniform_quaternions(deviates: Array) -> Array:
    """Return rotations uniform in SO(3) from uniform deviates (Shoemake 1992).

    Parameters
    ----------
    deviates : (n, 3) float64 array
        Uniform between 0 and 1.

    Returns
    -------
    (n, 4) float64 array
        w, x, y, z, of length 1.
    """
    share, first, second = deviates.T
    (c1, s1), (c2, s2) = circle(first), circle(second)
    inner, outer = np.sqrt(1.0 - share), np.sqrt(share)
    return np.stack([outer * c2, inner * s1, inner * c1, outer * s2], axis=-1)


def spiral_quaternions(numbers: Array, count: int) -> Array:
    """Return points of a super-Fibonacci spiral (Alexa, CVPR 2022).

    Parameters
    ----------
    numbers : (n,) float64 array
        Whole numbers from 0.
    count : int
        Points of the whole spiral.

    Returns
    -------
    (n, 4) float64 array
        w, x, y, z, of length 1.
    """
    s = numbers + 0.5
    share = s / count
    first, second = s / math.sqrt(2.0), s / _PSI
    (c1, s1), (c2, s2) = circle(first - np.floor(first)), circle(second - np.floor(second))
    inner, outer = np.sqrt(share), np.sqrt(1.0 - share)
    return np.stack([outer * c2, inner * s1, inner * c1, outer * s2], axis=-1)
