"""Reads XDS.INP, XPARM.XDS and GXPARM.XDS.

XDS counts pixels from 1 and the first one's centre is at 1.0, so its outer corner is at 0.5.  The
laboratory frame is the user's own: it is kept where the beam is nearest to +z, and otherwise turned
by quarter turns until it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nbdask.errors import InputError
from nbdask.inputs.text import shown, to_number
from nbdask.panels.given import Given
from nbdask.panels.model import (
    CrystalSetting,
    DataPlace,
    Instrument,
    Panel,
    PanelBeam,
    Rectangle,
    Spindle,
    Sweep,
)
from nbdask.panels.vectors import TINY, Matrix, Vector, least_turn, turned, unit, vector

HALF_PIXEL = "XDS: pixel (1, 1) has its centre at 1.0, so its outer corner is at 0.5"
#: How far from 90 degrees the axes of the detector may be (cosine); XDS wants 0.
_SQUARE = 1e-3
_KEY = re.compile(r"(?<![^\s])([A-Za-z][A-Za-z0-9_'/.()-]*)\s*=")
#: Keys that may stand several times, each with a meaning of its own.
_SEVERAL = ("UNTRUSTED_RECTANGLE", "UNTRUSTED_ELLIPSE", "UNTRUSTED_QUADRILATERAL")
_SEGMENT = {
    "SEGMENT": (4, "limits"),
    "DIRECTION_OF_SEGMENT_X-AXIS": (3, "x_axis"),
    "DIRECTION_OF_SEGMENT_Y-AXIS": (3, "y_axis"),
    "SEGMENT_ORGX": (1, "orgx"),
    "SEGMENT_ORGY": (1, "orgy"),
    "SEGMENT_DISTANCE": (1, "distance"),
}


@dataclass(slots=True)
class _Segment:
    """A rectangle of the data, placed in the detector's frame; x1 x2 y1 y2 count from 1."""

    limits: Sequence[float]
    x_axis: Sequence[float] = (1.0, 0.0, 0.0)
    y_axis: Sequence[float] = (0.0, 1.0, 0.0)
    orgx: float = 0.0
    orgy: float = 0.0
    distance: float = 0.0


@dataclass(slots=True)
class _Setup:
    """What both formats say; lengths in mm, pixels as XDS counts them."""

    size: Sequence[float]
    pitch: Sequence[float]
    org: Sequence[float]
    distance: float
    x_axis: Sequence[float] = (1.0, 0.0, 0.0)
    y_axis: Sequence[float] = (0.0, 1.0, 0.0)
    beam: Sequence[float] = (0.0, 0.0, 1.0)
    segments: list[_Segment] = field(default_factory=list)


def is_xparm(text: str) -> bool:
    """Whether a text begins as XPARM.XDS does, of 2013 and later or older."""
    lines = text.splitlines()
    if lines[0].lstrip().startswith(("XPARM.XDS", "GXPARM.XDS")):
        return True
    rows = [line.split() for line in lines[:2]]
    return [len(row) for row in rows] == [6, 4] and all(
        to_number(word) is not None for row in rows for word in row
    )


def read_xparm(given: Given) -> Instrument:
    """Read XPARM.XDS or GXPARM.XDS, of 2013 and later or older.

    Parameters
    ----------
    given : Given

    Returns
    -------
    Instrument
    """
    given.refuse_clen()
    given.pick_shot(1, "series")
    lines = [line for line in given.lines("XPARM.XDS") if line.strip()]
    new = "XPARM.XDS" in lines[0].split()[0]
    rows = _Rows(given, lines, 1 if new else 0)
    scan = rows.take("frame, angle, width, axis", 6)
    wave = rows.take("wavelength, beam", 4)
    segments: list[_Segment] = []
    if new:
        cell = rows.take("space group, cell", 7)
        axes = [rows.take(f"axis {name}", 3) for name in "abc"]
        count, *size = rows.take("segments, NX, NY, QX, QY", 5)
        *org, distance = rows.take("ORGX, ORGY, DIST", 3)
        frame = [rows.take(f"detector axis {name}", 3) for name in "XYZ"]
        for number in range(1, rows.count(count) + 1):
            limits = rows.take(f"segment {number}: number, x1, x2, y1, y2", 5, 4)[-4:]
            orgx, orgy, shift, *eds = rows.take(f"segment {number}: ORGXS, ORGYS, FS, EDS", 9)
            segments.append(_Segment(limits, eds[:3], eds[3:], orgx, orgy, shift))
    else:
        size = rows.take("NX, NY, QX, QY", 4)
        distance, *org = rows.take("DIST, ORGX, ORGY", 3)
        frame = [rows.take(f"detector axis {name}", 3) for name in "XYZ"]
        cell = rows.take("space group, cell", 7)
        axes = [rows.take(f"axis {name}", 3) for name in "abc"]
    setup = _Setup(size[:2], size[2:], org, distance, frame[0], frame[1], wave[1:], segments)
    found, turn = _instrument(given, setup, wave[0])
    a, b, c = (turned(turn, [v * 1e-10 for v in axis]) for axis in axes)
    return replace(
        found,
        crystals=(CrystalSetting(a, b, c, space_group=f"{cell[0]:g}"),),
        spindle=_spindle(given, "rotation axis", scan[3:], turn),
        sweep=_sweep(scan[0], scan[0], scan[1], scan[2]),
    )


