"""NXmx: pixels, required fields, and the detector as a chain of axes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nbdask.experiment import Beam, Experiment
from nbdask.export.formats import export
from nbdask.export.geometry import geometry_of
from nbdask.export.nexus_frame import detector_chain
from nbdask.export.picture import Picture
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from tests.export.stores import rounded, store_of
from tests.helpers import GOLDEN, small_experiment

CASES = json.loads((GOLDEN / "cases.json").read_text())
DETECTOR = "entry/instrument/detector"


def follow(file: Any, path: str, point: np.ndarray) -> np.ndarray:
    """Take a point along a chain of NeXus axes, from its field to the lab."""
    while path != ".":
        field = file[path]
        vector = np.array(field.attrs["vector"])
        kind, value = field.attrs["transformation_type"], float(np.ravel(field[()])[0])
        if kind == "translation":
            assert field.attrs["units"] == "m"
            point = point + value * vector
        else:
            assert field.attrs["units"] == "deg"
            a = np.radians(value)
            point = (
                point * np.cos(a)
                + np.cross(vector, point) * np.sin(a)
                + vector * (vector @ point) * (1 - np.cos(a))
            )
        point = point + np.array(field.attrs["offset"])
        path = field.attrs["depends_on"]
    return point


def corner_of(file: Any, fast: float, slow: float) -> np.ndarray:
    """Return the NeXus position of a point of the detector, in pixels from its corner."""
    module = file[DETECTOR + "/module"]
    point = np.zeros(3)
    for name, count in (("fast_pixel_direction", fast), ("slow_pixel_direction", slow)):
        field = module[name]
        point = point + count * float(field[()]) * np.array(field.attrs["vector"])
    first = module["fast_pixel_direction"].attrs["depends_on"]
    assert first == module["slow_pixel_direction"].attrs["depends_on"]
    return follow(file, first, point)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_nexus_pixels_come_back(store, image, tmp_path, small_bands, dtype) -> None:
    """One frame of three dimensions, chunked, bitshuffled; the default plot finds it."""
    export(store, tmp_path / "a.h5", dtype=dtype)
    with h5py.File(tmp_path / "a.h5") as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        field = data[data.attrs["signal"]]
        assert field.shape == (1, *image.shape)
        assert field.chunks == (1, 150, 230)
        assert field.dtype == np.dtype(dtype)
        assert list(field._filters) == ["32008"]
        wanted = image if dtype == "float32" else rounded(image)
        assert np.array_equal(field[0], wanted)
        assert field == file[DETECTOR + "/data"]
        assert "pixel_mask" not in file[DETECTOR]


#: What the application definition NXmx (nexusformat.org) asks for at least.
REQUIRED = (
    "entry/definition", "entry/start_time", "entry/end_time_estimated", "entry/data/data",
    "entry/sample/name", "entry/sample/depends_on", "entry/instrument/name",
    "entry/source/name",
    "entry/instrument/beam/incident_wavelength", "entry/instrument/beam/total_flux",
    f"{DETECTOR}/sensor_material", f"{DETECTOR}/sensor_thickness",
    f"{DETECTOR}/module/data_origin", f"{DETECTOR}/module/data_size",
    f"{DETECTOR}/module/fast_pixel_direction", f"{DETECTOR}/module/slow_pixel_direction",
)  # fmt: skip
CLASSES = {
    "entry": "NXentry", "entry/data": "NXdata", "entry/sample": "NXsample",
    "entry/sample/transformations": "NXtransformations", "entry/instrument": "NXinstrument",
    "entry/instrument/beam": "NXbeam", DETECTOR: "NXdetector", "entry/source": "NXsource",
    f"{DETECTOR}/module": "NXdetector_module",
    f"{DETECTOR}/transformations": "NXtransformations",
}  # fmt: skip


def test_nexus_has_what_nxmx_requires(store, tmp_path) -> None:
    """Fields, classes, units, times with Z, and what the experiment says."""
    export(store, tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        for path in REQUIRED:
            assert path in file, path
        for path, kind in CLASSES.items():
            assert file[path].attrs["NX_class"] == kind
        text = lambda path: file[path][()].decode()  # noqa: E731
        assert text("entry/definition") == "NXmx"
        assert text("entry/start_time") == "2026-01-02T03:04:05Z"
        assert text("entry/end_time_estimated").endswith("Z")
        assert file["entry/instrument/beam/incident_wavelength"][()] == pytest.approx(1.0)
        assert file["entry/instrument/beam/incident_wavelength"].attrs["units"] == "angstrom"
        assert file[DETECTOR + "/x_pixel_size"][()] == 1.72e-4
        assert list(file[DETECTOR + "/module/data_size"][()]) == [150, 230]
        phi = file[text("entry/sample/depends_on")]
        assert phi[0] == pytest.approx(12.5)
        assert file["entry/sample/transformations/phi_end"][0] == pytest.approx(12.6)
        experiment = Experiment.from_dict(json.loads(text("entry/nbdask/experiment")))
        assert experiment.fingerprint() == text("entry/nbdask/fingerprint")


PLACED = {
    name: words for name, words in CASES.items() if any(
        key in name for key in ("mosflm", "adxv", "denzo", "xds", "dials", "custom", "everything")
    )
}  # fmt: skip
PLACED |= {
    "denzo_all": CASES["denzo_pivot_sample"] + " -detector_rotx 3 -detector_roty 9 -twotheta -20",
    "mosflm_swing": CASES["mosflm_default"] + " -twotheta 25 -detector_rotz 4 -Xbeam 3",
    "long_axis": CASES["custom_sample_pivot"].replace("axis 0 1 0", "axis 0 1.2 0"),
}


@pytest.mark.parametrize("roi", [None, (5, 20, 9, 22)])
@pytest.mark.parametrize("name", PLACED)
def test_nexus_geometry_gives_our_positions(name: str, roi: Any, tmp_path: Path) -> None:
    """The chain of axes, followed, leads to each pixel's place; a cut-out stays where it was."""
    experiment = parse_args(PLACED[name].split(), base_dir=GOLDEN / "inputs").experiment
    model = build_model(experiment)
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros(experiment.shape, np.float32))
    export(store, tmp_path / "a.h5", roi=roi)
    slow0, fast0 = (roi[0], roi[2]) if roi else (0, 0)
    with h5py.File(tmp_path / "a.h5") as file:
        turn = file["entry/nbdask/lab_to_nexus"][()]
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-14)
        assert np.linalg.det(turn) == pytest.approx(1.0)
        assert turn @ model.beam == pytest.approx(np.array([0.0, 0.0, 1.0]), abs=1e-14)
        for fast, slow in ((0, 0), (12.5, 3.5), (20.5, 15.5), (0.5, 11.5)):
            wanted = (
                model.origin
                + (fast + fast0) * model.pixel_size * model.fast
                + (slow + slow0) * model.pixel_size * model.slow
            )
            found = corner_of(file, fast, slow)
            assert np.abs(turn.T @ found - wanted).max() < 1e-12
        spindle = file["entry/sample/transformations/phi"].attrs["vector"]
        assert np.linalg.norm(spindle) == pytest.approx(1.0)
        # The beam along +z meets the detector at its beam centre.
        x, y = (float(file[f"{DETECTOR}/beam_center_{k}"][()]) for k in "xy")
        spot = corner_of(file, x, y)
        assert np.abs(spot[:2]).max() < 1e-9
        assert spot[2] == pytest.approx(float(file[DETECTOR + "/distance"][()]), rel=1e-9)


