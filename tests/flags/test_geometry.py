"""``--geometry``: a detector from a geometry file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import FieldError, FlagError, InputError
from nbdask.experiment import Experiment
from nbdask.flags import GeometryRequest, from_toml, parse_args
from nbdask.flags.geometry import unique_names
from nbdask.geometry.build import build_model
from nbdask.geometry.detector_frame import place_detector
from nbdask.panels.masks import bad_pixels
from nbdask.panels.read import read_geometry
from nbdask.panels.vectors import TO_LAB
from nbdask.store.provenance import input_files
from tests.panels.samples import GEOM, INPUTS, XDS, expt, panel, write_expt

BASE = "-cell 70 80 90 90 90 90 -default_F 10 -N 5"
REAL = ("insulin.expt", "mpro_pilatus.expt", "al_eyeballed.expt", "Therm_6_2.nxs", "XDS.INP",
        "XPARM_new.XDS", "XPARM_old.XDS", "Eiger16M-binning2.geom")  # fmt: skip


def square(folder: Path, **changes: object) -> str:
    """A file of one panel that an experiment can hold."""
    held = panel(origin=[-5.0, 4.0, -150.0], pixel_size=[0.1, 0.1], **changes)
    data = expt(detector=[{"panels": [held]}])
    return str(write_expt(folder / "a.expt", data))


def run(path: str, extra: str = "") -> Experiment:
    """The experiment with the file's detector."""
    return parse_args(f"{BASE} {extra}".split(), geometry=path).experiment


def corners(experiment: Experiment) -> np.ndarray:
    """Outer corners of a simulation's detector, in the common frame."""
    detector = experiment.detector
    frame = place_detector(experiment.frame, detector)
    ends = ((0, 0), (detector.n_fast, 0), (detector.n_fast, detector.n_slow), (0, detector.n_slow))
    lab = [frame.origin + detector.pixel_size * (f * frame.fast + s * frame.slow) for f, s in ends]
    # The lab frame is (z, y, -x).
    return np.array(lab) @ np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])


@pytest.mark.skipif(not INPUTS.is_dir(), reason="NBDASK_INPUTS does not name the real files")
@pytest.mark.parametrize("name", REAL)
def test_real_positions(name: str) -> None:
    """Corners as the reader has them, which other tests compare with independent ones; where the
    beam meets the detector, and the normal away from the sample.
    """
    path = str(INPUTS / "geometry" / name)
    found = read_geometry(path)
    experiment = run(path)
    assert np.max(np.abs(corners(experiment) - found.panels[0].corners())) < 1e-12
    assert found.beam.wavelength == experiment.beam.wavelength
    frame = place_detector(experiment.frame, experiment.detector)
    met = found.panels[0].meets(found.beam.direction)
    assert met is not None
    pitch = experiment.detector.pixel_size
    assert (frame.f_beam / pitch, frame.s_beam / pitch) == pytest.approx(met[:2], abs=1e-6)
    assert frame.close_distance == pytest.approx(found.panels[0].distance, abs=1e-12)
    assert frame.close_distance > 0.0


@pytest.mark.skipif(not INPUTS.is_dir(), reason="NBDASK_INPUTS does not name the real files")
@pytest.mark.parametrize(
    "name",
    ["jungfrau16m.expt", "cspad_hierarchy.expt", "sacla_mpccd.expt", "mpccd_8modules.nxs",
     "agipd_1m.geom", "jungfrau4m.geom"],
)  # fmt: skip
def test_real_panels(name: str) -> None:
    """Corners of all panels as kernels place them, which may have two pitches and skewed axes."""
    path = str(INPUTS / "geometry" / name)
    model, found = build_model(run(path, "-oversample 1")), read_geometry(path).panels
    assert model.n_panels == len(found)
    for number, given in enumerate(found):
        one = model.at(number)
        ends = ((0, 0), (one.n_fast, 0), (one.n_fast, one.n_slow), (0, one.n_slow))
        lab = [
            one.origin + f * one.pitch_fast * one.fast + s * one.pitch_slow * one.slow
            for f, s in ends
        ]
        assert np.max(np.abs(np.array(lab) @ TO_LAB - given.corners())) < 1e-12
        assert one.close_distance == pytest.approx(given.distance, abs=1e-12)
        assert one.area == pytest.approx(given.area, rel=1e-9)


