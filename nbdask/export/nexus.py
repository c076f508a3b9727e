"""NXmx: HDF5 with the NeXus application definition for macromolecular crystallography."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from nbdask.experiment import Experiment
from nbdask.export.files import check_room
from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.nexus_frame import ROTATION, Axis, Chain, detector_chain, lab_to_nexus
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.values import INT32_MAX, Clipped, counts32, scaled
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.source_grid import build_sources
from nbdask.geometry.vectors import Array, length
from nbdask.units import to_angstrom, to_degrees
from nbdask.version import __version__

#: Longest side of a chunk [pixels].
CHUNK = 512
#: Disk space that is left for HDF5's own records [bytes].
_MARGIN = 64 << 10
#: Bit of the pixel mask for pixels without a measurement: "user defined mask".
MASKED = 1 << 8
#: Value of int32 pixels that were not computed.
NOTHING = -1

DETECTOR = "/entry/instrument/detector"


def write_nexus(picture: Picture, path: Path, options: Options) -> list[str]:
    """Write an NXmx file with one frame.

    ``dtype``: float32 unless given; ``scale`` and ``adc``: 1 and 0 unless given.
    """
    experiment, geometry = picture.experiment, geometry_of(picture)
    with h5py.File(path, "w") as file:
        _root(file, picture)
        turn = lab_to_nexus(geometry)
        entry = file["entry"]
        _sample(_group(entry, "sample", "NXsample"), experiment, geometry, turn)
        instrument = _group(entry, "instrument", "NXinstrument")
        _text(instrument, "name", "nbdask simulation", short_name="nbdask")
        _beam(_group(instrument, "beam", "NXbeam"), experiment, geometry)
        source = _group(entry, "source", "NXsource")
        _text(source, "name", "simulated", short_name="simulated")
        detector = _group(instrument, "detector", "NXdetector")
        _detector(detector, experiment, geometry, turn)
        said = _pixels(detector, picture, options, path)
        data = _group(entry, "data", "NXdata", signal="data")
        data["data"] = detector["data"]
        _record(_group(entry, "nbdask", "NXcollection"), picture, turn)
    if experiment.detector.curved:
        said.append("the geometry is that of the flat detector: NXmx cannot describe a curved one")
    return said


def _group(parent: Any, name: str, kind: str, **attributes: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    group.attrs.update(attributes)
    return group


def _text(group: Any, name: str, text: str, **attributes: str) -> None:
    group[name] = text
    group[name].attrs.update(attributes)


def _number(group: Any, name: str, value: Any, units: str | None = None) -> Any:
    group[name] = value
    if units is not None:
        group[name].attrs["units"] = units
    return group[name]


def _time(text: str | None) -> str:
    """Return a time of the store as UTC with the suffix Z; the epoch where there is none."""
    moment = datetime.fromisoformat(text or "1970-01-01T00:00:00+00:00")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _root(file: Any, picture: Picture) -> None:
    """Write what the file is, and when the simulation ran."""
    attributes = picture.reader.attributes
    started, ended = attributes.get("started"), attributes.get("ended")
    file.attrs.update(
        NX_class="NXroot",
        default="entry",
        creator=f"nbdask {__version__}",
        file_time=_time(ended or started),
        HDF5_Version=h5py.version.hdf5_version,
        h5py_version=h5py.version.version,
    )
    entry = _group(file, "entry", "NXentry", default="data")
    _text(entry, "title", "nbdask simulation")
    _text(entry, "definition", "NXmx", version="1.5")
    _text(entry, "start_time", _time(started))
    if ended:
        _text(entry, "end_time", _time(ended))
    _text(entry, "end_time_estimated", _time(ended or started))


def _sample(group: Any, experiment: Experiment, geometry: Geometry, turn: Array) -> None:
    """Write the crystal's cell and its rotation."""
    _text(group, "name", "simulated crystal")
    _text(group, "depends_on", "/entry/sample/transformations/phi")
    axes = orient_crystal(experiment.crystal, experiment.beam).axes
    sides = [length(axis) for axis in axes]
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = [np.dot(axes[i], axes[j]) / (sides[i] * sides[j]) for i, j in pairs]
    angles = [to_degrees(float(np.arccos(np.clip(c, -1.0, 1.0)))) for c in cosines]
    _number(group, "unit_cell_abc", np.array(sides) * 1e10, "angstrom")
    _number(group, "unit_cell_alphabetagamma", np.array(angles), "deg")
    axes_group = _group(group, "transformations", "NXtransformations")
    start, osc = to_degrees(geometry.phi0), to_degrees(geometry.osc)
    axis = Axis("phi", ROTATION, start, geometry.frame.spindle)
    _axis(axes_group, axis, ".", turn)
    for name, value in (("phi_end", np.array([start + osc])), ("phi_increment_set", osc)):
        _number(axes_group, name, value, "deg").attrs["transformation_type"] = ROTATION


