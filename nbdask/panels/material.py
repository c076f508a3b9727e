"""What sensor materials absorb."""

from __future__ import annotations

from dataclasses import replace

import gemmi

from nbdask import units
from nbdask.panels.model import Panel
from nbdask.panels.quantities import to_energy

#: Names in small letters -> atoms of a formula unit and density [kg/m^3].
_MATERIALS: dict[str, tuple[tuple[str, ...], float]] = {
    "si": (("Si",), 2329.0),
    "silicon": (("Si",), 2329.0),
    "ge": (("Ge",), 5323.0),
    "cdte": (("Cd", "Te"), 5850.0),
    "gaas": (("Ga", "As"), 5317.6),
}


def absorption(material: str, wavelength: float) -> float | None:
    """Return the inverse depth in which a material absorbs photons.

    mu = 2 r_e lambda n (sum of f''), n formula units per volume, f'' from gemmi's Cromer-Liberman
    tables: photoelectric absorption, which is what a sensor counts.  Tables of the whole
    attenuation, with the photons that are scattered, have up to a tenth more.

    Parameters
    ----------
    material : str
        Si, Ge, CdTe or GaAs; small and large letters are the same.
    wavelength : float
        [m]

    Returns
    -------
    float or None
        [1/m]; None: another material.
    """
    found = _MATERIALS.get(material.strip().lower())
    if found is None:
        return None
    atoms = [gemmi.Element(name) for name in found[0]]
    mass: float = 1e-3 * sum(atom.weight for atom in atoms) / units.AVOGADRO
    energy = to_energy(wavelength)
    imaginary = (gemmi.cromer_liberman(z=a.atomic_number, energy=energy)[1] for a in atoms)
    mu: float = 2.0 * units.R_E_SQR**0.5 * wavelength * found[1] / mass * sum(imaginary)
    return mu


def with_absorption(panel: Panel, wavelength: float | None) -> Panel:
    """Return a panel whose material and thickness are known with its absorption."""
    if wavelength is None or panel.attenuation > 0.0 or not panel.thickness > 0.0:
        return panel
    found = absorption(panel.material, wavelength)
    return panel if found is None else replace(panel, attenuation=found)