def test_what_is_taken(tmp_path: Path) -> None:
    """Beam, polarization, spindle, sensor; what is not taken is said."""
    parsed = parse_args(BASE.split(), geometry=square(tmp_path))
    experiment = parsed.experiment
    assert experiment.frame.beam == pytest.approx(np.array([1.0, 0.0, -0.01]) / np.hypot(1, 0.01))
    # The normal of the plane is y, so that the field is along z.
    assert experiment.frame.polarization[2] == pytest.approx(1.0, abs=1e-4)
    assert experiment.beam.polarization == pytest.approx(0.98)
    assert experiment.frame.spindle == pytest.approx((0, 1, 0))
    assert experiment.detector.panels[0].thickness == pytest.approx(0.45e-3)
    assert experiment.detector.panels[0].attenuation == pytest.approx(3200.0)
    plain = run(square(tmp_path, mask=[])).detector
    assert plain.panels == ()
    assert (plain.thickness, plain.attenuation) == pytest.approx((0.45e-3, 3200.0))
    notes = " ".join(parsed.notes)
    assert "not taken: the crystal, the scan (--geometry-use detector,crystal,scan)" in notes
    assert "detector of 100 x 80 pixels, first corner 5, 4, 150 mm" in notes


@pytest.mark.parametrize(
    "changes",
    [
        {"pixel_size": [0.1, 0.2]},
        {"slow_axis": [-0.1, -0.995, 0.0]},
        {"slow_axis": [0.0, 1.0, 0.0]},
        {"mask": [[10, 0, 12, 80]]},
    ],
)
def test_panels_that_flags_cannot_say(tmp_path: Path, changes: dict[str, object]) -> None:
    """Two pitches, skewed axes, fast x slow to the sample, bad pixels: a panel of its own."""
    held = panel(**{"origin": [-5.0, 4.0, -150.0], "pixel_size": [0.1, 0.1], "mask": [], **changes})
    path = str(write_expt(tmp_path / "a.expt", expt(detector=[{"panels": [held]}])))
    detector, found = run(path).detector, read_geometry(path).panels[0]
    (ours,) = detector.panels
    frame = place_detector(run(path).frame, detector)
    for f, s in ((0, 0), (100, 0), (100, 80), (0, 80)):
        lab = frame.origin + f * ours.pitch_fast * frame.fast + s * ours.pitch_slow * frame.slow
        assert lab @ TO_LAB == pytest.approx(found.position(f, s), abs=1e-12)
    assert frame.close_distance > 0.0
    assert (ours.gain, ours.material, ours.trusted_high) == (1.5, "Si", 5000.0)
    assert run(path, "-detector_thicksteps 4").detector.thick_steps == 4


def test_many_panels(tmp_path: Path) -> None:
    """All of a file, with the bad pixels that its reader finds, by rectangles and areas."""
    path = tmp_path / "a.geom"
    path.write_text(GEOM)
    experiment = run(str(path))
    found = read_geometry(path).panels
    assert [p.name for p in experiment.detector.panels] == ["a", "b"]
    model = build_model(experiment)
    for number, given in enumerate(found):
        one = model.at(number)
        last = one.n_fast * one.pitch_fast * one.fast + one.n_slow * one.pitch_slow * one.slow
        assert (one.origin + last) @ TO_LAB == pytest.approx(given.corners()[2], abs=1e-12)
        assert one.mask is not None
        good = one.mask.read(0, one.n_slow, 0, one.n_fast)
        assert np.array_equal(~good, bad_pixels(given))
    off = parse_args(BASE.split(), geometry=GeometryRequest(str(path), mask=False))
    assert all(p.bad == p.bad_areas == () for p in off.experiment.detector.panels)
    assert any("not taken: bad pixels" in note for note in off.notes)
    moved = parse_args(BASE.split(), geometry=GeometryRequest(str(path), distance_shift=0.25))
    shift = moved.experiment.detector.panels[1].origin[0] - experiment.detector.panels[1].origin[0]
    assert shift == pytest.approx(0.25)
    for flag in ("-roi 0 1 0 1", "-curved_det -point_pixel"):
        with pytest.raises(FlagError, match=f"{flag.split()[0]}.*must be left out"):
            run(str(path), flag)


