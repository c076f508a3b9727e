"""Laws of the bundled minerals' amplitudes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nbdask.example.amplitudes import amplitudes, small_structure
from nbdask.example.crystals import MINERALS
from nbdask.example.write import hkl_text, write_example
from nbdask.inputs.hkl import read_hkl

COARSE = 1.6


@pytest.mark.parametrize("name", MINERALS)
def test_amplitudes_by_hand(name: str) -> None:
    """The sum over all atoms of the cell, with gemmi's form factors, for a few reflections."""
    structure = small_structure(MINERALS[name])
    atoms = structure.get_all_unit_cell_sites()
    for h, k, el, value in amplitudes(MINERALS[name], COARSE)[::17]:
        squared = structure.cell.calculate_1_d2([h, k, el]) / 4
        total = 0j
        for atom in atoms:
            factor = atom.element.it92.calculate_sf(squared)
            factor *= np.exp(-8 * np.pi**2 * atom.u_iso * squared)
            phase = h * atom.fract.x + k * atom.fract.y + el * atom.fract.z
            total += factor * np.exp(2j * np.pi * phase)
        assert value == pytest.approx(abs(total), rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("name", MINERALS)
def test_a_finer_list_holds_the_coarser_one(name: str) -> None:
    """With the same amplitudes, and only reflections beyond its limit besides."""
    mineral = MINERALS[name]
    coarse, fine = amplitudes(mineral, COARSE), amplitudes(mineral, 1.3)
    assert set(coarse) < set(fine)
    cell = gemmi.UnitCell(*mineral.cell)
    beyond = [cell.calculate_d(list(row[:3])) for row in set(fine) - set(coarse)]
    assert min(beyond) >= 1.3
    assert max(beyond) < COARSE


@pytest.mark.parametrize("name", MINERALS)
def test_hotter_crystals_scatter_less(name: str) -> None:
    """Every amplitude falls by exp(-8 pi^2 dU s^2) where all atoms move more by dU."""
    mineral = MINERALS[name]
    hot = replace(mineral, sites=tuple(replace(s, u=s.u + 0.01) for s in mineral.sites))
    cell = gemmi.UnitCell(*mineral.cell)
    hotter = {row[:3]: row[3] for row in amplitudes(hot, COARSE)}
    for *hkl, value in amplitudes(mineral, COARSE)[::11]:
        fall = np.exp(-8 * np.pi**2 * 0.01 * cell.calculate_1_d2(list(hkl)) / 4)
        assert hotter[tuple(hkl)] == pytest.approx(value * fall, rel=1e-4, abs=1e-3)


def test_a_moved_origin_changes_no_amplitude() -> None:
    """Silicon's other origin choice: the same cell content, shifted by an eighth."""
    silicon = MINERALS["silicon"]
    site = replace(silicon.sites[0], x=0.125, y=0.125, z=0.125)
    moved = replace(silicon, spacegroup="F d -3 m:2", sites=(site,))
    one, other = amplitudes(silicon, COARSE), amplitudes(moved, COARSE)
    assert [row[:3] for row in one] == [row[:3] for row in other]
    assert [row[3] for row in one] == pytest.approx([row[3] for row in other], rel=1e-5)


@pytest.mark.parametrize("name", MINERALS)
def test_the_written_list_is_read_back(name: str, tmp_path: Path) -> None:
    """To four decimals, and the reader needs no further word about it."""
    listed = amplitudes(MINERALS[name], COARSE)
    path = tmp_path / "a.hkl"
    path.write_text(hkl_text(listed))
    grid = read_hkl(path, 0.0)
    for h, k, el, value in listed:
        place = tuple(i - low for i, low in zip((h, k, el), grid.minimum, strict=True))
        assert grid.values[place] == pytest.approx(value, abs=5.1e-5)
    assert np.count_nonzero(grid.values) == len(listed)
    assert hkl_text([]) == ""


def test_an_example_is_written_over_itself(tmp_path: Path) -> None:
    """In a folder whose name has to be quoted; the command is one line."""
    folder = tmp_path / "it's here"
    argv = write_example("halite", folder)
    assert write_example("halite", folder) == argv
    assert sorted(p.name for p in folder.iterdir()) == ["command.txt", "halite.hkl"]
    (line,) = (folder / "command.txt").read_text().splitlines()
    assert shlex.split(line)[2:-2] == argv
