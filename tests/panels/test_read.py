"""Real files of every format against positions computed independently; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nbdask
from nbdask.errors import InputError, NbdaskError
from nbdask.panels.model import Instrument, Panel
from nbdask.panels.read import read_geometry
from tests.panels.samples import (
    GEOM,
    INPUTS,
    XDS,
    XPARM_NEW,
    XPARM_OLD,
    expt,
    panel,
    write_expt,
    write_nexus,
)

ORACLE = INPUTS / "oracle.json"
FILES = json.loads(ORACLE.read_text())["geometry"] if ORACLE.is_file() else {"": {}}


def named(value: Any) -> str:
    """Name a case by what its message says."""
    return "change" if callable(value) else ", ".join(value)


def places(panel: Panel) -> dict[str, tuple[float, float]]:
    """The oracle's names of points, in pixels from the outer corner."""
    f, s = panel.n_fast, panel.n_slow
    return {
        "corner_first": (0.0, 0.0),
        "centre_first": (0.5, 0.5),
        "centre_last_fast": (f - 0.5, 0.5),
        "centre_last_slow": (0.5, s - 0.5),
        "centre_last": (f - 0.5, s - 0.5),
        "corner_last": (f, s),
    }


def completed(name: str, facts: dict[str, Any]) -> Instrument:
    """The file, with camera length and energy where it lacks them."""
    options = {}
    if "with_overrides" in facts and facts.get("clen_m") is None:
        options["clen"] = 0.1
    if "with_overrides" in facts and facts.get("wavelength_A") is None:
        options["energy"] = 9300.0
    return read_geometry(INPUTS / "geometry" / name, **options)


@pytest.mark.skipif(not ORACLE.is_file(), reason="NBDASK_INPUTS does not name the real files")
@pytest.mark.parametrize("name", FILES)
def test_real_files(name: str) -> None:
    """Names, sizes, pitches, points to 1e-6 mm, d to 1e-9, where the beam meets each panel."""
    facts = FILES[name]
    found = completed(name, facts)
    changed = facts.get("with_overrides", facts)
    assert found.beam.wavelength is not None
    assert found.beam.wavelength * 1e10 == pytest.approx(changed["wavelength_A"], rel=1e-9)
    sign = np.array([-1, 1, -1] if facts["format"] == "dxtbx" else [1, 1, 1])
    assert found.beam.direction == pytest.approx(sign * facts["beam"], abs=1e-9)
    assert len(found.panels) == len(facts["panels"])
    for own, listed, points in zip(found.panels, facts["panels"], changed["panels"], strict=True):
        assert own.name == listed["name"]
        assert (own.n_fast, own.n_slow) == (listed["n_fast"], listed["n_slow"])
        pitches = (listed["pitch_fast_mm"], listed["pitch_slow_mm"])
        assert (own.pitch_fast * 1e3, own.pitch_slow * 1e3) == pytest.approx(pitches, rel=1e-9)
        for point, at in places(own).items():
            expected = points.get("points", {}).get(point)
            if expected is None:
                continue
            place = own.position(*at)
            there = expected.get("xyz_common_mm", expected["xyz_mm"])
            assert np.max(np.abs(np.array(place) * 1e3 - there)) < 1e-6
            spacing = found.spacing(place)
            assert spacing is not None
            if "d_A" in expected:
                assert spacing * 1e10 == pytest.approx(expected["d_A"], rel=1e-9)
        if "beam_on_panel_pixels_fast_slow" in listed and changed is facts:
            met = own.meets(found.beam.direction)
            assert met is not None
            assert met[:2] == pytest.approx(listed["beam_on_panel_pixels_fast_slow"], abs=1e-6)
    for key, members in facts.get("groups", {}).items():
        assert [list(g.members) for g in found.groups if g.name == key] == [members]


def test_public_name() -> None:
    """It is nbdask.read_geometry."""
    assert nbdask.read_geometry is read_geometry


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.txt", GEOM, "CrystFEL"),
        ("a.txt", XDS, "XDS"),
        ("a.txt", XPARM_OLD, "XDS"),
        ("a.txt", XPARM_NEW.format(count=0), "XDS"),
        ("a.txt", json.dumps(expt()), "dxtbx"),
        ("b.geom", "clen = 0.1\n" + GEOM.replace("clen = 100 mm", ""), "CrystFEL"),
    ],
)
def test_content_decides(tmp_path: Path, name: str, text: str, kind: str) -> None:
    """Not the name."""
    path = tmp_path / name
    path.write_text(text)
    assert read_geometry(path).format == kind


