"""Writes experiment lists of dxtbx (``.expt``)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from nbdask.errors import InputError
from nbdask.panels.fitting import left_out, rectangles, squared
from nbdask.panels.model import CrystalSetting, Instrument, Panel, PanelBeam, Spindle
from nbdask.panels.vectors import FROM_DXTBX, Matrix, turned, vector

_HOLDS = ("polarization", "crystal", "spindle", "sweep", "sensor", "gain", "trusted", "bad")
#: dxtbx wants limits: those of a 32-bit counter.
_ANY = (-1.0, 2147483647.0)
#: More than any scan has.
_MOST_IMAGES = 10**7
_LAB: tuple[Matrix, Matrix] = (np.eye(3), np.zeros(3))


def dxtbx_text(instrument: Instrument) -> tuple[str, list[str]]:
    """Return the file and what it does not hold.

    Parameters
    ----------
    instrument : Instrument
    """
    lists, said = dxtbx_lists(instrument)
    return json.dumps(lists, indent=2) + "\n", said


def dxtbx_lists(instrument: Instrument) -> tuple[dict[str, Any], list[str]]:
    """Return the content of the file, and what it does not hold.

    Parameters
    ----------
    instrument : Instrument
    """
    instrument, said = squared(instrument, "dxtbx")
    tree = bool(instrument.groups) and not any(group.members for group in instrument.groups)
    said += left_out(instrument, (*_HOLDS, "groups") if tree else _HOLDS)
    if any(panel.trusted is None or None in panel.trusted for panel in instrument.panels):
        said.append(f"trusted values that are not known are written as {_ANY[0]:g}, {_ANY[1]:g}")
    frames, root = _hierarchy(instrument) if tree else _flat(instrument)
    experiment: dict[str, Any] = {"__id__": "Experiment", "identifier": ""}
    whole: dict[str, Any] = {"__id__": "ExperimentList", "experiment": [experiment]}
    parts: dict[str, Any] = {
        "beam": _beam(instrument.beam),
        "detector": {
            "panels": [_panel(p, f) for p, f in zip(instrument.panels, frames, strict=True)],
            "hierarchy": root,
        },
    }
    if instrument.spindle is not None:
        parts["goniometer"] = _goniometer(instrument.spindle)
    if instrument.sweep is not None and instrument.spindle is not None:
        sweep = instrument.sweep
        count = sweep.last - sweep.first + 1
        if count > _MOST_IMAGES:  # each takes two numbers
            raise InputError(
                f"--to .expt: a scan of {count} images: must be {_MOST_IMAGES} or less"
            )
        parts["scan"] = {
            "image_range": [sweep.first, sweep.last],
            "batch_offset": 0,
            "oscillation": [math.degrees(sweep.start), math.degrees(sweep.width)],
            "exposure_time": [0.0] * count,
            "epochs": [0.0] * count,
            "valid_image_ranges": {},
        }
    if instrument.crystals:
        parts["crystal"] = crystal_entry(instrument.crystals[0])
    for key in ("imageset", "beam", "detector", "goniometer", "scan", "crystal", "profile"):
        whole[key] = [parts[key]] if key in parts else []
        if key in parts:
            experiment[key] = 0
    whole["scaling_model"] = []
    return whole, said


def _out(values: Any) -> list[float]:
    """Return a vector of the common frame in dxtbx's."""
    return list(turned(FROM_DXTBX, values))


def _beam(beam: PanelBeam) -> dict[str, Any]:
    assert beam.wavelength is not None
    found: dict[str, Any] = {
        "__id__": "monochromatic",
        "direction": list(turned(-FROM_DXTBX, beam.direction)),
        "wavelength": beam.wavelength * 1e10,
        "divergence": 0.0,
        "sigma_divergence": 0.0,
    }
    if beam.polarization_normal is not None:
        found["polarization_normal"] = _out(beam.polarization_normal)
    if beam.polarization_fraction is not None:
        found["polarization_fraction"] = beam.polarization_fraction
    return {**found, "flux": 0.0, "transmission": 1.0}


def _local(frame: tuple[Matrix, Matrix], fast: Any, slow: Any, origin: Any) -> dict[str, Any]:
    """Return a frame of the common frame [m] inside another one of dxtbx's [mm]."""
    turn, shift = frame
    return {
        "fast_axis": list(vector(turn.T @ np.array(_out(fast)))),
        "slow_axis": list(vector(turn.T @ np.array(_out(slow)))),
        "origin": list(vector(turn.T @ (np.array(_out(origin)) * 1e3 - shift))),
    }


def _frame_of(fast: Any, slow: Any, origin: Any) -> tuple[Matrix, Matrix]:
    f, s = np.array(_out(fast)), np.array(_out(slow))
    normal = np.cross(f, s)
    return np.array([f, s, normal / np.linalg.norm(normal)]).T, np.array(_out(origin)) * 1e3


