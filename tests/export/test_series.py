"""Series of stores: what fits together, numbered files, sensors, names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.errors import InputError, StoreError
from nbdask.experiment import Beam, Detector, Scan
from nbdask.export import hdf5_pixels
from nbdask.export.formats import check_export, export
from nbdask.export.names import number_of, numbered, template_of
from nbdask.export.sensor import parse_sensor, settle_sensor
from nbdask.export.series import Series
from nbdask.units import from_degrees
from tests.export.stores import store_of
from tests.helpers import small_experiment

SHAPE = (20, 30)
DETECTOR = "entry/instrument/detector"
FLAT = Detector(pixels_slow=20, pixels_fast=30, pixel_size=1e-4, distance=0.1)


def step(folder: Path, number: int, scan: Scan, **parts: Any) -> Path:
    """A store whose pixels are its number and more."""
    experiment = small_experiment(**{"detector": FLAT, "scan": scan, **parts})
    image = np.arange(600, dtype=np.float32).reshape(SHAPE) + 1000 * number
    return store_of(folder / f"{number}.zarr", experiment, image, (16, 16))


def steps(folder: Path, count: int = 3) -> list[Path]:
    """Stores that follow each other."""
    return [
        step(folder, n, Scan(phi0=from_degrees(1 + 0.5 * n), osc=from_degrees(0.5), count=2))
        for n in range(count)
    ]


def test_images_of_a_series_are_frames_of_one_file(tmp_path: Path) -> None:
    """With an angle each; where there are stills, without a goniometer."""
    stores = steps(tmp_path)
    done = export(stores, tmp_path / "a.nxs")
    assert done.images == 3
    assert "3 images" in done.describe()
    with h5py.File(tmp_path / "a.nxs") as file:
        data = file["entry/data/data"]
        assert data.shape == (3, *SHAPE)
        assert list(data[:, 0, 0]) == [0, 1000, 2000]
        assert file["entry/sample/depends_on"][()] == b"/entry/sample/transformations/phi"
        phi = file["entry/sample/transformations/phi"][()]
        assert phi == pytest.approx([1.0, 1.5, 2.0])
        assert file["entry/sample/transformations/phi_end"][()] == pytest.approx(phi + 0.5)
        assert len(file["entry/nbdask/experiments"]) == 3
    still = [step(tmp_path, n, Scan(phi0=0.1 * n)) for n in (7, 8)]
    export(still, tmp_path / "b.nxs")
    with h5py.File(tmp_path / "b.nxs") as file:
        assert file["entry/sample/depends_on"][()] == b"."
        assert file["entry/data/data"].shape == (2, *SHAPE)


def test_images_of_a_series_are_numbered_files(tmp_path: Path) -> None:
    """From 1, with the angle of each; nothing is written where one is there already."""
    stores = steps(tmp_path)
    (tmp_path / "b_02.cbf").write_bytes(b"old")
    with pytest.raises(StoreError, match=r"b_02\.cbf exists already"):
        export(stores, tmp_path / "b_##.cbf")
    assert not (tmp_path / "b_01.cbf").exists()
    export(stores, tmp_path / "a_####.cbf")
    for number in range(3):
        read = fabio.open(str(tmp_path / f"a_{number + 1:04d}.cbf"))
        assert read.data[0, 0] == 1000 * number
        text = read.header["_array_data.header_contents"]
        assert f"# Start_angle {1 + 0.5 * number:g} deg." in text
        assert f"_diffrn_scan_frame.frame_number {number + 1}" in (
            tmp_path / f"a_{number + 1:04d}.cbf"
        ).read_bytes().decode("latin-1")


def test_many_frames_go_to_files_of_their_own(tmp_path: Path, monkeypatch) -> None:
    """The first file shows them as one dataset, and links to each."""
    monkeypatch.setattr(hdf5_pixels, "FRAMES", 2)
    done = export(steps(tmp_path), tmp_path / "a.nxs")
    assert [path.name for path in done.beside] == ["a_data_000002.h5", "a_data_000001.h5"]
    with h5py.File(tmp_path / "a.nxs") as file:
        assert list(file["entry/data/data"][:, 0, 0]) == [0, 1000, 2000]
        assert file["entry/data/data_000002"].shape == (1, *SHAPE)
        assert file[f"{DETECTOR}/data"].is_virtual
    (tmp_path / "a.nxs").unlink()
    with pytest.raises(StoreError, match=r"a_data_000001\.h5 exists already"):
        export([tmp_path / f"{n}.zarr" for n in range(3)], tmp_path / "a.nxs")
    assert not (tmp_path / "a.nxs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scan": Scan(phi0=from_degrees(3), osc=from_degrees(0.5), count=2)}, "turns from 3 deg"),
        ({"scan": Scan(phi0=from_degrees(1.5))}, "by 0 degrees: must be from 1.5 degrees by 0.5"),
        ({"detector": replace(FLAT, distance=0.2)}, "detectors at different places"),
        ({"detector": replace(FLAT, pixel_size=2e-4)}, "detectors of different pixels"),
        ({"beam": Beam(wavelength=1.1e-10)}, "different wavelengths"),
    ],
)
def test_what_is_no_series_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    """In one line with both stores."""
    first = steps(tmp_path, 1)[0]
    scan = Scan(phi0=from_degrees(1.5), osc=from_degrees(0.5), count=2)
    other = step(tmp_path, 9, **{"scan": scan, **changes})
    with pytest.raises(InputError, match=message) as caught:
        check_export([first, other], tmp_path / "a.nxs")
    assert "9.zarr" in str(caught.value)


def test_a_series_needs_stores_and_numbers(tmp_path: Path) -> None:
    """None at all; a name without #."""
    with pytest.raises(InputError, match="no store to export"):
        Series([])
    with pytest.raises(InputError, match=r"3 images: must have # .* such as a_####.cbf"):
        check_export(steps(tmp_path), tmp_path / "a.cbf")


