"""NXmx: pixels, required fields, and the detector as a chain of axes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import nxmx
import pytest

from nbdask.experiment import Beam, Experiment
from nbdask.export.formats import export
from nbdask.export.geometry import geometry_of
from nbdask.export.nexus_frame import detector_chain
from nbdask.export.picture import Picture
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.panels.read import read_geometry
from tests.export.stores import rounded, store_of
from tests.helpers import GOLDEN, sampled, small_experiment

CASES = json.loads((GOLDEN / "cases.json").read_text())
DETECTOR = "entry/instrument/detector"


def corner_of(file: Any, fast: float, slow: float) -> np.ndarray:
    """Return the NeXus position [m] of a point of the detector, in pixels from its corner."""
    module = nxmx.NXmx(file).entries[0].instruments[0].detectors[0].modules[0]
    directions = (module.fast_pixel_direction, module.slow_pixel_direction)
    first, second = (axis.depends_on for axis in directions)
    assert first is not None
    assert second is not None
    assert first.path == second.path
    point = np.array([0.0, 0.0, 0.0, 1.0])
    for axis, count in zip(directions, (fast, slow), strict=True):
        point[:3] += count * axis[0].to("mm").magnitude * np.array(axis.vector)
    turn = nxmx.get_cumulative_transformation(nxmx.get_dependency_chain(first))
    return np.asarray(turn[0] @ point)[:3] / 1e3


@pytest.mark.parametrize(
    ("dtype", "compression", "filters"),
    [("float32", None, {"shuffle", "gzip"}), ("int32", "bitshuffle", {"32008"})],
)
def test_nexus_pixels_come_back(
    store, image, tmp_path, small_bands, dtype, compression, filters
) -> None:
    """One frame of three dimensions, chunked and compressed; the default plot finds it."""
    export(store, tmp_path / "a.h5", dtype=dtype, compression=compression)
    with h5py.File(tmp_path / "a.h5") as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        field = data[data.attrs["signal"]]
        assert field.shape == (1, *image.shape)
        assert field.chunks == (1, 150, 230)
        assert field.dtype == np.dtype(dtype)
        assert ({field.compression, "shuffle"} if field.shuffle else set(field._filters)) == filters
        wanted = image if dtype == "float32" else rounded(image)
        assert np.array_equal(field[0], wanted)
        assert field == file[DETECTOR + "/data"]
        assert "pixel_mask" not in file[DETECTOR]


def test_nexus_has_what_nxmx_requires(store, tmp_path) -> None:
    """Fields, classes, units, times with Z, and what the experiment says, read by another package.

    It asserts the class of every group.
    """
    export(store, tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        (entry,) = nxmx.NXmx(file).entries
        assert entry.definition == "NXmx"
        assert entry.start_time.isoformat() == "2026-01-02T03:04:05+00:00"
        assert entry.end_time_estimated.tzinfo is not None
        assert entry.data[0].signal == "data"
        assert entry.source.name == "simulated"
        (instrument,), (sample,) = entry.instruments, entry.samples
        assert instrument.name == "nbdask simulation"
        assert sample.name
        (beam,), (detector,) = instrument.beams, instrument.detectors
        assert beam.incident_wavelength.to("m").magnitude == pytest.approx(1e-10)
        assert beam.total_flux is not None
        assert beam.incident_beam_size is not None
        assert detector.sensor_material == "Si"
        assert detector.sensor_thickness.to("m").magnitude == 1e-6
        assert file[DETECTOR + "/x_pixel_size"][()] == 1.72e-4
        (module,) = detector.modules
        assert list(module.data_origin) == [0, 0]
        assert list(module.data_size) == [150, 230]
        phi = sample.depends_on
        assert phi is not None
        assert phi[0].to("degrees").magnitude == pytest.approx(12.5)
        assert file["entry/sample/transformations/phi_end"][0] == pytest.approx(12.6)
        text = lambda path: file[path][()].decode()  # noqa: E731
        assert text("entry/start_time") == "2026-01-02T03:04:05Z"
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
@pytest.mark.parametrize("name", sampled(PLACED, 3))
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
                + (fast + fast0) * model.pitch_fast * model.fast
                + (slow + slow0) * model.pitch_slow * model.slow
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
    """Each once, with its share, beside their mean, which is what programs take for all images."""
    experiment = parse_args(CASES["divergence_dispersion"].split()).experiment
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((40, 40), np.float32))
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        beam = file["entry/instrument/beam"]
        assert beam["incident_wavelength"][()] == pytest.approx(1.0)
        name = beam["incident_wavelength"].attrs["variant"]
        waves, share = beam[name][()], beam[f"{name}_weights"][()]
        assert waves == pytest.approx([0.995, 1.0, 1.005])
        assert share == pytest.approx([1 / 3] * 3)
        stokes = file["entry/instrument/beam/incident_polarisation_stokes"][()]
        assert stokes == pytest.approx(np.array([[1.0, 0.9, 0.0, 0.0]]))
    assert len(read_geometry(tmp_path / "a.h5").beam.spectrum) == 3


def test_a_beam_without_polarization_or_size_is_written(tmp_path) -> None:
    """Numbers that the experiment leaves open do not stop the export."""
    experiment = small_experiment(beam=Beam(polarized=False, beamsize=-1.0, exposure=0.0))
    store = store_of(tmp_path / "a.zarr", experiment, np.zeros((32, 24), np.float32))
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["entry/instrument/beam/incident_polarisation_stokes"][0, 1] == 0.0
        assert list(file["entry/instrument/beam/incident_beam_size"][()]) == [0.0, 0.0]
