"""Writes NeXus NXmx files that hold a geometry and no images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nbdask.errors import InputError
from nbdask.panels.fitting import beam_along_z, left_out, names_for, placed
from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import DataPlace, Instrument, Panel
from nbdask.version import __version__

_HOLDS = ("spectrum", "polarization", "sensor", "trusted", "bad")
_DETECTOR = "/entry/instrument/detector"
#: Bit of the pixel mask for pixels that someone declared bad.
_BAD = 1 << 8


def write_nxmx(instrument: Instrument, path: Path) -> list[str]:
    """Write the file, and return what it does not hold.

    Parameters
    ----------
    instrument : Instrument
    path : Path
        A new file.
    """
    try:
        import h5py
    except ImportError:
        raise InputError("--to nxmx: h5py is not installed: pip install 'nbdask[io]'") from None
    instrument, said = beam_along_z(instrument, "NXmx")
    places, stacked = placed(instrument)
    said += stacked + left_out(instrument, _HOLDS)
    with h5py.File(path, "w") as file:
        file.attrs.update(NX_class="NXroot", default="entry", creator=f"nbdask {__version__}")
        entry = _group(file, "entry", "NXentry")
        entry["definition"] = "NXmx"
        sample = _group(entry, "sample", "NXsample")
        sample["name"] = "sample"
        sample["depends_on"] = "."
        inside = _group(entry, "instrument", "NXinstrument")
        said += _beam(_group(inside, "beam", "NXbeam"), instrument)
        detector = _group(inside, "detector", "NXdetector")
        said += write_modules(detector, instrument)
        said += _sensor(detector, instrument.panels)
        said += _mask(detector, instrument, places)
    return [*said, "no images: the file holds the geometry alone"]


def write_modules(detector: Any, instrument: Instrument) -> list[str]:
    """Write each panel as a module of the detector, and the axis on which it stands.

    Parameters
    ----------
    detector : HDF5 group
        ``/entry/instrument/detector``.
    instrument : Instrument
        With the beam along z.

    Returns
    -------
    list of str
        What was changed.
    """
    names, renamed = names_for(instrument.panels)
    places, _ = placed(instrument)
    detector["depends_on"] = f"{_DETECTOR}/transformations/detector"
    axes = _group(detector, "transformations", "NXtransformations")
    _axis(axes, "detector", ".", "detector", 0.0, (0.0, 0.0, 1.0), "translation")
    for number, (name, panel) in enumerate(zip(names, instrument.panels, strict=True)):
        _module(detector, axes, name, panel, places[number], number)
    return renamed


def _group(parent: Any, name: str, kind: str) -> Any:
    # Modules are read in the order in which they were made, not by name.
    group = parent.create_group(name, track_order=True)
    group.attrs["NX_class"] = kind
    return group


def _number(group: Any, name: str, value: Any, units: str) -> Any:
    group[name] = value
    group[name].attrs["units"] = units
    return group[name]


def _axis(
    group: Any,
    name: str,
    depends_on: str,
    component: str,
    value: float,
    direction: Any,
    kind: str,
    offset: Any = (0.0, 0.0, 0.0),
) -> None:
    field = _number(group, name, value, "deg" if kind == "rotation" else "m")
    field.attrs.update(
        depends_on=depends_on,
        transformation_type=kind,
        vector=np.array(direction),
        offset=np.array(offset),
        offset_units="m",
    )
    if component:
        field.attrs["equipment_component"] = component


def _module(
    detector: Any, axes: Any, name: str, panel: Panel, place: DataPlace, number: int
) -> None:
    """Write one panel: a module, and the axis on which it stands."""
    home = f"{_DETECTOR}/transformations/"
    _axis(
        axes,
        f"module_{number}",
        f"{home}detector",
        f"module_{number}",
        0.0,
        (0.0, 0.0, 1.0),
        "rotation",
        panel.origin,
    )
    module = _group(detector, name, "NXdetector_module")
    module["data_origin"] = np.array([place.first_slow, place.first_fast])
    module["data_size"] = np.array([panel.n_slow, panel.n_fast])
    module["data_stride"] = np.array([1, 1])
    for key, pitch, direction in (
        ("fast_pixel_direction", panel.pitch_fast, panel.fast),
        ("slow_pixel_direction", panel.pitch_slow, panel.slow),
    ):
        _axis(module, key, f"{home}module_{number}", "", pitch, direction, "translation")


def _beam(group: Any, instrument: Instrument) -> list[str]:
    beam = instrument.beam
    assert beam.wavelength is not None
    if beam.spectrum:
        waves, weights = np.array(beam.spectrum).T
        _number(group, "incident_wavelength", waves * 1e10, "angstrom")
        group["incident_wavelength_weights"] = weights
    else:
        _number(group, "incident_wavelength", beam.wavelength * 1e10, "angstrom")
    fraction, normal = beam.polarization_fraction, beam.polarization_normal
    if fraction is None:
        return []
    if normal is not None and abs(normal[1]) < 1.0 - 1e-4:
        return ["left out: polarization, whose plane is not x-z"]
    group["incident_polarisation_stokes"] = np.array([1.0, 2.0 * fraction - 1.0, 0.0, 0.0])
    return []


def _sensor(group: Any, panels: tuple[Panel, ...]) -> list[str]:
    """Write what all panels share of sensor and range."""
    first, said = panels[0], []
    for key, text in (("thickness", "thickness"), ("material", "material"), ("trusted", "range")):
        if any(getattr(panel, key) != getattr(first, key) for panel in panels):
            said.append(f"the {text} differs from panel to panel: that of {first.name} is written")
    if first.thickness > 0.0:
        _number(group, "sensor_thickness", first.thickness, "m")
    if first.material:
        group["sensor_material"] = first.material
    if not (first.thickness > 0.0 and first.material):
        said.append("sensor thickness or material is not known; DIALS wants both")
    low, high = first.trusted or (None, None)
    if low is not None:
        group["underload_value"] = low
    if high is not None:
        group["saturation_value"] = high
    return said


def _mask(group: Any, instrument: Instrument, places: list[DataPlace]) -> list[str]:
    """Write the bad pixels."""
    panels = instrument.panels
    if not any(panel.bad or panel.bad_areas or panel.bad_edge for panel in panels):
        return []
    ends = zip(places, panels, strict=True)
    sizes = [(p.first_slow + a.n_slow, p.first_fast + a.n_fast) for p, a in ends]
    shape = (max(rows for rows, _ in sizes), max(columns for _, columns in sizes))
    mask = group.create_dataset(
        "pixel_mask", shape=shape, dtype="<u4", chunks=True, compression="gzip", fillvalue=0
    )
    for place, panel in zip(places, panels, strict=True):
        bad = bad_pixels(panel, files=False).astype(np.uint32) * np.uint32(_BAD)
        top, left = place.first_slow, place.first_fast
        mask[top : top + panel.n_slow, left : left + panel.n_fast] = bad
    return []
