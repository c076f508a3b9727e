"""The text of a CrystFEL geometry: defaults, panels, bad regions and groups, as words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nbdask.errors import InputFileError, nearest
from nbdask.inputs.text import NUMBER, shown, to_number
from nbdask.panels.given import Given
from nbdask.panels.vectors import Vector

#: Keys with a meaning for one panel.
GEOMETRY = (
    "min_fs",
    "max_fs",
    "min_ss",
    "max_ss",
    "corner_x",
    "corner_y",
    "fs",
    "ss",
    "res",
    "clen",
    "coffset",
    "data",
)
#: Panel keys that have no effect on positions.
OTHERS = (
    "adu_per_eV",
    "adu_per_photon",
    "max_adu",
    "no_index",
    "mask_edge_pixels",
    "badrow_direction",
    "rail_direction",
    "clen_for_centering",
    "integr_radius",
    "adu_scale",
    "saturation_map",
    "saturation_map_file",
    "flag_lessthan",
    "flag_morethan",
    "flag_equal",
    "mask",
    "mask_file",
    "mask_good",
    "mask_bad",
)
#: Keys of the whole file.
TOP = (
    "photon_energy",
    "photon_energy_bandwidth",
    "photon_energy_scale",
    "wavelength",
    "electron_voltage",
    "bandwidth",
    "detector_shift_x",
    "detector_shift_y",
    "peak_list",
    "peak_list_type",
    "peak_info_location",
)
REGION = ("min_fs", "max_fs", "min_ss", "max_ss", "min_x", "max_x", "min_y", "max_y", "panel")
_NUMBERED = re.compile(r"(?:dim\d+|mask\d+_(?:data|file|goodbits|badbits))")
_TERM = re.compile(rf"([+-]?)({NUMBER.pattern.removeprefix('[+-]?')})?([xyz])", re.ASCII)


@dataclass(slots=True)
class Entries:
    """Keys of one panel or region, with the lines on which they stand."""

    given: Given
    name: str
    words: dict[str, str] = field(default_factory=dict)

    def refuse(self, key: str, found: str, allowed: str) -> InputFileError:
        """Return the error for one key."""
        return self.given.refuse(f"{self.name}: {key}", found, allowed)

    def text(self, key: str, allowed: str) -> str:
        """Return a value that must be there."""
        if key not in self.words:
            raise self.refuse(key, "missing", allowed)
        return self.words[key]

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number."""
        if default is not None and key not in self.words:
            return default
        text = self.text(key, "a number")
        value = to_number(text)
        if value is None:
            raise self.refuse(key, shown(text), "a number")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number, which may be written as 12.0."""
        value = self.number(key, default)
        if value != int(value) or abs(value) > 2**53:
            raise self.refuse(key, shown(self.words[key]), "a whole number")
        return int(value)

    def bits(self, key: str) -> int:
        """Return a bit mask, decimal or hexadecimal; 0 where the key is missing."""
        text = self.words.get(key, "0")
        if not re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", text, re.ASCII):
            raise self.refuse(key, shown(text), "bits, such as 0x07")
        return int(text, 16 if text[:2].lower() == "0x" else 10)

    def direction(self, key: str) -> Vector:
        """Return a sum of terms in x, y and z as a vector, not made unit."""
        text = self.text(key, "a sum such as 0.999x +0.01y")
        packed = "".join(text.split())
        total = {"x": 0.0, "y": 0.0, "z": 0.0}
        at = 0
        while at < len(packed):
            term = _TERM.match(packed, at)
            if term is None or (at > 0 and not term[1]):
                break
            total[term[3]] += (-1.0 if term[1] == "-" else 1.0) * float(term[2] or 1.0)
            at = term.end()
        if not packed or at < len(packed):
            raise self.refuse(key, shown(text), "a sum such as 0.999x +0.01y")
        return (total["x"], total["y"], total["z"])


@dataclass(slots=True)
class Words:
    """A whole file."""

    top: Entries
    panels: dict[str, Entries] = field(default_factory=dict)
    regions: dict[str, Entries] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read_words(given: Given) -> Words:
    """Read the text of a geometry.

    A key without a panel is a default for panels that are first mentioned later.
    """
    words = Words(Entries(given, "file"))
    defaults: dict[str, str] = {}
    for number, line in enumerate(given.lines("a CrystFEL geometry"), 1):
        text = line.split(";", 1)[0].strip()
        if not text:
            continue
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise given.refuse(f"line {number}", shown(text), "key = value")
        _enter(words, defaults, key, value)
    if not words.panels:
        raise given.refuse("", "no panel", "a CrystFEL geometry with keys such as panel/min_fs")
    return words


def _enter(words: Words, defaults: dict[str, str], key: str, value: str) -> None:
    """Note one line."""
    given = words.top.given
    name, slash, short = key.partition("/")
    if not slash:
        if key.startswith(("group", "rigid_group")):
            words.groups[key] = tuple(word for word in value.replace(",", " ").split())
        elif key == "clen" or key in TOP:
            before = words.top.words.setdefault(key, value)
            if before != value:
                raise given.refuse(key, f"given twice, {before} and {value}", "given once")
        else:
            _check_key(words.top, key, (*GEOMETRY, *OTHERS, *TOP))
            defaults[key] = value
        return
    if name.startswith("bad"):
        region = words.regions.setdefault(name, Entries(given, f"bad region {name}"))
        if short not in REGION:
            raise region.refuse(short, "not known", f"one of {', '.join(REGION)}")
        region.words[short] = value
        return
    if name.startswith(("group", "rigid_group")):
        given.notes.append(f"{key}: no effect")
        return
    if not name:
        raise given.refuse(key, "no panel name", "panel/key = value")
    if name not in words.panels:
        words.panels[name] = Entries(given, f"panel {name}", dict(defaults))
    panel = words.panels[name]
    _check_key(panel, short, (*GEOMETRY, *OTHERS))
    panel.words[short] = value


def _check_key(place: Entries, key: str, known: tuple[str, ...]) -> None:
    """Refuse a key that looks like a mistyped one; others that are not known are reported."""
    if key in known or _NUMBERED.fullmatch(key):
        return
    close = nearest(key, known)
    if close:
        raise place.refuse(key, "not known", f"a CrystFEL key: did you mean {close[0]}?")
    note = f"{place.name}: {key}: not known, no effect"
    if note not in place.given.notes:
        place.given.notes.append(note)