class _Rows:
    """Lines of numbers, taken one by one."""

    def __init__(self, given: Given, lines: list[str], start: int) -> None:
        self.given, self.lines, self.at = given, lines, start

    def take(self, what: str, count: int, least: int | None = None) -> list[float]:
        """Return the numbers of the next line; the first ones may be missing down to ``least``."""
        allowed = f"{count} numbers: {what}"
        if self.at >= len(self.lines):
            raise self.given.refuse(what, "missing, the file ends before", allowed)
        line = self.lines[self.at]
        self.at += 1
        numbers = [to_number(word) for word in line.split()]
        if not (least or count) <= len(numbers) <= count or None in numbers:
            raise self.given.refuse(f"line {self.at}", shown(line.strip()), allowed)
        return [number for number in numbers if number is not None]

    def count(self, value: float) -> int:
        """Return the number of segments, for which there must be lines."""
        left = len(self.lines) - self.at
        if value != int(value) or not 0 <= 2 * value <= left:
            found = f"{value:g} segments, {left} lines more"
            raise self.given.refuse("segments", found, "two lines for each segment")
        return int(value)


def read_xds_inp(given: Given) -> Instrument:
    """Read XDS.INP; of a key that stands several times the last one counts.

    Parameters
    ----------
    given : Given

    Returns
    -------
    Instrument
    """
    given.refuse_clen()
    given.pick_shot(1, "series")
    words = _Keys(given)
    x_axis, y_axis, beam = (
        words.numbers(key, 3, default)
        for key, default in (
            ("DIRECTION_OF_DETECTOR_X-AXIS", (1.0, 0.0, 0.0)),
            ("DIRECTION_OF_DETECTOR_Y-AXIS", (0.0, 1.0, 0.0)),
            ("INCIDENT_BEAM_DIRECTION", (0.0, 0.0, 1.0)),
        )
    )
    single = {
        key: words.numbers(key, 1)[0]
        for key in ("NX", "NY", "QX", "QY", "ORGX", "ORGY", "DETECTOR_DISTANCE")
    }
    setup = _Setup(
        (single["NX"], single["NY"]),
        (single["QX"], single["QY"]),
        (single["ORGX"], single["ORGY"]),
        single["DETECTOR_DISTANCE"],
        x_axis,
        y_axis,
        beam,
        words.segments,
    )
    wave = words.numbers("X-RAY_WAVELENGTH", 1)[0] if words.has("X-RAY_WAVELENGTH") else None
    found, turn = _instrument(given, setup, wave)
    panels = tuple(_sensor(panel, words) for panel in found.panels)
    spindle = sweep = None
    if words.has("ROTATION_AXIS"):
        axis = words.numbers("ROTATION_AXIS", 3)
        spindle = _spindle(given, "ROTATION_AXIS", axis, turn)
    if words.has("OSCILLATION_RANGE"):
        first, last = words.numbers("DATA_RANGE", 2, (1.0, 1.0))
        width = words.numbers("OSCILLATION_RANGE", 1)[0]
        frame = words.numbers("STARTING_FRAME", 1, (first,))[0]
        angle = words.numbers("STARTING_ANGLE", 1, (0.0,))[0] + (first - frame) * width
        sweep = _sweep(first, last, angle, width)
    return replace(
        found, panels=panels, beam=_polarized(found.beam, words, turn), spindle=spindle, sweep=sweep
    )


