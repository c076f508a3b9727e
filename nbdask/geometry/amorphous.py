"""What the user should be told of amorphous materials before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.background.layer import Layer
from nbdask.experiment import Background
from nbdask.geometry.model import BeamStop, PanelFrame
from nbdask.geometry.source_grid import SourceTable

Array = NDArray[np.float64]


def beam_stop(background: Background, beam: Array, place: Mapping[str, Any]) -> BeamStop | None:
    """Return the beam stop; ``place``: the (first) panel's fields of the model."""
    if background.beamstop is None:
        return None
    radius, along_fast, along_slow = background.beamstop
    distance = float(place["distance"])
    centre = distance * beam + along_fast * place["fast"] + along_slow * place["slow"]
    return BeamStop(radius, distance, centre)


def amorphous_notes(
    layers: tuple[Layer, ...],
    frames: Sequence[PanelFrame],
    place: Mapping[str, Any],
    sources: SourceTable,
) -> tuple[str, ...]:
    """Note tables that end before the detector does.

    Parameters
    ----------
    layers : tuple of Layer
    frames : sequence of PanelFrame
        None: ``place`` is the panel.
    place : mapping
        The (first) panel's fields of the model.
    sources : SourceTable
    """
    if not layers:
        return ()
    names = [item.name for item in fields(PanelFrame)]
    found = [{name: getattr(frame, name) for name in names} for frame in frames]
    panels: list[Mapping[str, Any]] = [*found] or [place]
    reach = max(_reach(panel, sources) for panel in panels)
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


def _reach(panel: Mapping[str, Any], sources: SourceTable) -> float:
    """Return the greatest sin(theta)/lambda in the corners of a flat panel [1/m]."""
    slow = np.array([0.0, panel["n_slow"] * panel["pitch_slow"]])
    fast = np.array([0.0, panel["n_fast"] * panel["pitch_fast"]])
    corners = (
        panel["origin"]
        + np.repeat(slow, 2)[:, None] * panel["slow"]
        + np.tile(fast, 2)[:, None] * panel["fast"]
    )
    d = corners / np.linalg.norm(corners, axis=1)[:, None]
    q = np.linalg.norm(d[:, None] - sources.incident[None], axis=2) / sources.wavelength
    return float(q.max()) / 2.0
