"""Reads CrystFEL geometries (``.geom``)."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from nbdask.errors import InputError
from nbdask.inputs.text import shown
from nbdask.panels.crystfel_text import GEOMETRY, Entries, Words, read_words
from nbdask.panels.given import AGREE, Given
from nbdask.panels.model import (
    DataPlace,
    Group,
    Instrument,
    LabArea,
    MaskPlace,
    Panel,
    PanelBeam,
    Rectangle,
)
from nbdask.panels.quantities import (
    ENERGIES,
    LENGTHS,
    VOLTAGES,
    of_energy,
    of_voltage,
    quantity,
    to_energy,
)
from nbdask.panels.vectors import unit, vector

HALF_PIXEL = "corner based: corner_x, corner_y are the outer corner of the first pixel"
_LENGTH_TEXT = "a length such as 0.1, 0.1 m or 100 mm, or a place such as /LCLS/clen"
#: Masks of one panel, as CrystFEL counts them.
_MASKS = 8


def read_crystfel(given: Given) -> Instrument:
    """Read a CrystFEL geometry.

    Parameters
    ----------
    given : Given
        ``clen``: camera length where the file names a place in the data.

    Returns
    -------
    Instrument
    """
    words = read_words(given)
    given.pick_shot(1, "geometry")
    beam = _beam(words.top)
    shift = _shift(words.top)
    panels = [_panel(words, entries, beam, shift) for entries in words.panels.values()]
    for name, region in words.regions.items():
        _mark(panels, name, region, list(words.panels.values()))
    return Instrument(
        format="CrystFEL",
        half_pixel=HALF_PIXEL,
        panels=tuple(panels),
        groups=_groups(words),
        beam=beam,
    )


def _is_place(text: str) -> bool:
    return "/" in text


def _beam(top: Entries) -> PanelBeam:
    """Return the beam along z, with the wavelength of whichever key gives it."""
    found: tuple[float, str] | None = None
    place = None
    for key, units, default, convert in (
        ("photon_energy", ENERGIES, "eV", of_energy),
        ("wavelength", LENGTHS, "m", float),
        ("electron_voltage", VOLTAGES, "V", of_voltage),
    ):
        if key not in top.words:
            continue
        text = top.words[key]
        if _is_place(text):
            place = (key, text)
            continue
        value = quantity(text, units, default)
        if value is None or value <= 0.0:
            allowed = f"greater than 0, with a unit ({default} unless given), or a place /..."
            raise top.refuse(key, shown(text), allowed)
        wave = convert(value)
        if found is not None and abs(wave / found[0] - 1.0) > AGREE:
            raise top.refuse(key, f"contradicts {found[1]}", "given once")
        found = (wave, key)
    where = "photon_energy" if found is None else found[1]
    if found is None and place is not None and top.given.wavelength is None:
        raise top.given.refuse(
            place[0], f"is the place {place[1]} in the data", "given with --energy or --wavelength"
        )
    wave_taken = top.given.settle_wavelength(
        None if found is None else found[0], where, needed=False
    )
    if wave_taken is None:
        top.given.notes.append("no wavelength in the file: resolutions need --energy")
    width = top.number("bandwidth", math.nan) if "bandwidth" in top.words else None
    if "photon_energy_bandwidth" in top.words and wave_taken is not None:
        spread = quantity(top.words["photon_energy_bandwidth"], ENERGIES, "eV")
        width = None if spread is None else spread / to_energy(wave_taken)
    return PanelBeam(wavelength=wave_taken, bandwidth=width)


def _clen(words: Words, panel: Entries) -> float:
    """Return the camera length [m] of a panel."""
    given, top = words.top.given, words.top.words.get("clen")
    text = panel.words.get("clen", top)
    known = given.clen
    if text is None or _is_place(text):
        if known is None:
            found = "missing" if text is None else f"is the place {text} in the data"
            raise given.refuse("clen", found, "given with --clen, such as --clen 0.1")
        note = f"clen {known:.10g} m"
        if note not in given.taken:
            given.taken.append(note)
        return known
    value = quantity(text, {k: v for k, v in LENGTHS.items() if k in ("m", "mm")}, "m")
    if value is None:
        raise panel.refuse("clen", shown(text), _LENGTH_TEXT)
    if known is not None and abs(known - value) > AGREE * abs(value):
        raise given.refuse(
            "clen",
            f"the file says {value:.10g} m, --clen {known:.10g} m",
            "the same, or leave out --clen",
        )
    return value


def _shift(top: Entries) -> tuple[float, float]:
    """Return the shift of all panels [m]."""
    found = []
    for key in ("detector_shift_x", "detector_shift_y"):
        text = top.words.get(key, "0")
        value = quantity(text, {k: v for k, v in LENGTHS.items() if k in ("m", "mm")}, "m")
        if value is None:
            raise top.refuse(key, shown(text), "a length such as 1e-4 or 0.1 mm")
        found.append(value)
    return (found[0], found[1])


def _panel(words: Words, entries: Entries, beam: PanelBeam, shift: tuple[float, float]) -> Panel:
    """Return one panel, without its bad regions."""
    limits = {k: entries.whole(k) for k in ("min_fs", "max_fs", "min_ss", "max_ss")}
    for axis in ("fs", "ss"):
        if limits[f"max_{axis}"] < limits[f"min_{axis}"]:
            found = f"{limits[f'max_{axis}']} is less than min_{axis} {limits[f'min_{axis}']}"
            raise entries.refuse(f"max_{axis}", found, f"min_{axis} or more")
    res = entries.number("res")
    if res <= 0.0:
        raise entries.refuse("res", shown(entries.words["res"]), "greater than 0 (pixels per m)")
    axes = {}
    for key in ("fs", "ss"):
        steps = entries.direction(key)
        direction = unit(steps)
        if direction is None:
            raise entries.refuse(key, shown(entries.words[key]), "a direction that is not 0")
        with np.errstate(over="ignore"):  # infinite: the panel refuses it
            axes[key] = (direction, float(np.linalg.norm(steps)) / res)
    z = _clen(words, entries) + entries.number("coffset", 0.0)
    corner = (entries.number("corner_x") / res, entries.number("corner_y") / res)
    gain = entries.number("adu_per_photon", 0.0)
    if gain <= 0.0 and beam.wavelength is not None:
        gain = entries.number("adu_per_eV", 0.0) * to_energy(beam.wavelength)
    most = entries.number("max_adu") if "max_adu" in entries.words else None
    data = _data(entries)
    try:
        return Panel(
            name=entries.name.removeprefix("panel "),
            n_fast=limits["max_fs"] - limits["min_fs"] + 1,
            n_slow=limits["max_ss"] - limits["min_ss"] + 1,
            pitch_fast=axes["fs"][1],
            pitch_slow=axes["ss"][1],
            origin=vector((corner[0] + shift[0], corner[1] + shift[1], z)),
            fast=axes["fs"][0],
            slow=axes["ss"][0],
            gain=gain if gain > 0.0 else None,
            trusted=None if most is None else (None, most),
            bad_edge=entries.whole("mask_edge_pixels", 0),
            masks=_masks(entries, data),
            data=data,
            keys=tuple(
                (key, text)
                for key, text in entries.words.items()
                if key not in GEOMETRY and not re.fullmatch(r"dim\d+", key)
            ),
        )
    except InputError as error:
        raise words.top.given.of_file(error) from None


def _data(entries: Entries) -> DataPlace:
    """Return where the panel's pixels lie."""
    numbered = {int(k[3:]): v for k, v in entries.words.items() if re.fullmatch(r"dim\d+", k)}
    dims: list[str | int] = []
    for number in range(max(numbered, default=-1) + 1):
        text = numbered.get(number)
        if text is None:
            raise entries.refuse(f"dim{number}", "missing", "%, ss, fs or a number")
        if text in ("%", "ss", "fs"):
            dims.append(text)
        elif text.isascii() and text.isdigit():
            dims.append(int(text))
        else:
            raise entries.refuse(f"dim{number}", shown(text), "%, ss, fs or a number")
    if dims and (dims.count("ss") != 1 or dims.count("fs") != 1):
        raise entries.refuse("dim", " ".join(map(str, dims)), "ss once and fs once among them")
    return DataPlace(
        path=entries.words.get("data"),
        dims=tuple(dims) or ("ss", "fs"),
        first_fast=entries.whole("min_fs"),
        first_slow=entries.whole("min_ss"),
    )


