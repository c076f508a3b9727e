"""NXmx: HDF5 with the NeXus application definition for macromolecular crystallography."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import h5py
import numpy as np

from nbdask.experiment import Experiment
from nbdask.export.geometry import Geometry, geometry_of
from nbdask.export.hdf5_pixels import write_pixels
from nbdask.export.instrument import instrument_of
from nbdask.export.nexus_frame import ROTATION, Axis, Chain, detector_chain, lab_to_nexus
from nbdask.export.options import Options
from nbdask.export.picture import Picture
from nbdask.export.sensor import Sensor, settle_sensor
from nbdask.export.series import Rotation, Series
from nbdask.export.spectrum import spectrum_of, wavelengths_of
from nbdask.export.target import Target
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.geometry.vectors import Array, length
from nbdask.panels.write_nxmx import write_modules
from nbdask.units import to_angstrom, to_degrees
from nbdask.version import __version__

DETECTOR = "/entry/instrument/detector"
#: Wavelengths of a beam with several.
SPECTRUM = "incident_wavelength_1Dspectrum"


def write_nexus(series: Series, target: Target, options: Options) -> list[str]:
    """Write an NXmx file with one frame for each image.

    ``dtype``: int32 for counts, else float32; ``scale`` and ``adc``: 1 and 0 unless given;
    ``sensor`` and ``compression`` as their description says.
    """
    picture = series.first
    experiment, geometry = picture.experiment, geometry_of(picture)
    sensor = settle_sensor(experiment.detector, options.sensor)
    with h5py.File(target.fresh, "w") as file:
        _root(file, picture)
        turn = lab_to_nexus(geometry)
        entry = file["entry"]
        sample = _group(entry, "sample", "NXsample")
        _sample(sample, experiment, geometry, turn, series.rotation)
        instrument = _group(entry, "instrument", "NXinstrument")
        _text(instrument, "name", "nbdask simulation", short_name="nbdask")
        _beam(_group(instrument, "beam", "NXbeam"), series)
        source = _group(entry, "source", "NXsource")
        _text(source, "name", "simulated", short_name="simulated")
        detector = _group(instrument, "detector", "NXdetector")
        _detector(detector, series, turn, sensor)
        data = _group(entry, "data", "NXdata", signal="data")
        said = write_pixels((detector, data), series, target, options)
        _record(_group(entry, "nbdask", "NXcollection"), series, turn)
    said += sensor.notes
    if experiment.detector.curved:
        said.append("the geometry is that of the flat detector: NXmx cannot describe a curved one")
    return said


def _group(parent: Any, name: str, kind: str, **attributes: str) -> Any:
    # Modules are read in the order in which they were made, not by name.
    group = parent.create_group(name, track_order=True)
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


def _sample(
    group: Any,
    experiment: Experiment,
    geometry: Geometry,
    turn: Array,
    rotation: Rotation | None,
) -> None:
    """Write the crystal's cell and its rotation; programs take a sample without axes for stills."""
    _text(group, "name", "simulated crystal")
    _text(group, "depends_on", "." if rotation is None else "/entry/sample/transformations/phi")
    axes = orient_crystal(experiment.crystal, experiment.beam).axes
    sides = [length(axis) for axis in axes]
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = [np.dot(axes[i], axes[j]) / (sides[i] * sides[j]) for i, j in pairs]
    angles = [to_degrees(float(np.arccos(np.clip(c, -1.0, 1.0)))) for c in cosines]
    _number(group, "unit_cell_abc", np.array(sides) * 1e10, "angstrom")
    _number(group, "unit_cell_alphabetagamma", np.array(angles), "deg")
    axes_group = _group(group, "transformations", "NXtransformations")
    count = 1 if rotation is None else rotation.count
    osc = 0.0 if rotation is None else to_degrees(rotation.width)
    starts: Array = to_degrees(geometry.phi0) + osc * np.arange(count, dtype=np.float64)
    _axis(axes_group, Axis("phi", ROTATION, 0.0, geometry.frame.spindle), ".", turn, starts)
    for name, value in (("phi_end", starts + osc), ("phi_increment_set", osc)):
        _number(axes_group, name, value, "deg").attrs["transformation_type"] = ROTATION


