"""Atomic models: PDB and mmCIF files, as atoms of each element in one asymmetric unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.cif_crystal import crystal_of
from nbdask.amplitudes.content import Content, content_of
from nbdask.amplitudes.symmetry import Symmetry, settle
from nbdask.inputs.text import problem, shown, to_number

WHAT = "an atomic model in PDB or mmCIF format"
#: Columns of an ATOM line that hold numbers.
_FIELDS = (("x", 30, 38), ("y", 38, 46), ("z", 46, 54), ("occupancy", 54, 60), ("B", 60, 66))


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """All atoms of one element.

    Attributes
    ----------
    element : gemmi.Element
    positions : (n, 3) float64 array
        In parts of the cell.
    occupancy, b_iso : (n,) float64 arrays
        B in Angstrom^2.
    u_star : (n, 3, 3) float64 array
        Anisotropic displacements in the reciprocal basis; 0 where B counts.
    model : gemmi.Model
        The same atoms, for gemmi.
    """

    element: gemmi.Element
    positions: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    b_iso: NDArray[np.float64]
    u_star: NDArray[np.float64]
    model: gemmi.Model


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """An atomic model.

    Attributes
    ----------
    path : str
    symmetry : Symmetry
    atoms : tuple of Atoms
        By element, in ascending atomic number.
    whole : gemmi.Model
        All atoms.
    notes : tuple of str
        What was chosen.
    """

    path: str
    symmetry: Symmetry
    atoms: tuple[Atoms, ...]
    whole: gemmi.Model
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of atoms in the asymmetric unit."""
        return sum(len(group.occupancy) for group in self.atoms)


def read_model(path: str | Path, content: Content | None = None) -> Model:
    """Read a model: all atoms of the file's first model, alternates and hydrogens included.

    SCALE records are ignored: fractional coordinates follow from the cell.  Copies that strict NCS
    demands (MTRIX) and that the file does not hold are added.

    Parameters
    ----------
    path : str or Path
        PDB or mmCIF, also gzipped.
    content : Content, optional
        What :func:`.content.content_of` found, if that was read already.

    Raises
    ------
    InputFileError
        A file that is no model, without cell or space group, or with numbers that cannot be.
    """
    content = content or content_of(path)
    if content.kind not in ("pdb", "cif") or not content.has_atoms:
        raise problem(path, None, f"holds {content.what}", WHAT)
    if content.kind == "pdb":
        _check_lines(path, content.text)
    try:
        structure = gemmi.read_structure_string(content.text, merge_chain_parts=False)
    except (RuntimeError, ValueError, IndexError) as error:
        raise problem(path, None, str(error).split("\n")[0].rstrip(";"), WHAT) from None
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise problem(path, None, "no atom found", WHAT)
    symmetry = _symmetry(path, content, structure)
    structure.cell = symmetry.cell
    notes = []
    if len(structure) > 1:
        notes.append(f"{path}: holds {len(structure)} models: the first one is used")
    if any(not ncs.given for ncs in structure.ncs):
        structure.expand_ncs(gemmi.HowToNameCopiedChain.Dup)
        notes.append(f"{path}: copies by strict NCS (MTRIX records) are added")
    notes += [f"{path}: {count} {text}" for text, count in _left_out(content).items() if count]
    atoms = _by_element(path, structure[0], symmetry)
    return Model(
        str(path), symmetry, atoms, structure[0], (*notes, *_remarks(path, structure[0], symmetry))
    )


def _symmetry(path: str | Path, content: Content, structure: gemmi.Structure) -> Symmetry:
    """Return cell and space group, neither of which gemmi's defaults stand for."""
    if content.kind == "pdb":
        if not structure.cell.is_crystal():
            raise problem(path, None, "no cell", "a crystal: a record CRYST1 with its cell")
        return settle(path, structure.cell.parameters, structure.spacegroup_hm, model=True)
    block = _block(content)
    numbers, name, number = crystal_of((block,))
    if not numbers:
        raise problem(path, None, "no cell", "a crystal: six numbers in _cell")
    return settle(path, numbers, name, number, model=True)


def _block(content: Content) -> gemmi.cif.Block:
    """Return the block of a CIF file that holds the atoms."""
    return next(block for block in content.blocks if block.find_values("_atom_site.Cartn_x"))


