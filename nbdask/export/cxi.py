"""Images for CrystFEL: HDF5 laid out as CXI, with the geometry file beside it."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np

from nbdask.export.hdf5_pixels import write_pixels
from nbdask.export.instrument import instrument_of
from nbdask.export.options import Options
from nbdask.export.sensor import settle_sensor
from nbdask.export.series import Series
from nbdask.export.spectrum import wavelengths_of
from nbdask.export.target import Target
from nbdask.panels.model import DataPlace, MaskPlace
from nbdask.panels.quantities import to_energy
from nbdask.panels.write_crystfel import crystfel_text

#: Where images and mask are: in a CXI file, and in an NXmx file.
CXI_DATA, CXI_MASK = "/entry_1/data_1/data", "/entry_1/instrument_1/detector_1/pixel_mask"
NXMX_DATA, NXMX_MASK = "/entry/data/data", "/entry/instrument/detector/pixel_mask"
#: Where the photon energy of every image is, where they differ.
CXI_ENERGY = "/entry_1/instrument_1/source_1/photon_energy"
NXMX_WAVELENGTH = "/entry/instrument/beam/incident_wavelength"
_JOULE = 1.602176634e-19


def write_cxi(series: Series, target: Target, options: Options) -> list[str]:
    """Write the images, and ``NAME.geom`` beside them.

    ``dtype``: int32 for counts, else float32; ``scale`` and ``adc``: 1 and 0 unless given.
    """
    path = target.path.with_suffix(".geom")
    target.check(path)
    with h5py.File(target.fresh, "w") as file:
        file["cxi_version"] = 140
        file["number_of_entries"] = 1
        entry = file.create_group("entry_1")
        instrument = entry.create_group("instrument_1")
        beam = series.first.experiment.beam
        waves = wavelengths_of(series)
        source = instrument.create_group("source_1")
        if waves is None:
            source["energy"] = to_energy(beam.wavelength) * _JOULE
        else:
            energies = np.array([to_energy(wave) for wave in waves])
            source["energy"], file[CXI_ENERGY] = energies * _JOULE, energies
            file[CXI_ENERGY].attrs["units"] = "eV"
        source["energy"].attrs["units"] = "J"
        detector = instrument.create_group("detector_1")
        said = write_pixels((detector, entry.create_group("data_1")), series, target, options)
        detector["distance"] = (
            instrument_of(series, settle_sensor(series.first.experiment.detector, options.sensor))
            .panels[0]
            .origin[2]
        )
    text, left = _geometry(series, options, CXI_DATA, CXI_MASK)
    if waves is not None:
        text = _by_image(text, f"photon_energy = {CXI_ENERGY} eV")
    with target.companion(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
    return [*said, *left]


def write_geom(series: Series, target: Target, options: Options) -> list[str]:
    """Write the geometry of images that are in an NXmx file."""
    text, said = _geometry(series, options, NXMX_DATA, NXMX_MASK)
    if series.of_shots is not None and series.of_shots.colours:
        text = _by_image(text, f"wavelength = {NXMX_WAVELENGTH} A")
    target.fresh.write_text(text, encoding="utf-8")
    return said


def _by_image(text: str, entry: str) -> str:
    """Return a geometry with another first entry, that of the photon energy."""
    first, _, rest = text.partition("\n")
    assert first.startswith("photon_energy = ")
    return f"{entry}\n{rest}"


def _masked(series: Series) -> bool:
    """Whether the file of the images has a mask."""
    sampling = series.first.experiment.sampling
    bad = any(panel.bad or panel.bad_areas for panel in series.first.experiment.detector.panels)
    return series.even and (bad or sampling.mask is not None or sampling.roi is not None)


def _geometry(series: Series, options: Options, data: str, mask: str) -> tuple[str, list[str]]:
    sensor = settle_sensor(series.first.experiment.detector, options.sensor)
    found = instrument_of(series, sensor, data=data)
    masks: tuple[MaskPlace, ...] = ()
    if _masked(series):
        masks = (MaskPlace(None, DataPlace(mask, ("ss", "fs")), 0, 0xFFFFFFFF),)
    # What a geometry file is not expected to hold needs no word.
    panels = tuple(
        replace(panel, gain=1.0, thickness=0.0, attenuation=0.0, material="", masks=masks)
        for panel in found.panels
    )
    plain = replace(
        found,
        panels=panels,
        crystals=(),
        spindle=None,
        sweep=None,
        beam=replace(found.beam, polarization_fraction=None),
    )
    return crystfel_text(plain)
