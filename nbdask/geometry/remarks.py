"""What users are told of an experiment: what was chosen for them, and what has no effect."""

from __future__ import annotations

from nbdask.experiment import Detector, Experiment
from nbdask.geometry.detector_frame import DetectorFrame
from nbdask.geometry.domains import is_mosaic
from nbdask.geometry.sensor import Sensor


def _has_no_attenuation(detector: Detector) -> bool:
    if detector.panels:
        return any(panel.attenuation == 0.0 for panel in detector.panels)
    return detector.attenuation is None


def remarks(
    experiment: Experiment, sensor: Sensor, detector: DetectorFrame, domains: int
) -> tuple[str, ...]:
    """Say what was chosen for the user, and what has no effect.

    Parameters
    ----------
    experiment : Experiment
    sensor : Sensor
    detector : DetectorFrame
    domains : int
        Mosaic domains that are simulated.
    """
    notes = []
    crystal, sampling = experiment.crystal, experiment.sampling
    if sensor.thickness > 0.0 and _has_no_attenuation(experiment.detector):
        notes.append(
            "no sensor attenuation given: depth set to the thickness,"
            f" {sensor.thickness * 1e6:g} um"
        )
    mosaic = crystal.mosaic
    if mosaic.tolerance is not None and domains > 1:
        notes.append(
            f"{domains} mosaic domains, for an error of the image of {mosaic.tolerance:g} by an"
            " estimate"
        )
    elif is_mosaic(crystal) and crystal.mosaic_domains is None:
        notes.append("mosaic spread without a number of domains: 10 are used (-mosaic_domains)")
    if crystal.mosaic_domains is not None and not is_mosaic(crystal):
        notes.append("mosaic domains without a spread: 1 is used (-mosaic gives the spread)")
    if sampling.oversample_thick and sensor.thickness == 0.0:
        notes.append(
            "-oversample_thick without a sensor thickness: nanoBragg C gives an image of zeros,"
            " and so do C semantics; --semantics spec uses a capture fraction of 1"
        )
    if sampling.oversample_polar and not experiment.beam.polarized:
        notes.append("-oversample_polar applies the polarization factor although -nopolar is given")
    if sampling.interpolate and not experiment.structure.has_list:
        notes.append("-interpolate has no effect without a list of structure factors")
    longest = max((p.wavelength or 0.0 for p in experiment.sources.points), default=0.0)
    if longest > 1e-7:
        notes.append(
            f"a source has a wavelength of {longest:g} m: the fifth column of a source list is in"
            " metres, not Angstrom"
        )
    if sensor.thickness > 0.0 and sensor.mu == 0.0:
        notes.append("a sensor that does not absorb captures nothing: every pixel is 0")
    if detector.close_distance < 0.0 and not experiment.detector.point_pixel:
        notes.append(
            "the detector's normal points to the sample (the distance along it is"
            f" {detector.close_distance * 1e3:g} mm): solid angles and pixels are negative, as in"
            " nanoBragg C; reverse -odet_vector or one detector axis"
        )
    return tuple(notes)
