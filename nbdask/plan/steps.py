"""Steps: the evaluations of one pixel, in nanoBragg C's loop order, and ranges of them.

The flat step index runs over layer (outermost), sub-pixel slow, sub-pixel fast, source, phi step,
mosaic domain (innermost).  A range of it may begin and end anywhere.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


class StepRange(NamedTuple):
    """A half-open range of flat step indices."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of steps."""
        return self.stop - self.start


def split_steps(total: int, per_task: int) -> list[StepRange]:
    """Cut ``total`` steps into ranges of nearly equal length, none above ``per_task``.

    Parameters
    ----------
    total : int
        Number of steps of a pixel, at least 1.
    per_task : int
        Upper bound of a range's length, at least 1.

    Returns
    -------
    list of StepRange
        In order, without gaps.
    """
    parts = -(-total // per_task)
    edges = [total * i // parts for i in range(parts + 1)]
    return [StepRange(a, b) for a, b in pairwise(edges)]
