"""Experiment lists, CrystFEL's files, SMV headers and imgCIF: what they say of the experiment."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest

import nbdask
from nbdask.experiment import Detector, Scan
from nbdask.export.formats import export
from nbdask.export.geometry import geometry_of
from nbdask.export.instrument import instrument_of
from nbdask.export.nexus_frame import lab_to_nexus
from nbdask.export.picture import Picture
from nbdask.export.pilatus import is_pilatus
from nbdask.export.sensor import Sensor
from nbdask.export.series import Series
from nbdask.flags import parse_args
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.inputs.smv import open_mask
from nbdask.panels.read import read_geometry
from nbdask.panels.vectors import FROM_DXTBX
from nbdask.units import from_degrees
from tests.export.stores import experiment_of, picture_of, store_of
from tests.panels.several import several

SHAPE = (150, 230)
SENSOR = Sensor("Si", 1e-6)


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three panels, two of which have bad pixels."""
    path = tmp_path_factory.mktemp("several") / "a.zarr"
    nbdask.simulate(several(), out=path, backend="numpy")
    return path


def test_the_crystal_is_that_of_the_simulation(store: Path, tmp_path: Path) -> None:
    """Axes at phi 0 in dxtbx's frame, spindle and scan; those of a still turned by its phi."""
    export(store, tmp_path / "a.expt")
    found = json.loads((tmp_path / "a.expt").read_text())
    (crystal,) = found["crystal"]
    picture = Picture(store)
    turn = FROM_DXTBX @ lab_to_nexus(geometry_of(picture))
    experiment = picture.experiment
    axes = np.array([crystal[f"real_space_{k}"] for k in "abc"])
    lab = orient_crystal(experiment.crystal, experiment.beam).axes * 1e10
    assert axes == pytest.approx(lab @ turn.T, abs=1e-9)
    assert found["scan"][0]["oscillation"] == pytest.approx([12.5, 0.1])
    axis = np.array(found["goniometer"][0]["rotation_axis"])
    still = picture.experiment.replace(scan=Scan(phi0=from_degrees(12.5)))
    other = store_of(tmp_path / "b.zarr", still, np.zeros(SHAPE, np.float32))
    export(other, tmp_path / "b.expt")
    second = json.loads((tmp_path / "b.expt").read_text())
    assert second["scan"] == second["goniometer"] == []
    turned = np.array([second["crystal"][0][f"real_space_{k}"] for k in "abc"])
    along = axes @ axis
    across = axes - np.outer(along, axis)
    phi = from_degrees(12.5)
    wanted = np.outer(along, axis) + np.cos(phi) * across + np.sin(phi) * np.cross(axis, across)
    assert turned == pytest.approx(wanted, abs=1e-9)


def test_images_of_a_list(store: Path, tmp_path: Path) -> None:
    """Named by a way from the list; without, that is said."""
    (tmp_path / "d").mkdir()
    done = export(store, tmp_path / "d" / "a.expt", images=str(tmp_path / "x_0007.cbf"))
    assert done.remarks == ()
    found = json.loads((tmp_path / "d" / "a.expt").read_text())
    assert found["imageset"][0]["template"] == "../x_####.cbf"
    assert found["scan"][0]["image_range"] == [7, 7]
    assert "without images" in export(store, tmp_path / "b.expt").remarks[-1]


def test_geometry_read_back(store: Path, tmp_path: Path) -> None:
    """Experiment list, CrystFEL and NXmx give the corners that the simulation has."""
    wanted = instrument_of(Series(store), SENSOR).panels[0].corners()
    for name in ("a.expt", "a.geom", "a.nxs"):
        export(store, tmp_path / name)
        assert read_geometry(tmp_path / name).panels[0].corners() == pytest.approx(
            wanted, abs=1e-12
        )