def _beam(group: Any, experiment: Experiment, geometry: Geometry) -> None:
    """Write wavelength (all of them for a beam with several), flux and polarization."""
    beam = experiment.beam
    frame = geometry.frame
    sources = build_sources(experiment.sources, beam.wavelength, frame.beam, frame.polarization)
    waves, weights = np.unique(sources.wavelength, return_inverse=True)
    if len(waves) == 1:
        _number(group, "incident_wavelength", to_angstrom(float(waves[0])), "angstrom")
    else:
        _number(group, "incident_wavelength", waves * 1e10, "angstrom")
        share = np.bincount(weights, weights=sources.weight)
        _number(group, "incident_wavelength_weight", share / share.sum())
    area, seconds = beam.beamsize**2, beam.exposure if beam.exposure > 0.0 else 1.0
    flux = beam.flux if beam.flux > 0.0 else beam.effective_fluence * area / seconds
    _number(group, "total_flux", flux, "Hz")
    size = max(beam.beamsize, 0.0)
    _number(group, "incident_beam_size", np.array([size, size]), "m")
    _text(group, "profile", "rectangular")
    # x of NeXus is along the polarization vector, so that the Kahn factor is the second number.
    stokes = np.array([[1.0, beam.polarization if beam.polarized else 0.0, 0.0, 0.0]])
    _number(group, "incident_polarisation_stokes", stokes)
    _number(group, "incident_polarization_stokes", stokes)


def _axis(group: Any, axis: Axis, depends_on: str, turn: Array) -> None:
    """Write one axis of a chain."""
    # One frame: rotations of the sample are arrays with one value.
    value = np.array([axis.value]) if axis.name == "phi" else axis.value
    units = "deg" if axis.kind == ROTATION else "m"
    field = _number(group, axis.name, value, units)
    field.attrs["transformation_type"] = axis.kind
    field.attrs["vector"] = turn @ axis.vector
    field.attrs["offset"] = np.zeros(3)
    field.attrs["offset_units"] = "m"
    field.attrs["depends_on"] = depends_on


def _detector(group: Any, experiment: Experiment, geometry: Geometry, turn: Array) -> None:
    """Write everything about the detector but its pixels."""
    g, detector = geometry, experiment.detector
    chain = detector_chain(experiment, g)
    names = [f"{DETECTOR}/transformations/{axis.name}" for axis in chain.axes] + ["."]
    _text(group, "depends_on", names[0])
    _text(group, "description", "simulated pixel detector")
    _text(group, "type", "pixel")
    transformations = _group(group, "transformations", "NXtransformations")
    for axis, following in zip(chain.axes, names[1:], strict=True):
        _axis(transformations, axis, following, turn)
    _axis(transformations, chain.offset, names[0], turn)
    _module(_group(group, "module", "NXdetector_module"), chain, g, turn)
    _number(group, "distance", g.distance, "m")
    _number(group, "distance_derived", True)
    _number(group, "beam_center_x", g.f_spot / g.pixel, "pixel")
    _number(group, "beam_center_y", g.s_spot / g.pixel, "pixel")
    _number(group, "beam_center_derived", True)
    _number(group, "x_pixel_size", g.pixel, "m")
    _number(group, "y_pixel_size", g.pixel, "m")
    seconds = experiment.beam.exposure if experiment.beam.exposure > 0.0 else 1.0
    _number(group, "count_time", seconds, "s")
    _number(group, "frame_time", seconds, "s")
    _text(group, "sensor_material", "unknown")
    _number(group, "sensor_thickness", detector.thickness, "m")