class _Keys:
    """The keys of XDS.INP; those of segments apart."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.words: dict[str, str] = {}
        self.several: dict[str, list[str]] = {key: [] for key in _SEVERAL}
        self.segments: list[_Segment] = []
        for line in given.lines("XDS.INP"):
            text = line.split("!", 1)[0]
            keys = list(_KEY.finditer(text))
            ends = [*(key.start() for key in keys), len(text)][1:]
            for key, end in zip(keys, ends, strict=True):
                self._enter(key[1].upper(), text[key.end() : end].strip())

    def _enter(self, key: str, value: str) -> None:
        if key in _SEGMENT:
            count, name = _SEGMENT[key]
            numbers = self._numbers(key, value, count)
            if key == "SEGMENT":
                self.segments.append(_Segment(numbers))
            elif not self.segments:
                raise self.given.refuse(key, "before any SEGMENT=", "after the SEGMENT= it is of")
            else:
                setattr(self.segments[-1], name, numbers[0] if count == 1 else numbers)
        elif key in self.several:
            self.several[key].append(value)
        else:
            self.words[key] = value

    def has(self, key: str) -> bool:
        """Whether a key stands in the file."""
        return key in self.words

    def numbers(
        self, key: str, count: int, default: Sequence[float] | None = None
    ) -> Sequence[float]:
        """Return the numbers of a key."""
        if key not in self.words:
            if default is not None:
                return default
            raise self.given.refuse(key, "missing", f"{count} number{'s' * (count > 1)}")
        return self._numbers(key, self.words[key], count)

    def _numbers(self, key: str, value: str, count: int) -> list[float]:
        # Fortran writes exponents with a D too.
        found = [to_number(re.sub(r"(?<=[\d.])[dD](?=[+-]?\d)", "e", w)) for w in value.split()]
        if len(found) != count or None in found:
            raise self.given.refuse(key, shown(value), f"{count} number{'s' * (count > 1)}")
        return [number for number in found if number is not None]

    def rectangles(self) -> list[Rectangle]:
        """Return UNTRUSTED_RECTANGLE from 0; the limits themselves are trusted."""
        found = []
        for value in self.several["UNTRUSTED_RECTANGLE"]:
            x1, x2, y1, y2 = (int(v) for v in self._numbers("UNTRUSTED_RECTANGLE", value, 4))
            found.append(Rectangle(x1, x2 - 1, y1, y2 - 1))
        return found


def _direction(given: Given, key: str, values: Sequence[float]) -> Vector:
    found = unit(values)
    if found is None:
        raise given.refuse(key, "0 0 0", "a vector that is not 0")
    return found


def _spindle(given: Given, key: str, values: Sequence[float], turn: Matrix) -> Spindle:
    return Spindle(turned(turn, _direction(given, key, values)))


def _sweep(first: float, last: float, start: float, width: float) -> Sweep:
    return Sweep(int(first), int(last), math.radians(start), math.radians(width))


def _instrument(given: Given, setup: _Setup, wave: float | None) -> tuple[Instrument, Matrix]:
    """Return panels and beam, and how the file's frame was turned."""
    wavelength = given.settle_wavelength(
        None if wave is None else wave * 1e-10, "X-RAY_WAVELENGTH", needed=True
    )
    beam = _direction(given, "INCIDENT_BEAM_DIRECTION", setup.beam)
    nearest = np.zeros(3)
    nearest[np.argmax(np.abs(beam))] = math.copysign(1.0, beam[int(np.argmax(np.abs(beam)))])
    turn = np.round(least_turn(vector(nearest), (0.0, 0.0, 1.0)))
    if not np.array_equal(turn, np.eye(3)):
        given.notes.append("the file's frame was turned by quarter turns: the beam is along z")
    for key, value in zip(("NX", "NY"), setup.size, strict=True):
        if value != int(value) or value < 1:
            raise given.refuse(key, f"{value:g}", "a whole number greater than 0")
    for key, value in zip(("QX", "QY"), setup.pitch, strict=True):
        if value <= 0.0:
            raise given.refuse(key, f"{value:g}", "greater than 0 (mm)")
    axes = [
        np.array(_direction(given, f"DIRECTION_OF_DETECTOR_{n}-AXIS", values))
        for n, values in (("X", setup.x_axis), ("Y", setup.y_axis))
    ]
    if abs(float(axes[0] @ axes[1])) > _SQUARE:
        found = f"{math.degrees(math.acos(axes[0] @ axes[1])):.4g} degrees from the x axis"
        raise given.refuse("DIRECTION_OF_DETECTOR_Y-AXIS", found, "at right angles to it")
    normal = np.cross(axes[0], axes[1])
    frame = np.array([*axes, normal / np.linalg.norm(normal)]).T
    whole = _Segment((1.0, setup.size[0], 1.0, setup.size[1]))
    panels = tuple(
        _panel(given, setup, segment, index, turn @ frame)
        for index, segment in enumerate(setup.segments or [whole])
    )
    instrument = Instrument(
        format="XDS",
        half_pixel=HALF_PIXEL,
        panels=panels,
        beam=PanelBeam(direction=turned(turn, beam), wavelength=wavelength),
    )
    return instrument, turn


