"""Reads NeXus NXmx files and masters of Dectris detectors; images are never read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbdask.errors import InputError
from nbdask.inputs.text import problem
from nbdask.panels.given import Given, one_line
from nbdask.panels.model import DataPlace, Group, Instrument, MaskPlace, Panel
from nbdask.panels.nxmx_beam import read_beam, read_goniometer
from nbdask.panels.nxmx_chain import Fields, Link, combined, text_of
from nbdask.panels.vectors import Vector, turned, vector

WHAT = "a NeXus NXmx file (HDF5)"
HALF_PIXEL = "corner based: the module's offset is the outer corner of its first pixel"
HALF_PIXEL_CENTRE = "corner based: beam_center_x, beam_center_y count pixels from the outer corner"
#: Detectors that are known, slow x fast [pixels]: some files give their sizes the other way round.
KNOWN = frozenset(
    {
        (4362, 4148),
        (3262, 3108),
        (2162, 2068),
        (1062, 1028),
        (4371, 4150),
        (3269, 3110),
        (2167, 2070),
        (1065, 1030),
    }
)
_ALL_BITS = 0xFFFFFFFF


def read_nxmx(given: Given) -> Instrument:
    """Read one frame's geometry.

    Parameters
    ----------
    given : Given
        ``shot``: index of the frame.

    Returns
    -------
    Instrument
    """
    given.refuse_clen()
    try:
        import h5py
    except ImportError:
        raise given.refuse(
            "", "h5py is not installed", "read with it: pip install 'nbdask[io]'"
        ) from None
    try:
        with h5py.File(given.path, "r") as file:
            return _read(given, file)
    except (OSError, RuntimeError, KeyError) as error:
        raise problem(given.path, None, f"cannot be read: {one_line(str(error))}", WHAT) from None


def _read(given: Given, file: Any) -> Instrument:
    fields = Fields(given, file)
    entry = _entry(fields)
    instrument = next(_of_class(fields, entry, "NXinstrument"), f"{entry}/instrument")
    sample = next(_of_class(fields, entry, "NXsample"), None)
    detectors = list(_of_class(fields, instrument, "NXdetector"))
    if not detectors:
        raise given.refuse(instrument, "no NXdetector", WHAT)
    shape = _shape(fields, entry, detectors)
    shots = shape.frames
    fields.shot = given.pick_shot(shots, "frames") if shots else given.shot
    panels: list[Panel] = []
    groups: list[Group] = []
    half_pixel = HALF_PIXEL
    for detector in detectors:
        modules = list(_of_class(fields, detector, "NXdetector_module"))
        if modules:
            lead = detector.rsplit("/", 1)[1] + "/" if len(detectors) > 1 else ""
            panels += _modules(fields, detector, modules, shape, lead, groups, len(panels))
        else:
            panels.append(_plain(fields, detector, shape))
            half_pixel = HALF_PIXEL_CENTRE
    homes = [p for p in (instrument, sample, entry) if p is not None]
    beam = read_beam(fields, [b for home in homes for b in _of_class(fields, home, "NXbeam")])
    spindle, sweep = read_goniometer(fields, sample)
    return Instrument(
        format="NXmx",
        half_pixel=half_pixel,
        panels=tuple(panels),
        groups=tuple(groups),
        beam=beam,
        spindle=spindle,
        sweep=sweep,
        shots=shots or 1,
        shot=given.shot,
    )


def _class_of(item: Any) -> str:
    return text_of(item.attrs.get("NX_class", ""))


def _of_class(fields: Fields, parent: str, kind: str) -> Iterator[str]:
    """Yield paths of the groups of a class, in the order of the file."""
    group = fields.get(parent)
    if group is None or not hasattr(group, "keys"):
        return
    for name in group:
        path = f"{parent.rstrip('/')}/{name}"
        item = fields.get(path)
        if item is not None and hasattr(item, "keys") and _class_of(item) == kind:
            yield path


def _entry(fields: Fields) -> str:
    """Return the entry that follows NXmx, or the first one."""
    entries = list(_of_class(fields, "/", "NXentry"))
    for entry in entries:
        definition = fields.get(f"{entry}/definition")
        if definition is not None and "NXmx" in text_of(definition[()]):
            return entry
    if entries:
        return entries[0]
    raise fields.refuse("/", "no NXentry", WHAT)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The images: dataset, its rows and columns, and how many; None: not to be found."""

    path: str | None
    rows: int | None
    columns: int | None
    frames: int