def test_a_camera_length_elsewhere(tmp_path: Path) -> None:
    """Given beside the file, as a length in metres in TOML; without it the flag is named."""
    path = tmp_path / "a.geom"
    path.write_text(GEOM.replace("100 mm", "/LCLS/z"))
    with pytest.raises(InputError, match="must be given with --clen"):
        run(str(path))
    given = parse_args(BASE.split(), geometry=GeometryRequest(str(path), clen=0.1))
    (tmp_path / "b.geom").write_text(GEOM)
    assert given.experiment == run(str(tmp_path / "b.geom"))
    head = f'[nanobragg]\nflags = "{BASE}"\n'
    toml = tmp_path / "a.toml"
    toml.write_text(head + 'geometry = "a.geom"\nclen = 0.1\ngeometry_mask = true\n')
    assert from_toml(toml) == given.experiment
    toml.write_text(head + "clen = 0.1\n")
    with pytest.raises(FieldError, match=r"nanobragg.clen = 0.1: must be left out without geom"):
        from_toml(toml)
    for wrong in ('clen = "far"', "geometry_mask = 5", "distance_shift = true"):
        toml.write_text(head + f'geometry = "a.geom"\n{wrong}\n')
        with pytest.raises(FieldError, match=wrong.split()[0]):
            from_toml(toml)


def test_names_that_repeat() -> None:
    """Panels without a name of their own get their number."""
    assert unique_names(["a", "", "a", "p1", ""]) == ["a", "p1#1", "a#2", "p1", "p4"]
    assert unique_names(["x#2", "x", "x"]) == ["x#2", "x", "x#2#2"]


def test_flags_beside_the_file(tmp_path: Path) -> None:
    """Those that place the detector are refused, -lambda completes a file without wavelength."""
    path = square(tmp_path)
    for flag in ("-distance 100", "-pixel 0.1", "-xds", "-Xbeam 3", "-detector_rotx 1",
                 "-fdet_vector 0 0 1", "-detpixels 100"):  # fmt: skip
        with pytest.raises(FlagError, match=r": --geometry places the detector: must be left out"):
            run(path, flag)
    with pytest.raises(InputError, match="must be the same, or leave out"):
        run(path, "-lambda 1.0")
    with pytest.raises(FlagError, match="--pix0-vector-mm: --geometry places"):
        parse_args(BASE.split(), geometry=path, pix0=(0.1, 0.0, 0.0))
    assert run(path, "-lambda 1.2") == run(path)
    assert run(path, "-polar 0.3 -point_pixel").beam.polarization == 0.3
    bare = tmp_path / "XDS.INP"
    bare.write_text(XDS.replace("X-RAY_WAVELENGTH= 1.5", "").replace("QY= 0.2", "QY= 0.1"))
    assert run(str(bare), "-lambda 1.1").beam.wavelength == pytest.approx(1.1e-10)
    with pytest.raises(InputError, match="no wavelength"):
        run(str(bare))


def test_the_file_is_on_record(tmp_path: Path) -> None:
    """With its checksum; it does not count for the fingerprint; a TOML file may name it."""
    path = square(tmp_path)
    experiment = run(path)
    checksum = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert input_files(experiment) == [{"role": "geometry", "path": path, "sha256": checksum}]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(square(elsewhere)).fingerprint() == experiment.fingerprint()
    text = f'[nanobragg]\nflags = "{BASE}"\ngeometry = "a.expt"\n'
    (tmp_path / "a.toml").write_text(text)
    same = from_toml(tmp_path / "a.toml")
    assert same == experiment
    assert same.detector.geometry_file == path
