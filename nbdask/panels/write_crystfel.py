"""Writes CrystFEL geometries (``.geom``)."""

from __future__ import annotations

import numpy as np

from nbdask.panels.fitting import beam_along_z, left_out, names_for, placed
from nbdask.panels.model import DataPlace, Instrument, Panel
from nbdask.panels.quantities import to_energy

_HOLDS = ("groups", "gain", "bad", "masks")


def crystfel_text(instrument: Instrument) -> tuple[str, list[str]]:
    """Return the file and what it does not hold.

    Parameters
    ----------
    instrument : Instrument
    """
    instrument, said = beam_along_z(instrument, "CrystFEL")
    names, renamed = names_for(instrument.panels)
    said += renamed + left_out(instrument, (*_HOLDS, "trusted"))
    if any(panel.trusted and panel.trusted[0] is not None for panel in instrument.panels):
        said.append("left out: the least trusted value")
    own = instrument.format == "CrystFEL"
    places, stacked = ([], []) if own else placed(instrument)
    if own:
        places = [panel.data or DataPlace() for panel in instrument.panels]
    said += stacked
    wave = instrument.beam.wavelength
    assert wave is not None
    clen = instrument.panels[0].origin[2]
    lines = [f"photon_energy = {to_energy(wave)!r} eV", f"clen = {clen!r} m", ""]
    if instrument.beam.bandwidth is not None:
        lines.insert(1, f"bandwidth = {instrument.beam.bandwidth!r}")
    for name, panel, place in zip(names, instrument.panels, places, strict=True):
        lines += [*_panel(name, panel, place, clen, own), ""]
    if any(_no_gain(panel) for panel in instrument.panels):
        said.append("the gain is not known: adu_per_photon = 1 is written")
    lines += _bad(instrument, names, places)
    lines += _groups(instrument, names)
    return "\n".join(lines) + "\n", said


def _no_gain(panel: Panel) -> bool:
    return panel.gain is None and not any(key.startswith("adu_per") for key, _ in panel.keys)


def _sum(values: np.ndarray) -> str:
    """Return a vector as CrystFEL writes it, without exponents."""
    return " ".join(f"{value:+.17f}{axis}" for value, axis in zip(values, "xyz", strict=True))


def _panel(name: str, panel: Panel, place: DataPlace, clen: float, own: bool) -> list[str]:
    res = 1.0 / panel.pitch_fast
    entries: list[tuple[str, object]] = [
        ("min_fs", place.first_fast),
        ("max_fs", place.first_fast + panel.n_fast - 1),
        ("min_ss", place.first_slow),
        ("max_ss", place.first_slow + panel.n_slow - 1),
        ("res", repr(res)),
        ("fs", _sum(np.array(panel.fast))),
        # Of its own pitch: in units of the pitch along fast.
        ("ss", _sum(np.array(panel.slow) * (panel.pitch_slow / panel.pitch_fast))),
        ("corner_x", repr(panel.origin[0] * res)),
        ("corner_y", repr(panel.origin[1] * res)),
        ("coffset", repr(panel.origin[2] - clen)),
    ]
    if place.path is not None or not own:
        entries.append(("data", place.path or "/entry/data/data"))
    entries += [(f"dim{number}", dim) for number, dim in enumerate(place.dims)]
    keys = dict(panel.keys)
    entries += list(keys.items())
    if not any(key.startswith("adu_per") for key in keys):
        entries.append(("adu_per_photon", repr(panel.gain or 1.0)))
    if panel.trusted and panel.trusted[1] is not None and "max_adu" not in keys:
        entries.append(("max_adu", repr(panel.trusted[1])))
    if panel.bad_edge and "mask_edge_pixels" not in keys:
        entries.append(("mask_edge_pixels", panel.bad_edge))
    if not any(key.startswith("mask") and key != "mask_edge_pixels" for key in keys):
        for number, mask in enumerate(panel.masks[:8]):
            entries.append((f"mask{number}_data", mask.data.path))
            if mask.file is not None:
                entries.append((f"mask{number}_file", mask.file))
            entries.append((f"mask{number}_goodbits", hex(mask.good)))
            entries.append((f"mask{number}_badbits", hex(mask.bad)))
    return [f"{name}/{key} = {value}" for key, value in entries]


def _bad(instrument: Instrument, names: list[str], places: list[DataPlace]) -> list[str]:
    """Return the bad regions: rectangles with their panel, areas once for all panels."""
    lines: list[str] = []
    areas: dict[tuple[str, tuple[float, ...]], list[str]] = {}
    number = 0
    for name, panel, place in zip(names, instrument.panels, places, strict=True):
        for part in panel.bad:
            left, top = place.first_fast, place.first_slow
            region = f"bad_{number}"
            number += 1
            lines += [
                f"{region}/panel = {name}",
                f"{region}/min_fs = {part.f0 + left}",
                f"{region}/max_fs = {part.f1 + left - 1}",
                f"{region}/min_ss = {part.s0 + top}",
                f"{region}/max_ss = {part.s1 + top - 1}",
            ]
        for area in panel.bad_areas:
            ends = tuple(v / panel.pitch_fast for v in (area.x0, area.x1, area.y0, area.y1))
            areas.setdefault((area.name, tuple(float(f"{v:.12g}") for v in ends)), []).append(name)
    for index, ((_, ends), held) in enumerate(areas.items()):
        owners = [None] if len(held) == len(names) else held
        for part_number, owner in enumerate(owners):
            region = f"bad_area{index}_{part_number}"
            if owner is not None:
                lines.append(f"{region}/panel = {owner}")
            for key, value in zip(("min_x", "max_x", "min_y", "max_y"), ends, strict=True):
                lines.append(f"{region}/{key} = {value!r}")
    return [*lines, ""] if lines else []


def _groups(instrument: Instrument, names: list[str]) -> list[str]:
    """Return the groups, at the end of the file."""
    lines, used = [], set()
    for number, group in enumerate(instrument.groups):
        if group.members and instrument.format == "CrystFEL":
            lines.append(f"{group.name} = {','.join(group.members)}")
            continue
        short = "".join(c if c.isalnum() else "_" for c in group.name.rsplit("/", 1)[-1])
        name = f"group_{short}" if short and f"group_{short}" not in used else f"group_{number}"
        used.add(name)
        lines.append(f"{name} = {','.join(names[index] for index in group.panels)}")
    return lines
