"""Absorption of sensors, from tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import pytest

import nbdask
from nbdask.panels.material import absorption, with_absorption
from nbdask.panels.quantities import of_energy
from nbdask.panels.read import read_geometry
from nbdask.panels.write import write_geometry
from tests.panels.samples import expt, write_expt


@pytest.mark.parametrize(
    ("material", "energy", "square_metres_per_kg"),
    # Photoelectric absorption of the elements by mass, as handbooks have it.
    [("Si", 10e3, 3.24), ("silicon", 20e3, 0.40), ("GaAs", 15e3, 9.1), ("CdTe", 20e3, 1.98)],
)
def test_what_materials_absorb(material: str, energy: float, square_metres_per_kg: float) -> None:
    """By energy, over the edges of gallium and arsenic."""
    density = {"si": 2329.0, "silicon": 2329.0, "gaas": 5317.6, "cdte": 5850.0}[material.lower()]
    found = absorption(material, of_energy(energy))
    assert found is not None
    assert found / density == pytest.approx(square_metres_per_kg, rel=0.02)
    assert absorption("Unobtainium", 1e-10) is None


def test_what_the_file_says_stays(tmp_path: Path) -> None:
    """Only where material and thickness are known, and the depth is not."""
    path = write_expt(tmp_path / "a.expt", expt())
    panel = replace(read_geometry(path).panels[0], thickness=3.2e-4, material="Si", attenuation=0.0)
    assert with_absorption(panel, 1e-10).attenuation == absorption("Si", 1e-10)
    for same in (replace(panel, attenuation=4000.0), replace(panel, material="?")):
        assert with_absorption(same, 1e-10) == same
    assert with_absorption(replace(panel, thickness=0.0), 1e-10).attenuation == 0.0
    assert with_absorption(panel, None) == panel


def test_nxmx_sensors_absorb(tmp_path: Path) -> None:
    """NXmx has material and thickness only; a simulation takes the depth, and that is said."""
    target = tmp_path / "a.nxs"
    given = read_geometry(write_expt(tmp_path / "a.expt", expt()))
    panels = tuple(replace(p, thickness=4.5e-4, material="Si") for p in given.panels)
    write_geometry(replace(given, panels=panels), target, "nxmx")
    with h5py.File(target) as file:
        assert not any("attenuation" in name for name in file["entry/instrument"])
    found = nbdask.read_geometry(target)
    assert {p.attenuation for p in found.panels} == {absorption("Si", found.beam.wavelength)}
    assert any("absorption of the sensor (Si) from tables" in note for note in found.notes)
