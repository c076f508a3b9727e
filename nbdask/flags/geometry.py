"""A detector of a geometry file as fields of the experiment."""

from __future__ import annotations

import math

import numpy as np

from nbdask.errors import FieldError, FlagError, InputError, InputFileError
from nbdask.experiment.panel import DetectorPanel
from nbdask.flags.builder import Builder
from nbdask.flags.geometry_request import GeometryRequest
from nbdask.flags.geometry_use import take_parts, turn_spindle
from nbdask.panels.model import Instrument, Panel
from nbdask.panels.read import read_geometry
from nbdask.panels.vectors import TO_LAB, Vector, turned, vector

#: Relative difference of pitches, and cosine of axes, up to which they count as equal and square.
_EQUAL = 1e-9
#: What the file gives: flags that set it contradict it.
_PLACED = ("detector.", "frame.", "pivot", "explicit.pivot")
#: Flags that complete a file without wavelength.
_WAVELENGTH = "-lambda or --energy"
_FREE = ("detector.curved", "detector.point_pixel", "detector.thick_steps")


def place_by_file(builder: Builder, request: GeometryRequest) -> None:
    """Place the detector as a geometry file does.

    A single panel of square pixels becomes the fields that nanoBragg's flags fill, others become
    ``detector.panels``.

    Parameters
    ----------
    builder : Builder
        Its wavelength completes the file.
    request : GeometryRequest
        With an absolute path.

    Raises
    ------
    FlagError
        A flag says what the file says, or neither gives the wavelength.
    InputFileError
        As :func:`nbdask.panels.read.read_geometry`.
    """
    for field, origin in builder.origins.items():
        if field.startswith(_PLACED) and field not in _FREE:
            raise FlagError(f"{origin}: --geometry places the detector: must be left out")
    path = request.path
    try:
        found = read_geometry(
            path,
            wavelength=builder.get("beam.wavelength"),
            energy=request.energy,
            clen=request.clen,
            distance_shift=request.distance_shift,
            shot=request.shot,
        )
    except (InputFileError, InputError) as error:
        raise type(error)(_in_flags(str(error))) from None
    if found.beam.wavelength is None:
        raise FlagError(f"--geometry {path}: no wavelength: must be given with {_WAVELENGTH}")
    origin = f"--geometry {path}"

    def put(field: str, value: object) -> None:
        """Set a field."""
        builder.set(field, value, origin)

    put("frame.convention", "CUSTOM")
    put("frame.beam", turned(TO_LAB, found.beam.direction))
    put("detector.geometry_file", path)
    put("files.widest", widest(found))
    if _is_plain(found, request.mask):
        _place_plain(builder, found, origin)
    else:
        _place_panels(builder, found, request, origin)
    if builder.get("beam.wavelength") is None:
        put("beam.wavelength", found.beam.wavelength)
    _polarization(builder, found, turned(TO_LAB, found.beam.direction), origin)
    if found.spindle is not None:
        turn_spindle(builder, found.spindle, path, 1.0)
    _say(builder, found, request)
    take_parts(builder, found, request)
    _note_rest(builder, found, request)


def _in_flags(text: str) -> str:
    """Return a reader's message with this command's flags for options of `nbdask geometry`."""
    for options, flag in (
        ("--energy or --wavelength", _WAVELENGTH),
        ("--wavelength or --energy", _WAVELENGTH),
        ("--wavelength and --energy: both given", "-lambda and --energy: both given"),
        ("--shot", "--geometry-shot"),
    ):
        text = text.replace(options, flag)
    return text


def _is_plain(found: Instrument, mask: bool) -> bool:
    """Whether nanoBragg's flags describe the detector: one panel of square pixels, all good."""
    panel = found.panels[0]
    cosine = float(np.dot(panel.fast, panel.slow))
    outward = float(np.dot(np.cross(panel.fast, panel.slow), panel.origin))
    bad = mask and (panel.bad or panel.bad_areas or panel.bad_edge)
    square = abs(panel.pitch_fast / panel.pitch_slow - 1.0) <= _EQUAL and abs(cosine) <= _EQUAL
    return len(found.panels) == 1 and square and outward > 0.0 and not bad


