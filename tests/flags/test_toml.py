"""Experiments as TOML files."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings

from nbdask.errors import InputError, InputFileError
from nbdask.experiment import Background, Beam, Crystal, Experiment
from nbdask.flags import from_toml, parse_args, to_toml
from tests.experiment.strategies import experiments

PARTS = """
[crystal]
cell = [7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66]
n_cells = [5, 5, 5]

[structure]
default_F = 100.0
"""


def written(folder: Path, text: str) -> Path:
    """Return a TOML file that holds ``text``."""
    path = folder / "run.toml"
    path.write_text(text)
    return path


@given(experiment=experiments)
@settings(max_examples=40, deadline=None)
def test_round_trip(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What to_toml writes is read back equal, to the last bit of every number."""
    path = written(tmp_path_factory.mktemp("toml"), to_toml(experiment))
    again = from_toml(path)
    assert again == experiment
    assert again.fingerprint() == experiment.fingerprint()
    assert to_toml(again) == to_toml(experiment)


def test_units_by_hand_equal_the_same_flags(tmp_path: Path) -> None:
    """A text has numbers with units behind them, to the bits that flags give."""
    text = """
background = [{ table = "water", thickness = "50 um", density = "1.1 g/cm^3" }]
[crystal]
cell = "70 80 90 A, 91 92 93 deg"
misset = ["10 deg", "20 deg", "30deg"]
n_cells = [5, 5, 5]
mosaic_spread = "0.3 degrees"
[structure]
default_F = 100.0
[beam]
wavelength = "12.4 keV"
[detector]
distance = "123.4mm"
[sources.horizontal]
range = "1.5 mrad"
count = 3
[scan]
osc = "0.1 deg"
"""
    words = (
        "-cell 70 80 90 91 92 93 -misset 10 20 30 -N 5 -mosaic 0.3 -default_F 100 -energy 12400"
        " -distance 123.4 -hdivrange 1.5 -hdivsteps 3 -osc 0.1"
    )
    found = from_toml(written(tmp_path, text))
    assert found.replace(background=Background()) == parse_args(words.split()).experiment
    water = found.background.materials[0]
    assert (water.thickness, water.density) == pytest.approx((50e-6, 1100.0), rel=1e-15)
    again = to_toml(found)
    for line in ('cell = "70 80 90 A, 91 92 93 deg"', "n_cells = [5, 5, 5]", 'osc = "0.1 deg"'):
        assert line in again.splitlines()
    energy = written(tmp_path, PARTS + '[beam]\nenergy = "12.4 keV"\n[detector]\ndistance="10 cm"')
    assert from_toml(energy).beam == Beam(energy_keV=12.4)
    assert from_toml(energy).detector.distance == 0.1
    cube = written(tmp_path, text.replace("70 80 90 A, 91 92 93 deg", "70 A"))
    assert from_toml(cube).crystal == Crystal.from_cell(
        70,
        misset=found.crystal.misset,
        n_cells=(5, 5, 5),
        mosaic_spread=found.crystal.mosaic_spread,
    )


def test_files_of_plain_numbers_keep_their_fingerprint(tmp_path: Path) -> None:
    """They are SI, as they were before texts had units."""
    path = written(tmp_path, PARTS + "[scan]\nosc = 1\n[detector]\ndistance = 0.1\n")
    old = "eb7248872260cad3cd03436c126cd1cb3d95d1e344ce65a0504f4c96704e8c00"
    with pytest.warns(UserWarning, match="scan.osc = 1: .* 1 degrees are 0.017453"):
        path.write_text(to_toml(from_toml(path)))
    with pytest.warns(UserWarning, match="scan.osc = 1"):
        assert from_toml(path).fingerprint() == old


