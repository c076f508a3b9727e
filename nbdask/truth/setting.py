"""The crystal, the beam and the spindle of a shot as reflections see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nbdask.experiment import Experiment
from nbdask.geometry.build import turning
from nbdask.geometry.common_frame import lab_to_common
from nbdask.geometry.crystal_frame import CrystalFrame, orient_crystal
from nbdask.geometry.detector_frame import DetectorFrame, place_detector
from nbdask.geometry.rotation import settle_scan
from nbdask.geometry.source_grid import SourceTable, build_sources
from nbdask.geometry.vectors import Array, rotate_about


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Vectors are in the lab frame; lengths in metres, angles in radians.

    Attributes
    ----------
    experiment : Experiment
        Of one crystal.
    crystal : CrystalFrame
        At spindle angle 0.
    detector : DetectorFrame
    sources : SourceTable
    phi : (n_phi,) float64 array
        Spindle angles of the rotation steps.
    osc : float
        Rotation range; 0 for a still.
    beam : (3,) float64 array
        Mean direction of the photons, a unit vector.
    per_wavelength : float
        Mean 1 / wavelength: that of the mean photon energy [1/m].
    """

    experiment: Experiment
    crystal: CrystalFrame
    detector: DetectorFrame
    sources: SourceTable
    phi: Array
    osc: float
    beam: Array
    per_wavelength: float

    @classmethod
    def of(cls, experiment: Experiment) -> Setting:
        """Return that of an experiment of one crystal; files that it names are not read."""
        beam = experiment.beam
        detector = place_detector(experiment.frame, experiment.detector, experiment.semantics)
        sources = build_sources(
            experiment.sources, beam.wavelength, detector.beam, detector.polarization
        )
        phi = turning(experiment, count=1).used
        weight = sources.weight / sources.weight.sum()
        mean = weight @ sources.incident
        return cls(
            experiment=experiment,
            crystal=orient_crystal(experiment.crystal, beam),
            detector=detector,
            sources=sources,
            phi=phi,
            osc=settle_scan(experiment.scan)[1] if len(phi) > 1 else 0.0,
            beam=mean / np.linalg.norm(mean),
            per_wavelength=float(weight @ (1.0 / sources.wavelength)),
        )

    @property
    def turn(self) -> Array:
        """The matrix that turns lab vectors into those of the common frame."""
        return lab_to_common(self.detector)

    @property
    def star(self) -> Array:
        """Columns a*, b*, c* at spindle angle 0 [1/m]."""
        return np.asarray(np.linalg.inv(self.crystal.axes))

    def axes_at(self, phi: float) -> Array:
        """Return rows a, b, c at a spindle angle [m]."""
        return rotate_about(self.crystal.axes, self.detector.spindle, phi)
