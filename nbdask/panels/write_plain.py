"""Writes PONI files of pyFAI, and XDS.INP."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np

from nbdask.errors import InputError
from nbdask.panels.fitting import beam_along_z, left_out, placed, rectangles, squared
from nbdask.panels.model import Instrument, Panel
from nbdask.panels.vectors import Matrix


def poni_text(instrument: Instrument) -> tuple[str, list[str]]:
    """Return a PONI file (version 2.1) and what it does not hold.

    pyFAI's axes are 1 up, 2 to the right looking downstream, 3 along the beam; a pixel lies at
    R (d1 - poni1, d2 - poni2, L), R = Rot3 Rot2 Rot1 with the first two left-handed.

    Parameters
    ----------
    instrument : Instrument

    Raises
    ------
    InputError
        More than one panel.
    """
    if len(instrument.panels) != 1:
        raise InputError(f"--to poni: {len(instrument.panels)} panels: PONI must be one flat panel")
    instrument, said = squared(instrument, "PONI")
    instrument, turned_by = beam_along_z(instrument, "PONI")
    said += turned_by + left_out(instrument, ())
    panel = instrument.panels[0]
    to_poni = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    fast, slow = to_poni @ np.array(panel.fast), to_poni @ np.array(panel.slow)
    normal, origin = to_poni @ np.array(panel.normal), to_poni @ np.array(panel.origin)
    orientation = 3
    if float(np.cross(slow, fast) @ normal) < 0.0:
        # Looked at from behind: pyFAI counts the columns from the other end.
        orientation = 4
        origin = origin + panel.n_fast * panel.pitch_fast * fast
        fast = -fast
    turn: Matrix = np.array([slow, fast, normal]).T
    distance = float(origin @ normal)
    poni1, poni2 = -float(origin @ slow), -float(origin @ fast)
    rot2 = math.asin(float(np.clip(turn[2, 0], -1.0, 1.0)))
    rot1 = math.atan2(-turn[2, 1], turn[2, 2])
    rot3 = math.atan2(turn[1, 0], turn[0, 0])
    config = {
        "pixel1": panel.pitch_slow,
        "pixel2": panel.pitch_fast,
        "max_shape": [panel.n_slow, panel.n_fast],
        "orientation": orientation,
    }
    assert instrument.beam.wavelength is not None
    lines = [
        "poni_version: 2.1",
        "Detector: Detector",
        f"Detector_config: {json.dumps(config)}",
        f"Distance: {distance!r}",
        f"Poni1: {poni1!r}",
        f"Poni2: {poni2!r}",
        f"Rot1: {rot1!r}",
        f"Rot2: {rot2!r}",
        f"Rot3: {rot3!r}",
        f"Wavelength: {instrument.beam.wavelength!r}",
    ]
    return "\n".join(lines) + "\n", said


def xds_text(instrument: Instrument) -> tuple[str, list[str]]:
    """Return XDS.INP, with a segment for each panel where there are several.

    Parameters
    ----------
    instrument : Instrument

    Raises
    ------
    InputError
        Panels of different pitch.
    """
    _check_pitches(instrument)
    instrument, said = squared(instrument, "XDS.INP")
    places, stacked = placed(instrument)
    holds = ("polarization", "spindle", "sweep", "sensor", "gain", "trusted", "bad")
    said += stacked + left_out(instrument, holds)
    first = instrument.panels[0]
    qx, qy = first.pitch_fast * 1e3, first.pitch_slow * 1e3
    x, y = np.array(first.fast), np.array(first.slow)
    frame: Matrix = np.array([x, y, np.cross(x, y)])
    x0, y0, distance = (frame @ np.array(first.origin)) * 1e3
    # So that the first panel's segment is not moved inside the detector's frame.
    orgx = places[0].first_fast + 0.5 - x0 / qx
    orgy = places[0].first_slow + 0.5 - y0 / qy
    ends = list(zip(places, instrument.panels, strict=True))
    beam = instrument.beam
    assert beam.wavelength is not None
    lines = [
        "JOB= XYCORR INIT COLSPOT IDXREF",
        "NAME_TEMPLATE_OF_DATA_FRAMES= ????",
        "DETECTOR= PILATUS",
        f"NX= {max(p.first_fast + a.n_fast for p, a in ends)}"
        f" NY= {max(p.first_slow + a.n_slow for p, a in ends)} QX= {qx!r} QY= {qy!r}",
        f"ORGX= {orgx:.9f} ORGY= {orgy:.9f}",
        f"DETECTOR_DISTANCE= {distance:.12g}",
        f"DIRECTION_OF_DETECTOR_X-AXIS= {_row(x)}",
        f"DIRECTION_OF_DETECTOR_Y-AXIS= {_row(y)}",
        f"INCIDENT_BEAM_DIRECTION= {_row(beam.direction)}",
        f"X-RAY_WAVELENGTH= {beam.wavelength * 1e10!r}",
    ]
    lines += _experiment(instrument)
    if len(ends) > 1 or places[0].first_fast or places[0].first_slow:
        corner = np.array([-orgx * qx, -orgy * qy, distance])
        for place, panel in ends:
            lines += _segment(place.first_fast, place.first_slow, panel, frame, corner)
    for place, panel in ends:
        for r in rectangles(panel):
            left, top = place.first_fast, place.first_slow
            lines.append(
                f"UNTRUSTED_RECTANGLE= {r.f0 + left} {r.f1 + left + 1} {r.s0 + top}"
                f" {r.s1 + top + 1}"
            )
    said.append("the images' names and the detector's kind are not known: see the first lines")
    return "\n".join(lines) + "\n", said


def _check_pitches(instrument: Instrument) -> None:
    """Refuse panels of different pitch: XDS has one QX and one QY."""
    first = instrument.panels[0]
    for panel in instrument.panels[1:]:
        for key in ("pitch_fast", "pitch_slow"):
            if abs(getattr(panel, key) / getattr(first, key) - 1.0) > 1e-9:
                raise InputError(
                    f"--to XDS.INP: panel {panel.name} has {key} {getattr(panel, key) * 1e3:.10g},"
                    f" panel {first.name} {getattr(first, key) * 1e3:.10g} mm: must be equal"
                )


def _row(values: Iterable[float]) -> str:
    return " ".join(f"{value:.15g}" for value in values)


def _experiment(instrument: Instrument) -> list[str]:
    """Return the lines of scan, polarization and sensor."""
    lines = []
    if instrument.spindle is not None:
        lines.append(f"ROTATION_AXIS= {_row(instrument.spindle.axis)}")
    if instrument.sweep is not None:
        sweep = instrument.sweep
        lines += [
            f"DATA_RANGE= {sweep.first} {sweep.last}",
            f"STARTING_FRAME= {sweep.first} STARTING_ANGLE= {math.degrees(sweep.start):.12g}",
            f"OSCILLATION_RANGE= {math.degrees(sweep.width):.12g}",
        ]
    beam, first = instrument.beam, instrument.panels[0]
    if beam.polarization_fraction is not None:
        lines.append(f"FRACTION_OF_POLARIZATION= {beam.polarization_fraction!r}")
    if beam.polarization_normal is not None:
        lines.append(f"POLARIZATION_PLANE_NORMAL= {_row(beam.polarization_normal)}")
    if first.thickness > 0.0:
        lines.append(f"SENSOR_THICKNESS= {first.thickness * 1e3:.12g}")
    if first.material in ("Si", "Silicon", "silicon") and first.attenuation > 0.0:
        lines.append(f"SILICON= {first.attenuation * 1e-3:.12g}")
    if first.gain is not None:
        lines.append(f"GAIN= {first.gain!r}")
    low, high = first.trusted or (None, None)
    if low is not None:
        lines.append(f"MINIMUM_VALID_PIXEL_VALUE= {low:.0f}")
    if high is not None:
        lines.append(f"OVERLOAD= {high:.0f}")
    return lines


def _segment(left: int, top: int, panel: Panel, frame: Matrix, corner: Matrix) -> list[str]:
    """Return a panel in the detector's frame."""
    x, y = frame @ np.array(panel.fast), frame @ np.array(panel.slow)
    own = frame @ np.array(panel.origin) * 1e3 - corner
    orgx = left + 0.5 - float(own @ x) / (panel.pitch_fast * 1e3)
    orgy = top + 0.5 - float(own @ y) / (panel.pitch_slow * 1e3)
    return [
        f"SEGMENT= {left + 1} {left + panel.n_fast} {top + 1} {top + panel.n_slow}",
        f"DIRECTION_OF_SEGMENT_X-AXIS= {_row(x)}",
        f"DIRECTION_OF_SEGMENT_Y-AXIS= {_row(y)}",
        f"SEGMENT_ORGX= {orgx:.9f} SEGMENT_ORGY= {orgy:.9f}",
        f"SEGMENT_DISTANCE= {float(own @ np.cross(x, y)):.12g}",
    ]