def test_cxi_and_its_geometry(store: Path, image: np.ndarray, tmp_path: Path) -> None:
    """Frames where the geometry says; the energy in joule; both files or none."""
    done = export(store, tmp_path / "a.cxi")
    assert done.beside == (tmp_path / "a.geom",)
    assert "with " in done.describe()
    with h5py.File(tmp_path / "a.cxi") as file:
        assert np.array_equal(file["entry_1/data_1/data"][0], image)
        energy = file["entry_1/instrument_1/source_1/energy"][()] / 1.602176634e-19
        assert energy == pytest.approx(12398.42, rel=1e-6)
    text = (tmp_path / "a.geom").read_text()
    for line in ("panel/data = /entry_1/data_1/data", "panel/dim0 = %", "panel/max_fs = 229"):
        assert line in text
    assert done.remarks == ()


def test_panels_in_one_file(eight: Path, tmp_path: Path) -> None:
    """One below the other; bad pixels masked; place and shape of each as simulated."""
    panels = instrument_of(Series(eight), SENSOR).panels
    with nbdask.open(eight) as opened:
        image = opened["image"].values
    for name in ("a.nxs", "a.cxi", "a.cbf", "a.expt"):
        done = export(eight, tmp_path / name)
        assert done.shape == (29, 14)
    place = {"a.nxs": "entry/instrument/detector", "a.cxi": "entry_1/instrument_1/detector_1"}
    for name, home in place.items():
        with h5py.File(tmp_path / name) as file:
            data = file[f"{home}/data"][0]
            assert "pixel_mask" not in file[home]  # DIALS cannot read that of unequal panels
        row = 0
        for number, panel in enumerate(panels):
            part = (slice(row, row + panel.n_slow), slice(0, panel.n_fast))
            there = ~np.isnan(data[part])
            wanted = image[number, : panel.n_slow, : panel.n_fast]
            assert np.array_equal(data[part][there], wanted[there])
            assert there.all() == (number == 0)
            row += panel.n_slow
        assert np.isnan(data[10:21, 2:4]).all()
    for name in ("a.nxs", "a.geom"):
        found = read_geometry(tmp_path / name).panels
        for one, two in zip(found, panels, strict=True):
            assert one.corners() == pytest.approx(two.corners(), abs=1e-12), name
    raw = (tmp_path / "a.cbf").read_bytes()
    assert raw.count(b"x-CBF_NONE") == 3
    assert b"PILATUS" not in raw


def test_the_adsc_header_has_the_centre_for_dials(tmp_path: Path) -> None:
    """MOSFLM's axes from the outer corner; gain and pedestal are scale and offset."""
    flat = Detector(pixels_fast=230, pixels_slow=150, pixel_size=1e-4, distance=0.1, beam_x=4e-3)
    path = store_of(tmp_path / "a.zarr", experiment_of(*SHAPE, detector=flat), picture_of(SHAPE))
    done = export(path, tmp_path / "a_1.img", scale=2.0, adc=10.0)
    assert done.beside == ()
    header = fabio.open(str(tmp_path / "a_1.img")).header
    g = geometry_of(Picture(path))
    assert float(header["BEAM_CENTER_X"]) == pytest.approx(g.s_spot * 1e3, rel=1e-8)
    assert float(header["BEAM_CENTER_Y"]) == pytest.approx(g.f_spot * 1e3, rel=1e-8)
    assert header["BEAMLINE"] == "nbdask"
    assert (header["GAIN"], header["IMAGE_PEDESTAL"]) == ("2", "10")
    assert header["DATE"] == "Fri Jan 02 03:04:05 2026"


def test_tilts_that_a_header_cannot_hold(store: Path, tmp_path: Path) -> None:
    """An experiment list stands beside the image, and is not replaced without being told to."""
    done = export(store, tmp_path / "a_1.img")
    assert done.beside == (tmp_path / "a_1.expt",)
    assert "the header cannot hold tilts: corners are" in done.describe()
    found = json.loads((tmp_path / "a_1.expt").read_text())
    assert found["imageset"][0]["template"] == "a_#.img"
    (tmp_path / "a_1.img").unlink()
    with pytest.raises(nbdask.NbdaskError, match=r"a_1\.expt exists already"):
        export(store, tmp_path / "a_1.img")
    assert not (tmp_path / "a_1.img").exists()
    assert export(store, tmp_path / "c.img", header="c").beside == ()


