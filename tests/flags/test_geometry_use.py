"""``--geometry-use``: beam, crystal and scan of a geometry file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import FieldError, FlagError, InputError
from nbdask.experiment import Experiment, Scan
from nbdask.export.formats import export
from nbdask.flags import GeometryRequest, Own, from_toml, parse_args
from nbdask.flags.parsed import Parsed
from nbdask.geometry.build import build_model
from nbdask.panels.model import CrystalSetting as Setting
from nbdask.panels.model import Instrument, Panel, PanelBeam, Spindle, Sweep
from nbdask.panels.read import read_geometry
from nbdask.panels.vectors import rotation, vector
from nbdask.panels.write import write_geometry
from tests.panels.samples import GEOM, INPUTS, XDS, expt, panel, put, write_expt, write_nexus

ALL = "detector,beam,crystal,scan"
BASE = "-default_F 10 -N 5"
CELL = " -cell 70 80 90 90 90 90"
Captured = pytest.CaptureFixture[str]
Array = np.ndarray[Any, np.dtype[np.float64]]


def taken(path: Path | str, use: str = ALL, extra: str = "", own: Own | None = None) -> Parsed:
    """What is simulated with parts of a file."""
    request = GeometryRequest(str(path), use=use)  # type: ignore[arg-type]
    return parse_args(f"{BASE}{extra}".split(), geometry=request, own=own)


def own_file(path: Path, **changes: Any) -> Path:
    """A file of the project's own: tilted beam and axis, fixed and setting rotations, triclinic."""
    turn, tilt = rotation((0.6, 0.0, 0.8), 0.7), rotation((0.0, 0.6, 0.8), 0.2)
    axes = np.array([[60.0, 5.0, 0.0], [-8.0, 70.0, 3.0], [2.0, -4.0, 85.0]]) * 1e-10
    a, b, c = (vector(axis) for axis in axes)
    size, pitch = 300, 2e-4
    flat = Panel(
        name="P", n_fast=size, n_slow=size, pitch_fast=pitch, pitch_slow=pitch,
        origin=(0.03, 0.028, 0.1), fast=vector(tilt @ [-1.0, 0.0, 0.0]),
        slow=vector(tilt @ [0.0, -1.0, 0.0]),
    )  # fmt: skip
    held = Instrument(
        format="dxtbx",
        half_pixel="",
        panels=(flat,),
        beam=PanelBeam(vector(rotation((0.0, 1.0, 0.0), 0.02) @ [0.0, 0.0, 1.0]), 1.1e-10,
                       (), (0.0, 1.0, 0.0), 0.97),
        crystals=(Setting(a, b, c, " P 1", 0.002, "mosaicity", 1e-7),),
        spindle=Spindle((0.0, 0.6, 0.8), tuple(turn.ravel()), tuple((turn @ tilt).ravel())),
        sweep=Sweep(1, 10, 0.3, 0.02),
    )  # fmt: skip
    write_geometry(replace(held, **changes), path, ".expt")
    return path