def _empty(name: str, place: dict[str, Any]) -> dict[str, Any]:
    """Return a group, which has no pixels of its own."""
    return {
        "name": name,
        "type": "",
        **place,
        "raw_image_offset": [0, 0],
        "image_size": [0, 0],
        "pixel_size": [0.0, 0.0],
        "trusted_range": [0.0, 0.0],
        "thickness": 0.0,
        "material": "",
        "mu": 0.0,
        "identifier": "",
        "mask": [],
        "gain": 1.0,
        "pedestal": 0.0,
        "px_mm_strategy": {"type": "SimplePxMmStrategy"},
        "children": [],
    }


def _root() -> dict[str, Any]:
    identity = {"fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0], "origin": [0.0] * 3}
    return _empty("", identity)


def _flat(instrument: Instrument) -> tuple[list[tuple[Matrix, Matrix]], dict[str, Any]]:
    root = _root()
    root["children"] = [{"panel": index} for index in range(len(instrument.panels))]
    return [_LAB] * len(instrument.panels), root


def _hierarchy(instrument: Instrument) -> tuple[list[tuple[Matrix, Matrix]], dict[str, Any]]:
    """Return each panel's frame, and the tree of groups."""
    groups = instrument.groups
    frames = [_frame_of(group.fast, group.slow, group.origin) for group in groups]
    nodes: list[dict[str, Any]] = []
    depths: list[int] = []
    tops: list[dict[str, Any]] = []
    for group in groups:
        above = _LAB if group.parent is None else frames[group.parent]
        node = _empty(group.name, _local(above, group.fast, group.slow, group.origin))
        nodes.append(node)
        depths.append(0 if group.parent is None else depths[group.parent] + 1)
        (tops if group.parent is None else nodes[group.parent]["children"]).append(node)
    homes: list[int | None] = [None] * len(instrument.panels)
    for index, group in enumerate(groups):
        for panel in group.panels:
            home = homes[panel]
            if home is None or depths[index] > depths[home]:
                homes[panel] = index
    if len(tops) == 1 and None not in homes:
        root = tops[0]
    else:
        root = _root()
        root["children"] = list(tops)
    for panel, home in enumerate(homes):
        (root if home is None else nodes[home])["children"].append({"panel": panel})
    return [_LAB if home is None else frames[home] for home in homes], root


def _panel(panel: Panel, frame: tuple[Matrix, Matrix]) -> dict[str, Any]:
    offset = [0, 0] if panel.data is None else [panel.data.first_fast, panel.data.first_slow]
    limits = panel.trusted or (None, None)
    thick = panel.thickness > 0.0 and panel.attenuation > 0.0
    return {
        "name": panel.name,
        "type": "SENSOR_PAD",
        **_local(frame, panel.fast, panel.slow, panel.origin),
        "raw_image_offset": offset,
        "image_size": [panel.n_fast, panel.n_slow],
        "pixel_size": [panel.pitch_fast * 1e3, panel.pitch_slow * 1e3],
        "trusted_range": [a if v is None else v for v, a in zip(limits, _ANY, strict=True)],
        "thickness": panel.thickness * 1e3,
        "material": panel.material,
        "mu": panel.attenuation * 1e-3,
        "identifier": "",
        "mask": [[r.f0, r.s0, r.f1, r.s1] for r in rectangles(panel)],
        "gain": panel.gain or 1.0,
        "pedestal": 0.0,
        "px_mm_strategy": {
            "type": "ParallaxCorrectedPxMmStrategy" if thick else "SimplePxMmStrategy"
        },
    }


def _goniometer(spindle: Spindle) -> dict[str, Any]:
    def back(matrix: tuple[float, ...]) -> list[float]:
        """Return a rotation in dxtbx's frame."""
        turn = FROM_DXTBX @ np.reshape(matrix, (3, 3)) @ FROM_DXTBX.T
        return [number for row in turn for number in vector(row)]

    return {
        "rotation_axis": _out(spindle.axis),
        "fixed_rotation": back(spindle.fixed),
        "setting_rotation": back(spindle.setting),
    }


def crystal_entry(crystal: CrystalSetting) -> dict[str, Any]:
    """Return a crystal as the file holds it."""
    found: dict[str, Any] = {"__id__": "crystal"}
    for name, axis in (("a", crystal.a), ("b", crystal.b), ("c", crystal.c)):
        found[f"real_space_{name}"] = list(vector(np.array(_out(axis)) * 1e10))
    found["space_group_hall_symbol"] = _hall(crystal.space_group)
    if crystal.mosaicity is not None and crystal.mosaicity_key:
        found[crystal.mosaicity_key] = math.degrees(crystal.mosaicity)
    if crystal.domain_size is not None:
        found["ML_domain_size_ang"] = crystal.domain_size * 1e10
    return found


def _hall(name: str) -> str:
    """Return the Hall symbol: XDS gives a number."""
    if not name.strip().isdigit():
        return name or " P 1"
    import gemmi

    group = gemmi.find_spacegroup_by_number(int(name))
    return " P 1" if group is None else str(group.hall)
