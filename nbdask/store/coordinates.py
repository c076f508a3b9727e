"""Coordinates of a store: of several panels where they are, of derivatives what by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def slope_coordinates(slopes: Sequence[Mapping[str, Any]]) -> dict[str, Coordinate]:
    """Return the coordinates of derivatives, by the name of their array.

    Parameters
    ----------
    slopes : sequence of mapping
        See :func:`~.schema.slopes_of`.
    """
    texts = {
        name: [slope[key] for slope in slopes]
        for name, key in ((schema.PARAMETER, "name"), ("unit", "unit"))
    }
    about = {schema.PARAMETER: "name of the parameter", "unit": "unit of the parameter"}
    found = {
        name: Coordinate(
            np.array(values, dtype=object), (schema.PARAMETER,), {"long_name": about[name]}
        )
        for name, values in texts.items()
    }
    if all("value" in slope for slope in slopes):
        values = np.array([slope["value"] for slope in slopes], dtype=np.float64)
        attributes = {"long_name": "value of the parameter, in its unit"}
        found["value"] = Coordinate(values, (schema.PARAMETER,), attributes)
    return found


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
