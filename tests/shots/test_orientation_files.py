"""Files of orientations: every form gives the crystal that it describes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import nbdask
from nbdask.errors import InputFileError
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.shots import Series
from nbdask.shots.orientation_files import read_orientations
from nbdask.shots.variation import Array

LINE = "-cell 50 60 70 80 95 100 -default_F 100 -N 5 -lambda 1.2 -misset 10 20 30"
FLAGS = LINE.split()
BASE = nbdask.from_args(FLAGS)
ROTATIONS = Rotation.random(4, random_state=3)
QUATERNIONS = ROTATIONS.as_quat(scalar_first=True)
MATRICES = ROTATIONS.as_matrix()
#: Crystals turned by the rotations.
STARS = orient_crystal(BASE.crystal, BASE.beam).star @ MATRICES.transpose(0, 2, 1)


def stars(path: Path | str, base: nbdask.Experiment = BASE) -> Array:
    """Rows a*, b*, c* of each shot [1/Angstrom], (n, 3, 3)."""
    series = Series(base, shots=read_orientations(str(path), base))
    shots = [series.shot(number) for number in range(series.n_shots)]
    return np.array([orient_crystal(shot.crystal, shot.beam).star for shot in shots])


def text_of(rows: Array) -> str:
    """Lines of numbers."""
    return "\n".join(" ".join(f"{x:.17g}" for x in row) for row in rows.reshape(len(rows), -1))


@pytest.mark.parametrize("form", ["quaternions", "matrices", "long.npy", "square.npy"])
def test_rotations_turn_the_crystal_as_it_is(form: str, tmp_path: Path) -> None:
    """Quaternions of any length, rotation matrices, as text and as NumPy files."""
    path = tmp_path / form
    if form == "quaternions":
        path.write_text("# w x y z\n" + text_of(QUATERNIONS * 3.0))
    elif form == "matrices":
        path.write_text(text_of(MATRICES))
    else:
        np.save(path, QUATERNIONS if form == "long.npy" else MATRICES)
    assert np.abs(stars(path) - STARS).max() < 1e-15


def test_missets_take_the_place_of_the_experiment_s(tmp_path: Path) -> None:
    """In degrees, as -misset."""
    path = tmp_path / "missets"
    path.write_text("1 2 3\n-40 50 60.5\n")
    series = Series(BASE, shots=read_orientations(str(path), BASE))
    wanted = nbdask.from_args([*FLAGS[:-3], "-40", "50", "60.5"])
    assert series.shot(1) == wanted


def test_orientation_matrices_give_the_cell_too(tmp_path: Path) -> None:
    """A .mat file alone, a pattern of them, and lines of nine numbers, in units of 1/wavelength."""
    lines = STARS.transpose(0, 2, 1) * 1.2
    for number, matrix in enumerate(lines):
        (tmp_path / f"a{number}.mat").write_text(text_of(matrix) + "\n 0 0 0\n")
    (tmp_path / "all.txt").write_text(text_of(lines))
    assert np.abs(stars(tmp_path / "*.mat") - STARS).max() < 1e-14
    assert np.abs(stars(tmp_path / "all.txt") - STARS).max() < 1e-14
    assert np.abs(stars(tmp_path / "a2.mat") - STARS[2]).max() < 1e-14
    flag = nbdask.from_args(["-mat", str(tmp_path / "a2.mat"), "-default_F", "1", "-lambda", "1.2"])
    assert (
        np.abs(stars(tmp_path / "a2.mat") - orient_crystal(flag.crystal, flag.beam).star).max()
        < 1e-16
    )


def experiment_list(axes: bool) -> dict[str, object]:
    """A dxtbx list of two crystals, on a goniometer of three axes or with fixed rotations."""
    real = [(50.0, 1.0, 2.0), (-3.0, 60.0, 4.0), (5.0, -6.0, 70.0)]
    crystals = []
    for turn in (0.0, 0.4):
        rows = np.array(real) @ Rotation.from_rotvec([0.1, turn, 0.2]).as_matrix().T
        entry = {f"real_space_{name}": row.tolist() for name, row in zip("abc", rows, strict=True)}
        crystals.append({"space_group_hall_symbol": " P 1", **entry})
    fixed = Rotation.from_euler("ZX", [30, 20], degrees=True).as_matrix()
    single = {
        "rotation_axis": [1.0, 0.0, 0.0],
        "fixed_rotation": fixed.reshape(-1).tolist(),
        "setting_rotation": np.eye(3).reshape(-1).tolist(),
    }
    several = {
        "axes": [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
        "angles": [20.0, 30.0, 0.0],
        "scan_axis": 2,
        "names": ["phi", "chi", "omega"],
    }
    panel = {
        "name": "p", "image_size": [64, 64], "pixel_size": [0.1, 0.1],
        "fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, -1.0, 0.0], "origin": [-3.2, 3.2, -100.0],
    }  # fmt: skip
    part = {"beam": 0, "detector": 0, "goniometer": 0, "scan": 0}
    return {
        "experiment": [{**part, "crystal": number} for number in range(2)],
        "crystal": crystals,
        "beam": [{"direction": [0.0, 0.0, 1.0], "wavelength": 1.2}],
        "detector": [{"panels": [panel]}],
        "goniometer": [several if axes else single],
        "scan": [{"image_range": [1, 10], "oscillation": [5.0, 0.5]}],
    }


@pytest.mark.parametrize("axes", [True, False])
def test_crystals_of_an_experiment_list(axes: bool, tmp_path: Path) -> None:
    """Shot n is what --geometry-use crystal takes of experiment n; several axes as fixed ones."""
    path = tmp_path / "two.expt"
    path.write_text(json.dumps(experiment_list(axes)))
    plain = ["-default_F", "1", "-N", "5"]
    bases = [
        nbdask.flags.parse_args(
            plain,
            geometry=nbdask.flags.GeometryRequest(
                str(path), use=("detector", "crystal", "scan"), shot=n
            ),
        ).experiment
        for n in range(2)
    ]
    found = stars(path, bases[0])
    for number, base in enumerate(bases):
        wanted = orient_crystal(base.crystal, base.beam).star
        assert np.abs(found[number] - wanted).max() < 1e-15
    flat = tmp_path / "flat.expt"
    flat.write_text(json.dumps(experiment_list(not axes)))
    assert np.abs(stars(flat, bases[0]) - found).max() < 1e-12


def test_a_table_may_be_orientations(tmp_path: Path) -> None:
    """Columns of dotted fields."""
    path = tmp_path / "t.csv"
    path.write_text("crystal.misset.x [deg], crystal.misset.y [deg]\n1, 2\n")
    assert read_orientations(str(path), BASE).names == ("crystal.misset.x", "crystal.misset.y")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a", "1 2\n", "must be orientations"),
        ("a", "1 2 3 4 5\n", "5 numbers a line"),
        ("a", "1 2 3\n4 5\n", "line 2"),
        ("a", "0 0 0 0\n", "quaternion 0 is 0"),
        ("a", "1 0 0 0 1 0 0 0 1\n" + "0 " * 9, "matrix 1 has no volume"),
        ("a", "1 0 0 1 0 0 0 0 1\n", "matrix 0 has no volume"),
        ("a", "", "no numbers"),
        ("a.expt", "{", "line 1"),
        ("a.expt", "{}", "a list of experiments"),
        ("a.mat", "1 2 3", "only 3 numbers"),
        ("missing", None, "no such file"),
    ],
)
def test_wrong_files_are_refused(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    """With the file's name, in one line."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputFileError, match=message) as caught:
        read_orientations(str(path), BASE)
    assert str(caught.value).startswith(str(path))


def test_an_experiment_list_needs_its_own_frame(tmp_path: Path) -> None:
    """A beam along +z is another laboratory."""
    path = tmp_path / "two.expt"
    path.write_text(json.dumps(experiment_list(False)))
    other = BASE.replace(frame=dataclasses.replace(BASE.frame, convention="XDS"))
    with pytest.raises(InputFileError, match="for a beam along"):
        read_orientations(str(path), other)