def _masks(entries: Entries, data: DataPlace) -> tuple[MaskPlace, ...]:
    """Return the masks, numbered keys and old ones."""
    found = []
    folder = entries.given.path.parent
    for number in range(-1, _MASKS):
        stem = "mask" if number < 0 else f"mask{number}"
        names = (
            ("", "_file", "_good", "_bad")
            if number < 0
            else ("_data", "_file", "_goodbits", "_badbits")
        )
        where, file, good, bad = (stem + name for name in names)
        if where not in entries.words:
            continue
        place = DataPlace(entries.words[where], data.dims, data.first_fast, data.first_slow)
        other = entries.words.get(file)
        found.append(
            MaskPlace(
                None if other is None else str(folder / other),
                place,
                entries.bits(good),
                entries.bits(bad),
            )
        )
    return tuple(found)


def _mark(panels: list[Panel], name: str, region: Entries, entries: list[Entries]) -> None:
    """Note a bad region on the panels that it touches."""
    lab = [key for key in region.words if key.endswith(("_x", "_y"))]
    flat = [key for key in region.words if key.endswith(("_fs", "_ss"))]
    if lab and flat:
        raise region.refuse(flat[0], f"together with {lab[0]}", "fs and ss, or x and y")
    only = region.words.get("panel")
    names = [panel.name for panel in panels]
    if only is not None and only not in names:
        raise region.refuse("panel", shown(only), "the name of a panel")
    letters = ("x", "y") if lab else ("fs", "ss")
    limits = {f"{end}_{a}": region.number(f"{end}_{a}") for a in letters for end in ("min", "max")}
    touched = False
    for index, panel in enumerate(panels):
        if only not in (None, panel.name):
            continue
        if lab:
            res = entries[index].number("res")
            area = LabArea(name, *(limits[f"{e}_{a}"] / res for a in "xy" for e in ("min", "max")))
            panels[index] = replace(panel, bad_areas=(*panel.bad_areas, area))
            touched = True
            continue
        assert panel.data is not None
        f0 = max(math.ceil(limits["min_fs"]) - panel.data.first_fast, 0)
        f1 = min(math.floor(limits["max_fs"]) - panel.data.first_fast + 1, panel.n_fast)
        s0 = max(math.ceil(limits["min_ss"]) - panel.data.first_slow, 0)
        s1 = min(math.floor(limits["max_ss"]) - panel.data.first_slow + 1, panel.n_slow)
        if f0 < f1 and s0 < s1:
            panels[index] = replace(panel, bad=(*panel.bad, Rectangle(f0, f1, s0, s1)))
            touched = True
    if not touched:
        region.given.notes.append(f"{region.name}: touches no panel")


def _groups(words: Words) -> tuple[Group, ...]:
    """Return the groups, their members followed down to panels."""
    index = {name: number for number, name in enumerate(words.panels)}

    def panels_of(key: str, path: tuple[str, ...]) -> list[int]:
        """Return the panels of a group, in order, each once."""
        found: dict[int, None] = {}
        for member in words.groups[key]:
            if member in index:
                found[index[member]] = None
                continue
            stem = "rigid_group" if key.startswith("rigid_group") else "group"
            inner = next(
                (n for n in (member, f"{stem}_{member}") if n in words.groups and n not in path),
                None,
            )
            if inner is None:
                raise words.top.given.refuse(key, shown(member), "names of panels or groups")
            found.update(dict.fromkeys(panels_of(inner, (*path, inner))))
        return list(found)

    return tuple(
        Group(name=key, panels=tuple(panels_of(key, (key,))), members=members)
        for key, members in words.groups.items()
    )
