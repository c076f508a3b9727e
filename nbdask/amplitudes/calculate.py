"""Structure factors of a model: direct sums, density maps, bulk solvent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.models import Atoms, Model
from nbdask.amplitudes.symmetry import Symmetry
from nbdask.inputs.text import problem

Complex = NDArray[np.complex128]
#: Terms (atoms x images x reflections) that are still summed one by one.
DIRECT_TERMS = 10**8
#: Of one element that a map would not serve: few atoms, which often scatter anomalously.
FEW_TERMS = 10**7
#: Oversampling and density cutoff [electrons/Angstrom^3] of maps: |F| to about 4e-6 of its rms.
RATE, CUTOFF = 2.0, 1e-8
#: Grid of the solvent mask [Angstrom], and its most points, which make it coarser.
_MASK_SPACING, _MASK_POINTS = 0.25, 2**27
#: Most points of a map.
_MOST_POINTS = 10**9
#: Terms that are held in memory at a time.
_CHUNK = 10**6


def method_for(model: Model, count: int) -> str:
    """Return ``"direct"`` or ``"map"``, whichever suits so many unique reflections."""
    terms = model.count * len(model.symmetry.group.operations()) * count
    return "direct" if terms <= DIRECT_TERMS else "map"


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What structure factors consist of.

    Attributes
    ----------
    elements : tuple of (str, array, array)
        Name, f0 [electrons], and f0 times the sum over atoms and images; (n,) arrays.
    solvent : (n,) complex128 array or None
        [electrons]
    """

    elements: tuple[tuple[str, NDArray[np.float64], Complex], ...]
    solvent: Complex | None

    def at(self, dispersion: Mapping[str, tuple[float, float]]) -> tuple[Complex, Complex]:
        """Return F(h) and F(-h) [electrons], (n,) complex128 arrays, at one photon energy.

        F = A + sum over elements of (f' + i f'') B_e, B_e being the sum over an element's atoms
        without f0.

        Parameters
        ----------
        dispersion : mapping
            Element -> (f', f'') [electrons]; elements that are left out have none.
        """
        plus = np.zeros(len(self.elements[0][1]), dtype=np.complex128)
        minus = np.zeros_like(plus)
        for name, f0, bare in self.elements:
            first, second = dispersion.get(name, (0.0, 0.0))
            factor = 1.0 + (first + 1j * second) / f0
            plus += factor * bare
            minus += factor * bare.conj()
        if self.solvent is not None:
            plus += self.solvent
            minus += self.solvent.conj()
        return plus, minus


def structure_factors(
    model: Model,
    hkl: NDArray[np.int32],
    d_min: float,
    *,
    solvent: tuple[float, float, float, float] | None,
    method: str,
) -> Parts:
    """Return the parts that F(h) and F(-h) of a model consist of at any photon energy.

    F(h) = sum over atoms and symmetry images of occ (f0(s) + f' + i f'') exp(-B s^2)
    exp(2 pi i h.x), s = sin(theta)/lambda, with U in place of B where the file gives it; f0 of the
    International Tables for Crystallography, volume C (1992).

    Parameters
    ----------
    model : Model
    hkl : (n, 3) int32 array
        None of them extinct.
    d_min : float
        Smallest spacing among them [Angstrom].
    solvent : k, B, probe radius, shrinkage, or None
        Adds k exp(-B s^2) F_mask; [electrons/Angstrom^3, Angstrom^2, Angstrom, Angstrom].
    method : str
        ``"direct"`` (to about 1e-7 of the rms of F) or ``"map"`` (to about 4e-6).
    """
    symmetry = model.symmetry
    s2 = symmetry.inverse_d_squared(hkl) / 4.0
    elements = []
    images = len(symmetry.group.operations())
    for atoms in model.atoms:
        f0 = form_factor(atoms.element, s2)
        few = len(atoms.occupancy) * images * len(hkl) <= FEW_TERMS
        if method == "direct" or few:
            bare = f0 * lattice_sum(atoms, symmetry, hkl, s2)
        else:
            bare = _from_map(model.path, atoms.model, symmetry, hkl, d_min)
        elements.append((atoms.element.name, f0, bare))
    mask = None
    if solvent is not None:
        k, b, probe, shrink = solvent
        mask = k * np.exp(-b * s2) * _solvent_mask(model, hkl, probe, shrink)
    return Parts(tuple(elements), mask)


