"""The shots of a series in files: frames, numbers, angles, wavelengths, and their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest

import nbdask
from nbdask import derive
from nbdask.cli.main import main
from nbdask.derive.at_once import Noise
from nbdask.errors import InputError, StoreError
from nbdask.experiment import Detector, Scan
from nbdask.export.formats import check_export, export
from nbdask.export.geometry import geometry_of
from nbdask.export.instrument import crystal_of
from nbdask.export.nexus_frame import lab_to_nexus
from nbdask.export.series import Series
from nbdask.export.shots import selected
from nbdask.panels.vectors import FROM_DXTBX
from nbdask.shots import Distribution, Orientations
from nbdask.shots.distributions import Steps
from nbdask.shots.variation import Variation
from nbdask.units import from_degrees
from tests.helpers import small_experiment
from tests.panels.several import several

SHAPE = (12, 14)
FLAT = Detector(pixels_slow=12, pixels_fast=14, pixel_size=1e-3, distance=0.1)


def shots(path: Path, *variations: Variation, count: int = 5, **parts: Any) -> Path:
    """A store of a series."""
    experiment = small_experiment(**{"detector": FLAT, **parts})
    series = nbdask.Series(experiment, count, tuple(variations), seed=3)
    nbdask.simulate(series, out=path, backend="numpy", tile=(8, 8))
    return path


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five stills."""
    return shots(tmp_path_factory.mktemp("stills") / "a.zarr", Orientations())


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five steps of half a degree, of a beam that flickers."""
    step = Scan(osc=from_degrees(0.5), count=2)
    steps = Steps("scan.phi0", 10.0, 0.5)
    flicker = Distribution(("beam.fluence",), "lognormal", (1e20, 0.3))
    return shots(tmp_path_factory.mktemp("scan") / "a.zarr", steps, flicker, scan=step)


def pixels(path: Path) -> np.ndarray:
    """The image of a store."""
    with nbdask.open(path) as opened:
        return np.asarray(opened["image"].values)


def test_shots_are_frames_of_a_file(stills: Path, scan: Path, tmp_path: Path) -> None:
    """S-FILE-42: with an angle each where they are steps, without a goniometer where stills."""
    done = export(stills, tmp_path / "a.nxs")
    assert (done.images, done.shape) == (5, SHAPE)
    with h5py.File(tmp_path / "a.nxs") as file:
        assert np.array_equal(file["entry/data/data"], pixels(stills))
        assert file["entry/sample/depends_on"][()] == b"."
        record = json.loads(file["entry/nbdask/series"][()])
        assert record["n_shots"] == 5
        assert list(file["entry/nbdask/shots"]) == [0, 1, 2, 3, 4]
    export(scan, tmp_path / "b.nxs", shots="1:4")
    with h5py.File(tmp_path / "b.nxs") as file:
        assert np.array_equal(file["entry/data/data"], pixels(scan)[1:4])
        assert file["entry/sample/depends_on"][()] == b"/entry/sample/transformations/phi"
        phi = file["entry/sample/transformations/phi"][()]
        assert phi == pytest.approx([10.5, 11.0, 11.5])
        assert list(file["entry/nbdask/shots"]) == [1, 2, 3]


def test_shots_have_the_numbers_of_their_files(scan: Path, tmp_path: Path) -> None:
    """S-FILE-43: shot 2 is image 3, whichever are written; nothing is overwritten."""
    export(scan, tmp_path / "a_####.cbf", shots="2:4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_0003.cbf", "a_0004.cbf"]
    read = fabio.open(str(tmp_path / "a_0003.cbf"))
    assert np.array_equal(read.data, np.rint(pixels(scan)[2]))
    assert "# Start_angle 11 deg." in read.header["_array_data.header_contents"]
    with pytest.raises(StoreError, match=r"a_0003\.cbf exists already"):
        export(scan, tmp_path / "a_####.cbf")
    assert len(list(tmp_path.iterdir())) == 2
    export(scan, tmp_path / "b_##.img", shots=4, scale=1.0)
    assert (tmp_path / "b_05.img").exists()


def test_counts_of_one_pass_stay_as_they_are(tmp_path: Path) -> None:
    """S-FILE-31: photons drawn while shots were simulated are counts, in integer files too."""
    experiment = small_experiment(detector=FLAT)
    series = nbdask.Series(experiment, 2, (Orientations(),), seed=3)
    steps = (derive.Poisson(), derive.Rounding(), derive.Saturation(9.0))
    noise = Noise(derive.Pipeline(steps, seed=1))
    nbdask.simulate(series, tmp_path / "a.zarr", backend="numpy", treatment=noise)
    done = export(tmp_path / "a.zarr", tmp_path / "a_#.img")
    assert "scale 1, offset 0" in done.describe()
    assert "saturated at 9" in done.describe()
    for number, image in enumerate(pixels(tmp_path / "a.zarr"), start=1):
        assert image.max() == 9.0
        assert np.array_equal(fabio.open(tmp_path / f"a_{number}.img").data, image)


def test_shots_share_an_automatic_scale(scan: Path, tmp_path: Path) -> None:
    """S-FILE-27: the brightest pixel of all is 55000, so that images can be compared."""
    export(scan, tmp_path / "a_#.img", adc=0.0)
    image = pixels(scan)
    for number, shot in enumerate(image, start=1):
        wanted = np.floor(shot * (55000.0 / image.max()) + 0.5)
        assert np.array_equal(fabio.open(tmp_path / f"a_{number}.img").data, wanted)


@pytest.mark.parametrize("ending", ["nxs", "cxi"])
def test_files_of_so_many_shots(stills: Path, tmp_path: Path, ending: str) -> None:
    """S-FILE-44: whole files with # in the name, else files that the first one links to."""
    export(stills, tmp_path / f"a_##.{ending}", shots_per_file=2)
    place = "entry/data/data" if ending == "nxs" else "entry_1/data_1/data"
    found = []
    for number in (1, 2, 3):
        with h5py.File(tmp_path / f"a_{number:02d}.{ending}") as file:
            found.append(file[place][()])
    assert [len(part) for part in found] == [2, 2, 1]
    assert np.array_equal(np.concatenate(found), pixels(stills))
    done = export(stills, tmp_path / f"b.{ending}", shots_per_file=2)
    assert {path.name for path in done.beside} >= {f"b_data_{n:06d}.h5" for n in (1, 2, 3)}
    with h5py.File(tmp_path / f"b.{ending}") as file:
        assert np.array_equal(file[place], pixels(stills))