def test_names() -> None:
    """Numbers from 1; the template and the number are what DIALS makes of them."""
    assert [path.name for path in numbered(Path("d/a_##.cbf"), 3)[1:]] == ["a_02.cbf", "a_03.cbf"]
    assert numbered(Path("a.cbf"), 1) == [Path("a.cbf")]
    assert numbered(Path("a#.cbf"), 1) == [Path("a1.cbf")]
    with pytest.raises(InputError, match="has # twice"):
        numbered(Path("a_#_#.cbf"), 1)
    assert number_of(Path("run2_0012.cbf")) == 12
    assert number_of(Path("run.cbf")) is None
    assert template_of(Path("run2_0012.cbf")) == "run2_####.cbf"
    assert template_of(Path("run.cbf")) == "run.cbf"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("Si:0.32mm", ("Si", 3.2e-4)),
        ("cdte:750um", ("CdTe", 7.5e-4)),
        ("GaAs:0.001m", ("GaAs", 1e-3)),
        ("silicon", ("Si", None)),
    ],
)
def test_sensors(given: str, wanted: tuple) -> None:
    """Material, and thickness with its unit."""
    material, thickness = parse_sensor(given)
    assert (material, thickness) == (wanted[0], pytest.approx(wanted[1]))


@pytest.mark.parametrize(
    "given", ["", "Ge:1mm", "Si:0.3", "Si:mm", "Si:1e9mm", "Si:0mm", "Si:-1mm"]
)
def test_sensors_that_are_refused(given: str) -> None:
    """One line with an example or the bound."""
    with pytest.raises(InputError, match=r"^--sensor .*must be"):
        parse_sensor(given)


def test_the_simulated_sensor_prevails() -> None:
    """Its thickness may be repeated, its material named; without a depth 1 um stands for it."""
    thick = replace(FLAT, thickness=3.2e-4, attenuation=2500.0)
    found = settle_sensor(thick, None)
    assert (found.material, found.thickness, found.attenuation) == ("Si", 3.2e-4, 2500.0)
    assert found.notes == ("sensor material Si (--sensor names another)",)
    assert settle_sensor(thick, "CdTe:0.32mm").notes == ()
    with pytest.raises(InputError, match=r"simulated sensor is 0\.32 mm thick: must be the same"):
        settle_sensor(thick, "Si:1mm")
    thin = settle_sensor(FLAT, None)
    assert (thin.material, thin.thickness, thin.attenuation) == ("Si", 1e-6, 0.0)
    assert "has no depth" in thin.notes[0]
    assert "a parallax that is not there" in settle_sensor(FLAT, "Si:0.3mm").notes[0]


def test_several_stores_on_the_command_line(tmp_path: Path, monkeypatch, capsys) -> None:
    """What ends in .zarr or is a folder is a store; the experiment list names the images."""
    monkeypatch.chdir(tmp_path)
    steps(tmp_path)
    assert main(["export", "0.zarr", "1.zarr", "2.zarr", "a.nxs", "a.expt", "a.img"]) == 2
    assert "3 images: must have #" in capsys.readouterr().err
    assert main(["export", "0.zarr", "1.zarr", "2.zarr", "a.nxs", "a.expt", "b_##.img"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1].startswith("a.expt: expt, 20 (slow) x 30 (fast) pixels, 3 ima")
    assert sorted(path.name for path in tmp_path.glob("b*")) == ["b_01.img", "b_02.img", "b_03.img"]
    assert '"template": "a.nxs"' in (tmp_path / "a.expt").read_text()
    assert main(["export", "0.zarr", "image.img", "--quiet"]) == 0
    assert main(["export", "0.zarr", "other.img"]) == 0
    assert "DIALS wants a number in the name, as in other_0001.img" in capsys.readouterr().err
    assert main(["export", "0.zarr", "5.zarr", "a.cbf"]) == 2
    assert "5.zarr does not exist" in capsys.readouterr().err