def _beam(group: Any, series: Series) -> None:
    """Write wavelength (and all of them for a beam with several), flux and polarization."""
    beam = series.first.experiment.beam
    found = spectrum_of(series.first)
    # A list is taken for one wavelength for each image.
    waves = wavelengths_of(series)
    said = to_angstrom(found.mean) if waves is None else waves * 1e10
    mean = _number(group, "incident_wavelength", said, "angstrom")
    if waves is None and len(found.wavelengths) > 1:
        mean.attrs["variant"] = SPECTRUM
        _number(group, SPECTRUM, found.wavelengths * 1e10, "angstrom")
        _number(group, f"{SPECTRUM}_weights", found.shares)
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


def _axis(
    group: Any, axis: Axis, depends_on: str, turn: Array, values: Array | None = None
) -> None:
    """Write one axis of a chain, with a value for each frame where these are given."""
    value = axis.value if values is None else values
    units = "deg" if axis.kind == ROTATION else "m"
    field = _number(group, axis.name, value, units)
    field.attrs["transformation_type"] = axis.kind
    field.attrs["vector"] = turn @ axis.vector
    field.attrs["offset"] = np.zeros(3)
    field.attrs["offset_units"] = "m"
    field.attrs["depends_on"] = depends_on


def _detector(group: Any, series: Series, turn: Array, sensor: Sensor) -> None:
    """Write everything about the detector but its pixels."""
    experiment = series.first.experiment
    _text(group, "description", "simulated pixel detector")
    _text(group, "type", "pixel")
    if experiment.detector.panels:
        write_modules(group, instrument_of(series, sensor))
    else:
        _chain(group, experiment, geometry_of(series.first), turn)
    seconds = experiment.beam.exposure if experiment.beam.exposure > 0.0 else 1.0
    _number(group, "count_time", seconds, "s")
    _number(group, "frame_time", seconds, "s")
    _text(group, "sensor_material", sensor.material)
    _number(group, "sensor_thickness", sensor.thickness, "m")


def _chain(group: Any, experiment: Experiment, g: Geometry, turn: Array) -> None:
    """Write the place of a detector that flags describe: shift, tilts and 2theta as given."""
    chain = detector_chain(experiment, g)
    names = [f"{DETECTOR}/transformations/{axis.name}" for axis in chain.axes] + ["."]
    _text(group, "depends_on", names[0])
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


def _module(group: Any, chain: Chain, g: Geometry, turn: Array) -> None:
    """Write the one module, which is the whole detector."""
    _number(group, "data_origin", np.array([0, 0]))
    _number(group, "data_size", np.array([g.rows, g.columns]))
    _number(group, "data_stride", np.array([1, 1]))
    offset = f"{DETECTOR}/transformations/{chain.offset.name}"
    for name, vector in (("fast", chain.fast), ("slow", chain.slow)):
        axis = Axis(f"{name}_pixel_direction", "translation", g.pixel, vector)
        _axis(group, axis, offset, turn)


def _record(group: Any, series: Series, turn: Array) -> None:
    """Write where the images come from, and how the lab frame was turned."""
    picture = series.first
    attributes = picture.reader.attributes
    _text(group, "version", str(attributes.get("nbdask_version")))
    _text(group, "experiment", json.dumps(attributes["experiment"]))
    _text(group, "fingerprint", str(attributes.get("fingerprint")))
    if attributes.get("command"):
        _text(group, "command", attributes["command"])
    _number(group, "corner", np.array(picture.corner))
    _number(group, "lab_to_nexus", turn)
    if series.of_shots is not None:
        shots = series.of_shots
        group["series"] = json.dumps(shots.series.to_dict())
        group["series_fingerprint"] = str(shots.reader.attributes.get("fingerprint"))
        group["shots"] = np.arange(shots.numbers.start, shots.numbers.stop)
    elif len(series.pictures) > 1:
        roots = [one.reader.attributes for one in series.pictures]
        group["experiments"] = [json.dumps(root["experiment"]) for root in roots]
        group["fingerprints"] = [str(root.get("fingerprint")) for root in roots]
