"""NXmx files: chains, modules, order of sizes, spectra, masters without modules."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.panels.masks import bad_pixels
from nbdask.panels.read import read_geometry
from tests.panels.samples import put, write_nexus

BEAM = "/entry/instrument/beam"
DETECTOR = "/entry/instrument/detector"


def test_chain(tmp_path: Path) -> None:
    """x -> R x + offset, from the module to the laboratory; the frame's own angle."""
    path = write_nexus(tmp_path / "a.nxs")
    first, second = read_geometry(path, shot=1).panels
    c, s = math.cos(math.radians(30.0)), math.sin(math.radians(30.0))
    assert first.origin == pytest.approx((0.003 * c, 0.005, 0.1 - 0.003 * s))
    assert first.fast == pytest.approx((-c, 0.0, s))
    assert second.origin == pytest.approx((0.0, 0.012, 0.1))
    assert (first.pitch_fast, first.pitch_slow) == pytest.approx((1e-4, 2e-4))
    assert (first.n_fast, first.n_slow) == (60, 20)
    assert (first.thickness, first.material, first.trusted) == (450e-6, "Si", (None, 1000.0))
    straight = read_geometry(path).panels[0]
    assert straight.origin == pytest.approx((0.003, 0.005, 0.1))
    with pytest.raises(InputError, match="--shot: 3: must be 0 to 2"):
        read_geometry(path, shot=3)


def test_mask_and_groups(tmp_path: Path) -> None:
    """The mask is cut to the module; fields on which several modules stand are groups."""
    found = read_geometry(write_nexus(tmp_path / "a.nxs"))
    assert [int(bad_pixels(panel).sum()) for panel in found.panels] == [0, 1]
    assert [(g.name, g.panels, g.parent) for g in found.groups] == [
        ("rail", (0, 1), None),
        ("arm", (0, 1), 0),
    ]


@pytest.mark.parametrize("shape", [(60, 40), None])
def test_sizes_written_fast_first(tmp_path: Path, shape: tuple[int, int] | None) -> None:
    """Against the definition: found from the images, or for known detectors."""
    path = write_nexus(tmp_path / "a.nxs")
    size = (20, 60) if shape is not None else (1028, 1062)
    with h5py.File(path, "r+") as file:
        del file[f"{DETECTOR}/m1"], file[f"{DETECTOR}/m0/data_size"]
        del file["entry/data/data"], file[f"{DETECTOR}/pixel_mask"]
        file[f"{DETECTOR}/m0/data_size"] = size
        if shape is not None:
            file["entry/data/data_000001"] = np.zeros((1, 60, 20), dtype="u1")
        else:
            file["entry/data/data_000001"] = h5py.ExternalLink("gone.h5", "/data")
    (panel,) = read_geometry(path).panels
    assert (panel.n_fast, panel.n_slow) == size


def beams(path: Path, **fields: Any) -> None:
    """Replace the fields of the beam; a tuple has a variant."""
    with h5py.File(path, "r+") as file:
        for name in list(file[BEAM]):
            del file[BEAM][name]
        for name, value in fields.items():
            variant = {} if not isinstance(value, tuple) else {"variant": value[1]}
            held = value[0] if isinstance(value, tuple) else value
            put(file[BEAM], name, held, units="angstrom", **variant)


def test_wavelengths(tmp_path: Path) -> None:
    """One, one a frame, a spectrum, a spectrum a frame, an alternative."""
    path = write_nexus(tmp_path / "a.nxs")
    beams(path, incident_wavelength=[1.0, 1.1, 1.2])
    assert read_geometry(path, shot=2).beam.wavelength == pytest.approx(1.2e-10)
    weights = np.array([[1.0, 0.0], [1.0, 3.0], [1.0, 1.0]])
    beams(path, incident_wavelength=[1.0, 2.0], incident_wavelength_weights=weights)
    beam = read_geometry(path, shot=1).beam
    assert beam.mean_wavelength == pytest.approx(1.75e-10)
    assert beam.spectrum == ((1e-10, 1.0), (2e-10, 3.0))
    beams(
        path,
        incident_wavelength=(1.5, "spectrum"),
        spectrum=[[1.0, 2.0], [1.2, 2.2], [1.4, 2.4]],
        spectrum_weights=weights,
    )
    beam = read_geometry(path, shot=1).beam
    assert beam.wavelength == pytest.approx(1.5e-10)
    assert [wave for wave, _ in beam.spectrum] == pytest.approx([1.2e-10, 2.2e-10])
    beams(path, incident_wavelength=[1.0, 2.0], incident_wavelength_weights=[1.0])
    with pytest.raises(InputError, match="2 wavelengths, 1 weights"):
        read_geometry(path)


def test_master_without_modules(tmp_path: Path) -> None:
    """Beam centre and distance; images in files that are missing."""
    path = tmp_path / "master.h5"
    with h5py.File(path, "w") as file:
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/instrument/beam", "NXbeam"),
            ("entry/instrument/detector", "NXdetector"),
            ("entry/instrument/detector/detectorSpecific", "NXcollection"),
            ("entry/data", "NXdata"),
        ):
            file.create_group(name).attrs["NX_class"] = np.bytes_(kind)
        put(file[BEAM], "incident_wavelength", np.float32(1.0), units="angstrom")
        detector = file[DETECTOR]
        for name, value, unit in (
            ("beam_center_x", 500.5, "pixel"),
            ("beam_center_y", 400.0, "pixel"),
            ("detector_distance", 0.15, "m"),
            ("x_pixel_size", 75e-6, "m"),
            ("y_pixel_size", 75e-6, "m"),
            ("sensor_thickness", 0.45, "mm"),
        ):
            put(detector, name, value, units=unit)
        detector["detectorSpecific/x_pixels_in_detector"] = 1030
        detector["detectorSpecific/y_pixels_in_detector"] = 1065
        file["entry/data/data_000001"] = h5py.ExternalLink("gone.h5", "/entry/data/data")
    found = read_geometry(path)
    (panel,) = found.panels
    assert (panel.n_fast, panel.n_slow) == (1030, 1065)
    assert panel.origin == pytest.approx((500.5 * 75e-6, 400.0 * 75e-6, 0.15))
    assert found.beam_panel() == pytest.approx((0, 500.5, 400.0, 0.15))


def test_fields_that_are_too_large(tmp_path: Path) -> None:
    """Are not read into memory."""
    path = write_nexus(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        place = "entry/instrument/beam/incident_wavelength"
        del file[place]
        file.create_dataset(place, shape=(2**40,), dtype="f8", chunks=(1024,))
    with pytest.raises(InputError, match="1099511627776 values: must be 10000000 or less"):
        read_geometry(path)