def test_the_list_has_the_crystal_of_every_shot(stills: Path, tmp_path: Path) -> None:
    """S-FILE-45: each still with its crystal, and the file and place of its image."""
    images = str(tmp_path / "a_##.nxs")
    export(stills, tmp_path / "a.expt", images=images, shots_per_file=2, shots="1:5")
    found = json.loads((tmp_path / "a.expt").read_text())
    assert [one["crystal"] for one in found["experiment"]] == [0, 1, 2, 3]
    assert [one["imageset"] for one in found["experiment"]] == [0, 1, 2, 3]
    sets = [(one["images"][0], one["single_file_indices"]) for one in found["imageset"]]
    assert sets == [("a_01.nxs", [0]), ("a_01.nxs", [1]), ("a_02.nxs", [0]), ("a_02.nxs", [1])]
    truth = nbdask.ground_truth(stills)
    for number, crystal in enumerate(found["crystal"], start=1):
        axes = np.array([crystal[f"real_space_{k}"] for k in "abc"]) @ FROM_DXTBX
        star = truth.shots["reciprocal_matrix"].sel(shot=number, crystal=0).values
        assert axes @ star == pytest.approx(np.eye(3), abs=1e-9)


def test_the_list_of_a_scan_is_one_sweep(scan: Path, tmp_path: Path) -> None:
    """S-FILE-45: of one crystal; where its images are in whole files, a sweep for each of them."""
    export(scan, tmp_path / "a.expt", images=str(tmp_path / "a.nxs"))
    found = json.loads((tmp_path / "a.expt").read_text())
    assert len(found["experiment"]) == len(found["crystal"]) == 1
    assert found["scan"][0]["image_range"] == [1, 5]
    assert found["scan"][0]["oscillation"] == pytest.approx([10.0, 0.5])
    export(scan, tmp_path / "b.expt", images=str(tmp_path / "b_#.nxs"), shots_per_file=3)
    found = json.loads((tmp_path / "b.expt").read_text())
    assert [one["crystal"] for one in found["experiment"]] == [0, 0]
    assert [one["image_range"] for one in found["scan"]] == [[1, 3], [1, 2]]
    assert found["scan"][1]["oscillation"] == pytest.approx([11.5, 0.5])
    assert [one["template"] for one in found["imageset"]] == ["b_1.nxs", "b_2.nxs"]
    export(scan, tmp_path / "c.expt", images=str(tmp_path / "c_##.cbf"), shots="2:5")
    found = json.loads((tmp_path / "c.expt").read_text())
    assert found["scan"][0]["image_range"] == [3, 5]
    assert found["imageset"][0]["template"] == "c_##.cbf"


def test_every_shot_has_its_wavelength(tmp_path: Path) -> None:
    """S-FILE-46: in NXmx, in the list, and for CrystFEL."""
    path = shots(tmp_path / "a.zarr", Distribution(("beam.energy",), "uniform", (9e3, 1e4)))
    export(path, tmp_path / "a.nxs")
    export(path, tmp_path / "a.expt", images=str(tmp_path / "a.nxs"))
    export(path, tmp_path / "a.cxi")
    wanted = nbdask.ground_truth(path).shots["wavelength"].values
    with h5py.File(tmp_path / "a.nxs") as file:
        assert file["entry/instrument/beam/incident_wavelength"][()] == pytest.approx(wanted)
    found = json.loads((tmp_path / "a.expt").read_text())
    assert [one["wavelength"] for one in found["beam"]] == pytest.approx(wanted)
    assert [one["beam"] for one in found["experiment"]] == [0, 1, 2, 3, 4]
    first = (tmp_path / "a.geom").read_text().splitlines()[0]
    where = first.removeprefix("photon_energy = ").removesuffix(" eV")
    with h5py.File(tmp_path / "a.cxi") as file:
        assert file[where][()] == pytest.approx(12398.42 / wanted, rel=1e-6)
    export(path, tmp_path / "b.geom")
    assert (tmp_path / "b.geom").read_text().startswith("wavelength = /entry/instrument/beam/inc")


