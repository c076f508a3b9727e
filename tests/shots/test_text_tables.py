"""Tables of shots in files and in memory: units, forms, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import xarray

import nbdask
from nbdask.errors import FieldError, InputFileError
from nbdask.inputs.quantities import CONVERSIONS
from nbdask.shots import Series, Table
from nbdask.shots.quantities import converted
from nbdask.shots.text_tables import read_column, read_rows, read_table
from tests.shots.test_series import BASE

CSV = """# a comment
shot, crystal.cell.a [A], detector.distance [mm], beam.polarization, scan.phi0 [deg]
0, 50.1, 100, 0.9, 0.1

1, 50.2, 100.1, 0.8, 0.2
"""
VALUES = {
    "crystal.cell.a": [50.1, 50.2],
    "detector.distance": [100.0, 100.1],
    "beam.polarization": [0.9, 0.8],
    "scan.phi0": [0.1, 0.2],
}
TOML_LISTS = (
    '[shots]\n"crystal.cell.a [A]" = [50.1, 50.2]\n"detector.distance [mm]" = [100, 100.1]\n'
)
TOML_LISTS += '"beam.polarization" = [0.9, 0.8]\n"scan.phi0 [deg]" = [0.1, 0.2]\n'
TOML_ROWS = "".join(
    f'[[shots]]\n"crystal.cell.a [A]" = {a}\n"detector.distance [mm]" = {d}\n'
    f'"beam.polarization" = {p}\n"scan.phi0 [deg]" = {phi}\n'
    for a, d, p, phi in zip(*VALUES.values(), strict=True)
)


def written(folder: Path, name: str, text: str) -> str:
    """Path of a new file."""
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", CSV),
        ("t.txt", CSV.replace(",", ";")),
        ("t.tsv", CSV.replace(", ", "\t")),
        ("lists.toml", TOML_LISTS),
        ("rows.toml", TOML_ROWS),
    ],
)
def test_forms_of_a_table_agree_with_flags(name: str, text: str, tmp_path: Path) -> None:
    """To the last bit: -distance, -phi and -cell give the same numbers."""
    table = read_table(written(tmp_path, name, text))
    line = "-cell 50.2 60 70 90 90 90 -default_F 1 -distance 100.1 -phi 0.2"
    wanted = nbdask.from_args(line.split())
    row = {key: float(column[1]) for key, column in table.columns.items()}
    assert row == {
        "crystal.cell.a": wanted.crystal.cell[0],
        "detector.distance": wanted.detector.distance,
        "beam.polarization": 0.8,
        "scan.phi0": wanted.scan.phi0,
    }
    assert table.rows == 2


def test_parquet_is_read_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And refused in one line where it cannot."""
    path = tmp_path / "t.parquet"
    frame = pandas.DataFrame({"crystal.cell.a [A]": [50.1, 50.2]})
    monkeypatch.setattr(pandas, "read_parquet", lambda given: frame)
    path.write_bytes(b"PAR1")
    assert read_table(str(path)).columns["crystal.cell.a"].tolist() == [50.1 / 1e10, 50.2 / 1e10]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputFileError, match="needs pandas and pyarrow"):
        read_table(str(path))


def test_tables_in_memory() -> None:
    """Mappings, DataFrames and Datasets; SI without a unit."""
    edges = np.array([50.1, 50.2]) / 1e10
    wanted = Table({"crystal.cell.a": edges, "beam.flux": np.array([1.0, 2.0])})
    named = {"crystal.cell.a [A]": np.array([50.1, 50.2]), "beam.flux": np.array([1.0, 2.0])}
    dataset = xarray.Dataset(
        {
            "crystal.cell.a": ("shot", [50.1, 50.2], {"units": "A"}),
            "beam.flux": ("shot", [1, 2]),
        }
    )
    counted = pandas.DataFrame({"shot": [0, 1], **named})
    for shots in (named, pandas.DataFrame(named), counted, dataset, wanted):
        series = Series(BASE, shots=shots)
        assert series.n_shots == 2
        assert series.variations == (wanted,)
    assert Series(BASE, 1, shots=named).n_shots == 1