def test_what_completes_is_taken_and_what_contradicts_refused(tmp_path: Path) -> None:
    """Wavelength, energy, clen; a shift moves all panels along z; all is said."""
    path = tmp_path / "a.geom"
    path.write_text(GEOM.replace("9000 eV", "/LCLS/energy").replace("100 mm", "/LCLS/z mm"))
    with pytest.raises(InputError, match="clen: is the place /LCLS/z mm in the data"):
        read_geometry(path, energy=9000.0)
    with pytest.raises(InputError, match=r"photon_energy: is the place /LCLS/energy .*--energy"):
        read_geometry(path, clen=0.1)
    found = read_geometry(path, energy=9000.0, clen=0.25, distance_shift=-0.05)
    assert [panel.origin[2] for panel in found.panels] == pytest.approx([0.2, 0.202])
    assert len(found.taken) == 3
    path.write_text(GEOM)
    same = read_geometry(path, energy=9000.0, clen=0.1)
    assert same == read_geometry(path)
    for wrong in (
        {"energy": 9001.0},
        {"wavelength": 1e-10},
        {"clen": 0.1001},
        {"clen": 1e9},
        {"energy": -1.0},
        {"wavelength": 1e-6},
        {"wavelength": 1e-10, "energy": 9000.0},
        {"shot": 1},
        {"distance_shift": -0.1},
    ):
        with pytest.raises(InputError):
            read_geometry(path, **wrong)  # type: ignore[arg-type]
    other = write_expt(tmp_path / "a.expt", expt())
    with pytest.raises(InputError, match="--clen: this file places its panels itself"):
        read_geometry(other, clen=0.1)


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the first panel of an experiment list."""

    def change(data: dict[str, Any]) -> None:
        data["detector"][0]["panels"][0][key] = value

    return change


def tree(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the hierarchy."""

    def change(data: dict[str, Any]) -> None:
        data["detector"][0]["hierarchy"][key] = value

    return change