def _place_plain(builder: Builder, found: Instrument, origin: str) -> None:
    """Set the fields of one panel of square pixels."""
    panel = found.panels[0]

    def put(field: str, value: object) -> None:
        """Set a field."""
        builder.set(field, value, origin)

    put("frame.fast", turned(TO_LAB, panel.fast))
    put("frame.slow", turned(TO_LAB, panel.slow))
    # Any length but 1 makes the frame take fast x slow, which is at right angles to the last bit.
    put("frame.normal", vector(2.0 * (TO_LAB @ np.array(panel.normal))))
    put("detector.pixel_size", panel.pitch_fast)
    put("detector.pixels_fast", panel.n_fast)
    put("detector.pixels_slow", panel.n_slow)
    put("detector.pix0", turned(TO_LAB, panel.origin))
    met = panel.meets(found.beam.direction)
    if met is not None:
        put("detector.distance", met[2])
    if _has_sensor(panel):
        put("detector.thickness", panel.thickness)
        put("detector.attenuation", panel.attenuation)


def _place_panels(
    builder: Builder, found: Instrument, request: GeometryRequest, origin: str
) -> None:
    """Set the panels."""
    if builder.get("detector.curved"):
        flag = builder.origins["detector.curved"]
        raise FlagError(f"{flag}: the panels of --geometry are flat: must be left out")
    sensor = all(_has_sensor(panel) for panel in found.panels)
    names = unique_names([panel.name for panel in found.panels])
    try:
        panels = tuple(
            _held(panel, name, sensor, request.mask)
            for panel, name in zip(found.panels, names, strict=True)
        )
    except FieldError as error:
        raise InputFileError(f"{request.path}: {error}") from None
    builder.set("detector.panels", panels, origin)


def _held(panel: Panel, name: str, sensor: bool, mask: bool) -> DetectorPanel:
    """Return a panel of a file as one of an experiment, in the lab frame."""
    low, high = panel.trusted or (None, None)
    return DetectorPanel(
        name=name,
        n_fast=panel.n_fast,
        n_slow=panel.n_slow,
        pitch_fast=panel.pitch_fast,
        pitch_slow=panel.pitch_slow,
        origin=turned(TO_LAB, panel.origin),
        fast=turned(TO_LAB, panel.fast),
        slow=turned(TO_LAB, panel.slow),
        thickness=panel.thickness if sensor else 0.0,
        attenuation=panel.attenuation if sensor else 0.0,
        bad=_rectangles(panel) if mask else (),
        # x of the common frame is -z of the lab.
        bad_areas=tuple((a.y0, a.y1, -a.x1, -a.x0) for a in panel.bad_areas if mask),
        material=panel.material,
        gain=panel.gain,
        trusted_low=low if low is not None and math.isfinite(low) else None,
        trusted_high=high if high is not None and math.isfinite(high) else None,
    )


def _rectangles(panel: Panel) -> tuple[tuple[int, int, int, int], ...]:
    """Return a panel's bad pixels as rectangles within it: fast, slow, ends excluded."""
    n_fast, n_slow = panel.n_fast, panel.n_slow
    found = [(part.f0, part.f1, part.s0, part.s1) for part in panel.bad]
    if panel.bad_edge > 0:
        edge = min(panel.bad_edge, n_fast, n_slow)
        found += [(0, n_fast, 0, edge), (0, n_fast, n_slow - edge, n_slow)]
        found += [(0, edge, 0, n_slow), (n_fast - edge, n_fast, 0, n_slow)]
    cut = [(max(a, 0), min(b, n_fast), max(c, 0), min(d, n_slow)) for a, b, c, d in found]
    return tuple(part for part in cut if part[0] < part[1] and part[2] < part[3])


def _has_sensor(panel: Panel) -> bool:
    return panel.thickness > 0.0 and panel.attenuation > 0.0


