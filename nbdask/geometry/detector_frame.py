"""Axes and origin of the detector as it stands, from convention, placement and tilts."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

from nbdask.errors import FieldError
from nbdask.experiment.detector import Detector
from nbdask.experiment.frame import PIVOTS, LabFrame
from nbdask.experiment.panel import DetectorPanel
from nbdask.geometry.conventions import Centres, centres, directions
from nbdask.geometry.numbers import absolute, real
from nbdask.geometry.vectors import Array, array, cross, dot, length, rotate_about, rotate_xyz, unit


@dataclass(frozen=True, slots=True, eq=False)
class DetectorFrame:
    """The placed detector.  Unit vectors in the lab frame, lengths in metres.

    Attributes
    ----------
    fast, slow, normal : (3,) float64 arrays
        Unit vectors after all tilts.
    origin : (3,) float64 array
        Outer corner of the first pixel.
    beam, polarization, spindle : (3,) float64 arrays
        Unit vectors (of the beam: the direction in which photons travel).
    distance, close_distance : float
        Along the beam; along the normal.
    f_beam, s_beam, f_close, s_close : float
        Where the beam and the near point are on the placed detector.
    x_beam, y_beam : float
        Beam centre in the convention's own axes, as given or by default.
    pivot : str
        ``"beam"``, ``"sample"`` or ``"origin"`` (placed by ``pix0``).
    notes : tuple of str
    """

    fast: Array
    slow: Array
    normal: Array
    origin: Array
    beam: Array
    polarization: Array
    spindle: Array
    distance: float
    close_distance: float
    f_beam: float
    s_beam: float
    f_close: float
    s_close: float
    x_beam: float
    y_beam: float
    pivot: str
    notes: tuple[str, ...] = ()


def effective_pivot(frame: LabFrame, detector: Detector, semantics: str) -> str:
    """Return the pivot that counts: under C semantics a named convention overrides a given one."""
    own = PIVOTS[frame.convention]
    if detector.pivot is None or (semantics == "c" and frame.convention != "CUSTOM"):
        return own
    return detector.pivot


def place_detector(frame: LabFrame, detector: Detector, semantics: str = "spec") -> DetectorFrame:
    """Place the detector in the lab; of one with panels the first.

    Parameters
    ----------
    frame : LabFrame
    detector : Detector
    semantics : str
        ``"spec"`` or ``"c"``; decides whether an explicit pivot under a named convention counts.
    """
    if detector.panels:
        return place_panel(frame, detector.panels[0])
    row = directions(frame)
    beam, fast, slow = (unit(array(v)) for v in (row.beam, row.fast, row.slow))
    normal = array(row.normal)
    # An exact comparison on purpose: a given normal of exactly unit length is kept as it is,
    # any other is replaced by the true one.
    normal = unit(normal) if length(normal) == 1.0 else unit(cross(fast, slow))
    # The one vector that nanoBragg takes as it is given: see _axis_notes.
    axis = array(row.twotheta_axis)

    def tilt(v: Array) -> Array:
        return rotate_xyz(v, detector.rotx, detector.roty, detector.rotz)

    def swing(v: Array) -> Array:
        return rotate_about(tilt(v), axis, detector.twotheta)

    ratio = dot(beam, tilt(normal)) or sys.float_info.min
    close = detector.close_distance
    if close is None:
        close = absolute(ratio * detector.distance)
    distance = close / ratio
    centre = centres(frame.convention, detector)
    if not math.isfinite(real(distance)) or abs(distance) > 1e9:
        raise FieldError(
            "detector.close_distance" if detector.close_distance is not None else "frame.normal",
            f"a beam at {math.degrees(math.acos(min(1.0, abs(ratio)))):.6g} degrees to the normal",
            "such that the beam meets the detector plane",
        )
    pivot = effective_pivot(frame, detector, semantics)
    near = -centre.f_close * fast - centre.s_close * slow + close * normal
    fast, slow, normal = swing(fast), swing(slow), swing(normal)
    if detector.pix0 is not None:
        pivot, origin = "origin", array(detector.pix0)
    elif pivot == "sample":
        origin = swing(near)
    else:
        origin = -centre.f_beam * fast - centre.s_beam * slow + distance * beam
    vectors = (fast, slow, normal, origin, beam)
    notes = _pivot_notes(frame, detector, semantics) + _axis_notes(axis, detector)
    return _measured(vectors, ratio, centre, pivot, notes, frame)


def place_panel(frame: LabFrame, panel: DetectorPanel) -> DetectorFrame:
    """Place one panel of a detector that has some; its normal points away from the sample."""
    beam = unit(array(directions(frame).beam))
    fast, slow, origin = unit(array(panel.fast)), unit(array(panel.slow)), array(panel.origin)
    normal = unit(cross(fast, slow))
    if dot(origin, normal) < 0.0:
        normal = -normal
    ratio = dot(beam, normal) or sys.float_info.min
    # Conventions and their beam centres do not count.
    nothing = Centres(*(0.0,) * 6)
    found = _measured((fast, slow, normal, origin, beam), ratio, nothing, "origin", (), frame)
    f_beam, s_beam = _along(fast, slow, found.f_beam, found.s_beam)
    f_close, s_close = _along(fast, slow, found.f_close, found.s_close)
    return replace(found, f_beam=f_beam, s_beam=s_beam, f_close=f_close, s_close=s_close)


def _along(fast: Array, slow: Array, on_fast: float, on_slow: float) -> tuple[float, float]:
    """Return the way along fast and along slow of a point whose products with them are given."""
    cosine = dot(fast, slow)
    sine = 1.0 - cosine * cosine
    return (on_fast - cosine * on_slow) / sine, (on_slow - cosine * on_fast) / sine


def _measured(
    vectors: tuple[Array, Array, Array, Array, Array],
    ratio: float,
    centre: Centres,
    pivot: str,
    notes: tuple[str, ...],
    frame: LabFrame,
) -> DetectorFrame:
    """Measure near point, beam spot and distances on the placed detector."""
    fast, slow, normal, origin, beam = vectors
    row = directions(frame)
    close = dot(origin, normal)
    spot = close / ratio * beam - origin
    return DetectorFrame(
        fast=fast,
        slow=slow,
        normal=normal,
        origin=origin,
        beam=beam,
        polarization=unit(array(row.polarization)),
        spindle=unit(array(row.spindle)),
        distance=close / ratio,
        close_distance=close,
        f_beam=dot(fast, spot),
        s_beam=dot(slow, spot),
        f_close=-dot(origin, fast),
        s_close=-dot(origin, slow),
        x_beam=centre.x_beam,
        y_beam=centre.y_beam,
        pivot=pivot,
        notes=notes,
    )


def _pivot_notes(frame: LabFrame, detector: Detector, semantics: str) -> tuple[str, ...]:
    own = PIVOTS[frame.convention]
    if semantics == "c" and frame.convention != "CUSTOM" and detector.pivot not in (None, own):
        return (
            f"-pivot {detector.pivot} has no effect: with C semantics the {frame.convention}"
            f" convention sets the pivot to {own}; --semantics spec honours it",
        )
    return ()


def _axis_notes(axis: Array, detector: Detector) -> tuple[str, ...]:
    """Warn of a 2theta axis whose length is not 1: the swing is then no rotation, as in C."""
    size = length(axis)
    if detector.twotheta == 0.0 or abs(size - 1.0) < 1e-6:
        return ()
    return (
        f"-twotheta_axis has length {size:g}: nanoBragg does not normalise it, so the detector is"
        " distorted instead of turned; give an axis of length 1",
    )
