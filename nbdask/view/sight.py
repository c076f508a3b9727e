"""Which part of the image the ends of the axes show, and at what resolution."""

from __future__ import annotations

import math

from nbdask.plan.tiles import Tile

#: Start and end of the axis along fast, then of that along slow [pixels].
Ends = tuple[float, float, float, float]


def factor_of(ends: Ends, frame: tuple[int, int]) -> int:
    """Return the pixels of the image along each side of one that is shown.

    Parameters
    ----------
    ends : Ends
    frame : (width, height)
        Pixels of the screen.
    """
    width, height = frame
    across = max(abs(ends[1] - ends[0]) / width, abs(ends[3] - ends[2]) / height)
    # Between 0.6 and 1.2 pixels of the level for each of the screen.
    return int(2 ** max(0, round(math.log2(max(across, 1e-9)) + 0.25)))


def region_of(ends: Ends, shape: tuple[int, int]) -> Tile | None:
    """Return the visible pixels of an image of that shape (slow, fast), or None."""
    x0, x1 = sorted(ends[:2])
    y0, y1 = sorted(ends[2:])
    part = Tile(
        math.floor(y0 + 0.5), math.ceil(y1 + 0.5), math.floor(x0 + 0.5), math.ceil(x1 + 0.5)
    )
    return part.intersect(Tile(0, shape[0], 0, shape[1]))
