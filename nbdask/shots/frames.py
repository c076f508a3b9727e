"""A detector that is moved, and a beam that is turned, in the laboratory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from nbdask.experiment import DetectorPanel, Experiment, LabFrame
from nbdask.experiment.checks import Vector
from nbdask.experiment.frame import VECTOR_NAMES
from nbdask.geometry.conventions import directions
from nbdask.geometry.detector_frame import place_detector
from nbdask.geometry.vectors import Array, array, cross, rotate_about, unit

_OF_PANEL = tuple(item.name for item in dataclasses.fields(DetectorPanel))


def turned_panels(experiment: Experiment, rotation: Array) -> Experiment:
    """Return an experiment whose panels are all turned about the sample; areas are not.

    Parameters
    ----------
    experiment : Experiment
        With panels.
    rotation : (3, 3) float64 array
    """
    panels = tuple(
        dataclasses.replace(
            panel,
            origin=_three(rotation @ panel.origin),
            fast=_three(rotation @ panel.fast),
            slow=_three(rotation @ panel.slow),
        )
        for panel in experiment.detector.panels
    )
    return experiment.replace(detector=dataclasses.replace(experiment.detector, panels=panels))


def moved(experiment: Experiment, shift: Sequence[float]) -> Experiment:
    """Return an experiment whose detector, or all of whose panels, is moved.

    Parameters
    ----------
    experiment : Experiment
    shift : sequence of 4 floats
        Along x, y, z of the laboratory, and along the beam [m].
    """
    detector = experiment.detector
    beam = unit(array(directions(experiment.frame).beam))
    way = np.array(shift[:3]) + shift[3] * beam
    if detector.panels:
        panels = tuple(_moved_panel(panel, way) for panel in detector.panels)
        return experiment.replace(detector=dataclasses.replace(detector, panels=panels))
    return experiment.replace(
        detector=dataclasses.replace(detector, pix0=_three(_corner(experiment) + way))
    )


def _moved_panel(panel: DetectorPanel, way: Array) -> DetectorPanel:
    """Return a panel that is moved; hundreds of them are not checked again for each shot."""
    copied = object.__new__(DetectorPanel)
    for name in _OF_PANEL:
        object.__setattr__(copied, name, getattr(panel, name))
    object.__setattr__(copied, "origin", _three(np.array(panel.origin) + way))
    return copied


def tilted(experiment: Experiment, horizontal: float, vertical: float) -> Experiment:
    """Return an experiment whose beam, with its polarization, is turned; all else stays.

    Parameters
    ----------
    experiment : Experiment
    horizontal, vertical : float
        Angles [rad] in the sense of the beam's divergence: first about the polarization vector
        (vertical), then about unit(beam x polarization) (horizontal), right-handed.
    """
    row = directions(experiment.frame)
    beam, polarization = unit(array(row.beam)), unit(array(row.polarization))
    across = unit(cross(beam, polarization))

    def turn(v: Array) -> Vector:
        """Return a vector after both turns."""
        return _three(rotate_about(rotate_about(v, polarization, vertical), across, horizontal))

    vectors = {name: getattr(row, name) for name in VECTOR_NAMES}
    vectors |= {"beam": turn(beam), "polarization": turn(polarization)}
    detector = experiment.detector
    if not detector.panels:
        # Of a named convention the beam places the detector: its corner keeps it where it is.
        detector = dataclasses.replace(detector, pix0=_three(_corner(experiment)))
    return experiment.replace(frame=LabFrame("CUSTOM", **vectors), detector=detector)


def _corner(experiment: Experiment) -> Array:
    """Return the outer corner of the first pixel [m]."""
    placed = place_detector(experiment.frame, experiment.detector, experiment.semantics)
    return placed.origin


def _three(v: Array) -> Vector:
    x, y, z = (float(number) for number in v)
    return (x, y, z)
