"""Coordinates of a store of several panels: which panel, how large, where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import DetectorPanel
from nbdask.geometry.vectors import array, unit
from nbdask.panels.vectors import TO_LAB
from nbdask.store import schema

_FRAME = "common: z along the beam, y up, x = y cross z, the sample at the origin"


class Coordinate(NamedTuple):
    """One array: what it holds, its dimensions and attributes."""

    values: NDArray[Any]
    dims: tuple[str, ...]
    attributes: dict[str, str]


def panel_coordinates(panels: Sequence[DetectorPanel]) -> dict[str, Coordinate]:
    """Return the coordinates of panels, in the common frame, by the name of their array.

    Parameters
    ----------
    panels : sequence of DetectorPanel
    """
    vectors = {
        "origin": ([array(p.origin) for p in panels], "outer corner of the first pixel", "m"),
        "slow_axis": ([unit(array(p.slow)) for p in panels], "direction of slow", "1"),
        "fast_axis": ([unit(array(p.fast)) for p in panels], "direction of fast", "1"),
    }
    found = {
        schema.PANEL: Coordinate(
            np.array([panel.name for panel in panels], dtype=object),
            (schema.PANEL,),
            {"long_name": "name of the panel"},
        )
    }
    for name in ("slow", "fast"):
        counts = np.array([getattr(p, f"n_{name}") for p in panels], dtype=np.int64)
        pitches = np.array([getattr(p, f"pitch_{name}") for p in panels], dtype=np.float64)
        text = f"pixels of the panel along {name}; further ones are 0"
        found[f"n_{name}"] = Coordinate(
            counts, (schema.PANEL,), {"long_name": text, "units": "pixel"}
        )
        text = f"distance of pixels along {name}"
        found[f"pitch_{name}"] = Coordinate(
            pitches, (schema.PANEL,), {"long_name": text, "units": "m"}
        )
    for name, (rows, text, unit_name) in vectors.items():
        found[name] = Coordinate(
            # The lab frame is (z, y, -x); -0 becomes 0.
            np.array(rows) @ TO_LAB + 0.0,
            (schema.PANEL, "xyz"),
            {"long_name": text, "units": unit_name, "frame": _FRAME},
        )
    return {name: found[name] for name in schema.PANEL_COORDINATES}