def test_degrees_in_place_of_radians_are_told(tmp_path: Path) -> None:
    """Round numbers beyond a turn are simulated, with a warning that has the number meant."""
    with pytest.warns(
        UserWarning, match="^scan.osc = 90: radians are meant; 90 degrees are 1.5708"
    ):
        from_toml(written(tmp_path, PARTS + "[scan]\nosc = 90\n"))
    with pytest.warns(UserWarning, match="crystal.mosaic_spread = 10: .* 10 degrees are 0.17453"):
        Crystal.from_cell(70, mosaic_spread=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words = "-cell 70 -default_F 1 -N 5 -phi 720 -osc 90 -twotheta 1000"
        parse_args(words.split())


def test_flags_in_toml_equal_the_same_flags(tmp_path: Path) -> None:
    """A [nanobragg] table gives what parse_args gives; paths start from the file's folder."""
    (tmp_path / "P1.hkl").write_text("0 0 0 1\n")
    path = written(
        tmp_path,
        '[nanobragg]\nflags = "-cell 70 -hkl \'P1.hkl\' -N 5 -vdiv 0"\nsemantics = "c"\n'
        'source_weights = "apply"\npix0 = [0.1, -0.02, 0.03]\nignore_unknown = true\n',
    )
    argv = ["-cell", "70", "-hkl", str(tmp_path / "P1.hkl"), "-N", "5"]
    parsed = parse_args(argv, semantics="c", source_weights="apply", pix0=(0.1, -0.02, 0.03))
    assert from_toml(path) == parsed.experiment


def test_files_named_in_tables_are_read_or_checked(tmp_path: Path) -> None:
    """Relative paths start from the file's folder; checksums, matrix and sources are filled in."""
    (tmp_path / "P1.hkl").write_text("0 0 0 1\n")
    (tmp_path / "A.mat").write_text("0.01 0 0\n0 0.02 0\n0 0 0.03\n")
    (tmp_path / "s.txt").write_text("-10 0 0 0.5\n")
    path = written(
        tmp_path,
        '[crystal]\nmatrix_file = "A.mat"\n[structure]\npath = "P1.hkl"\n'
        '[sources]\nfile = "s.txt"\n',
    )
    experiment = from_toml(path)
    argv = ["-mat", "A.mat", "-hkl", "P1.hkl", "-sourcefile", "s.txt"]
    assert experiment == parse_args(argv, base_dir=tmp_path).experiment
    assert experiment.structure.sha256 == hashlib.sha256(b"0 0 0 1\n").hexdigest()


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[crystal\n", "must be a TOML file"),
        ("a = 1\na = 2\n", "must be a TOML file"),
        ("", "crystal = 'nothing': must be given"),
        (PARTS + "[detector]\ndistence = 1.0\n", "detector.distence = 1.0: must be distance, or"),
        (PARTS + "[detector]\ndistance = 'far'\n", "distance = 'far': must be a number with its"),
        (PARTS + "[detector]\ndistance = '100'\n", 'such as "1 mm" (units: m, cm, mm, um, nm, A)'),
        (PARTS + "[detector]\ndistance = '1 2 mm'\n", "detector.distance = '1 2 mm': must be a"),
        (PARTS + "[beam]\nwavelength = '-1 keV'\n", "beam.wavelength = '-1 keV': must be a"),
        (PARTS + "[beam]\nenergy = 12.4\n", 'a number with its unit, such as "12.4 keV"'),
        (PARTS + "[beam]\nenergy = '1 A'\n", 'a number with its unit, such as "12.4 keV"'),
        (PARTS + "[beam]\nenergy = '1 keV'\nwavelength = 1e-10\n", "left out beside a wavele"),
        ("[crystal]\ncell = '70 80 90'\n", 'such as "70 80 90 A, 90 90 90 deg" (units: m, cm,'),
        ("[crystal]\ncell = '70 80 A'\n", "crystal.cell = '70 80 A': must be 6 numbers with"),
        (PARTS + "[detector]\ndistance = nan\n", "detector.distance = nan: must be a finite"),
        (PARTS + "[sampling]\nmask = 'absent.img'\n", "absent.img: no such file"),
        (PARTS + "[beam]\nwavelength = -1e-10\n", "beam.wavelength = -1e-10: must be a number"),
        (PARTS + "[nanobragg]\nflags = '-N 5'\n", "must be left out where [nanobragg] flags"),
        ("nanobragg = 5\n", "nanobragg = 5: must be a table with the key flags"),
        ("[nanobragg]\nwords = '-N 5'\n", "nanobragg.words = '-N 5': must be one of flags"),
        ("[nanobragg]\nsemantics = 'c'\n", "nanobragg.flags = None: must be nanoBragg's flags"),
        ("[nanobragg]\nflags = '-hkl \"a'\n", "must be nanoBragg's flags as one text"),
        ("[nanobragg]\nflags = '-cel 70'\n", "unknown flag -cel: did you mean -cell"),
        ("[nanobragg]\nflags = ''\namplitudes = 3\n", "nanobragg.amplitudes = 3: must be a table"),
        ("[nanobragg]\nflags = ''\namplitudes = {models = 'm'}\n", "must be one of column, dmin"),
        ("[nanobragg]\nflags = ''\namplitudes = {dmin = '2'}\n", "must be a number [Angstrom]"),
        ("[nanobragg]\nflags = ''\namplitudes = {fprime = 'a'}\n", "fprime = 'a': must be a list"),
        ("[nanobragg]\nflags = ''\namplitudes = {model = 'no.pdb'}\n", "no.pdb: no such file"),
        (PARTS + "[structure.recipe]\nd_min = 1e-10\n", "structure.recipe"),
    ],
)
def test_refused_files(tmp_path: Path, text: str, fragment: str) -> None:
    """Bad TOML, unknown fields and refused values are one line each."""
    with pytest.raises(InputError) as caught:
        from_toml(written(tmp_path, text))
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is refused by name."""
    with pytest.raises(InputFileError, match=r"run\.toml: no such file or directory"):
        from_toml(tmp_path / "run.toml")


def test_a_mark_of_the_encoding_is_passed_over(tmp_path: Path) -> None:
    """Some editors write one before the text."""
    text = '[nanobragg]\nflags = "-cell 70 -default_F 10 -N 5"\n'
    (tmp_path / "plain.toml").write_text(text)
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert from_toml(tmp_path / "marked.toml") == from_toml(tmp_path / "plain.toml")


def test_weights_without_sources_are_told(tmp_path: Path) -> None:
    """Nothing is passed over in silence."""
    argv = ["-cell", "70", "-default_F", "10", "-N", "5"]
    note = "--source-weights apply: has no effect without -sourcefile"
    assert note in parse_args(argv, source_weights="apply").notes
    assert note not in parse_args(argv).notes
    (tmp_path / "s.txt").write_text("-1 0 0 2\n-1 0.01 0 1\n")
    argv += ["-sourcefile", "s.txt"]
    assert note not in parse_args(argv, source_weights="apply", base_dir=tmp_path).notes
