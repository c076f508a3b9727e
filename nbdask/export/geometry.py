"""Geometry of the exported rectangle: the placed detector, cut to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nbdask.export.picture import Picture
from nbdask.geometry.detector_frame import DetectorFrame, place_detector, place_panel
from nbdask.geometry.rotation import settle_scan
from nbdask.geometry.vectors import Array


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Detector and scan of a picture; lengths in metres, angles in radians.

    Attributes
    ----------
    frame : DetectorFrame
        Axes and distances of the whole detector.
    rows, columns : int
        Pixels of the picture.
    pixel, pixel_slow : float
        Distance of pixels along fast and along slow.
    extent_slow : float
        Edge length along slow.
    origin : (3,) float64 array
        Outer corner of the picture's first pixel, lab frame.
    f_beam, s_beam, f_close, s_close : float
        Direct beam and near point along fast and slow, from that corner, as nanoBragg's headers
        give them: under a 2theta swing this is not where the beam meets the detector.
    f_spot, s_spot, distance : float
        Where the beam meets the detector's plane, and how far from the sample.
    x_beam, y_beam : float
        Direct beam in the convention's own axes, as given or by default.
    phi0, osc, phi_step : float
        Start, range and step of the rotation.
    """

    frame: DetectorFrame
    rows: int
    columns: int
    pixel: float
    pixel_slow: float
    extent_slow: float
    origin: Array
    f_beam: float
    s_beam: float
    f_close: float
    s_close: float
    f_spot: float
    s_spot: float
    distance: float
    x_beam: float
    y_beam: float
    phi0: float
    osc: float
    phi_step: float


def geometry_of(picture: Picture) -> Geometry:
    """Return the geometry of a picture: of one panel where there are several."""
    experiment = picture.experiment
    detector, (rows, columns) = experiment.detector, picture.shape
    p = p_slow = detector.pixel_size
    if detector.panels:
        panel = detector.panels[picture.panel or 0]
        frame = place_panel(experiment.frame, panel)
        p, p_slow = panel.pitch_fast, panel.pitch_slow
    else:
        frame = place_detector(experiment.frame, detector, experiment.semantics)
    whole = (rows, columns) == experiment.shape and not detector.panels
    ds, df = picture.corner[0] * p_slow, picture.corner[1] * p
    # Not a whole number of pixels where the size was given in mm.
    extent = detector.extent_slow if whole else rows * p_slow
    x_shift, y_shift = _shifts(experiment.frame.convention, ds, df, detector.extent_slow - extent)
    origin = frame.origin + df * frame.fast + ds * frame.slow
    f_spot, s_spot, distance = _spot(frame, origin)
    _, osc, step = settle_scan(experiment.scan)
    return Geometry(
        frame=frame,
        rows=rows,
        columns=columns,
        pixel=p,
        pixel_slow=p_slow,
        extent_slow=extent,
        origin=origin,
        f_beam=frame.f_beam - df,
        s_beam=frame.s_beam - ds,
        f_close=frame.f_close - df,
        s_close=frame.s_close - ds,
        f_spot=f_spot,
        s_spot=s_spot,
        distance=distance,
        x_beam=frame.x_beam - x_shift,
        y_beam=frame.y_beam - y_shift,
        phi0=experiment.scan.phi0,
        osc=osc,
        phi_step=step,
    )


def _spot(frame: DetectorFrame, origin: Array) -> tuple[float, float, float]:
    """Return where the beam meets the plane, along fast and slow, and its length to there [m]."""
    # origin + f fast + s slow = d beam
    axes = np.stack([frame.fast, frame.slow, -frame.beam], axis=1)
    if abs(float(np.linalg.det(axes))) < 1e-9:  # the beam runs along the plane
        return frame.f_beam, frame.s_beam, frame.distance
    f, s, d = np.linalg.solve(axes, -origin)
    return float(f), float(s), float(d)


def _shifts(convention: str, ds: float, df: float, less: float) -> tuple[float, float]:
    """Return how far the beam centre moves in the convention's own axes.

    Parameters
    ----------
    convention : str
    ds, df : float
        Place of the picture's first corner along slow and fast [m].
    less : float
        By so much the picture is shorter along slow than the detector [m].
    """
    if convention in ("MOSFLM", "DENZO"):
        return ds, df
    if convention == "ADXV":
        # Counted from the far edge of the slow axis.
        return df, less - ds
    return df, ds
