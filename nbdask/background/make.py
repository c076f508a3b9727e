"""Makes the bundled tables: ``python -m nbdask.background.make FOLDER``.

All are of coherent scattering alone (no Compton scattering), from the form factors of free atoms in
International Tables C (1992), in electrons per molecule; gases scatter as single molecules.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Volume shares of dry air; lengths of the bonds [Angstrom].
AIR = (("N", 0.7808, 1.0977), ("O", 0.2095, 1.2075))
ARGON = 0.0093
#: Water: O-H and H-H of the molecule [Angstrom], molecules per cubic Angstrom.
O_H, H_H, DENSITY = 0.9572, 1.5139, 0.033366
#: k T rho kappa of water at 25 degrees (compressibility 4.525e-10/Pa): its structure factor at 0.
FORWARD = 0.0621
#: Neighbours' oxygen atoms: g(r) steps from 0 to 1 at CLOSEST, and has peaks and a dip at these
#: places with these widths [Angstrom].  The heights above 1 of the first two follow diffraction
#: data (2.6 at 2.80; 0.8 at 3.45; 4.7 neighbours); those of the others, S(0) and a flat start of S.
CLOSEST, STEP = 2.6, 0.05
NEAR = ((2.80, 0.14, 1.7), (3.45, 0.30, -0.2))
FAR = ((4.5, 0.40), (5.6, 0.50), (6.8, 0.55))
#: Atoms of a unit of polyimide C22 H10 N2 O5.
KAPTON = (("C", 22), ("H", 10), ("N", 2), ("O", 5))
#: Hexagonal ice near 100 K: a, c [Angstrom], B [Angstrom^2], spread of a ring in sin(theta)/lambda.
ICE_A, ICE_C, ICE_B, ICE_SPREAD = 4.497, 7.322, 1.5, 0.001
#: Element, occupancy, x, y, z in P 63/m m c.
ICE = (
    ("O", 1.0, 1 / 3, 2 / 3, 0.0623),
    ("H", 0.5, 1 / 3, 2 / 3, 0.1989),
    ("H", 0.5, 0.4546, 0.9092, 0.0181),
)
ICE_MOLECULES = 4


def form_factor(element: str, stol: Array) -> Array:
    """Return f0 [electrons] at sin(theta)/lambda [1/Angstrom]."""
    known = gemmi.Element(element).it92
    total = np.full(stol.shape, known.c)
    for a, b in zip(known.a, known.b, strict=True):
        total += a * np.exp(-b * stol * stol)
    return total


def sinc(stol: Array, distance: float) -> Array:
    """Return sin(q r)/(q r), q = 4 pi stol."""
    return np.asarray(np.sinc(4.0 * stol * distance))


def air(stol: Array) -> Array:
    """Return the squared amplitude of the mean molecule of air."""
    total = ARGON * form_factor("Ar", stol) ** 2
    for element, share, bond in AIR:
        total += share * 2.0 * form_factor(element, stol) ** 2 * (1.0 + sinc(stol, bond))
    return total


def helium(stol: Array) -> Array:
    """Return the squared amplitude of an atom of helium."""
    return form_factor("He", stol) ** 2


def kapton(stol: Array) -> Array:
    """Return the squared amplitude of a unit of polyimide whose atoms scatter on their own."""
    total = np.zeros(stol.shape)
    for element, count in KAPTON:
        total += count * form_factor(element, stol) ** 2
    return total


def water(stol: Array) -> Array:
    """Return the squared amplitude of a molecule of liquid water.

    The molecule's own, and its form factor squared times S(q) - 1 of oxygen, from g(r).
    """
    o, h = form_factor("O", stol), form_factor("H", stol)
    own = o * o + 4.0 * o * h * sinc(stol, O_H) + 2.0 * h * h * (1.0 + sinc(stol, H_H))
    molecule = o + 2.0 * h * sinc(stol, O_H)
    return np.asarray(own + molecule * molecule * (structure(stol) - 1.0))


def structure(stol: Array) -> Array:
    """Return S(q) of oxygen in water."""
    r = np.arange(0.005, 20.0, 0.01)
    weight = 4.0 * np.pi * DENSITY * 0.01 * r * r
    excess = 1.0 / (1.0 + np.exp((CLOSEST - r) / STEP)) - 1.0
    for place, width, height in NEAR:
        excess += height * np.exp(-0.5 * ((r - place) / width) ** 2)
    far = np.array([np.exp(-0.5 * ((r - place) / width) ** 2) for place, width in FAR])
    # S(0) - 1 is the sum of weight times g - 1; S is flat where the next two moments vanish.
    powers = (np.ones_like(r), r**2, r**4)
    moments = np.array([[(weight * p * g).sum() for g in far] for p in powers])
    wanted = np.array([-(weight * p * excess).sum() for p in powers])
    wanted[0] += FORWARD - 1.0
    excess += np.linalg.solve(moments, wanted) @ far
    return np.array([1.0 + float((weight * excess * np.sinc(4.0 * s * r)).sum()) for s in stol])


def ice(stol: Array) -> Array:
    """Return the squared amplitude of a molecule of ice powder: rings, and thermal scattering."""
    cell = gemmi.UnitCell(ICE_A, ICE_A, ICE_C, 90, 90, 120)
    group = gemmi.find_spacegroup_by_name("P 63/m m c")
    most = int(2.0 * stol[-1] * ICE_C) + 2
    hkl = np.mgrid[-most : most + 1, -most : most + 1, -most : most + 1].reshape(3, -1).T
    hkl = hkl[np.any(hkl != 0, axis=1)]
    inverse = np.sqrt(cell.calculate_1_d2_array(hkl))
    kept = inverse < 2.0 * stol[-1] + 0.02
    hkl, inverse = hkl[kept], inverse[kept]
    factor = np.zeros(len(hkl), dtype=np.complex128)
    for element, occupancy, *place in ICE:
        images = _images(group, place)
        waves = np.exp(2j * np.pi * hkl @ images.T).sum(axis=1)
        factor += occupancy * form_factor(element, inverse / 2.0) * waves
    strength = np.abs(factor) ** 2 * np.exp(-2.0 * ICE_B * (inverse / 2.0) ** 2)
    strength /= ICE_MOLECULES * cell.volume * 4.0 * np.pi * inverse**2
    total = np.zeros(stol.shape)
    for place in np.unique(np.round(inverse, 9)):
        ring = strength[np.round(inverse, 9) == place].sum()
        away = (2.0 * stol - place) / (2.0 * ICE_SPREAD)
        total += ring * np.exp(-0.5 * away**2) / (2.0 * ICE_SPREAD * np.sqrt(2.0 * np.pi))
    lost = 1.0 - np.exp(-2.0 * ICE_B * stol * stol)
    return np.asarray(
        total + lost * (form_factor("O", stol) ** 2 + 2.0 * form_factor("H", stol) ** 2)
    )


def _images(group: gemmi.SpaceGroup | None, place: list[float]) -> Array:
    """Return the different images of a place in a cell, (n, 3)."""
    assert group is not None
    found = np.array([op.apply_to_xyz(place) for op in group.operations()]) % 1.0
    return np.unique(np.round(found, 6) % 1.0, axis=0)


def points(name: str) -> Array:
    """Return where a table has its points: sin(theta)/lambda [1/Angstrom]."""
    if name == "ice":
        return np.linspace(0.0, 0.6, 1201)
    wide = np.linspace(0.0, 1.0, 1001)
    if name != "water":
        return wide
    return np.concatenate([np.linspace(0.0, 0.5, 2001), wide[501:]])


#: Name -> squared amplitude, and what the table's first line says.
MAKERS = {
    "water": (water, "liquid water, 25 degrees: a model of its structure"),
    "air": (air, "dry air, the mean of single molecules N2, O2, Ar"),
    "helium": (helium, "helium"),
    "kapton": (kapton, "polyimide C22 H10 N2 O5, atoms on their own"),
    "ice": (ice, "powder of hexagonal ice, rings of 0.001 spread, and thermal scattering"),
}


def text_of(name: str) -> str:
    """Return the text of a table."""
    squared, what = MAKERS[name]
    stol = points(name)
    lines = [f"# {what}", "# sin(theta)/lambda [1/Angstrom], F [electrons]; coherent scattering"]
    lines += [f"{s:.5f} {f:.12g}" for s, f in zip(stol, np.sqrt(squared(stol)), strict=True)]
    return "\n".join(lines) + "\n"


def main(folder: str) -> None:
    """Write all tables into a folder."""
    for name in MAKERS:
        (Path(folder) / f"{name}.stol").write_text(text_of(name))


if __name__ == "__main__":
    main(sys.argv[1])
