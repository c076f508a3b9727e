"""A small detector whose pixels are a region of a large one.

nanoBragg C counts pixels in an int and allocates the whole image, so that a region of a large
detector can only be asked for as a separate detector.  Its first pixel is the region's first:
beam centre or near point are moved by whole pixels along the detector's own axes, which tilts and
swings carry along.  Everything else stays as in the experiment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nbdask.experiment import Detector, Experiment, LabFrame
from nbdask.experiment.checks import Vector
from nbdask.experiment.frame import PIVOTS, VECTOR_NAMES
from nbdask.geometry.conventions import Centres, centres, directions
from nbdask.geometry.detector_frame import effective_pivot, place_detector
from nbdask.geometry.vectors import Array, array, cross, dot, unit
from nbdask.plan.tiles import Tile

#: Placement fields that a window replaces.
_FREE: dict[str, Any] = dict.fromkeys(("beam_x", "beam_y", "close_x", "close_y", "org_x", "org_y"))


#: Relative difference of pitches, and cosine of axes, that C does not see.
_EQUAL = 1e-9


def of_panel(experiment: Experiment, number: int) -> tuple[Experiment, str | None]:
    """Return the experiment with one of its panels alone, for C where that is possible.

    Returns
    -------
    experiment : Experiment
        Its detector is placed by ``pix0``, or has the panel.
    reason : str or None
        Why C cannot compute it; None: it can.
    """
    detector = experiment.detector
    if not detector.panels:
        return experiment, None
    panel = detector.panels[number]
    fast, slow = (unit(array(v)) for v in (panel.fast, panel.slow))
    alone = experiment.replace(detector=replace(detector, panels=(panel,)))
    if abs(panel.pitch_fast / panel.pitch_slow - 1.0) > _EQUAL:
        return alone, "two pitches"
    if abs(dot(fast, slow)) > _EQUAL:
        return alone, "axes that are not at right angles"
    if dot(cross(fast, slow), array(panel.origin)) < 0.0:
        return alone, "fast x slow points to the sample"
    sensor = panel.thickness > 0.0
    held = Detector(
        pixel_size=panel.pitch_fast,
        pixels_fast=panel.n_fast,
        pixels_slow=panel.n_slow,
        pix0=panel.origin,
        point_pixel=detector.point_pixel,
        thickness=panel.thickness,
        attenuation=(panel.attenuation or 1.0 / panel.thickness) if sensor else None,
        thick_steps=detector.thick_steps,
    )
    frame = replace(
        _as_custom(experiment.frame),
        fast=panel.fast,
        slow=panel.slow,
        # Not of unit length: the true normal is taken.
        normal=_triple(2.0 * cross(fast, slow)),
    )
    return experiment.replace(detector=held, frame=frame), None


def for_c(experiment: Experiment) -> tuple[Experiment, tuple[str, ...]]:
    """Return an equal experiment that nanoBragg's flags can say, and what was changed.

    Two placements have no flags: ``detector.pix0``, and (under semantics ``spec``) a pivot that
    is not the named convention's own.  Both are turned into the CUSTOM convention.

    Returns
    -------
    experiment : Experiment
    notes : tuple of str
    """
    frame, detector = experiment.frame, experiment.detector
    if detector.pix0 is not None:
        placed = _by_origin(experiment)
        note = "detector.pix0: given to C as beam centre and distance of a CUSTOM detector"
        return placed, (note,)
    own = PIVOTS[frame.convention]
    pivot = effective_pivot(frame, detector, experiment.semantics)
    if frame.convention == "CUSTOM" or pivot == own:
        return experiment, ()
    centre = centres(frame.convention, detector)
    beam = _placed(centre, pivot)
    custom = replace(
        detector,
        **(_FREE | {"beam_x": beam[0], "beam_y": beam[1]}),
        pivot=pivot,
    )
    note = f"pivot {pivot} under {frame.convention}: given to C as a CUSTOM detector"
    return experiment.replace(frame=_as_custom(frame), detector=custom), (note,)


def shifted(experiment: Experiment, region: Tile) -> Experiment:
    """Return the experiment whose detector is one region of another's.

    Pixel (0, 0) of the result is pixel (region.slow0, region.fast0); a region of interest is
    shifted and clipped.  The mask stays that of the whole detector: whoever runs the result cuts
    it (see :mod:`nbdask.parity.inputs`).

    Parameters
    ----------
    experiment : Experiment
        Without ``detector.pix0``, and with a pivot of its convention's own (see :func:`for_c`).
    region : Tile
        Pixels of the detector, inside its region of interest at least in part.
    """
    detector, convention = experiment.detector, experiment.frame.convention
    pixel = detector.pixel_size
    pivot = effective_pivot(experiment.frame, detector, experiment.semantics)
    fast, slow = _placed(centres(convention, detector), pivot)
    # One rounding only: the shift is a product, the difference is exact or rounded once.
    fast, slow = fast - region.fast0 * pixel, slow - region.slow0 * pixel
    n_slow, n_fast = region.shape
    values = _FREE | _as_given(convention, pivot, pixel, fast, slow, n_slow)
    small = replace(
        detector,
        **values,
        pixels_fast=n_fast,
        pixels_slow=n_slow,
        size_fast=Detector().size_fast,
        size_slow=Detector().size_slow,
    )
    sampling = replace(experiment.sampling, roi=_roi(experiment, region), mask_sha256=None)
    return experiment.replace(detector=small, sampling=sampling)


def _triple(values: Array) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def _placed(centre: Centres, pivot: str) -> tuple[float, float]:
    """Return the point that places the detector, along (fast, slow) from its corner [m]."""
    if pivot == "sample":
        return centre.f_close, centre.s_close
    return centre.f_beam, centre.s_beam


def _as_given(
    convention: str, pivot: str, pixel: float, fast: float, slow: float, n_slow: int
) -> dict[str, float | None]:
    """Return the fields that put a point at (fast, slow), the inverse of ``centres``."""
    if convention == "CUSTOM":
        return {"beam_x": fast, "beam_y": slow}
    if pivot == "sample":
        return {"org_x": fast / pixel + 0.5, "org_y": slow / pixel + 0.5}
    if convention == "ADXV":
        return {"beam_x": fast, "beam_y": pixel * n_slow - slow}
    if convention == "MOSFLM":
        return {"beam_x": slow - 0.5 * pixel, "beam_y": fast - 0.5 * pixel}
    if convention == "DENZO":
        return {"beam_x": slow, "beam_y": fast}
    return {"beam_x": fast, "beam_y": slow}


def _as_custom(frame: LabFrame) -> LabFrame:
    """Return the CUSTOM frame with a convention's vectors."""
    row = directions(frame)
    return LabFrame("CUSTOM", **{name: getattr(row, name) for name in VECTOR_NAMES})


def _by_origin(experiment: Experiment) -> Experiment:
    """Turn a given corner into near point and distance: origin = -F fast - S slow + D normal."""
    given = experiment.detector
    placed = place_detector(experiment.frame, given, experiment.semantics)
    columns = np.stack([-placed.fast, -placed.slow, placed.normal], axis=1)
    fast, slow, close = (float(x) for x in np.linalg.solve(columns, placed.origin))
    detector = replace(
        given,
        **(_FREE | {"beam_x": fast, "beam_y": slow}),
        pix0=None,
        close_distance=close,
        pivot="sample",
    )
    return experiment.replace(frame=_as_custom(experiment.frame), detector=detector)


def _roi(experiment: Experiment, region: Tile) -> tuple[int, int, int, int] | None:
    """Return the region of interest in the window's own pixels; None: everything."""
    roi = experiment.sampling.roi
    if roi is None:
        return None
    inside = region.intersect(Tile.within(roi))
    assert inside is not None, "the region holds nothing of the region of interest"
    if inside == region:
        return None
    return (
        inside.slow0 - region.slow0,
        inside.slow1 - 1 - region.slow0,
        inside.fast0 - region.fast0,
        inside.fast1 - 1 - region.fast0,
    )
