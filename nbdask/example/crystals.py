"""Cells and atoms of a few well-known minerals, typed in from the literature.

Lengths in Angstrom, angles in degrees, coordinates as fractions of the cell, one atom of each
crystallographic site, mean square displacements U in Angstrom^2.  Sites on special positions carry
the full occupancy of their element; :mod:`nbdask.example.amplitudes` takes care of multiplicities.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """One atom of the asymmetric unit.

    Parameters
    ----------
    element : str
    x, y, z : float
        Fractional coordinates.
    u : float
        Isotropic mean square displacement [Angstrom^2].
    """

    element: str
    x: float
    y: float
    z: float
    u: float


@dataclass(frozen=True, slots=True)
class Mineral:
    """A crystal structure, with beam and detector settings that make a good picture of it.

    Parameters
    ----------
    title : str
        Name and formula.
    spacegroup : str
        Hermann-Mauguin symbol, with the origin choice where there are two.
    cell : tuple of 6 floats
        a, b, c [Angstrom], alpha, beta, gamma [degrees].
    sites : tuple of Site
    d_min : float
        Resolution to which amplitudes are listed [Angstrom].
    flags : str
        nanoBragg arguments besides -hkl and -cell.
    """

    title: str
    spacegroup: str
    cell: tuple[float, float, float, float, float, float]
    sites: tuple[Site, ...]
    d_min: float
    flags: str


#: Sub-pixels are left to the program: two along each edge resolve crystals of about 95 Angstrom.
_DETECTOR = "-detpixels 512 -pixel 0.2"

MINERALS: dict[str, Mineral] = {
    # Novak and Gibbs (1971), American Mineralogist 56, 791.
    "pyrope": Mineral(
        title="pyrope garnet, Mg3 Al2 (SiO4)3",
        spacegroup="I a -3 d",
        cell=(11.459, 11.459, 11.459, 90.0, 90.0, 90.0),
        sites=(
            Site("Mg", 0.125, 0.0, 0.25, 0.0080),
            Site("Al", 0.0, 0.0, 0.0, 0.0045),
            Site("Si", 0.375, 0.0, 0.25, 0.0040),
            Site("O", 0.0329, 0.0502, 0.6534, 0.0060),
        ),
        d_min=0.55,
        flags=f"-misset 13 27 41 -N 8 -lambda 0.5 -distance 60 {_DETECTOR}"
        " -phi 0 -osc 12 -phisteps 16 -mosaic 0.6 -mosaic_dom 5",
    ),
    # Levien, Prewitt and Weidner (1980), American Mineralogist 65, 920.
    "quartz": Mineral(
        title="alpha quartz, SiO2",
        spacegroup="P 32 2 1",
        cell=(4.916, 4.916, 5.4054, 90.0, 90.0, 120.0),
        sites=(
            Site("Si", 0.4697, 0.0, 2.0 / 3.0, 0.0070),
            Site("O", 0.4135, 0.2669, 0.7858, 0.0120),
        ),
        d_min=0.55,
        flags=f"-misset 20 35 50 -N 18 -lambda 0.5 -distance 60 {_DETECTOR}"
        " -phi 0 -osc 24 -phisteps 32 -mosaic 0.8 -mosaic_dom 2",
    ),
    "halite": Mineral(
        title="halite, NaCl",
        spacegroup="F m -3 m",
        cell=(5.6402, 5.6402, 5.6402, 90.0, 90.0, 90.0),
        sites=(
            Site("Na", 0.0, 0.0, 0.0, 0.0200),
            Site("Cl", 0.5, 0.5, 0.5, 0.0170),
        ),
        d_min=0.55,
        flags=f"-misset 10 20 30 -N 17 -lambda 0.5 -distance 60 {_DETECTOR}"
        " -phi 0 -osc 30 -phisteps 40 -mosaic 0.8 -mosaic_dom 2",
    ),
    "silicon": Mineral(
        title="silicon, Si",
        spacegroup="F d -3 m:1",
        cell=(5.4310, 5.4310, 5.4310, 90.0, 90.0, 90.0),
        sites=(Site("Si", 0.0, 0.0, 0.0, 0.0060),),
        d_min=0.55,
        flags=f"-misset 10 20 30 -N 17 -lambda 0.5 -distance 60 {_DETECTOR}"
        " -phi 0 -osc 36 -phisteps 48 -mosaic 0.8 -mosaic_dom 2",
    ),
}