def _shape(fields: Fields, entry: str, detectors: list[str]) -> _Shape:
    """Return the shape of the images, without reading them; their files may be missing."""
    for home in (f"{entry}/data", *detectors):
        group = fields.get(home)
        names = list(group) if group is not None and hasattr(group, "keys") else []
        for name in sorted(n for n in names if n == "data" or n.startswith("data_")):
            item = fields.get(f"{home}/{name}")
            if hasattr(item, "shape") and len(item.shape) >= 2:
                *lead, rows, columns = item.shape
                frames = lead[0] if lead and name == "data" else 0
                return _Shape(f"{home}/{name}", rows, columns, frames)
    for detector in detectors:
        counts = []
        for letter in "yx":
            path = f"{detector}/detectorSpecific/{letter}_pixels_in_detector"
            counts.append(int(fields.value(path)) if fields.get(path) is not None else None)
        if None not in counts:
            return _Shape(None, counts[0], counts[1], 0)
    return _Shape(None, None, None, 0)


@dataclass(frozen=True, slots=True)
class _Slab:
    """A module's part of the images."""

    lead: tuple[int, ...]
    origin: tuple[int, int]
    size: tuple[int, int]

    def turned(self) -> _Slab:
        """Return it with slow and fast exchanged."""
        return _Slab(self.lead, self.origin[::-1], self.size[::-1])

    def end(self) -> tuple[int, int]:
        """Return the row and column behind it."""
        return (self.origin[0] + self.size[0], self.origin[1] + self.size[1])


def _slab(fields: Fields, module: str) -> _Slab:
    whole: dict[str, list[int]] = {}
    for name in ("data_origin", "data_size"):
        path = f"{module}/{name}"
        if name == "data_origin" and fields.get(path) is None:
            whole[name] = [0] * len(whole.get("data_size", [0, 0]))
            continue
        values = fields.values(path).reshape(-1)
        if len(values) < 2 or np.any(values != np.round(values)) or np.any(values < 0):
            found = " ".join(f"{v:g}" for v in values)
            raise fields.refuse(path, found, "2 whole numbers (slow, fast), or more before them")
        whole[name] = [int(v) for v in values]
    size, origin = whole["data_size"], whole["data_origin"]
    if min(size) < 1 or any(value != 1 for value in size[:-2]):
        found = " ".join(map(str, size))
        raise fields.refuse(f"{module}/data_size", found, "1 or more (1 before the last two)")
    return _Slab(tuple(origin[:-2]), (origin[-2], origin[-1]), (size[-2], size[-1]))


def _exchanged(slabs: list[_Slab], shape: _Shape) -> bool:
    """Whether sizes are written fast before slow, against the definition."""
    if shape.rows is None or shape.columns is None:
        return len(slabs) == 1 and slabs[0].size not in KNOWN and slabs[0].size[::-1] in KNOWN
    limit = (shape.rows, shape.columns)
    fits = []
    for choice in (slabs, [slab.turned() for slab in slabs]):
        ends = [slab.end() for slab in choice]
        inside = all(end[0] <= limit[0] and end[1] <= limit[1] for end in ends)
        whole = (max(end[0] for end in ends), max(end[1] for end in ends)) == limit
        fits.append((inside, whole))
    return fits[1] > fits[0]


def _modules(
    fields: Fields,
    detector: str,
    modules: list[str],
    shape: _Shape,
    lead: str,
    groups: list[Group],
    first: int,
) -> list[Panel]:
    """Return the panels of a detector's modules, and note the groups that they form."""
    slabs = [_slab(fields, module) for module in modules]
    if _exchanged(slabs, shape):
        slabs = [slab.turned() for slab in slabs]
        fields.given.notes.append(f"{detector}: data_size is (fast, slow), and was turned round")
    panels, chains = [], []
    for module, slab in zip(modules, slabs, strict=True):
        panel, chain = _module(fields, detector, module, slab, shape, lead)
        panels.append(panel)
        chains.append(chain)
    if len(panels) > 1:
        _note_groups(chains, groups, first)
    return panels


def _note_groups(chains: list[list[Link]], groups: list[Group], first: int) -> None:
    """Add a group for each field on which several modules depend, outer ones first."""
    below: dict[str, list[int]] = {}
    for number, chain in enumerate(chains):
        for link in chain:
            below.setdefault(link.path, []).append(first + number)
    numbers: dict[str, int] = {}
    for chain in chains:
        parent = None
        for at in range(len(chain) - 1, -1, -1):
            path = chain[at].path
            if len(below[path]) < 2:
                break
            if path not in numbers:
                turn, shift = combined(chain[at:])
                numbers[path] = len(groups)
                fast, slow = (turned(turn, axis) for axis in np.eye(3)[:2])
                groups.append(
                    Group(
                        path.rsplit("/", 1)[1],
                        tuple(below[path]),
                        parent,
                        (),
                        vector(shift),
                        fast,
                        slow,
                    )
                )
            parent = numbers[path]


