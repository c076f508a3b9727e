"""The sensor: layers, thickness, absorption."""

from __future__ import annotations

from typing import NamedTuple

from nbdask.experiment import Detector
from nbdask.geometry.numbers import real
from nbdask.geometry.panel_frames import settle_layers


class Sensor(NamedTuple):
    """Fields of the model, by name."""

    layers: int
    layer_step: float
    thickness: float
    mu: float


def settle_thickness(detector: Detector) -> tuple[int, float, float]:
    """Return (layers, thickness, distance between layers [m]) of the sensor."""
    thickness = detector.panels[0].thickness if detector.panels else detector.thickness
    return settle_layers(thickness, detector.thick_steps)


def place_sensor(detector: Detector) -> Sensor:
    """Return layers, thickness and absorption of the sensor."""
    layers, thickness, step = settle_thickness(detector)
    mu = detector.attenuation
    if mu is None:
        mu = 1.0 / thickness if real(thickness) > 0.0 else 0.0
    return Sensor(layers, step, thickness, mu)
