"""Reads experiment lists of dxtbx (``.expt``, older ``.json``): JSON with frames in frames."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from nbdask.errors import InputError
from nbdask.panels.given import Given
from nbdask.panels.model import (
    CrystalSetting,
    DataPlace,
    Group,
    Instrument,
    Panel,
    PanelBeam,
    Rectangle,
    Spindle,
    Sweep,
)
from nbdask.panels.node import Node, brief
from nbdask.panels.vectors import FROM_DXTBX, TINY, Matrix, Vector, rotation, turned, vector

WHAT = "a dxtbx experiment list (JSON)"
HALF_PIXEL = "corner based: pixel (0, 0) covers 0 to 1, its centre is 0.5"
#: Groups inside groups.
_DEEPEST = 50
_MOSAICITY = ("ML_half_mosaicity_deg", "mosaicity")


def read_dxtbx(given: Given) -> Instrument:
    """Read one experiment of a list.

    Parameters
    ----------
    given : Given
        ``shot``: index of the experiment.

    Returns
    -------
    Instrument
    """
    given.refuse_clen()
    root = Node.of(given, "file", _load(given))
    experiments = root.items("experiment")
    shot = given.pick_shot(len(experiments), "experiments")
    if experiments:
        place = Node.of(given, f"experiment {shot}", experiments[shot])
    else:
        # Lists of images (datablock.json) have no experiments: what there is belongs together.
        parts = ("beam", "detector", "goniometer", "scan", "crystal")
        found = {key: 0 for key in parts if root.items(key)}
        if not found:
            raise given.refuse("", "neither experiment nor detector", WHAT)
        place = Node(given, "file", found)
    detector = _part(root, place, "detector")
    assert detector is not None
    panels, groups = _detector(detector)
    crystal = _part(root, place, "crystal", needed=False)
    scan = _part(root, place, "scan", needed=False)
    spindle = _part(root, place, "goniometer", needed=False)
    images = _part(root, place, "imageset", needed=False)
    if images is not None and images.text("mask"):
        given.notes.append(f"the images' mask {images.text('mask')} is not taken")
    beam = _part(root, place, "beam")
    assert beam is not None
    return Instrument(
        format="dxtbx",
        half_pixel=HALF_PIXEL,
        panels=panels,
        groups=groups,
        beam=_beam(beam),
        crystals=() if crystal is None else (_crystal(crystal),),
        spindle=None if spindle is None else _spindle(spindle),
        sweep=None if scan is None else _sweep(scan),
        shots=max(len(experiments), 1),
        shot=shot,
    )


def read_crystals(given: Given) -> tuple[tuple[CrystalSetting, Spindle | None], ...]:
    """Read the crystal of every experiment of a list, with the goniometer that it is on.

    Parameters
    ----------
    given : Given
        Its shot does not count.

    Raises
    ------
    InputFileError
        A file without experiments, an experiment without crystal.
    """
    root = Node.of(given, "file", _load(given))
    experiments = root.items("experiment")
    if not experiments:
        raise given.refuse("experiment", "none", "a list of experiments")
    found = []
    for number, item in enumerate(experiments):
        place = Node.of(given, f"experiment {number}", item)
        crystal = _part(root, place, "crystal")
        spindle = _part(root, place, "goniometer", needed=False)
        assert crystal is not None
        found.append((_crystal(crystal), None if spindle is None else _spindle(spindle)))
    return tuple(found)


def _load(given: Given) -> Any:
    text = "\n".join(given.lines(WHAT))
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        found = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise given.refuse("", found, WHAT) from None
    except (RecursionError, ValueError):
        raise given.refuse("", "nested too deeply, or a number too long", WHAT) from None
    if isinstance(data, list) and len(data) == 1:
        return data[0]
    return data


def _part(root: Node, place: Node, key: str, *, needed: bool = True) -> Node | None:
    """Return the beam, detector, ... of an experiment."""
    if not needed and place.data.get(key) is None:
        return None
    items = root.items(key)
    index = place.index(key, len(items), key)
    item = items[index]
    # The oldest lists hold the panels directly.
    if key == "detector" and isinstance(item, list):
        item = {"panels": item}
    return Node.of(root.given, f"{key} {index}", item)


def _beam(node: Node) -> PanelBeam:
    wave = None
    if node.data.get("wavelength") is not None:
        wave = node.number("wavelength") * 1e-10
    elif "wavelength_range" in node.data or node.text("__id__") == "polychromatic":
        raise node.refuse("wavelength", "missing, the beam is polychromatic", "one wavelength")
    where = f"{node.where}: wavelength"
    wave = node.given.settle_wavelength(wave, where, needed=True)
    # From sample to source; the photons go the other way.
    source = node.direction("direction")
    normal = fraction = None
    if "polarization_normal" in node.data:
        normal = turned(FROM_DXTBX, node.direction("polarization_normal"))
    if "polarization_fraction" in node.data:
        fraction = node.number("polarization_fraction")
        if not 0.0 <= fraction <= 1.0:
            raise node.refuse("polarization_fraction", f"{fraction:g}", "0 to 1")
    return PanelBeam(
        direction=turned(-FROM_DXTBX, source),
        wavelength=wave,
        polarization_normal=normal,
        polarization_fraction=fraction,
    )


def _frame(node: Node) -> tuple[Matrix, Matrix]:
    """Return the matrix (fast, slow, normal) and the origin [mm] of a group or panel, local."""
    fast, slow = np.array(node.direction("fast_axis")), np.array(node.direction("slow_axis"))
    normal = np.cross(fast, slow)
    length = float(np.linalg.norm(normal))
    if length < TINY:
        raise node.refuse("slow_axis", "parallel to fast_axis", "another direction")
    return np.array([fast, slow, normal / length]).T, np.array(node.triple("origin"))


_LAB = (np.eye(3), np.zeros(3))


def _detector(node: Node) -> tuple[tuple[Panel, ...], tuple[Group, ...]]:
    """Return panels and groups, in the common frame."""
    items = node.items("panels")
    if not items:
        raise node.refuse("panels", "none", "a list of panels")
    groups: list[Group] = []
    parents: dict[int, tuple[Matrix, Matrix]] = {}
    tree = node.data.get("hierarchy")
    if tree:
        _walk(Node.of(node.given, f"{node.where}: hierarchy", tree), None, _LAB, groups, parents)
        for index in range(len(items)):
            if index not in parents:
                raise node.refuse("hierarchy", f"panel {index} is in no group", "all panels, once")
        if len(parents) > len(items):
            raise node.refuse("hierarchy", f"panel {max(parents)}", f"0 to {len(items) - 1}")
    panels = []
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) else None
        label = f"{node.where}: panel {index}" + (f" ({name})" if name else "")
        panels.append(_panel(Node.of(node.given, label, item), index, parents.get(index, _LAB)))
    return tuple(panels), tuple(groups)


def _walk(
    node: Node,
    parent: int | None,
    outer: tuple[Matrix, Matrix],
    groups: list[Group],
    parents: dict[int, tuple[Matrix, Matrix]],
    depth: int = 0,
) -> tuple[int, ...]:
    """Note a group, the groups in it and the frame in which each panel is; return its panels."""
    if depth > _DEEPEST:
        raise node.refuse("children", f"more than {_DEEPEST} levels", "fewer")
    axes, origin = _frame(node)
    frame = (outer[0] @ axes, outer[1] + outer[0] @ origin)
    own = len(groups)
    name = node.text("name")
    groups.append(
        Group(
            name=name,
            panels=(),
            parent=parent,
            origin=turned(FROM_DXTBX, frame[1] / 1000.0),
            fast=turned(FROM_DXTBX, frame[0][:, 0]),
            slow=turned(FROM_DXTBX, frame[0][:, 1]),
        )
    )
    found: list[int] = []
    for number, item in enumerate(node.items("children")):
        child = Node.of(node.given, f"{node.where}: child {number}", item)
        if "panel" in child.data:
            index = child.index("panel", 10**6, "panel")
            if index in parents:
                raise child.refuse("panel", f"{index} for the second time", "all panels, once")
            parents[index] = frame
            found.append(index)
        else:
            label = f"{node.where} > {child.text('name') or number}"
            inner = Node(node.given, label, child.data)
            found += _walk(inner, own, frame, groups, parents, depth + 1)
    # The groups inside it stand behind it already.
    at = groups[own]
    groups[own] = Group(at.name, tuple(found), at.parent, at.members, at.origin, at.fast, at.slow)
    return tuple(found)


def _panel(node: Node, index: int, outer: tuple[Matrix, Matrix]) -> Panel:
    axes, origin = _frame(node)
    size = node.counts("image_size", 2)
    pitch = node.numbers("pixel_size", 2)
    for key, values in (("image_size", size), ("pixel_size", pitch)):
        if min(values) <= 0:
            raise node.refuse(key, brief(list(values)), "2 numbers greater than 0")
    offset = node.counts("raw_image_offset", 2) if node.data.get("raw_image_offset") else [0, 0]
    trusted: tuple[float | None, float | None] | None = None
    if node.data.get("trusted_range") is not None:
        low, high = node.numbers("trusted_range", 2)
        trusted = (low, high)
    for key in ("thickness", "mu"):
        if node.number(key, 0.0) < 0.0:
            raise node.refuse(key, f"{node.number(key):g}", "0 or more")
    position = outer[1] + outer[0] @ origin
    try:
        return Panel(
            name=node.text("name") or str(index),
            n_fast=size[0],
            n_slow=size[1],
            pitch_fast=pitch[0] / 1000.0,
            pitch_slow=pitch[1] / 1000.0,
            origin=turned(FROM_DXTBX, position / 1000.0),
            fast=turned(FROM_DXTBX, outer[0] @ axes[:, 0]),
            slow=turned(FROM_DXTBX, outer[0] @ axes[:, 1]),
            thickness=node.number("thickness", 0.0) / 1000.0,
            attenuation=node.number("mu", 0.0) * 1000.0,
            material=node.text("material"),
            gain=node.number("gain", 0.0) or None,
            trusted=trusted,
            bad=_bad(node, size),
            data=DataPlace(first_fast=offset[0], first_slow=offset[1]),
        )
    except InputError as error:
        raise node.given.of_file(error, node.where) from None


def _bad(node: Node, size: list[int]) -> tuple[Rectangle, ...]:
    """Return the rectangles of ``mask``, cut to the panel."""
    found = []
    for number, item in enumerate(node.items("mask")):
        inner = Node(node.given, node.where, {f"mask {number}": item})
        f0, s0, f1, s1 = inner.counts(f"mask {number}", 4)
        cut = Rectangle(max(f0, 0), min(f1, size[0]), max(s0, 0), min(s1, size[1]))
        if cut.f0 < cut.f1 and cut.s0 < cut.s1:
            found.append(cut)
    return tuple(found)


def _crystal(node: Node) -> CrystalSetting:
    a, b, c = (
        turned(FROM_DXTBX, [value * 1e-10 for value in node.triple(f"real_space_{axis}")])
        for axis in "abc"
    )
    key = next((k for k in _MOSAICITY if node.data.get(k) is not None), "")
    size = None
    if node.data.get("ML_domain_size_ang") is not None:
        size = node.number("ML_domain_size_ang") * 1e-10
    return CrystalSetting(
        a,
        b,
        c,
        space_group=node.text("space_group_hall_symbol"),
        mosaicity=math.radians(node.number(key)) if key else None,
        mosaicity_key=key,
        domain_size=size,
    )


def _spindle(node: Node) -> Spindle:
    """Return the rotation axis and the fixed rotations about it, of one axis or of several."""
    if node.data.get("axes") is not None:
        count = len(node.items("axes"))
        scan = node.index("scan_axis", count, "axis")
        angles = node.numbers("angles", count)
        axes = []
        for number, item in enumerate(node.items("axes")):
            inner = Node(node.given, node.where, {f"axes {number}": item})
            axes.append(inner.direction(f"axes {number}"))
        fixed, setting = np.eye(3), np.eye(3)
        # The list runs from the sample to the base.
        for number, (axis, angle) in enumerate(zip(axes, angles, strict=True)):
            turn = rotation(axis, math.radians(angle))
            if number < scan:
                fixed = turn @ fixed
            elif number > scan:
                setting = turn @ setting
        return _common(axes[scan], fixed, setting)
    parts = []
    for key in ("fixed_rotation", "setting_rotation"):
        held = node.data.get(key) is not None
        parts.append(np.reshape(node.numbers(key, 9), (3, 3)) if held else np.eye(3))
    return _common(node.direction("rotation_axis"), parts[0], parts[1])


def _common(axis: Vector, fixed: Matrix, setting: Matrix) -> Spindle:
    """Return the rotations in the common frame."""
    turn = FROM_DXTBX
    both = (tuple(vector_of(turn @ part @ turn.T)) for part in (fixed, setting))
    return Spindle(turned(turn, axis), *both)


def vector_of(matrix: Matrix) -> list[float]:
    """Return the nine numbers of a matrix, row by row."""
    return [number for row in matrix for number in vector(row)]


def _sweep(node: Node) -> Sweep | None:
    first, last = node.counts("image_range", 2)
    if node.data.get("oscillation") is not None:
        start, width = node.numbers("oscillation", 2)
    else:
        held = node.data.get("properties")
        inner = Node.of(node.given, f"{node.where}: properties", {} if held is None else held)
        count = len(inner.items("oscillation"))
        if count == 0:
            return None
        angles = inner.numbers("oscillation", count)
        start, width = angles[0], angles[1] - angles[0] if count > 1 else 0.0
    return Sweep(first, last, math.radians(start), math.radians(width))