def _panel(given: Given, setup: _Setup, segment: _Segment, index: int, frame: Matrix) -> Panel:
    """Return one segment; the origin of the detector's frame is its pixel (0, 0)."""
    x1, x2, y1, y2 = segment.limits
    where = f"segment {index + 1}"
    inside = 1 <= x1 <= x2 <= setup.size[0] and 1 <= y1 <= y2 <= setup.size[1]
    if not inside or any(value != int(value) for value in segment.limits):
        found = " ".join(f"{value:g}" for value in segment.limits)
        raise given.refuse(where, found, "x1 x2 y1 y2 inside 1 to NX and 1 to NY")
    fast = np.array(_direction(given, f"{where}: x axis", segment.x_axis))
    slow = np.array(_direction(given, f"{where}: y axis", segment.y_axis))
    normal = np.cross(fast, slow)
    if np.linalg.norm(normal) < TINY:
        raise given.refuse(f"{where}: y axis", "parallel to the x axis", "at right angles to it")
    qx, qy = setup.pitch
    own = (x1 - 0.5 - segment.orgx) * qx * fast + (y1 - 0.5 - segment.orgy) * qy * slow
    own = own + segment.distance * normal / np.linalg.norm(normal)
    own = own + np.array([-setup.org[0] * qx, -setup.org[1] * qy, setup.distance])
    try:
        return Panel(
            name=str(index),
            n_fast=int(x2 - x1) + 1,
            n_slow=int(y2 - y1) + 1,
            pitch_fast=qx / 1000.0,
            pitch_slow=qy / 1000.0,
            origin=turned(frame, own / 1000.0),
            fast=turned(frame, fast),
            slow=turned(frame, slow),
            data=DataPlace(first_fast=int(x1) - 1, first_slow=int(y1) - 1),
        )
    except InputError as error:
        raise given.of_file(error) from None


def _sensor(panel: Panel, words: _Keys) -> Panel:
    """Add what XDS.INP says of sensor, range and bad pixels."""
    assert panel.data is not None
    left, top = panel.data.first_fast, panel.data.first_slow
    bad = []
    for r in words.rectangles():
        f0, f1 = max(r.f0 - left, 0), min(r.f1 - left, panel.n_fast)
        s0, s1 = max(r.s0 - top, 0), min(r.s1 - top, panel.n_slow)
        if f0 < f1 and s0 < s1:
            bad.append(Rectangle(f0, f1, s0, s1))
    for key in _SEVERAL[1:]:
        if words.several[key]:
            note = f"{key} ({len(words.several[key])}): not taken"
            if note not in words.given.notes:
                words.given.notes.append(note)
    single = {
        key: words.numbers(key, 1)[0] if words.has(key) else None
        for key in ("SENSOR_THICKNESS", "SILICON", "GAIN", "MINIMUM_VALID_PIXEL_VALUE", "OVERLOAD")
    }
    thickness = single["SENSOR_THICKNESS"] or 0.0
    if thickness < 0.0:
        raise words.given.refuse("SENSOR_THICKNESS", f"{thickness:g}", "0 or more (mm)")
    silicon = single["SILICON"] or 0.0
    limits = (single["MINIMUM_VALID_PIXEL_VALUE"], single["OVERLOAD"])
    return replace(
        panel,
        thickness=thickness / 1000.0,
        # XDS takes -1 for: calculated from the wavelength.
        attenuation=max(silicon, 0.0) * 1000.0,
        material="Si" if silicon > 0.0 else "",
        gain=single["GAIN"] if (single["GAIN"] or 0.0) > 0.0 else None,
        trusted=None if limits == (None, None) else limits,
        bad=tuple(bad),
    )


def _polarized(beam: PanelBeam, words: _Keys, turn: Matrix) -> PanelBeam:
    normal = fraction = None
    if words.has("POLARIZATION_PLANE_NORMAL"):
        values = words.numbers("POLARIZATION_PLANE_NORMAL", 3)
        normal = turned(turn, _direction(words.given, "POLARIZATION_PLANE_NORMAL", values))
    if words.has("FRACTION_OF_POLARIZATION"):
        fraction = words.numbers("FRACTION_OF_POLARIZATION", 1)[0]
        if not 0.0 <= fraction <= 1.0:
            raise words.given.refuse("FRACTION_OF_POLARIZATION", f"{fraction:g}", "0 to 1")
    return replace(beam, polarization_normal=normal, polarization_fraction=fraction)
