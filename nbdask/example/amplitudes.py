"""Structure factor amplitudes of a mineral, from its atoms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import gemmi

from nbdask.example.crystals import Mineral

Reflection = tuple[int, int, int, float]


def small_structure(mineral: Mineral) -> gemmi.SmallStructure:
    """Return the mineral as gemmi's structure, space group images and multiplicities set up.

    Raises
    ------
    ValueError
        The space group symbol is unknown.
    """
    group = gemmi.find_spacegroup_by_name(mineral.spacegroup)
    if group is None:
        raise ValueError(f"unknown space group {mineral.spacegroup!r}")
    structure = gemmi.SmallStructure()
    structure.cell = gemmi.UnitCell(*mineral.cell)
    structure.spacegroup = group
    for number, site in enumerate(mineral.sites, 1):
        atom = gemmi.SmallStructure.Site()
        atom.label = f"{site.element}{number}"
        atom.type_symbol = site.element
        atom.element = gemmi.Element(site.element)
        atom.fract = gemmi.Fractional(site.x, site.y, site.z)
        atom.u_iso = site.u
        structure.add_site(atom)
    structure.setup_cell_images()
    # An atom on a special position is its own image; each image then counts only in part.
    structure.change_occupancies_to_crystallographic()
    return structure


def amplitudes(mineral: Mineral, d_min: float | None = None) -> list[Reflection]:
    """Return |F| of all reflections of the P1 cell, both Friedel mates, sorted by h, k, l.

    F(hkl) is the sum over all atoms of the cell of f(s) exp(-8 pi^2 U s^2) exp(2 pi i (hx + ky +
    lz)), s = sin(theta)/lambda = 1/(2d), with the X-ray form factors f of the International Tables
    for Crystallography, volume C (1992), without dispersion corrections.

    Parameters
    ----------
    mineral : Mineral
    d_min : float, optional
        Finest spacing [Angstrom]; the mineral's own by default.

    Returns
    -------
    list of (int, int, int, float)
        h, k, l and |F| [electrons].  Left out: (0, 0, 0), which would draw the direct beam, and
        reflections that are extinct (below 0.00005, which the text list would round to 0).
    """
    structure = small_structure(mineral)
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    limit = mineral.d_min if d_min is None else d_min
    result = []
    for hkl in _indices(structure.cell, limit):
        value = abs(calculator.calculate_sf_from_small_structure(structure, hkl))
        if value >= 5e-5:
            result.append((hkl[0], hkl[1], hkl[2], value))
    return result


def _indices(cell: gemmi.UnitCell, d_min: float) -> Iterator[list[int]]:
    """Go through all indices with d >= ``d_min``, (0, 0, 0) left out, in sorted order."""
    # |h| = |a . q| <= |a| |q|: no index beyond |a| / d_min lies within the sphere.
    last = [math.floor(edge / d_min) for edge in (cell.a, cell.b, cell.c)]
    for h in range(-last[0], last[0] + 1):
        for k in range(-last[1], last[1] + 1):
            for el in range(-last[2], last[2] + 1):
                hkl = [h, k, el]
                if hkl != [0, 0, 0] and cell.calculate_d(hkl) >= d_min:
                    yield hkl