class Predicted:
    """DIALS's formula, s1 = s0 + R A h, in the frame of the file itself."""

    def __init__(self, path: Path | str) -> None:
        data = json.loads(Path(path).read_text())
        self.beam, self.scan = data["beam"][0], data["scan"][0]
        source = np.array(self.beam["direction"])
        self.s0 = -source / np.linalg.norm(source) / self.beam["wavelength"]
        crystal, turns = data["crystal"][0], data["goniometer"][0]
        self.star = np.linalg.inv([crystal[f"real_space_{axis}"] for axis in "abc"])
        self.axis = np.array(turns["rotation_axis"]) / np.linalg.norm(turns["rotation_axis"])
        self.fixed = np.reshape(turns["fixed_rotation"], (3, 3))
        self.setting = np.reshape(turns["setting_rotation"], (3, 3))
        (held,) = data["detector"][0]["panels"]
        self.size, self.pitch = held["image_size"], held["pixel_size"]
        self.frame = np.array([held["fast_axis"], held["slow_axis"], held["origin"]]).T
        root = data["detector"][0].get("hierarchy")
        assert root is None or not any(root["origin"])

    def turn(self, phi: float) -> Array:
        """R at a spindle angle."""
        return self.setting @ rotation(tuple(self.axis), phi) @ self.fixed

    def index(self, fast: float, slow: float, phi: float) -> Array:
        """h k l at a point of the panel, in pixels from its corner."""
        place = self.frame @ [fast * self.pitch[0], slow * self.pitch[1], 1.0]
        s1 = place / np.linalg.norm(place) * np.linalg.norm(self.s0)
        return np.linalg.solve(self.turn(phi) @ self.star, s1 - self.s0)

    def spots(self, most: int) -> list[tuple[Array, float, float, float]]:
        """Reflections of the first image: h k l, phi, pixels along fast and slow."""
        start, width = np.radians(self.scan["oscillation"])
        s0, e, found = self.setting.T @ self.s0, self.axis, []
        for h in np.ndindex(13, 13, 13):
            indices = np.array(h) - 6.0
            r = self.fixed @ self.star @ indices
            across, along = r - e * (e @ r), e @ r
            a, b = s0 @ across, s0 @ np.cross(e, r)
            c = -0.5 * (r @ r) - (s0 @ e) * along
            if not 0.0 < abs(c) < np.hypot(a, b):
                continue
            for sign in (-1.0, 1.0):
                angle = np.arctan2(b, a) + sign * np.arccos(c / np.hypot(a, b))
                phi = start + (angle - start) % (2.0 * np.pi)
                s1 = self.s0 + self.turn(phi) @ self.star @ indices
                f, s, way = np.linalg.solve(np.c_[self.frame[:, :2], -s1], -self.frame[:, 2])
                fast, slow = f / self.pitch[0], s / self.pitch[1]
                inside = 0.0 < fast < self.size[0] and 0.0 < slow < self.size[1]
                if phi < start + width and way > 0.0 and inside:
                    found.append((indices, phi, fast, slow))
        return found[:: max(len(found) // most, 1)]


def compare(path: Path | str, experiment: Experiment) -> None:
    """The file's predicted reflections have these indices in the simulation, where they fall."""
    file = Predicted(path)
    spots = file.spots(10)
    assert len(spots) >= 5
    image = nbdask.image(experiment)
    middle = experiment.scan.phi0 + 0.5 * np.radians(file.scan["oscillation"][1])
    for indices, phi, fast, slow in spots:
        model = build_model(experiment.replace(scan=Scan(phi0=phi)))
        lab = model.origin + fast * model.pitch_fast * model.fast
        lab = lab + slow * model.pitch_slow * model.slow
        q = (lab / np.linalg.norm(lab) - model.incident[0]) / model.wavelength[0]
        assert model.axes[0] @ q == pytest.approx(indices, abs=1e-6)
        # The whole pixel under it, at the second of two rotation steps.
        i, j = int(fast), int(slow)
        at = image.isel(fast=slice(i, i + 1), slow=slice(j, j + 1)).nbdask.miller_index(phi_step=1)
        wanted = file.index(i + 0.5, j + 0.5, middle)
        assert at.values.ravel() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.skipif(not INPUTS.is_dir(), reason="NBDASK_INPUTS does not name the real files")
@pytest.mark.parametrize("name", ["insulin.expt", "mpro_pilatus.expt"])
def test_reflections_of_real_files(name: str) -> None:
    """Predicted reflections have the same indices; start and width are those of the first image."""
    path = INPUTS / "geometry" / name
    experiment = taken(path).experiment
    compare(path, experiment)
    start, width = Predicted(path).scan["oscillation"]
    assert np.degrees([experiment.scan.phi0, experiment.scan.osc]) == pytest.approx([start, width])


def test_fixed_and_setting_rotations(tmp_path: Path) -> None:
    """R = setting . rotation(axis, angle) . fixed, in a file with all of them and a tilted beam."""
    path = own_file(tmp_path / "a.expt")
    parsed = taken(path)
    compare(path, parsed.experiment)
    assert parsed.experiment.crystal.misset is None
    notes = " ".join(parsed.notes)
    for said in (
        "beam: wavelength 1.1 A, direction 0.019998667, 0, 0.99980001, polarization 0.97 with the",
        "crystal at spindle angle 0, cell 60.20797 70.5195 85.1175",
        "not taken of it: space group P 1, mosaicity 0.114592 degrees, domain size 1000 A",
        "scan: image 1 of 1 to 10: 17.18873385 degrees and 1.14591559 more",
    ):
        assert said in notes
    assert "not taken: the" not in notes
    only = taken(path, "detector,crystal")
    assert only.experiment == parsed.experiment.replace(scan=Scan())
    assert "not taken: the scan (--geometry-use detector,scan)" in " ".join(only.notes)


def test_nothing_more_without_the_option(tmp_path: Path) -> None:
    """The detector alone, as if the option were not there."""
    path = own_file(tmp_path / "a.expt")
    bare = parse_args((BASE + CELL).split(), geometry=str(path))
    assert taken(path, "detector", CELL) == bare
    assert bare.experiment.scan == Scan()
    assert "not taken: the crystal, the scan" in " ".join(bare.notes)


def test_a_scan_that_turns_back(tmp_path: Path) -> None:
    """A negative width is a positive one about the reversed axis; of none only the angle counts."""
    forth = taken(own_file(tmp_path / "a.expt", sweep=Sweep(1, 5, 0.3, 0.02))).experiment
    back = taken(own_file(tmp_path / "b.expt", sweep=Sweep(1, 5, 0.3, -0.02))).experiment
    assert (back.scan.phi0, back.scan.osc) == pytest.approx((-0.3, 0.02))
    assert back.frame.spindle == pytest.approx(-np.array(forth.frame.spindle))
    first, second = (build_model(one).axes[0] for one in (forth, back))
    assert first == pytest.approx(second, abs=1e-18)
    still = own_file(tmp_path / "c.expt", sweep=Sweep(1, 1, 0.3, 0.0))
    scan = taken(still).experiment.scan
    assert scan == Scan(phi0=scan.phi0)
    assert scan.phi0 == pytest.approx(0.3)
    assert taken(still, extra=" -osc 1 -phisteps 3").experiment.scan.count == 3


def test_the_truth_is_the_file(tmp_path: Path) -> None:
    """An exported experiment list has cell, orientation, axis and scan of the file, seen from the
    panel; the beam of an exported list is its z.
    """
    source = own_file(tmp_path / "a.expt")
    if INPUTS.is_dir():
        found = read_geometry(INPUTS / "geometry" / "insulin.expt")
        small = replace(found.panels[0], n_fast=40, n_slow=30, bad=())
        source = tmp_path / "insulin.expt"
        write_geometry(replace(found, panels=(small,)), source, ".expt")
    experiment = taken(source).experiment
    nbdask.simulate(experiment, out=tmp_path / "a.zarr", backend="numpy")
    export(tmp_path / "a.zarr", tmp_path / "b.expt")
    before, after = (seen_from_panel(read_geometry(p)) for p in (source, tmp_path / "b.expt"))
    for name, value in before.items():
        assert after[name] == pytest.approx(value, abs=1e-9), name


def seen_from_panel(found: Instrument) -> dict[str, Any]:
    """Beam, crystal at spindle angle 0 [Angstrom] and axis along fast, slow and normal."""
    one = found.panels[0]
    frame = np.array([one.fast, one.slow, np.cross(one.fast, one.slow)])
    assert found.spindle is not None
    assert found.sweep is not None
    fixed, setting = (np.reshape(m, (3, 3)) for m in (found.spindle.fixed, found.spindle.setting))
    crystal = found.crystals[0]
    return {
        "origin": frame @ one.origin,
        "beam": frame @ found.beam.direction,
        "axes": frame @ setting @ fixed @ np.array([crystal.a, crystal.b, crystal.c]).T * 1e10,
        "spindle": frame @ setting @ found.spindle.axis,
        "scan": (found.sweep.start, found.sweep.width),
        "wavelength": (found.beam.wavelength or 0.0) * 1e10,
    }


def test_a_spectrum(tmp_path: Path) -> None:
    """With the beam a file's spectrum is taken, and the wavelength of its mean energy."""
    path = write_nexus(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        (beam,) = [file[p] for p in ("entry/instrument/beam", "entry/sample/beam") if p in file]
        for name in [key for key in beam if key.startswith("incident_wavelength")]:
            del beam[name]
        beam["incident_wavelength"] = [1.0, 1.1, 1.2]
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        beam["incident_wavelength_weights"] = [1.0, 0.0, 3.0]
    experiment = taken(path, "detector,beam", CELL).experiment
    spectrum = experiment.sources.spectrum
    assert spectrum is not None
    assert spectrum.wavelengths == pytest.approx((1e-10, 1.2e-10))
    assert spectrum.weights == (1.0, 3.0)
    assert experiment.beam.wavelength == pytest.approx(4.0e-10 / (1.0 + 3.0 / 1.2))
    assert taken(path, "detector", CELL).experiment.sources.spectrum is None
    for extra, own in ((" -dispersion 1", None), ("", Own(spectrum="gauss:20eV"))):
        with pytest.raises(FlagError, match="must be left out beside --"):
            taken(path, "detector,beam", CELL + extra, own)


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        ("-cell 70 80 90 90 90 90", "crystal"),
        ("-mat A.mat", "crystal"),
        ("-misset 1 2 3", "crystal"),
        ("-misset random", "crystal"),
        ("-phi 3", "scan"),
        ("-osc 1", "scan"),
        ("-polar 0.5", "beam"),
        ("-nopolar", "beam"),
    ],
)
def test_flags_that_contradict(flag: str, part: str, tmp_path: Path) -> None:
    """Refused in one line that names them."""
    path = own_file(tmp_path / "a.expt")
    with pytest.raises(FlagError, match=rf"^{flag[:5]}.*takes the {part} of .*must be left out"):
        taken(path, extra=" " + flag)
    assert taken(path, extra=" -phisteps 7 -mosaic_spread 0.1").experiment.scan.count == 7


def bare_xds(folder: Path) -> Path:
    """A file without crystal, of a beam of which nothing is said."""
    lines = (
        line
        for line in XDS.splitlines()
        if not line.startswith(("X-RAY", "ROTATION", "DATA", "FRACTION"))
    )
    (folder / "XDS.INP").write_text("\n".join(lines))
    return folder / "XDS.INP"


def no_axis(folder: Path) -> Path:
    """A list with a scan, but no goniometer."""
    held = expt(goniometer=[])
    del held["experiment"][0]["goniometer"]
    return write_expt(folder / "a.expt", held)


def no_rotation(folder: Path) -> Path:
    """A goniometer that stretches."""
    turns = {"rotation_axis": [1, 0, 0], "fixed_rotation": [2, 0, 0, 0, 1, 0, 0, 0, 1]}
    return write_expt(folder / "a.expt", expt(goniometer=[turns]))


def no_crystal(folder: Path) -> Path:
    """A CrystFEL geometry."""
    (folder / "a.geom").write_text(GEOM)
    return folder / "a.geom"


@pytest.mark.parametrize(
    ("make", "use", "extra", "said"),
    [
        (no_crystal, "detector,crystal", "", "crystal: .*a.geom holds no crystal: leave crystal"),
        (no_crystal, "scan,detector", CELL, "scan: .*a.geom holds no scan: leave scan out"),
        (no_axis, ALL, "", "scan: .*a.expt holds a scan without rotation axis"),
        (bare_xds, "detector,beam", CELL + " -lambda 1", "beam: .*XDS.INP holds neither wavelen"),
        (no_rotation, ALL, "", "goniometer: fixed rotation 2 0 0 .* 1: must be a rotation"),
    ],
)
def test_parts_that_are_missing(
    make: Callable[[Path], Path], use: str, extra: str, said: str, tmp_path: Path
) -> None:
    """One line that says which, and what to do."""
    with pytest.raises(InputError, match=said):
        taken(make(tmp_path), use, extra)


@pytest.mark.parametrize("use", ["", "crystal", "detector,cells", "detector,detector", 5, [1]])
def test_names_of_parts(use: Any) -> None:
    """The detector, and beside it what is known."""
    with pytest.raises(FieldError, match="must be detector, and beside it any of beam, crystal"):
        GeometryRequest("a.expt", use=use)
    assert GeometryRequest("a", use=("scan", "detector")).use == ("detector", "scan")


def test_several_panels(tmp_path: Path) -> None:
    """The crystal comes in the same frame as panels that no flag describes."""
    path = write_expt(tmp_path / "a.expt", expt(detector=[{"panels": [panel(
        origin=[-5.0, 4.0, -150.0])]}]))  # fmt: skip
    model = build_model(taken(path).experiment).at(0)
    # Fixed axes turn x to y; dxtbx's (x, y, z) is (-z, y, x) of the lab; then 5 degrees about y.
    lab = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    fixed = rotation((0.0, 0.0, 1.0), np.pi / 2.0)
    turn = rotation((0.0, 1.0, 0.0), np.radians(5.0))
    wanted = np.diag([10.0, 20.0, 30.0]) @ (lab @ turn @ fixed).T * 1e-10
    assert model.axes[0] == pytest.approx(wanted, abs=1e-20)


def test_a_shot(tmp_path: Path) -> None:
    """Another experiment with its beam; another frame of a scan starts where it does."""
    held = expt()
    held["crystal"].append({**held["crystal"][0], "real_space_a": [15, 0, 0]})
    held["experiment"][1]["crystal"] = 1
    path = str(write_expt(tmp_path / "a.expt", held))
    use = ("detector", "beam", "crystal")
    request = GeometryRequest(path, use=use, shot=1)
    second = parse_args(BASE.split(), geometry=request)
    assert second.experiment.beam.wavelength == pytest.approx(1.3e-10)
    model = build_model(second.experiment).at(0)
    assert np.linalg.norm(model.axes[0], axis=1) == pytest.approx([15e-10, 20e-10, 30e-10])
    assert any("this is number 1 (--geometry-shot)" in note for note in second.notes)
    with pytest.raises(InputError, match="--geometry-shot: 2: must be 0 to 1"):
        parse_args(BASE.split(), geometry=GeometryRequest(path, shot=2))
    with pytest.raises(FieldError, match="geometry_shot"):
        GeometryRequest(path, shot=-1)
    nexus = str(write_nexus(tmp_path / "a.nxs"))
    with h5py.File(nexus, "r+") as file:
        sample = file.require_group("entry/sample")
        sample.attrs["NX_class"] = "NXsample"
        sample["depends_on"] = "/entry/sample/omega"
        rest = {"transformation_type": "rotation", "vector": [-1.0, 0, 0], "depends_on": "."}
        put(sample, "omega", [10.0, 10.5, 11.0], units="deg", **rest)
    for shot in (0, 2):
        asked = GeometryRequest(nexus, use=("detector", "scan"), shot=shot)
        parsed = parse_args((BASE + CELL).split(), geometry=asked)
        scan = parsed.experiment.scan
        assert scan.osc is not None
        assert np.degrees([scan.phi0, scan.osc]) == pytest.approx([10.0 + 0.5 * shot, 0.5])
        assert f"scan: image {1 + shot} of 1 to 3" in " ".join(parsed.notes)


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Simulated, traced, as TOML; notes on record; wrong uses refused."""
    monkeypatch.chdir(tmp_path)
    own_file(Path("a.expt"))
    small = replace(read_geometry("a.expt").panels[0], n_fast=12, n_slow=8)
    own_file(Path("a.expt"), panels=(small,))
    words = [*BASE.split(), "--geometry", "a.expt", "--geometry-use"]
    command = [*words, ALL, "--out", "a.zarr", "--backend", "numpy", "--threads", "1"]
    assert main(["simulate", *command]) == 0
    assert "crystal at spindle angle 0" in capsys.readouterr().err
    held = nbdask.open("a.zarr").attrs
    assert any("scan: image 1 of 1 to 10" in note for note in json.loads(held["notes"]))
    Path("a.toml").write_text(
        f'[nanobragg]\nflags = "{BASE}"\ngeometry = "a.expt"\ngeometry_use = "{ALL}"\n'
    )
    wanted = taken("a.expt").experiment
    assert from_toml("a.toml") == wanted
    Path("a.toml").write_text(nbdask.to_toml(wanted))
    assert from_toml("a.toml").fingerprint() == wanted.fingerprint()
    assert main(["trace", "2", "3", *words, ALL, "--limit", "1"]) == 0
    assert main(["parameters", *words, ALL]) == 0
    capsys.readouterr()
    assert main(["simulate", *words, "crystal", "--out", "b.zarr"]) == 2
    assert "--geometry-use crystal: must be detector, and beside" in capsys.readouterr().err
    assert main(["simulate", *BASE.split(), "--geometry-use", ALL, "--out", "b.zarr"]) == 2
    assert "--geometry-use goes with --geometry FILE only" in capsys.readouterr().err
    assert not Path("b.zarr").exists()
