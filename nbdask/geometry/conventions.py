"""The six detector conventions as one table; past it only axes and origins exist."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nbdask.experiment.checks import Vector
from nbdask.experiment.detector import Detector
from nbdask.experiment.frame import VECTOR_NAMES, LabFrame


@dataclass(frozen=True, slots=True)
class Convention:
    """Lab directions of one convention."""

    beam: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    twotheta_axis: Vector
    polarization: Vector
    spindle: Vector


_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_MINUS_X, _MINUS_Y, _MINUS_Z = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)

CONVENTIONS: dict[str, Convention] = {
    "ADXV": Convention(_Z, _X, _MINUS_Y, _Z, _MINUS_X, _X, _X),
    "MOSFLM": Convention(_X, _Z, _MINUS_Y, _X, _MINUS_Z, _Z, _Z),
    "DENZO": Convention(_X, _Z, _MINUS_Y, _X, _MINUS_Z, _Z, _Z),
    "XDS": Convention(_Z, _X, _Y, _Z, _X, _X, _X),
    "DIALS": Convention(_Z, _X, _Y, _Z, _Y, _Y, _Y),
    # What a custom frame starts from.
    "CUSTOM": Convention(_X, _Z, _MINUS_Y, _X, _Y, _Z, _Z),
}


def directions(frame: LabFrame) -> Convention:
    """Return the convention's table row with the vectors that a custom frame gives."""
    row = CONVENTIONS[frame.convention]
    given = {name: getattr(frame, name) for name in VECTOR_NAMES}
    return replace(row, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Centres:
    """Beam and near-point coordinates on the detector, from its outer corner [m].

    Parameters
    ----------
    x_beam, y_beam : float
        Direct beam in the convention's own axes.
    f_beam, s_beam : float
        Direct beam along fast and slow.
    f_close, s_close : float
        Near point along fast and slow.
    """

    x_beam: float
    y_beam: float
    f_beam: float
    s_beam: float
    f_close: float
    s_close: float


def centres(convention: str, detector: Detector) -> Centres:
    """Map the given beam centre or near point to fast and slow.

    Parameters
    ----------
    convention : str
        Name in :data:`CONVENTIONS`.
    detector : Detector
    """
    p = detector.pixel_size
    size_f, size_s = detector.extent_fast, detector.extent_slow
    f_close = (detector.org_x - 0.5) * p if detector.org_x is not None else size_f / 2.0
    s_close = (detector.org_y - 0.5) * p if detector.org_y is not None else size_s / 2.0
    if convention == "ADXV":
        default = ((size_f + p) / 2.0, (size_s - p) / 2.0)
    elif convention in ("MOSFLM", "DENZO"):
        default = ((size_s + p) / 2.0, (size_f + p) / 2.0)
    else:
        default = (
            detector.close_x if detector.close_x is not None else f_close,
            detector.close_y if detector.close_y is not None else s_close,
        )
    x = detector.beam_x if detector.beam_x is not None else default[0]
    y = detector.beam_y if detector.beam_y is not None else default[1]
    if convention == "ADXV":
        return Centres(x, y, x, size_s - y, f_close, s_close)
    if convention == "MOSFLM":
        return Centres(x, y, y + 0.5 * p, x + 0.5 * p, f_close, s_close)
    if convention == "DENZO":
        return Centres(x, y, y, x, f_close, s_close)
    if convention == "CUSTOM":
        return Centres(x, y, x, y, x, y)
    return Centres(x, y, x, y, f_close, s_close)
