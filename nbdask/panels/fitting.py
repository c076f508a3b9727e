"""What writers share: axes made square, the beam turned to z, panels placed in one array."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import CrystalSetting, DataPlace, Instrument, Panel, Rectangle, Spindle
from nbdask.panels.vectors import TINY, least_turn, turned, vector


def squared(instrument: Instrument, target: str) -> tuple[Instrument, list[str]]:
    """Return the panels with axes at right angles, and what that moves.

    The middle of each panel stays, and both axes turn by the same angle.
    """
    panels, worst = [], (0.0, "")
    for panel in instrument.panels:
        fast, slow = np.array(panel.fast), np.array(panel.slow)
        if abs(float(fast @ slow)) < TINY:
            panels.append(panel)
            continue
        both = (fast + slow) / np.linalg.norm(fast + slow)
        across = (fast - slow) / np.linalg.norm(fast - slow)
        middle = np.array(panel.position(0.5 * panel.n_fast, 0.5 * panel.n_slow))
        fast, slow = (both + across) / math.sqrt(2.0), (both - across) / math.sqrt(2.0)
        half = 0.5 * panel.n_fast * panel.pitch_fast * fast
        half = half + 0.5 * panel.n_slow * panel.pitch_slow * slow
        new = replace(panel, origin=vector(middle - half), fast=vector(fast), slow=vector(slow))
        moved = float(np.max(np.linalg.norm(new.corners() - panel.corners(), axis=1)))
        worst = max(worst, (moved / min(panel.pitch_fast, panel.pitch_slow), panel.name))
        panels.append(new)
    if worst[0] == 0.0:
        return instrument, []
    said = (
        f"{target} wants fast and slow at right angles: corners move by up to"
        f" {worst[0]:.3g} pixels (panel {worst[1]})"
    )
    return replace(instrument, panels=tuple(panels)), [said]


def beam_along_z(instrument: Instrument, target: str) -> tuple[Instrument, list[str]]:
    """Return everything turned so that the beam is +z, by the least angle."""
    beam = instrument.beam
    turn = least_turn(beam.direction, (0.0, 0.0, 1.0))
    angle = math.degrees(math.acos(min(1.0, max(-1.0, beam.direction[2]))))
    if np.array_equal(turn, np.eye(3)):
        return instrument, []
    panels = tuple(
        replace(
            panel,
            origin=turned(turn, panel.origin),
            fast=turned(turn, panel.fast),
            slow=turned(turn, panel.slow),
        )
        for panel in instrument.panels
    )
    normal = beam.polarization_normal
    spindle = instrument.spindle
    if spindle is not None:
        parts = (np.reshape(part, (3, 3)) for part in (spindle.fixed, spindle.setting))
        both = (tuple((turn @ part @ turn.T).reshape(-1).tolist()) for part in parts)
        spindle = Spindle(turned(turn, spindle.axis), *both)
    return (
        replace(
            instrument,
            panels=panels,
            beam=replace(
                beam,
                direction=(0.0, 0.0, 1.0),
                polarization_normal=None if normal is None else turned(turn, normal),
            ),
            groups=tuple(
                replace(
                    group,
                    origin=turned(turn, group.origin),
                    fast=turned(turn, group.fast),
                    slow=turned(turn, group.slow),
                )
                for group in instrument.groups
            ),
            crystals=tuple(_crystal(c, turn) for c in instrument.crystals),
            spindle=spindle,
        ),
        [f"{target} has its beam along z: everything was turned by {angle:.6g} degrees"],
    )


def _crystal(crystal: CrystalSetting, turn: np.ndarray) -> CrystalSetting:
    a, b, c = (turned(turn, axis) for axis in (crystal.a, crystal.b, crystal.c))
    return replace(crystal, a=a, b=b, c=c)


def placed(instrument: Instrument) -> tuple[list[DataPlace], list[str]]:
    """Return a place in one array of slow and fast for each panel.

    Places that the file gives are kept where they do not overlap; otherwise the panels are stacked
    along slow.
    """
    panels = instrument.panels
    places = [panel.data or DataPlace() for panel in panels]
    flat = all({*place.dims} <= {"%", "ss", "fs"} for place in places)
    rows = sorted(
        (p.first_slow, p.first_slow + panel.n_slow, p.first_fast, p.first_fast + panel.n_fast)
        for p, panel in zip(places, panels, strict=True)
    )
    # Sorted by rows: those that follow need a look only while they begin above the end.
    apart = flat and not any(
        after[0] < one[1] and after[2] < one[3] and one[2] < after[3]
        for number, one in enumerate(rows)
        for after in rows[number + 1 : number + 1 + len(rows)]
    )
    if apart:
        return [replace(place, dims=("%", "ss", "fs")) for place in places], []
    found, start = [], 0
    for panel in panels:
        found.append(DataPlace(None, ("%", "ss", "fs"), 0, start))
        start += panel.n_slow
    return found, [f"the panels' data are stacked along slow, {start} rows"]


def rectangles(panel: Panel) -> list[Rectangle]:
    """Return all bad rectangles; edges, and regions in x and y pixel by pixel, among them."""
    found = list(panel.bad)
    if panel.bad_areas:
        found += _runs(bad_pixels(replace(panel, bad=(), bad_edge=0), files=False))
    f, s, edge = panel.n_fast, panel.n_slow, min(panel.bad_edge, panel.n_fast, panel.n_slow)
    if edge > 0:
        found += [Rectangle(0, f, 0, edge), Rectangle(0, f, s - edge, s)]
        found += [Rectangle(0, edge, 0, s), Rectangle(f - edge, f, 0, s)]
    return found


def _runs(bad: np.ndarray) -> list[Rectangle]:
    """Return rectangles that cover a mask: runs of each row, joined over equal rows."""
    found: list[Rectangle] = []
    start = 0
    for row in range(1, len(bad) + 1):
        if row < len(bad) and np.array_equal(bad[row], bad[start]):
            continue
        steps = np.flatnonzero(np.diff(np.concatenate(([0], bad[start].astype(np.int8), [0]))))
        pairs = steps.reshape(-1, 2).tolist()
        found += [Rectangle(f0, f1, start, row) for f0, f1 in pairs]
        start = row
    return found


def names_for(panels: tuple[Panel, ...]) -> tuple[list[str], list[str]]:
    """Return a plain name for each panel, all different."""
    found: list[str] = []
    for panel in panels:
        short = re.sub(r"[^A-Za-z0-9_]", "_", panel.name.rstrip("/").rsplit("/", 1)[-1])
        if not short or short.startswith(("bad", "group", "rigid_group")):
            short = f"p{short}"
        name, number = short, 1
        while name in found:
            number += 1
            name = f"{short}_{number}"
        found.append(name)
    changed = sum(name != panel.name for name, panel in zip(found, panels, strict=True))
    return found, [f"{changed} panels have new names"] if changed else []


def left_out(instrument: Instrument, holds: tuple[str, ...]) -> list[str]:
    """Return one line for each thing that the file says and a format does not hold.

    Parameters
    ----------
    instrument : Instrument
    holds : tuple of str
        What the format holds: words below.
    """
    panels, beam = instrument.panels, instrument.beam
    there = {
        "spectrum": ("the spectrum (the one wavelength is written)", bool(beam.spectrum)),
        "polarization": ("polarization", beam.polarization_fraction is not None),
        "crystal": ("the crystal", bool(instrument.crystals)),
        "spindle": ("the rotation axis", instrument.spindle is not None),
        "sweep": ("the scan", instrument.sweep is not None),
        "groups": (f"groups ({len(instrument.groups)})", bool(instrument.groups)),
        "sensor": (
            "sensor thickness and material",
            any(p.thickness or p.material or p.attenuation for p in panels),
        ),
        "gain": ("the gain", any(p.gain not in (None, 1.0) for p in panels)),
        "trusted": ("trusted values", any(p.trusted is not None for p in panels)),
        "bad": ("bad pixels", any(p.bad or p.bad_areas or p.bad_edge for p in panels)),
        "masks": ("mask files", any(p.masks for p in panels)),
    }
    return [f"left out: {text}" for key, (text, held) in there.items() if held and key not in holds]