def _module(group: Any, chain: Chain, g: Geometry, turn: Array) -> None:
    """Write the one module, which is the whole detector."""
    _number(group, "data_origin", np.array([0, 0]))
    _number(group, "data_size", np.array([g.rows, g.columns]))
    _number(group, "data_stride", np.array([1, 1]))
    offset = f"{DETECTOR}/transformations/{chain.offset.name}"
    for name, vector in (("fast", chain.fast), ("slow", chain.slow)):
        axis = Axis(f"{name}_pixel_direction", "translation", g.pixel, vector)
        _axis(group, axis, offset, turn)


def _pixels(group: Any, picture: Picture, options: Options, path: Path) -> list[str]:
    """Write pixels and mask, a band of chunks at a time."""
    rows, columns = picture.shape
    chunk = (min(CHUNK, rows), min(CHUNK, columns))
    whole = options.dtype == "int32"
    packed = hdf5plugin.Bitshuffle(cname="lz4")

    def dataset(name: str, dtype: str, lead: tuple[int, ...]) -> Any:
        """Create a compressed dataset of the picture's rows and columns."""
        return group.create_dataset(
            name,
            shape=(*lead, rows, columns),
            dtype=dtype,
            chunks=(*lead, *chunk),
            compression=packed,
            fillvalue=0,
        )

    data = dataset("data", "<i4" if whole else "<f4", (1,))
    data.attrs["long_name"] = picture.reader.unit
    _number(group, "pixel_mask_applied", False)
    _number(group, "bit_depth_readout", 32)
    valid = picture.greatest_valid(options.factor, options.offset, whole=whole)
    if whole:
        most = INT32_MAX if valid is None else int(min(valid, INT32_MAX))
        _number(group, "saturation_value", most)
        _number(group, "underload_value", 0)
    elif valid is not None:
        _number(group, "saturation_value", valid)
    clipped, masked = Clipped(), 0
    for start, pixels in picture.bands(multiple=chunk[0]):
        # Pixels and mask as if incompressible, and what HDF5 itself needs.
        check_room(path, 2 * pixels.nbytes + _MARGIN)
        stop = start + len(pixels)
        unused = picture.unused(start, pixels)
        if whole:
            counts, lost = counts32(pixels, options.factor, options.offset)
            np.copyto(counts, NOTHING, where=np.isnan(pixels))
            clipped = clipped.plus(lost)
            data[0, start:stop] = counts
        else:
            data[0, start:stop] = scaled(pixels, options.factor, options.offset)
        if unused.any():
            # Chunks of the mask in which nothing is masked are never written, and take no space.
            mask = group["pixel_mask"] if masked else dataset("pixel_mask", "<u4", ())
            masked += int(unused.sum())
            _mask_rows(mask, start, unused, chunk)
    said = [f"{masked} pixels masked"] if masked else []
    return said + clipped.describe(INT32_MAX)


def _mask_rows(mask: Any, start: int, unused: Any, chunk: tuple[int, int]) -> None:
    """Write those chunks of the mask that have something to say."""
    for row in range(0, unused.shape[0], chunk[0]):
        for column in range(0, unused.shape[1], chunk[1]):
            part = unused[row : row + chunk[0], column : column + chunk[1]]
            if part.any():
                low = start + row
                mask[low : low + part.shape[0], column : column + part.shape[1]] = part.astype(
                    np.uint32
                ) * np.uint32(MASKED)


def _record(group: Any, picture: Picture, turn: Array) -> None:
    """Write where the image comes from, and how the lab frame was turned."""
    attributes = picture.reader.attributes
    _text(group, "version", str(attributes.get("nbdask_version")))
    _text(group, "experiment", json.dumps(attributes["experiment"]))
    _text(group, "fingerprint", str(attributes.get("fingerprint")))
    if attributes.get("command"):
        _text(group, "command", attributes["command"])
    _number(group, "corner", np.array(picture.corner))
    _number(group, "lab_to_nexus", turn)