def unique_names(names: list[str]) -> list[str]:
    """Return names that all differ: repeated or empty ones get their number."""
    taken: set[str] = set()
    result = []
    for number, name in enumerate(names):
        new = name or f"p{number}"
        while new in taken or (new != name and new in names):
            new += f"#{number}"
        taken.add(new)
        result.append(new)
    return result


def _polarization(builder: Builder, found: Instrument, beam: Vector, origin: str) -> None:
    """Set the direction of the electric field, and the Kahn factor 2 g - 1."""
    normal, fraction = found.beam.polarization_normal, found.beam.polarization_fraction
    if normal is not None:
        across = np.cross(beam, turned(TO_LAB, normal))
        # Either sense is the same polarization. That of the MOSFLM convention, +z, keeps the file's
        # frame in what is exported.
        sense = -1.0 if across[2] < 0.0 else 1.0
        builder.set("frame.polarization", vector(sense * across), origin)
    if fraction is not None and "beam.polarization" not in builder.origins:
        builder.set("beam.polarization", 2.0 * fraction - 1.0, origin)


def widest(found: Instrument) -> float:
    """Return sin(theta) of the corner of a panel that is farthest from the beam's direction.

    1 where a panel reaches behind the sample: what is between its corners may be farther then.
    """
    beam, least = np.array(found.beam.direction), 1.0
    for panel in found.panels:
        fast = panel.n_fast * panel.pitch_fast * np.array(panel.fast)
        slow = panel.n_slow * panel.pitch_slow * np.array(panel.slow)
        for corner in (np.zeros(3), fast, slow, fast + slow):
            ray = np.array(panel.origin) + corner
            length = float(np.linalg.norm(ray) * np.linalg.norm(beam))
            least = min(least, float(ray @ beam) / length if length else 1.0)
    return 1.0 if least < 0.0 else float(np.sqrt(0.5 * (1.0 - least)))


def _say(builder: Builder, found: Instrument, request: GeometryRequest) -> None:
    """Note what was taken."""
    path, first = request.path, found.panels[0]
    x, y, z = (value * 1e3 for value in first.origin)
    sizes = sorted({(panel.n_fast, panel.n_slow) for panel in found.panels})
    shown = ", ".join(f"{fast} x {slow}" for fast, slow in sizes[:3])
    shown += ", ..." if len(sizes) > 3 else ""
    what = "detector" if len(found.panels) == 1 else f"{len(found.panels)} panels"
    corner = "first corner" if len(found.panels) == 1 else "the first one's corner"
    text = f"{what} of {shown} pixels, {corner} {x:.6g}, {y:.6g}, {z:.6g} mm (beam along z, y up)"
    builder.note(f"--geometry {path}: {text}")
    for note in (*found.taken, *found.notes):
        builder.note(f"--geometry {path}: {_in_flags(note)}")


def _note_rest(builder: Builder, found: Instrument, request: GeometryRequest) -> None:
    """Note what of a file is left out, and how crystal and scan are taken."""
    rest = _not_taken(found, request)
    if not rest:
        return
    parts = [part for part in ("crystal", "scan") if f"the {part}" in rest]
    way = f" (--geometry-use {','.join(['detector', *parts])})" if parts else ""
    builder.note(f"--geometry {request.path}: not taken: {', '.join(rest)}{way}")


def _not_taken(found: Instrument, request: GeometryRequest) -> list[str]:
    """Return what of a file is left out."""
    panels = found.panels
    bad = any(panel.bad or panel.bad_areas or panel.bad_edge for panel in panels)
    reasons = {
        "the sensor": any(panel.thickness > 0.0 for panel in panels)
        and not all(_has_sensor(panel) for panel in panels),
        "bad pixels": bad and not request.mask,
        "mask files": any(panel.masks for panel in panels),
        "the crystal": bool(found.crystals) and "crystal" not in request.use,
        "the scan": found.sweep is not None and "scan" not in request.use,
    }
    return [text for text, left in reasons.items() if left]
