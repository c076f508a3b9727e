"""Small models and reflection files of our own, as text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np

#: Where the files of others and their numbers are, beside a checkout.
_NAMED = os.environ.get("NBDASK_INPUTS")
INPUTS = Path(_NAMED) if _NAMED else Path(__file__).parents[3] / "shared" / "inputs"

CELL = (23.0, 17.0, 29.0, 90.0, 101.0, 90.0)
#: Name, element, x, y, z [Angstrom], occupancy, B.
ATOMS = (
    ("N", "N", 1.2, 3.4, 5.6, 1.0, 11.0),
    ("CA", "C", 2.3, 4.1, 5.1, 1.0, 9.5),
    ("SE", "SE", 7.7, 8.8, 2.5, 0.8, 20.0),
    ("O", "O", 12.1, 1.2, 14.3, 0.5, 15.0),
    ("H", "H", 3.3, 13.2, 20.6, 1.0, 25.0),
)


def pdb(
    atoms: Sequence[tuple[str, str, float, float, float, float, float]] = ATOMS,
    group: str = "P 1 21 1",
    cell: Sequence[float] = CELL,
    extra: str = "",
) -> str:
    """Return a model in PDB format."""
    a, b, c, alpha, beta, gamma = cell
    lines = [f"CRYST1{a:9.3f}{b:9.3f}{c:9.3f}{alpha:7.2f}{beta:7.2f}{gamma:7.2f} {group:<11s}"]
    for n, (name, element, x, y, z, occupancy, b_iso) in enumerate(atoms, 1):
        lines.append(
            f"ATOM  {n:5d}  {name:<3s} GLY A{n:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"{occupancy:6.2f}{b_iso:6.2f}          {element:>2s}"
        )
    return "\n".join(lines) + "\n" + extra + "END\n"


def mmcif(group: str = "P 1 21 1") -> str:
    """Return the same model in mmCIF format."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_own", *(f"_cell.{n} {v}" for n, v in zip(names, CELL, strict=True))]
    lines += [f"_symmetry.space_group_name_H-M '{group}'", "loop_"]
    lines += [
        f"_atom_site.{name}"
        for name in ("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id")
    ]
    lines += [f"_atom_site.{name}" for name in ("label_comp_id", "label_asym_id")]
    lines += [f"_atom_site.{name}" for name in ("label_seq_id", "Cartn_x", "Cartn_y", "Cartn_z")]
    lines += ["_atom_site.occupancy", "_atom_site.B_iso_or_equiv"]
    for n, (name, element, x, y, z, occupancy, b_iso) in enumerate(ATOMS, 1):
        lines.append(f"ATOM {n} {element} {name} . GLY A {n} {x} {y} {z} {occupancy} {b_iso}")
    return "\n".join(lines) + "\n"


def refln(
    columns: str,
    rows: Sequence[str],
    group: str = "P 1 21 1",
    cell: Sequence[float] = CELL,
) -> str:
    """Return structure factors in mmCIF format; ``columns`` follow index_h, k, l."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_own", *(f"_cell.{n} {v}" for n, v in zip(names, cell, strict=True))]
    lines += [f"_symmetry.space_group_name_H-M '{group}'", "loop_"]
    lines += [f"_refln.index_{x}" for x in "hkl"]
    lines += [f"_refln.{name}" for name in columns.split()]
    return "\n".join([*lines, *rows]) + "\n"


def write_mtz(
    path: Path,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[float]],
    group: str = "P 1 21 1",
    cell: Sequence[float] = CELL,
) -> Path:
    """Write an MTZ file; ``columns`` (name, type) follow H, K, L."""
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.find_spacegroup_by_name(group)
    mtz.add_dataset("own")
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    for name, kind in columns:
        mtz.add_column(name, kind)
    mtz.set_data(np.array(rows, dtype=np.float32))
    mtz.write_to_file(str(path))
    return path


def write(path: Path, text: str) -> Path:
    """Write a text file and return its path."""
    path.write_text(text)
    return path