def test_nexus_chain_is_made_of_the_tilts(store) -> None:
    """Tilts and swing are axes of their own; only what is no rotation is flattened."""
    picture = Picture(store)
    chain = detector_chain(picture.experiment, geometry_of(picture))
    names = [axis.name for axis in chain.axes]
    assert names == ["detector_rotx", "detector_roty", "detector_rotz", "two_theta", "translation"]
    assert chain.axes[3].value == pytest.approx(np.degrees(0.1))


def test_several_wavelengths_are_listed(tmp_path) -> None:
    """Each once, with its share."""
    experiment = parse_args(CASES["divergence_dispersion"].split()).experiment
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((40, 40), np.float32))
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        waves = file["entry/instrument/beam/incident_wavelength"][()]
        share = file["entry/instrument/beam/incident_wavelength_weight"][()]
        assert waves == pytest.approx([0.995, 1.0, 1.005])
        assert share == pytest.approx([1 / 3] * 3)
        stokes = file["entry/instrument/beam/incident_polarisation_stokes"][()]
        assert stokes == pytest.approx(np.array([[1.0, 0.9, 0.0, 0.0]]))


def test_a_beam_without_polarization_or_size_is_written(tmp_path) -> None:
    """Numbers that the experiment leaves open do not stop the export."""
    experiment = small_experiment(beam=Beam(polarized=False, beamsize=-1.0, exposure=0.0))
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((32, 24), np.float32))
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["entry/instrument/beam/incident_polarisation_stokes"][0, 1] == 0.0
        assert list(file["entry/instrument/beam/incident_beam_size"][()]) == [0.0, 0.0]
