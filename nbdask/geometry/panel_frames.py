"""The panels of a detector as kernels see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError
from nbdask.experiment import Detector, DetectorPanel, LabFrame
from nbdask.geometry.detector_frame import DetectorFrame, place_panel
from nbdask.geometry.model import Array, PanelFrame, PixelMask
from nbdask.geometry.numbers import real
from nbdask.geometry.vectors import array, cross, length, unit


@dataclass(frozen=True, slots=True, eq=False)
class BadPixels:
    """The pixels of a panel that are not evaluated.

    Attributes
    ----------
    panel : DetectorPanel
    other : PixelMask or None
        A mask that counts as well.
    """

    panel: DetectorPanel
    other: PixelMask | None = None

    def read(self, slow0: int, slow1: int, fast0: int, fast1: int) -> NDArray[np.bool_]:
        """Return a rectangle, half-open: (n_slow, n_fast) bool, True where one is evaluated."""
        good = np.ones((slow1 - slow0, fast1 - fast0), dtype=np.bool_)
        if self.other is not None:
            good &= self.other.read(slow0, slow1, fast0, fast1)
        for f0, f1, s0, s1 in self.panel.bad:
            rows = slice(max(s0 - slow0, 0), max(s1 - slow0, 0))
            good[rows, max(f0 - fast0, 0) : max(f1 - fast0, 0)] = False
        for y0, y1, z0, z1 in self.panel.bad_areas:
            y, z = (self._centres(axis, slow0, slow1, fast0, fast1) for axis in (1, 2))
            good &= ~((y >= y0) & (y <= y1) & (z >= z0) & (z <= z1))
        return good

    def _centres(self, axis: int, slow0: int, slow1: int, fast0: int, fast1: int) -> Array:
        """Return one lab coordinate of pixel centres [m]."""
        panel = self.panel
        fast = (np.arange(fast0, fast1) + 0.5) * panel.pitch_fast * unit(array(panel.fast))[axis]
        slow = (np.arange(slow0, slow1) + 0.5) * panel.pitch_slow * unit(array(panel.slow))[axis]
        centres: Array = panel.origin[axis] + slow[:, None] + fast[None, :]
        return centres


def settle_layers(thickness: float, count: int | None) -> tuple[int, float, float]:
    """Return (layers, thickness, distance between layers [m]) of a sensor."""
    if real(thickness) <= 0.0:
        return (1, 0.0, 0.0)
    if count is None:
        return (2, thickness, thickness / 2)
    count = max(count, 2)
    return (count, thickness, thickness / (count - 1))


def panel_frames(
    frame: LabFrame, detector: Detector, mask: PixelMask | None = None
) -> tuple[PanelFrame, ...]:
    """Return the panels of a detector that has some.

    Parameters
    ----------
    frame : LabFrame
    detector : Detector
    mask : PixelMask or None
        Of a detector with one panel.
    """
    return tuple(
        _frame(panel, place_panel(frame, panel), detector.thick_steps, mask)
        for panel in detector.panels
    )


def _frame(
    panel: DetectorPanel, placed: DetectorFrame, layers: int | None, mask: PixelMask | None
) -> PanelFrame:
    bad = panel.bad or panel.bad_areas
    return PanelFrame(
        name=panel.name,
        n_slow=panel.n_slow,
        n_fast=panel.n_fast,
        fast=placed.fast,
        slow=placed.slow,
        normal=placed.normal,
        origin=placed.origin,
        pitch_fast=panel.pitch_fast,
        pitch_slow=panel.pitch_slow,
        area=pixel_area(panel, placed),
        distance=placed.distance,
        close_distance=placed.close_distance,
        layer_step=settle_layers(panel.thickness, layers)[2],
        mu=panel.attenuation or (1.0 / panel.thickness if panel.thickness > 0.0 else 0.0),
        thickness=panel.thickness,
        mask=BadPixels(panel, mask) if bad else mask,
    )


#: Cosine of axes that is no more than rounding: 1 is the last digit that the area then loses.
_RIGHT_ANGLE = 1e-9


def pixel_area(panel: DetectorPanel, placed: DetectorFrame) -> float:
    """Return p_f p_s |f x s| [m^2]; p_f p_s where the axes are at right angles to 1e-9."""
    product = panel.pitch_fast * panel.pitch_slow
    if abs(float(placed.fast @ placed.slow)) <= _RIGHT_ANGLE:
        return product
    return product * length(cross(placed.fast, placed.slow))


def nearest(frame: PanelFrame) -> float:
    """Return about how near a panel comes to the sample [m]: corners, centre, near point."""
    ends = [
        (s * frame.n_slow * frame.pitch_slow, f * frame.n_fast * frame.pitch_fast)
        for s, f in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))
    ]
    found = [length(frame.origin + s * frame.slow + f * frame.fast) for s, f in ends]
    foot = frame.close_distance * frame.normal - frame.origin
    (fast, slow), *_ = np.linalg.lstsq(np.array([frame.fast, frame.slow]).T, foot, rcond=None)
    inside = 0.0 <= fast <= ends[3][1] and 0.0 <= slow <= ends[3][0]
    return min([*found, abs(frame.close_distance)] if inside else found)


def panel_number(detector: Detector, wanted: str | int | None) -> int:
    """Return the index of a panel, which is given by its name or by its index.

    Parameters
    ----------
    detector : Detector
    wanted : str, int or None
        None: the only one.  A text that is no name may be an index.

    Raises
    ------
    FieldError
        There is no such panel, or there are several and none is named.
    """
    names = [panel.name for panel in detector.panels] or ["0"]
    if wanted is None and len(names) == 1:
        return 0
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    text = str(wanted)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    allowed = f"0 to {len(names) - 1} or one of the names {shown}"
    raise FieldError("panel", "nothing" if wanted is None else wanted, allowed)