def form_factor(element: gemmi.Element, s2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return f0 of an element [electrons] at s^2 = (sin(theta)/lambda)^2 [1/Angstrom^2]."""
    table = element.it92
    a, b = np.array(table.a), np.array(table.b)
    f0: NDArray[np.float64] = np.exp(-np.multiply.outer(s2, b)) @ a + table.c
    return f0


def lattice_sum(
    atoms: Atoms, symmetry: Symmetry, hkl: NDArray[np.int32], s2: NDArray[np.float64]
) -> Complex:
    """Return the sum over atoms and images of occ exp(-B s^2) exp(2 pi i h.x), term by term.

    An operator x' = R x + t is applied to the index instead: h.x' = (h R).x + h.t.
    """
    total = np.zeros(len(hkl), dtype=np.complex128)
    centring = len(symmetry.group.operations().cen_ops)
    anisotropic = np.abs(atoms.u_star).max(axis=(1, 2)) > 0.0
    step = max(1, _CHUNK // len(atoms.occupancy))
    for start in range(0, len(hkl), step):
        part = slice(start, start + step)
        index, fine = hkl[part].astype(np.float64), s2[part]
        shrink = np.exp(-np.multiply.outer(fine, atoms.b_iso)) * atoms.occupancy
        for turn, move in zip(symmetry.rotations, symmetry.translations(), strict=True):
            turned = index @ turn
            cycles = turned @ atoms.positions.T
            cycles = 2.0 * np.pi * (cycles - np.rint(cycles))
            weight = shrink
            if anisotropic.any():
                weight = shrink.copy()
                tensors = atoms.u_star[anisotropic]
                falloff = np.einsum("hi,aij,hj->ha", turned, tensors, turned, optimize=True)
                weight[:, anisotropic] = atoms.occupancy[anisotropic] * np.exp(
                    -2.0 * np.pi**2 * falloff
                )
            sums = (weight * np.cos(cycles)).sum(axis=1) + 1j * (weight * np.sin(cycles)).sum(
                axis=1
            )
            total[part] += sums * np.exp(2j * np.pi * (index @ move))
    return total * centring


def _from_map(
    path: str, atoms: gemmi.Model, symmetry: Symmetry, hkl: NDArray[np.int32], d_min: float
) -> Complex:
    """Return the sum over one element's atoms, f0 included, by a map of their density."""
    calculator = gemmi.DensityCalculatorX()
    calculator.d_min, calculator.rate, calculator.cutoff = d_min, RATE, CUTOFF
    _check_points(path, symmetry, d_min / (2.0 * RATE))
    frame = _frame(symmetry)
    calculator.set_refmac_compatible_blur(atoms)
    # Refmac's blur alone leaves 3e-5 of the rms where all atoms of an element have equal B.
    calculator.blur += 1.25 * d_min * d_min
    calculator.set_grid_cell_and_spacegroup(frame)
    calculator.put_model_density_on_grid(atoms)
    transform = gemmi.transform_map_to_f_phi(calculator.grid, half_l=True)
    found = transform.get_value_by_hkl(hkl, unblur=calculator.blur)
    return np.asarray(found, dtype=np.complex128)


def _solvent_mask(model: Model, hkl: NDArray[np.int32], probe: float, shrink: float) -> Complex:
    """Return F of the solvent region (hydrogens ignored) at 1 electron/Angstrom^3."""
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    masker.rprobe, masker.rshrink = probe, shrink
    grid = gemmi.FloatGrid()
    # Coarse grids lose solvent in narrow channels; large cells have few of them.
    spacing = max(_MASK_SPACING, (model.symmetry.cell.volume / _MASK_POINTS) ** (1.0 / 3.0))
    grid.setup_from(_frame(model.symmetry), spacing)
    masker.put_mask_on_float_grid(grid, model.whole)
    transform = gemmi.transform_map_to_f_phi(grid, half_l=True)
    return np.asarray(transform.get_value_by_hkl(hkl), dtype=np.complex128)


def _frame(symmetry: Symmetry) -> gemmi.Structure:
    """Return an empty structure, from which gemmi takes cell and symmetry of a grid."""
    frame = gemmi.Structure()
    frame.cell = gemmi.UnitCell(*symmetry.cell.parameters)
    frame.spacegroup_hm = symmetry.group.xhm()
    frame.setup_cell_images()
    return frame


def _check_points(path: str, symmetry: Symmetry, spacing: float) -> None:
    points = symmetry.cell.volume / spacing**3
    if points > _MOST_POINTS:
        found = f"a map of about {points:.2g} points"
        raise problem(path, None, found, f"at most {_MOST_POINTS:.0g}: raise --dmin")
