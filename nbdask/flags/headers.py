"""What the SMV headers of -mask and -img set, before any flag."""

from __future__ import annotations

from nbdask import units
from nbdask.flags.builder import Builder
from nbdask.flags.convert import CONVERSIONS
from nbdask.inputs.smv import SmvHeader

_KEYS = (
    ("PIXEL_SIZE", "detector.pixel_size", "mm"),
    ("DISTANCE", "detector.distance", "mm"),
    ("CLOSE_DISTANCE", "detector.close_distance", "mm"),
    ("WAVELENGTH", "beam.wavelength", "angstrom"),
    ("BEAM_CENTER_X", "detector.beam_x", "mm"),
    ("BEAM_CENTER_Y", "detector.beam_y", "mm"),
    ("ORGX", "detector.org_x", "plain"),
    ("ORGY", "detector.org_y", "plain"),
    ("PHI", "scan.phi0", "degrees"),
    ("OSC_RANGE", "scan.osc", "degrees"),
)
_DEFAULT_PIXEL = 0.1e-3


def apply_header(builder: Builder, header: SmvHeader, *, is_mask: bool) -> None:
    """Set what one header holds.

    Parameters
    ----------
    builder : Builder
    header : SmvHeader
    is_mask : bool
        Whether BEAM_CENTER_Y counts from the opposite edge, as nanoBragg reads it from a mask.
    """
    source = f"in the header of {header.path}"
    for axis, key, count in (
        ("fast", "SIZE1", header.size_fast),
        ("slow", "SIZE2", header.size_slow),
    ):
        builder.set(f"detector.pixels_{axis}", count, f"{key}={count} {source}")
    for key, field, conversion in _KEYS:
        number = header.value(key)
        if number is None:
            continue
        origin = f"{key}={number:g} {source}"
        value = CONVERSIONS[conversion](number)
        if is_mask and key == "BEAM_CENTER_Y":
            pixel = builder.get("detector.pixel_size", _DEFAULT_PIXEL)
            value = pixel * header.size_slow - units.from_mm(number)
        if key == "OSC_RANGE" and number < 0.0:
            builder.set(field, None, origin)
            builder.note(f"{origin}: a negative range counts as not given")
            continue
        builder.set(field, value, origin)
    twotheta = header.value("TWOTHETA")
    if twotheta:
        builder.note(f"TWOTHETA={twotheta:g} {source} is not used, as in nanoBragg: give -twotheta")