def test_shots_of_a_moving_detector(tmp_path: Path) -> None:
    """S-FILE-46: no file of several has a place for each; files of one, and the list, do."""
    path = shots(tmp_path / "a.zarr", Distribution(("detector.distance",), "uniform", (0.1, 0.11)))
    with pytest.raises(InputError, match=r"detector\.distance varies from shot to shot"):
        check_export(path, tmp_path / "a.nxs")
    export(path, tmp_path / "a_#.nxs", shots_per_file=1)
    export(path, tmp_path / "a.expt", images=str(tmp_path / "a_#.nxs"), shots_per_file=1)
    wanted = nbdask.ground_truth(path).shots["distance"].values
    found = json.loads((tmp_path / "a.expt").read_text())
    assert [-one["panels"][0]["origin"][2] for one in found["detector"]] == pytest.approx(wanted)
    with h5py.File(tmp_path / "a_3.nxs") as file:
        distance = file["entry/instrument/detector/distance"][()]
    assert distance * 1e3 == pytest.approx(wanted[2])


def test_stills_that_turn_alike(tmp_path: Path) -> None:
    """Random crystals that each turn are no sweep: stills, each at its mean angle."""
    step = Scan(osc=from_degrees(0.5), count=2)
    path = shots(tmp_path / "a.zarr", Orientations(), count=2, scan=step)
    said = export(path, tmp_path / "a.expt")
    assert "written as stills" in said.describe()
    series, truth = Series(path), nbdask.ground_truth(path)
    assert series.rotation is None
    for number, one in enumerate(series.settings()):
        crystal = crystal_of(one, lab_to_nexus(geometry_of(one)), still=True)
        star = truth.shots["reciprocal_matrix"].sel(shot=number, crystal=0).values
        axes = np.array([crystal.a, crystal.b, crystal.c]) * 1e10
        assert axes @ star == pytest.approx(np.eye(3), abs=1e-9)


def test_shots_of_several_panels(tmp_path: Path) -> None:
    """Rows of one below those of the other, in every frame."""
    series = nbdask.Series(several(), 2, (Orientations(),), seed=1)
    nbdask.simulate(series, out=tmp_path / "a.zarr", backend="numpy")
    export(tmp_path / "a.zarr", tmp_path / "a.nxs")
    image = pixels(tmp_path / "a.zarr")
    with h5py.File(tmp_path / "a.nxs") as file:
        data, start = file["entry/data/data"][()], 0
    for number, panel in enumerate(series.experiment.detector.panels):
        part = data[:, start : start + panel.n_slow, : panel.n_fast]
        wanted = image[:, number, : panel.n_slow, : panel.n_fast]
        same = (part == wanted) | np.isnan(part)
        assert same.all()
        start += panel.n_slow


def test_one_picture_is_held_at_a_time(stills: Path, tmp_path: Path, monkeypatch) -> None:
    """S-FILE-42: shots are opened when they are written; progress counts all of them."""
    seen = []
    export(stills, tmp_path / "a.nxs", progress=lambda rows, total: seen.append((rows, total)))
    assert seen[-1] == (60, 60)
    series = Series(stills)
    first, last = series.pictures[0], series.pictures[4]
    assert series.pictures[4] is last
    assert series.pictures[0] is not first


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(None, (0, 9)), ("2:4", (2, 4)), (":4", (0, 4)), ("4:", (4, 9)), ("3", (3, 4)), (3, (3, 4)),
     (slice(2, None), (2, 9))],
)  # fmt: skip
def test_selections(given: object, wanted: tuple[int, int]) -> None:
    """From one to before another."""
    assert selected(given, 9, "a.zarr") == range(*wanted)


@pytest.mark.parametrize("given", ["4:4", "0:10", "9", "a", "-1:3", "0:4:2", slice(0, 4, 2), ""])
def test_selections_of_no_shots(given: object) -> None:
    """In one line that says what there is or what is allowed."""
    with pytest.raises(InputError, match=r"--shots .*must be A:B"):
        selected(given, 9, "a.zarr")


def test_what_is_refused(stills: Path, tmp_path: Path, capsys) -> None:
    """Exit code 2, one line, and nothing is written."""
    lines = {
        "--shots 3:9": [str(stills), str(tmp_path / "a.nxs")],
        "--shots-per-file 2": [str(stills), str(tmp_path / "a_#.cbf")],
        "": [str(stills), str(stills), str(tmp_path / "a.nxs")],
        "--quiet": [str(stills), str(tmp_path / "a.cbf")],
    }
    for options, paths in lines.items():
        assert main(["export", *options.split(), *paths]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
