"""A detector of a geometry file as fields of the experiment, where these can hold it."""

from __future__ import annotations

import numpy as np

from nbdask.errors import FlagError, InputFileError
from nbdask.flags.builder import Builder
from nbdask.panels.model import Instrument, Panel
from nbdask.panels.read import read_geometry
from nbdask.panels.vectors import Matrix, Vector, turned, vector

#: (x, y, z) of the common frame -> (z, y, -x): beam +x, y up, as nanoBragg's MOSFLM frame.
TO_LAB: Matrix = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
#: Relative difference of pitches, and cosine of axes, up to which they count as equal and square.
_EQUAL = 1e-9
#: What the file gives: flags that set it contradict it.
_PLACED = ("detector.", "frame.", "pivot", "explicit.pivot")
_FREE = ("detector.curved", "detector.point_pixel", "detector.thick_steps")


def place_by_file(builder: Builder, path: str) -> None:
    """Place the detector as a geometry file of one panel does.

    Parameters
    ----------
    builder : Builder
        Its wavelength completes the file.
    path : str
        Absolute.

    Raises
    ------
    FlagError
        The fields of an experiment cannot hold the detector, or a flag says what the file says.
    InputFileError
        As :func:`nbdask.panels.read.read_geometry`.
    """
    for field, origin in builder.origins.items():
        if field.startswith(_PLACED) and field not in _FREE:
            raise FlagError(f"{origin}: --geometry places the detector: must be left out")
    try:
        found = read_geometry(path, wavelength=builder.get("beam.wavelength"))
    except InputFileError as error:
        raise InputFileError(_in_flags(str(error))) from None
    panel = _only_panel(found, path)
    origin = f"--geometry {path}"

    def put(field: str, value: object) -> None:
        """Set a field."""
        builder.set(field, value, origin)

    beam = turned(TO_LAB, found.beam.direction)
    put("frame.convention", "CUSTOM")
    put("frame.fast", turned(TO_LAB, panel.fast))
    put("frame.slow", turned(TO_LAB, panel.slow))
    # Any length but 1 makes the frame take fast x slow, which is at right angles to the last bit.
    put("frame.normal", vector(2.0 * (TO_LAB @ np.array(panel.normal))))
    put("frame.beam", beam)
    put("detector.pixel_size", panel.pitch_fast)
    put("detector.pixels_fast", panel.n_fast)
    put("detector.pixels_slow", panel.n_slow)
    put("detector.pix0", turned(TO_LAB, panel.origin))
    put("detector.geometry_file", path)
    met = panel.meets(found.beam.direction)
    if met is not None:
        put("detector.distance", met[2])
    if panel.thickness > 0.0 and panel.attenuation > 0.0:
        put("detector.thickness", panel.thickness)
        put("detector.attenuation", panel.attenuation)
    if builder.get("beam.wavelength") is None:
        put("beam.wavelength", found.beam.wavelength)
    _polarization(builder, found, beam, origin)
    if found.spindle is not None:
        put("frame.spindle", turned(TO_LAB, found.spindle.axis))
    _say(builder, found, panel, path)


def _in_flags(text: str) -> str:
    """Return a reader's message with this command's flags for options of `nbdask geometry`."""
    for options, flag in (
        ("--energy or --wavelength", "-lambda"),
        ("--wavelength or --energy", "-lambda"),
        ("--clen, such as --clen 0.1", "--clen to nbdask geometry, with --to .expt: use its file"),
    ):
        text = text.replace(options, flag)
    return text


def _only_panel(found: Instrument, path: str) -> Panel:
    """Return the panel, if it is one that the fields hold exactly."""
    panel = found.panels[0]
    cosine = float(np.dot(panel.fast, panel.slow))
    outward = float(np.dot(np.cross(panel.fast, panel.slow), panel.origin))
    reasons = {
        f"{len(found.panels)} panels: must be one": len(found.panels) > 1,
        f"pitches {panel.pitch_fast * 1e3:.10g} and {panel.pitch_slow * 1e3:.10g} mm: must be"
        " equal": abs(panel.pitch_fast / panel.pitch_slow - 1.0) > _EQUAL,
        f"fast and slow at {np.degrees(np.arccos(cosine)):.6g} degrees: must be at 90": abs(cosine)
        > _EQUAL,
        "fast x slow points to the sample: must point away from it": outward < 0.0,
        "no wavelength: must be given with -lambda": found.beam.wavelength is None,
    }
    for reason, wrong in reasons.items():
        if wrong:
            raise FlagError(f"--geometry {path}: {reason}")
    return panel


def _polarization(builder: Builder, found: Instrument, beam: Vector, origin: str) -> None:
    """Set the direction of the electric field, and the Kahn factor 2 g - 1."""
    normal, fraction = found.beam.polarization_normal, found.beam.polarization_fraction
    if normal is not None:
        across = np.cross(turned(TO_LAB, normal), beam)
        builder.set("frame.polarization", vector(across), origin)
    if fraction is not None and "beam.polarization" not in builder.origins:
        builder.set("beam.polarization", 2.0 * fraction - 1.0, origin)


def _say(builder: Builder, found: Instrument, panel: Panel, path: str) -> None:
    """Note what was taken, and what was not."""
    x, y, z = (value * 1e3 for value in panel.origin)
    text = f"detector of {panel.n_fast} x {panel.n_slow} pixels, first corner {x:.6g}, {y:.6g},"
    builder.note(f"--geometry {path}: {text} {z:.6g} mm (beam along z, y up)")
    for note in (*found.taken, *found.notes):
        builder.note(f"--geometry {path}: {note}")
    rest = []
    if panel.thickness > 0.0:
        rest.append("the sensor" if panel.attenuation <= 0.0 else "")
    if panel.bad or panel.bad_areas or panel.bad_edge or panel.masks:
        rest.append("bad pixels")
    if found.crystals:
        rest.append("the crystal")
    if found.sweep is not None:
        rest.append("the scan")
    rest = [text for text in rest if text]
    if rest:
        builder.note(f"--geometry {path}: not taken: {', '.join(rest)}")
