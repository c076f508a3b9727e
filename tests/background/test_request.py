"""Texts that describe materials."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbdask.background.request import beamstop_of, materials_of
from nbdask.errors import FieldError, FlagError, InputFileError
from nbdask.experiment import Background, Material
from nbdask.inputs.checksum import sha256_of


def test_bundled_tables_know_density_and_mass() -> None:
    """Given numbers prevail."""
    (water, air), notes = materials_of(["water:0.1mm", "air:2e1cm:1.3e-3:28.97"], str)
    assert notes == ()
    assert (water.table, water.thickness, water.density) == ("water", 1e-4, 997.0)
    assert water.molar_mass == pytest.approx(0.0180153)
    assert water.sha256 is not None
    assert air == Material(0.2, table="air", density=1.3, molar_mass=28.97e-3, sha256=air.sha256)


@pytest.mark.parametrize(
    ("unit", "metres"), [("nm", 3e-9), ("um", 3e-6), ("mm", 3e-3), ("cm", 3e-2), ("m", 3.0)]
)
def test_units_of_thickness(unit: str, metres: float) -> None:
    (found,), _ = materials_of([f"helium:3{unit}"], str)
    assert found.thickness == pytest.approx(metres, rel=1e-15)


def test_files(tmp_path: Path) -> None:
    """With a checksum; a colon in the name; what is missing is water's, and a note says so."""
    path = tmp_path / "jet:2.stol"
    path.write_text("0 1\n0.2 2\n0.3 1\n")
    (one, two, three), notes = materials_of(
        [f"{path}:5um:0.9:20", f"{path}:5um", f"{path}:5um:0.9:Q"], str
    )
    assert (one.path, one.sha256) == (str(path), sha256_of(path))
    assert (one.density, one.molar_mass, one.axis) == (900.0, 0.02, "stol")
    assert (two.density, two.molar_mass) == (1000.0, 0.018)
    assert (three.density, three.molar_mass, three.axis) == (900.0, 0.018, "Q")
    assert ["1 g/cm^3 and 18 g/mol are taken" in note for note in notes] == [True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("water", "must be TABLE:THICKNESS"),
        ("water:1", "must be TABLE:THICKNESS"),
        ("water:-1mm", "must be TABLE:THICKNESS"),
        ("water:0mm", "must be TABLE:THICKNESS"),
        ("water:1mm:heavy", "density and molar mass must be numbers above 0"),
        ("water:1mm:1:18:3", "density and molar mass must be numbers above 0"),
        ("water:1mm:Q", "Q goes with a file"),
        ("mud:1mm", "there is no file mud here, and no bundled table"),
    ],
)
def test_texts_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(FlagError, match=says):
        materials_of([text], str)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        materials_of([f"{tmp_path}/none.stol:1mm"], str)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"thickness": 0.0, "table": "water"}, "thickness"),
        ({"thickness": 1e-3}, "table"),
        ({"thickness": 1e-3, "table": "water", "path": "a"}, "table"),
        ({"thickness": 1e-3, "table": "water", "density": -1.0}, "density"),
        ({"thickness": 1e-3, "path": "a", "axis": "q"}, "axis"),
    ],
)
def test_fields_that_are_refused(values: dict, says: str) -> None:
    with pytest.raises(FieldError, match=f"background.materials.{says}"):
        Material(**values)


def test_lists_that_are_refused() -> None:
    with pytest.raises(FieldError, match="a list of materials"):
        Background(materials="water")
    with pytest.raises(FieldError, match="a Material"):
        Background(materials=(1,))


def test_beam_stops() -> None:
    """Radius, then its place beside the beam."""
    assert beamstop_of("2") == (0.002, 0.0, 0.0)
    assert beamstop_of("2, 0.5,-1") == (0.002, 0.0005, -0.001)
    for text in ("", "0", "-1", "2,1", "a", "1,2,3,4"):
        with pytest.raises(FlagError, match="must be RADIUS or RADIUS,X,Y"):
            beamstop_of(text)