def _module(
    fields: Fields, detector: str, module: str, slab: _Slab, shape: _Shape, lead: str
) -> tuple[Panel, list[Link]]:
    """Return one panel and the chain on which it stands."""
    axes, pitches, found = [], [], {}
    for name in ("fast", "slow"):
        path = f"{module}/{name}_pixel_direction"
        pitch = fields.length(path)
        if pitch <= 0.0:
            raise fields.refuse(path, f"{pitch:g} m", "greater than 0")
        chain = fields.chain(_start(fields, detector, module, path))
        found[name] = (path, chain)
        axes.append(turned(combined(chain)[0], fields.direction(path)))
        pitches.append(pitch)
    path, chain = found["fast"]
    turn, shift = combined(chain)
    sensor = _sensor(fields, detector, slab, shape)
    name = lead + module.rsplit("/", 1)[1]
    try:
        panel = Panel(
            name=name,
            n_fast=slab.size[1],
            n_slow=slab.size[0],
            pitch_fast=pitches[0],
            pitch_slow=pitches[1],
            origin=vector(turn @ fields.offset(path) + shift),
            fast=axes[0],
            slow=axes[1],
            **sensor,
        )
    except InputError as error:
        raise fields.given.of_file(error) from None
    return panel, chain


def _start(fields: Fields, detector: str, module: str, path: str) -> str:
    """Return where a pixel direction's chain begins."""
    start = fields.depends_on(path)
    if start == "." and fields.get(f"{module}/module_offset") is not None:
        return f"{module}/module_offset"
    whole = fields.get(f"{detector}/depends_on")
    if start == "." and whole is not None:
        return fields.absolute(f"{detector}/depends_on", text_of(whole[()]))
    return start


def _sensor(fields: Fields, detector: str, slab: _Slab, shape: _Shape) -> dict[str, Any]:
    """Return what is said of sensor, range, mask and place in the images."""
    found: dict[str, Any] = {}
    if fields.get(f"{detector}/sensor_thickness") is not None:
        found["thickness"] = fields.length(f"{detector}/sensor_thickness")
        if found["thickness"] < 0.0:
            raise fields.refuse(f"{detector}/sensor_thickness", "below 0", "0 or more")
    material = fields.get(f"{detector}/sensor_material")
    if material is not None and hasattr(material, "shape"):
        found["material"] = text_of(material[()]).strip()
    limits = []
    for name in ("underload_value", "saturation_value"):
        path = f"{detector}/{name}"
        limits.append(fields.value(path) if fields.get(path) is not None else None)
    if limits != [None, None]:
        found["trusted"] = (limits[0], limits[1])
    dims: tuple[str | int, ...] = ("%", *slab.lead, "ss", "fs")
    found["data"] = DataPlace(shape.path, dims, slab.origin[1], slab.origin[0])
    mask = fields.get(f"{detector}/pixel_mask")
    if mask is not None and len(getattr(mask, "shape", ())) >= 2:
        place = DataPlace(f"{detector}/pixel_mask", dims[1:], slab.origin[1], slab.origin[0])
        found["masks"] = (MaskPlace(str(fields.given.path), place, 0, _ALL_BITS),)
    return found


def _plain(fields: Fields, detector: str, shape: _Shape) -> Panel:
    """Return the one panel of a Dectris master of 2016: distance and beam centre."""
    names = ("x_pixel_size", "y_pixel_size", "beam_center_x", "beam_center_y")
    for name in names:
        if fields.get(f"{detector}/{name}") is None:
            allowed = "NXdetector_module groups, or beam_center_x, beam_center_y and pixel sizes"
            raise fields.refuse(f"{detector}/{name}", "missing", allowed)
    if shape.rows is None or shape.columns is None:
        raise fields.refuse(
            f"{detector}/detectorSpecific/x_pixels_in_detector", "missing", "the number of pixels"
        )
    pitches = [fields.length(f"{detector}/{name}") for name in names[:2]]
    for name, pitch in zip(names, pitches, strict=False):
        if pitch <= 0.0:
            raise fields.refuse(f"{detector}/{name}", f"{pitch:g} m", "greater than 0")
    centre = []
    for name, pitch in zip(names[2:], pitches, strict=True):
        path = f"{detector}/{name}"
        pixels = fields.units(path).lower() in ("", "pixel", "pixels", "px")
        centre.append(fields.value(path) * pitch if pixels else fields.length(path))
    far = next(
        (n for n in ("detector_distance", "distance") if fields.get(f"{detector}/{n}") is not None),
        "detector_distance",
    )
    slab = _Slab((), (0, 0), (shape.rows, shape.columns))
    fast, slow = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)
    origin: Vector = (centre[0], centre[1], fields.length(f"{detector}/{far}"))
    try:
        return Panel(
            name=detector.rsplit("/", 1)[1],
            n_fast=shape.columns,
            n_slow=shape.rows,
            pitch_fast=pitches[0],
            pitch_slow=pitches[1],
            origin=origin,
            fast=fast,
            slow=slow,
            **_sensor(fields, detector, slab, shape),
        )
    except InputError as error:
        raise fields.given.of_file(error) from None