@pytest.mark.parametrize(
    ("shots", "message"),
    [
        ([1, 2], "a mapping, a pandas.DataFrame"),
        ({}, "without columns"),
        ({"crystal.cell.a [mm]": np.ones(2), "crystal.cell.a": np.ones(2)}, "twice"),
        ({"crystal.cell.a [deg]": np.ones(2)}, "one of the units m, cm, mm"),
        ({"crystal.cell.a": np.array(["x", "y"])}, "a number for each shot"),
        ({"crystal.n_cells.a": np.ones(2, dtype=bool)}, "a number for each shot"),
        ({"crystal.cell.a": np.ones((2, 2))}, "a number for each shot"),
        ({"crystal.n_cells.a": np.ones(2), "shot": [1, 2]}, "shot = .1, 2.: must be 0, 1, 2"),
        (
            pandas.DataFrame({"crystal.n_cells.a": [5, 6]}, pandas.Index([1, 0], name="shot")),
            "shot = .1, 0.: must be 0, 1, 2",
        ),
        (
            xarray.Dataset({"crystal.n_cells.a": ("shot", [5, 6])}, {"shot": [1, 0]}),
            "shot = .1, 0.: must be 0, 1, 2",
        ),
        (
            xarray.Dataset(
                {"crystal.n_cells.a": ("shot", [5, 6]), "crystal.n_cells.b": ("x", [5, 6])}
            ),
            "several dimensions",
        ),
        ({"crystal.cell.a": np.ones(2), "beam.flux": np.ones(3)}, "columns of one length"),
        ({"crystal.cell.a [A": np.ones(2)}, "a dotted field and its unit"),
        ({"structure.scale": np.ones(2)}, "share one table of amplitudes"),
        ({"detector.pixels_fast": np.ones(2)}, "the same pixels"),
        ({"sampling.oversample": np.ones(2)}, "sampled alike"),
    ],
)
def test_wrong_tables_in_memory_are_refused(shots: object, message: str) -> None:
    """In one line."""
    with pytest.raises(FieldError, match=message) as caught:
        Series(BASE, shots=shots)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "crystal.cell.a\n50\n", "named with its unit, such as crystal.cell.a .m."),
        ("t.csv", "crystal.cell.a [A]\n50\nx\n", "line 3: found?.*'x'|line 3: 'x'"),
        ("t.csv", "crystal.cell.a [A], beam.flux [photon/s]\n50\n", "line 2: 1 values"),
        ("t.csv", "crystal.cell.a [A], crystal.cell.a [A]\n50, 51\n", "twice"),
        (
            "t.csv",
            "crystal.cell.a [A], crystal.cell.a [nm]\n50, 5\n",
            "column crystal.cell.a twice",
        ),
        ("t.csv", "# a\n\ncrystal.cell.a [A]\n# b\nx\n", "line 5: 'x'"),
        ("t.csv", "# a\nbeam.flux [photon/s], beam.flux [photon/s]\n1, 1\n", "line 2: .*twice"),
        ("t.csv", "shot\n0\n", "no columns"),
        ("t.csv", "shot, beam.exposure [s]\n1, 1\n", "does not count from 0"),
        ("t.csv", "beam.exposure [s]\n", "columns of one length"),
        ("t.csv", "beam.exposure [h]\n1\n", "one of the units s, ms"),
        ("t.csv", "beam.expos [s]\n1\n", "did you mean beam.exposure"),
        ("t.toml", "shots = 3\n", "no table"),
        ("t.toml", "[shots]\nbeam.flux = [1]\n", "in quotes"),
        ("t.toml", '[[shots]]\n"beam.exposure [s]" = 1\n[[shots]]\n', "shot 1 has"),
        ("t.parquet", "no parquet", "parquet"),
        ("missing", None, "no such file"),
    ],
)
def test_wrong_files_are_refused(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    """With the file's name, in one line."""
    path = str(tmp_path / name) if text is None else written(tmp_path, name, text)
    with pytest.raises(InputFileError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_one_column_for_a_field(tmp_path: Path) -> None:
    """By its header with or without the unit."""
    path = written(tmp_path, "log.csv", "det [mm], other\n100, 1\n101, 2\n")
    for column in ("det", "det [mm]"):
        assert read_column(path, column, "detector.distance").tolist() == [0.1, 0.101]
    with pytest.raises(InputFileError, match="no column x: must be one of det"):
        read_column(path, "x", "detector.distance")
    with pytest.raises(InputFileError, match="named with its unit"):
        read_column(path, "other", "detector.distance")


def test_rows_without_a_header(tmp_path: Path) -> None:
    """What follows the numbers of a line is ignored; too few are refused."""
    path = written(tmp_path, "rows", "# a b c\n1 2 3 Pmmm\n\n4, 5; 6 x\n")
    assert read_rows(path, "three", 3, 3).tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(InputFileError, match="line 2: found"):
        read_rows(path, "four", 4, 4)


def test_every_unit_of_a_field_has_its_conversion() -> None:
    """A millimetre is a thousandth of a metre, and so on."""
    for field, unit, value in (
        ("detector.distance", "um", 1e-6),
        ("crystal.cell.a", "nm", 1e-9),
        ("scan.phi0", "mrad", 1e-3),
        ("beam.energy", "keV", 1e3),
        ("beam.exposure", "fs", 1e-15),
        ("detector.attenuation", "1/mm", 1e3),
        ("beam.fluence", "photons/um^2", 1e12),
        ("beam.polarization", "%", 0.01),
        ("background.materials.0.density", "g/cm^3", 1e3),
        ("detector.org_x", "px", 1.0),
    ):
        assert converted(field, 1.0, unit) == pytest.approx(value, rel=1e-15)
    assert all(known[next(iter(known))](1.0) == 1.0 for known in CONVERSIONS.values())
