"""The atoms typed in are the minerals they claim to be."""

from __future__ import annotations

import gemmi
import pytest

from nbdask.example.amplitudes import small_structure
from nbdask.example.crystals import MINERALS

#: Handbook densities [g/cm^3].
DENSITY = {"pyrope": 3.56, "quartz": 2.65, "halite": 2.165, "silicon": 2.329}
#: Atoms of each element in the cell.
CONTENT = {
    "pyrope": {"Mg": 24, "Al": 16, "Si": 24, "O": 96},
    "quartz": {"Si": 3, "O": 6},
    "halite": {"Na": 4, "Cl": 4},
    "silicon": {"Si": 8},
}
#: First atom, second atom, neighbours at that distance, distance [Angstrom] and its tolerance.
BONDS = [
    ("pyrope", "Si", "O", 4, 1.634, 0.01),
    ("pyrope", "Al", "O", 6, 1.887, 0.01),
    ("quartz", "Si", "O", 4, 1.609, 0.01),
    ("halite", "Na", "Cl", 6, 2.8201, 0.0001),
    ("silicon", "Si", "Si", 4, 2.3517, 0.0001),
]
DALTON_PER_CUBIC_ANGSTROM = 1.66053907  # in g/cm^3


@pytest.mark.parametrize("name", MINERALS)
def test_cell_content(name: str) -> None:
    """The space group puts the right number of atoms of each element into the cell."""
    counts: dict[str, int] = {}
    for site in small_structure(MINERALS[name]).get_all_unit_cell_sites():
        counts[site.element.name] = counts.get(site.element.name, 0) + 1
    assert counts == CONTENT[name]


@pytest.mark.parametrize("name", MINERALS)
def test_density(name: str) -> None:
    """Cell volume and content give the mineral's density within 1 %."""
    mass = sum(gemmi.Element(element).weight * n for element, n in CONTENT[name].items())
    volume = gemmi.UnitCell(*MINERALS[name].cell).volume
    assert mass / volume * DALTON_PER_CUBIC_ANGSTROM == pytest.approx(DENSITY[name], rel=0.01)


@pytest.mark.parametrize(("name", "first", "second", "number", "length", "tolerance"), BONDS)
def test_bond_lengths(
    name: str, first: str, second: str, number: int, length: float, tolerance: float
) -> None:
    """Coordination number and mean bond length are the published ones."""
    structure = small_structure(MINERALS[name])
    atoms = structure.get_all_unit_cell_sites()
    centre = next(a for a in atoms if a.element.name == first)
    distances = []
    for other in atoms:
        if other.element.name != second:
            continue
        for shift in [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]:
            moved = gemmi.Fractional(*(other.fract[i] + shift[i] for i in range(3)))
            delta = gemmi.Fractional(*(moved[i] - centre.fract[i] for i in range(3)))
            distances.append(structure.cell.orthogonalize(delta).length())
    bonded = [d for d in distances if 0.5 < d < length + 0.15]
    assert len(bonded) == number
    assert sum(bonded) / number == pytest.approx(length, abs=tolerance)
