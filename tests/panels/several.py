"""A small detector of three panels that no flags describe, for tests of many modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nbdask.experiment import Crystal, Detector, DetectorPanel, Experiment, LabFrame
from tests.helpers import small_experiment

#: A square one; one with two pitches, tilted; one with axes at 87 degrees whose product points to
#: the sample, larger than the others.
PANELS = (
    DetectorPanel(
        "left", 12, 10, 4e-4, 4e-4, (0.1, 0.006, -0.006), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)
    ),
    DetectorPanel(
        "tilted", 9, 11, 4e-4, 5e-4, (0.09, 0.002, 0.001), (0.1, 0.05, 1.0), (0.2, -1.0, 0.05),
        bad=((2, 4, 0, 11),),
    ),
    DetectorPanel(
        "skew 2", 14, 8, 3e-4, 6e-4, (0.08, -0.004, -0.002), (0.05, 0.0, 1.0), (0.0, 1.0, 0.06),
        bad_areas=((-0.0035, -0.0025, -0.001, 0.0005),),
    ),
)  # fmt: skip


def panels(**changes: Any) -> tuple[DetectorPanel, ...]:
    """The three, each with the same changes."""
    return tuple(replace(panel, **changes) for panel in PANELS)


def several(held: tuple[DetectorPanel, ...] = PANELS, **parts: Any) -> Experiment:
    """An experiment on these panels."""
    values: dict[str, Any] = {
        "detector": Detector(panels=held),
        "frame": LabFrame("CUSTOM"),
        "crystal": Crystal(cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), n_cells=(5, 5, 5)),
    }
    return small_experiment(**(values | parts))


def alone(experiment: Experiment, panel: int) -> Experiment:
    """The same with one of its panels only."""
    detector = experiment.detector
    return experiment.replace(detector=replace(detector, panels=(detector.panels[panel],)))
