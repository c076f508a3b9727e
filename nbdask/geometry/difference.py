"""Whether the choice of semantics changes the image of an experiment, and by what."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nbdask.background.layer import Layer
from nbdask.experiment import Experiment
from nbdask.geometry.detector_frame import place_detector
from nbdask.geometry.rotation import carried_angles, phi_angles

_EACH = ("oversample_thick", "oversample_polar", "oversample_omega")


def semantics_note(
    experiment: Experiment, layers: tuple[Layer, ...] = (), steps: int = 2
) -> str | None:
    """Say where the image would be another one with the other semantics.

    Parameters
    ----------
    experiment : Experiment
    layers : tuple of Layer
        Its amorphous materials, their tables read.
    steps : int
        Terms of a pixel's sum.

    Returns
    -------
    str or None
        None where both give the same image.  Interpolation at the edge of the list is not among the
        reasons: only the run shows it (S-SEM-04, S-SEM-05).
    """
    reasons = list(_reasons(experiment, layers, steps))
    if not reasons:
        return None
    by_c = ", and ".join(c for c, _ in reasons)
    if experiment.semantics == "spec":
        return (
            f"semantics spec: nanoBragg C computes another image, since it {by_c}; --semantics"
            " c computes that one"
        )
    meant = ", and ".join(spec for _, spec in reasons)
    return f"semantics c: as in nanoBragg C, this image {by_c}; --semantics spec {meant}"


def _reasons(
    experiment: Experiment, layers: tuple[Layer, ...], steps: int
) -> Iterator[tuple[str, str]]:
    """Yield what C does and what is meant, for each point of the page on semantics."""
    phi, sampling = phi_angles(experiment.scan), experiment.sampling
    if not np.array_equal(carried_angles(phi), phi):
        yield (
            "keeps the rotation of the previous step at phi 0",
            "rotates phi 0 like any other step",
        )
    flags = [name for name in _EACH if getattr(sampling, name)]
    if flags and steps > 1:
        names = ", ".join("-" + name for name in flags)
        yield f"multiplies the running sum by the factor of {names}", "multiplies each term alone"
    # Under C semantics the placing of the detector tells it.
    if experiment.semantics == "spec":
        places = [place_detector(experiment.frame, experiment.detector, s) for s in ("spec", "c")]
        if not np.array_equal(places[0].origin, places[1].origin):
            yield "overrides the -pivot given", ""
    if any(layer.curve.amplitude.min() < 0.0 for layer in layers):
        yield "takes negative amplitudes of a background as they are", "takes them as 0"
