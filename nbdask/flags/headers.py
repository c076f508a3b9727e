"""What the SMV headers of -mask and -img set, before any flag."""

from __future__ import annotations

from nbdask import units
from nbdask.flags.builder import Builder
from nbdask.flags.convert import CONVERSIONS
from nbdask.inputs.smv import DIMENSIONS, Entry, SmvHeader
from nbdask.inputs.text import to_number

#: Key, field, conversion, flags for the same quantity.
_KEYS = (
    ("PIXEL_SIZE", "detector.pixel_size", "mm", "-pixel"),
    ("DISTANCE", "detector.distance", "mm", "-distance"),
    ("CLOSE_DISTANCE", "detector.close_distance", "mm", "-close_distance"),
    ("WAVELENGTH", "beam.wavelength", "angstrom", "-lambda"),
    ("BEAM_CENTER_X", "detector.beam_x", "mm", "-Xbeam"),
    ("BEAM_CENTER_Y", "detector.beam_y", "mm", "-Ybeam"),
    ("ORGX", "detector.org_x", "plain", "-ORGX"),
    ("ORGY", "detector.org_y", "plain", "-ORGY"),
    ("PHI", "scan.phi0", "degrees", "-phi"),
    ("OSC_RANGE", "scan.osc", "degrees", "-osc"),
)
_UNITS = {"angstrom": " Angstrom", "plain": " pixels"}
#: Ends of keys that other programs write for what nanoBragg finds under none of its own keys.
_OTHERS = (
    ("DISTORTION_INFO", "detector.beam_x", "-Xbeam and -Ybeam"),
    ("GONIO_VALUES", "detector.distance", "-distance"),
    ("OSC_START", "scan.phi0", "-phi"),
    ("ROTATION", "scan.phi0", "-phi and -osc"),
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
    place = _place(header)
    for axis, key, count in (
        ("fast", "SIZE1", header.size_fast),
        ("slow", "SIZE2", header.size_slow),
    ):
        builder.set(f"detector.pixels_{axis}", count, f"{key}={count} {place}")
    for key, field, conversion, _ in _KEYS:
        number = header.value(key)
        if number is None:
            continue
        origin = f"{key}={number:g} {place}"
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
        builder.note(f"TWOTHETA={twotheta:g} {place} is not used, as in nanoBragg: give -twotheta")


def note_header(builder: Builder, header: SmvHeader) -> None:
    """Say what of a header is in force once all flags are applied, and what in it is doubtful."""
    place = _place(header)
    taken, doubts = [], []
    sizes = [builder.origins.get(f"detector.pixels_{axis}", "") for axis in ("fast", "slow")]
    if all(origin.endswith(place) for origin in sizes):
        taken.append(f"{header.size_fast} x {header.size_slow} pixels (fast x slow)")
        if header.value("SIZE1") is None:
            taken[0] += f" by {DIMENSIONS}"
            if header.size_fast != header.size_slow:
                taken[0] += f" (nanoBragg makes it {header.size_fast} x {header.size_fast})"
    for key, field, conversion, flag in _KEYS:
        if not builder.origins.get(field, "").endswith(place) or builder.get(field) is None:
            continue
        number, chosen = header.value(key), header.chosen(key)
        assert number is not None
        assert chosen is not None
        text = f"{key} {number:g}{_UNITS.get(conversion, ' ' + conversion)}"
        if chosen.word != key:
            text += f" ({chosen})"
        taken.append(text)
        doubts += _doubts(header, key, number, chosen, flag)
    if taken:
        builder.note(f"taken from the header of {header.path}: {', '.join(taken)}")
    for doubt in doubts:
        builder.note(f"{place}: {doubt}".removeprefix("in "))
    for key, field, flag in _OTHERS:
        for entry in header.entries(key):
            if entry.word.endswith(key) and field not in builder.values:
                builder.note(f"{entry} {place} is not read, as in nanoBragg: give {flag}")


def _place(header: SmvHeader) -> str:
    return f"in the header of {header.path}"


def _doubts(header: SmvHeader, key: str, number: float, chosen: Entry, flag: str) -> list[str]:
    """Return what speaks against the number that nanoBragg reads."""
    if key == "DISTANCE" and chosen.word.endswith("CLOSE_DISTANCE"):
        return []  # It has the close distance too, which prevails.
    found = []
    words = chosen.text.split()
    numbers = [value for value in map(to_number, words) if value is not None]
    if chosen.foreign:
        found.append(
            f"{key}={number:g} is the number after the next = behind {chosen.word}, no key"
        )
    elif key == "WAVELENGTH" and len(numbers) > 1 and number == len(numbers) - 1:
        found.append(
            f"{chosen} is read as {number:g} Angstrom, as in nanoBragg, but"
            " programs such as d*TREK put the number of wavelengths first"
        )
    elif any(other != number for other in numbers):
        found.append(f"of {chosen} the first number is read")
    others = {
        str(entry): None
        for entry in header.entries(key)
        if entry != chosen and to_number(entry.text) != number
    }
    if others:
        found.append(f"{key}={number:g} is read, {', '.join(others)} is not")
    return [f"{text}: give {flag} if that is wrong" for text in found]