def _left_out(content: Content) -> dict[str, int]:
    """Count the atoms of which a file does not say all: what is taken instead -> their number."""
    if content.kind == "pdb":
        atoms = [x for x in content.text.splitlines() if x.startswith(("ATOM  ", "HETATM"))]
        bare = sum(not line[76:78].strip() for line in atoms)
        return {"atoms without an element take the one that their name begins with": bare}
    block = _block(content)
    whole = len(block.find_values("_atom_site.Cartn_x"))
    found = {}
    for tag, text in (
        ("occupancy", "atoms without an occupancy take 1"),
        ("B_iso_or_equiv", "atoms without B take 20 Angstrom^2"),
    ):
        values = block.find_values(f"_atom_site.{tag}")
        found[text] = sum(value in ("?", ".") for value in values) if values else whole
    return found


def _check_lines(path: str | Path, text: str) -> None:
    """Refuse numbers that gemmi would take for 0."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("CRYST1"):
            words = [
                line[a:b].strip()
                for a, b in ((6, 15), (15, 24), (24, 33), (33, 40), (40, 47), (47, 54))
            ]
            if any(to_number(word) is None for word in words):
                raise problem(
                    path, number, f"found {shown(line.strip())}", "CRYST1 with six numbers"
                )
        if not line.startswith(("ATOM  ", "HETATM")):
            continue
        for name, first, last in _FIELDS:
            word = line[first:last].strip()
            if to_number(word) is None:
                raise problem(
                    path,
                    number,
                    f"{name} is {shown(word)}",
                    f"a number in columns {first + 1} to {last}",
                )


def _by_element(path: str | Path, model: gemmi.Model, symmetry: Symmetry) -> tuple[Atoms, ...]:
    found: dict[int, gemmi.Residue] = {}
    for site in model.all():
        atom = site.atom
        number = atom.element.atomic_number
        if number == 0 or atom.element.it92 is None:
            raise problem(
                path,
                None,
                f"atom {site} is of element {atom.element.name}",
                "an element with a form factor (columns 77-78, or type_symbol)",
            )
        found.setdefault(number, gemmi.Residue()).add_atom(atom)
    return tuple(_gathered(path, found[number], symmetry) for number in sorted(found))


def _gathered(path: str | Path, residue: gemmi.Residue, symmetry: Symmetry) -> Atoms:
    atoms = list(residue)
    cartesian = np.array([atom.pos.tolist() for atom in atoms])
    occupancy = np.array([atom.occ for atom in atoms], dtype=np.float64)
    b_iso = np.array([atom.b_iso for atom in atoms], dtype=np.float64)
    tensors = np.array([atom.aniso.as_mat33().tolist() for atom in atoms], dtype=np.float64)
    for name, values in (
        ("coordinate", cartesian),
        ("occupancy", occupancy),
        ("B", b_iso),
        ("U", tensors),
    ):
        if not np.isfinite(values).all():
            bad = int(np.argwhere(~np.isfinite(values))[0][0])
            raise problem(path, None, f"{name} of atom {atoms[bad].serial} is no number", "finite")
    if (occupancy < 0.0).any():
        bad = int(np.argmax(occupancy < 0.0))
        raise problem(
            path,
            None,
            f"occupancy of atom {atoms[bad].serial} is {occupancy[bad]:g}",
            "a number of at least 0",
        )
    to_fraction = np.array(symmetry.cell.frac.mat.tolist())
    chain, model = gemmi.Chain("A"), gemmi.Model(1)
    chain.add_residue(residue)
    model.add_chain(chain)
    return Atoms(
        atoms[0].element,
        cartesian @ to_fraction.T,
        occupancy,
        b_iso,
        to_fraction @ tensors @ to_fraction.T,
        model,
    )


def _remarks(path: str | Path, model: gemmi.Model, symmetry: Symmetry) -> list[str]:
    """Say what the file leaves doubtful."""
    cell = gemmi.UnitCell(*symmetry.cell.parameters)
    frame = gemmi.Structure()
    frame.cell, frame.spacegroup_hm = cell, symmetry.group.xhm()
    frame.setup_cell_images()
    sites = [site.atom for site in model.all()]
    full = sum(a.occ == 1.0 and frame.cell.is_special_position(a.pos, 0.5) > 0 for a in sites)
    charged = sum(a.charge != 0 for a in sites)
    notes = []
    if full:
        notes.append(
            f"{path}: {full} atoms lie within 0.5 Angstrom of a symmetry element with an"
            " occupancy of 1: each of their images counts in full"
        )
    if charged:
        notes.append(f"{path}: {charged} atoms with a charge scatter as neutral ones")
    return notes