def masked(folder: Path, shape: tuple[int, int], gaps: bool) -> Any:
    """An experiment of that size with 172 um pixels, its gaps masked or not."""
    rows, columns = shape
    detector = Detector(pixels_fast=columns, pixels_slow=rows, pixel_size=172e-6, distance=0.2)
    experiment = experiment_of(rows, columns, detector=detector)
    if not gaps:
        return experiment
    mask = np.ones(shape, "<u2")
    mask[195:212] = 0
    header = (
        "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n"
        f"SIZE1={columns};\nSIZE2={rows};\n}}\f"
    )
    (folder / "mask.img").write_bytes(header.encode().ljust(512) + mask.tobytes())
    assert open_mask(str(folder / "mask.img")).n_slow == rows
    return experiment.replace(sampling=replace(experiment.sampling, mask=str(folder / "mask.img")))


@pytest.mark.parametrize(
    ("shape", "gaps", "wanted"),
    [
        ((195, 487), False, True),
        ((407, 487), False, False),
        ((407, 487), True, True),
        ((200, 487), False, False),
    ],
)
def test_what_is_taken_for_a_pilatus(tmp_path: Path, shape: Any, gaps: bool, wanted: bool) -> None:
    """Size, pixels and masked gaps; only then does the header say so."""
    path = store_of(tmp_path / "a.zarr", masked(tmp_path, shape, gaps), np.ones(shape, np.float32))
    assert is_pilatus(Picture(path)) is wanted
    export(path, tmp_path / "a.cbf")
    assert (b"PILATUS" in (tmp_path / "a.cbf").read_bytes()) is wanted


def test_a_crystal_of_vectors_that_are_nearly_square(tmp_path: Path) -> None:
    """Axes of a frame that was typed with seven digits are at right angles in files."""
    flags = (
        "-cell 70 80 90 90 90 90 -N 3 -default_F 10 -lambda 1 -detpixels 16 -pixel 0.1"
        " -fdet_vector 0.0000004 0.0000001 1 -sdet_vector 0.0000003 -1 0.0000005"
    )
    experiment = nbdask.from_args(flags.split())
    path = store_of(tmp_path / "a.zarr", experiment, np.zeros((16, 16), np.float32))
    export(path, tmp_path / "a.nxs")
    panel = read_geometry(tmp_path / "a.nxs").panels[0]
    assert abs(np.dot(panel.fast, panel.slow)) < 1e-15


def test_what_dials_loads_needs_little() -> None:
    """Its Python need not have dask, xarray and others: what the Format class imports does not."""
    code = (
        "import sys\n"
        "for name in ('dask', 'distributed', 'xarray', 'gemmi', 'click', 'h5py', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import nbdask.export.expt, nbdask.export.series\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_detector_of_a_file_comes_back(tmp_path: Path) -> None:
    """In the frame of the file, not turned about the beam."""
    words = "-cell 70 80 90 90 90 90 -default_F 1 -N 1 -lambda 1 -detpixels 16 -detector_rotx 5"
    crystal, tilted = words.split()[:11], words.split()[11:]
    nbdask.simulate(nbdask.from_args([*crystal, *tilted]), out=tmp_path / "a.zarr")
    first, second = str(tmp_path / "a.expt"), str(tmp_path / "b.expt")
    export(tmp_path / "a.zarr", first)
    again = parse_args(crystal, geometry=first).experiment
    nbdask.simulate(again, out=tmp_path / "b.zarr")
    export(tmp_path / "b.zarr", second)
    (one,), (other,) = (read_geometry(path).panels for path in (first, second))
    assert other.corners() == pytest.approx(one.corners(), abs=1e-12)