def whole(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the list itself."""

    def change(data: dict[str, Any]) -> None:
        data[key] = value

    return change


#: A crystal without a volume.
FLAT = {f"real_space_{axis}": [1, 0, 0] for axis in "abc"}
#: Words that the error must hold, and what is wrong with the list.
BAD_EXPT = [
    (("panel 0 (P)", "fast_axis"), changed("fast_axis", [0, 0, 0])),
    (("panel 0 (P)", "fast_axis"), changed("fast_axis", [0, 0])),
    (("panel 0 (P)", "slow_axis", "parallel"), changed("slow_axis", [-2, 0, 0])),
    (("panel 0 (P)", "origin"), changed("origin", [0, "x", 0])),
    (("panel 0 (P)", "origin"), changed("origin", None)),
    (("panel 0 (P)", "origin"), changed("origin", [0, float("nan"), 0])),
    (("panel 0 (P)", "image_size"), changed("image_size", [10, 0])),
    (("panel 0 (P)", "image_size"), changed("image_size", [10.5, 3])),
    (("panel 0 (P)", "pixel_size"), changed("pixel_size", [0.1, -0.1])),
    (("panel 0 (P)", "mask 0"), changed("mask", [[1, 2, 3]])),
    (("panel 0 (P)", "thickness"), changed("thickness", -1)),
    (("panel P", "distance 0"), changed("origin", [0, 0, 150.0])),
    (("hierarchy", "origin"), tree("origin", [1, 2])),
    (("hierarchy", "panel 1 is in no group"), tree("children", [{"panel": 0}])),
    (("hierarchy", "panel", "second time"), tree("children", [{"panel": 0}, {"panel": 0}])),
    (("hierarchy > x", "fast_axis"), tree("children", [{"name": "x"}])),
    (("beam 0", "wavelength", "1e-4 to 100 A"), whole("beam", [{"wavelength": 1000}] * 2)),
    (("beam 0", "wavelength", "--energy"), whole("beam", [{"direction": [0, 0, 1]}] * 2)),
    (
        ("beam 0", "wavelength", "polychromatic"),
        whole("beam", [{"__id__": "polychromatic", "direction": [0, 0, 1]}] * 2),
    ),
    (("experiment 0", "detector", "0 to 0"), whole("experiment", [{"beam": 0, "detector": 3}])),
    (("experiment 0", "beam"), whole("experiment", [{"detector": 0}])),
    (("experiment", "a list"), whole("experiment", {"beam": 0})),
    (("crystal 0", "real_space_b"), whole("crystal", [{"real_space_a": [1, 0, 0]}])),
    (("crystal: a, b, c", "no cell"), whole("crystal", [FLAT])),
    (("detector 0", "panels"), whole("detector", [{"panels": []}])),
]


@pytest.mark.parametrize(("words", "change"), BAD_EXPT, ids=named)
def test_malformed_experiment_lists(
    tmp_path: Path, words: tuple[str, ...], change: Callable[[dict[str, Any]], None]
) -> None:
    """Refused in one line that names panel (or part) and key."""
    data = expt()
    change(data)
    refused(write_expt(tmp_path / "a.expt", data), words)


def refused(path: Path, words: tuple[str, ...]) -> None:
    """The file is refused in one line with these words."""
    with pytest.raises(NbdaskError) as error:
        read_geometry(path)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    assert ": must be " in text
    assert [word for word in words if word not in text] == [], text


#: Words of the error, what is replaced in the sample, and by what.
BAD_GEOM = [
    (("panel a", "min_fs"), "a/min_fs = 0", ""),
    (("panel a", "min_fs", "whole"), "a/min_fs = 0", "a/min_fs = 0.5"),
    (("panel a", "max_fs"), "a/max_fs = 9", "a/max_fs = -1"),
    (("panel a", "corner_x", "missing"), "a/corner_x = 20", ""),
    (("panel a", "corner_x", "number"), "a/corner_x = 20", "a/corner_x = 20px"),
    (("panel a", "fs"), "a/fs = x", "a/fs = xx"),
    (("panel a", "fs"), "a/fs = x", "a/fs = 0x"),
    (("panel a", "fs"), "a/fs = x", "a/fs = 1"),
    (("panel a", "parallel"), "a/fs = x", "a/fs = -y"),
    (("panel b", "corner_yy", "did you mean corner_y?"), "b/corner_y", "b/corner_yy"),
    (("panel b", "dim0"), "b/min_fs", "b/dim0 = q\nb/min_fs"),
    (("panel b", "dim", "fs once"), "b/min_fs", "b/dim0 = fs\nb/min_fs"),
    (("panel a", "res"), "res = 10000", "res = 0"),
    (("photon_energy",), "9000 eV", "9000 parsec"),
    (("photon_energy",), "9000 eV", "-9000"),
    (("photon_energy", "1e-4 to 100 A"), "9000 eV", "1e-3 eV"),
    (("clen", "twice"), "clen = 100 mm", "clen = 100 mm\nclen = 1"),
    (("panel a", "clen"), "clen = 100 mm", "clen = 100 furlong"),
    (("clen", "missing", "--clen"), "clen = 100 mm", ""),
    (("line 1", "key = value"), "; two", "two"),
    (("bad region bad_one", "panel"), "bad_one/panel = b", "bad_one/panel = c"),
    (("bad region bad_beam", "max_x"), "bad_beam/max_x = 21.5", ""),
    (("bad region bad_beam", "min_fs"), "bad_beam/max_x = 21.5", "bad_beam/min_fs = 1"),
    (("bad region bad_beam", "max_z"), "bad_beam/max_x", "bad_beam/max_z"),
    (("rigid_group_q0", "'c'"), "= a,b", "= a,c"),
    (("rigid_group_q0",), "= a,b", "= q0"),
    (("panel a", "distance 0"), "clen = 100 mm", "clen = 0"),
    (("panel a", "mask_bad"), "a/fs", "a/mask = /m\na/mask_bad = 0xz\na/fs"),
]


@pytest.mark.parametrize(("words", "old", "new"), BAD_GEOM)
def test_malformed_crystfel(tmp_path: Path, words: tuple[str, ...], old: str, new: str) -> None:
    """Refused in one line that names panel and key."""
    assert old in GEOM
    path = tmp_path / "a.geom"
    path.write_text(GEOM.replace(old, new))
    refused(path, words)


BAD_XDS = [
    (("NX",), "NX= 20", ""),
    (("NX",), "NX= 20", "NX= 20.5"),
    (("QX",), "QX= 0.1", "QX= -0.1"),
    (("ORGX",), "ORGX= 10.5", "ORGX= xxx"),
    (("DETECTOR_DISTANCE",), "DISTANCE= 100", "DISTANCE= 1 2"),
    (("DIRECTION_OF_DETECTOR_Y-AXIS", "right angles"), "Y-AXIS= 0 1 0", "Y-AXIS= 1 1 0"),
    (("INCIDENT_BEAM_DIRECTION",), "0 0 2", "0 0 0"),
    (("X-RAY_WAVELENGTH", "--wavelength"), "X-RAY_WAVELENGTH= 1.5", ""),
    (("UNTRUSTED_RECTANGLE",), "2 5 0 11", "2 5 0"),
    (("SEGMENT_ORGX",), "JOB=", "SEGMENT_ORGX= 1 JOB="),
    (("segment 1",), "JOB=", "SEGMENT= 1 21 1 10 JOB="),
    (("FRACTION_OF_POLARIZATION",), "0.9", "9"),
]


@pytest.mark.parametrize(("words", "old", "new"), BAD_XDS)
def test_malformed_xds(tmp_path: Path, words: tuple[str, ...], old: str, new: str) -> None:
    """Refused in one line that names the key."""
    assert old in XDS
    path = tmp_path / "XDS.INP"
    path.write_text(XDS.replace(old, new))
    refused(path, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n".join(XPARM_OLD.splitlines()[:5]), ("detector axis Y", "missing")),
        (XPARM_OLD.replace("100 10.5 4.5", "100 10.5"), ("line 4", "DIST")),
        (XPARM_NEW.format(count=1), ("segments", "two lines")),
        (XPARM_NEW.format(count=0).replace("0 20 0", "0 a 0"), ("axis b",)),
        ("", ("is empty",)),
        ("hello\n", ("no format that is known",)),
        ('{"a": [', ("line 1",)),
        ("[" * 100000, ("nested",)),
        ("{}", ("neither experiment nor detector",)),
        ("\0\1\2", ("no text",)),
    ],
)
def test_other_malformed_files(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """XPARM.XDS that ends too early, files of no kind."""
    path = tmp_path / "file"
    path.write_text(text)
    refused(path, words)


DETECTOR = "/entry/instrument/detector"


def drop(name: str) -> Callable[[Any], None]:
    """Remove a field."""

    def change(file: Any) -> None:
        del file[name]

    return change


def attribute(name: str, key: str, value: Any) -> Callable[[Any], None]:
    """Set an attribute of a field, or remove it."""

    def change(file: Any) -> None:
        if value is None:
            del file[name].attrs[key]
        else:
            file[name].attrs[key] = value

    return change


FAST = f"{DETECTOR}/m0/fast_pixel_direction"
BAD_NEXUS = [
    ((FAST, "missing"), drop(FAST)),
    ((FAST, "unit"), attribute(FAST, "units", "parsec")),
    ((FAST, "vector"), attribute(FAST, "vector", None)),
    ((FAST, "vector"), attribute(FAST, "vector", [0.0, 0.0, 0.0])),
    ((FAST, "vector"), attribute(FAST, "vector", [0.0, 1.0])),
    ((f"{DETECTOR}/m0/data_size",), drop(f"{DETECTOR}/m0/data_size")),
    (
        (f"{DETECTOR}/transformations/gone", "missing"),
        attribute(f"{DETECTOR}/transformations/arm", "depends_on", "gone"),
    ),
    (
        ("depends on itself",),
        attribute(f"{DETECTOR}/transformations/rail", "depends_on", "arm"),
    ),
    (
        ("incident_wavelength", "--energy"),
        drop("/entry/instrument/beam/incident_wavelength"),
    ),
    (("beam_center_x", "missing"), lambda file: [file.pop(f"{DETECTOR}/m{n}") for n in (0, 1)]),
    (("no NXdetector",), drop(DETECTOR)),
    (("no NXentry",), drop("/entry")),
]


@pytest.mark.parametrize(("words", "change"), BAD_NEXUS, ids=named)
def test_malformed_nexus(
    tmp_path: Path, words: tuple[str, ...], change: Callable[[Any], None]
) -> None:
    """Refused in one line that names the field."""
    path = write_nexus(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        change(file)
    refused(path, words)


def test_a_damaged_hdf5_file(tmp_path: Path) -> None:
    """Refused, as is a missing file and a folder."""
    path = write_nexus(tmp_path / "a.nxs")
    path.write_bytes(path.read_bytes()[:600])
    refused(path, ("cannot be read",))
    refused(tmp_path / "gone.expt", ("no such file",))
    refused(tmp_path, ("is a directory",))


def test_old_lists(tmp_path: Path) -> None:
    """Without hierarchy and thickness, with panels directly, and lists of images."""
    part = panel(origin=[-5.0, 4.0, -150.0])
    for key in ("thickness", "mu", "material", "mask", "gain", "raw_image_offset"):
        del part[key]
    beam = [{"direction": [0, 0, 1], "wavelength": 1.0}]
    for detector in ([{"panels": [part]}], [[part]]):
        plain = {"experiment": [{"beam": 0, "detector": 0}], "beam": beam, "detector": detector}
        images = [{"__id__": "DataBlock", "beam": beam, "detector": detector}]
        for data in (plain, images):
            found = read_geometry(write_expt(tmp_path / "a.json", data))
            assert found.panels[0].origin == pytest.approx((0.005, 0.004, 0.15))
            assert found.panels[0].thickness == 0.0
