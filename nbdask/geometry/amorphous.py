"""What the user should be told of amorphous materials before anything is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbdask.background.layer import Layer
from nbdask.experiment import Detector
from nbdask.geometry.detector_frame import DetectorFrame
from nbdask.geometry.source_grid import SourceTable

Array = NDArray[np.float64]


def amorphous_notes(
    layers: tuple[Layer, ...], given: Detector, placed: DetectorFrame, sources: SourceTable
) -> tuple[str, ...]:
    """Note tables that end before the detector does."""
    if not layers:
        return ()
    reach = _reach(given, placed, sources)
    return tuple(_note(layer, reach) for layer in layers if reach > layer.last)


def _note(layer: Layer, reach: float) -> str:
    end = f"sin(theta)/lambda = {layer.last * 1e-10:.4g} per Angstrom"
    line = "the line through its last two points goes on"
    if layer.clipped:
        line += ", where it is not negative"
    return (
        f"--background {layer.name}: the table ends at {end}, the detector's corner is at"
        f" {reach * 1e-10:.4g}: {line}"
    )


def _reach(given: Detector, placed: DetectorFrame, sources: SourceTable) -> float:
    """Return the greatest sin(theta)/lambda in the corners of the flat detector [1/m]."""
    size = given.pixel_size
    slow, fast = (np.array([0.0, n]) * size for n in (given.n_slow, given.n_fast))
    corners = (
        placed.origin
        + np.repeat(slow, 2)[:, None] * placed.slow
        + np.tile(fast, 2)[:, None] * placed.fast
    )
    d = corners / np.linalg.norm(corners, axis=1)[:, None]
    q = np.linalg.norm(d[:, None] - sources.incident[None], axis=2) / sources.wavelength
    return float(q.max()) / 2.0
