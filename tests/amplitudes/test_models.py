"""Structure factors of models: the formula, symmetry, scattering, solvent."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nbdask.amplitudes import make
from nbdask.amplitudes.models import read_model
from nbdask.amplitudes.request import Request
from nbdask.amplitudes.settle import settle
from nbdask.amplitudes.table import Table
from nbdask.errors import InputError
from tests.amplitudes.support import ATOMS, CELL, mmcif, pdb, write


def table(path: Path, dmin: float = 2.0, **options: object) -> Table:
    """Amplitudes of a model."""
    request = Request(model=str(path), dmin=dmin, **options)  # type: ignore[arg-type]
    return make.made(settle(request).structure).table


def as_dict(found: Table) -> dict[tuple[int, ...], float]:
    """F by index."""
    return {tuple(h): f for h, f in zip(found.hkl.tolist(), found.F.tolist(), strict=True)}


def formula(
    hkl: tuple[int, ...], first: dict[str, complex] | None = None, u: np.ndarray | None = None
) -> complex:
    """F of the model of ATOMS in P 1 21 1, atom by atom."""
    cell = gemmi.UnitCell(*CELL)
    s2 = cell.calculate_1_d2(list(hkl)) / 4.0
    total = 0j
    for _, element, x, y, z, occupancy, b in ATOMS:
        entry = gemmi.Element(element)
        f = sum(a * np.exp(-w * s2) for a, w in zip(entry.it92.a, entry.it92.b, strict=True))
        f += entry.it92.c + (first or {}).get(entry.name, 0.0)
        place = np.array(cell.fractionalize(gemmi.Position(x, y, z)).tolist())
        mirrored = np.array([-place[0], place[1] + 0.5, -place[2]])
        for image, turn in ((place, np.eye(3)), (mirrored, np.diag([-1.0, 1.0, -1.0]))):
            falloff = -b * s2
            if u is not None:
                to_fraction = np.array(cell.frac.mat.tolist())
                turned = np.array(hkl) @ turn
                falloff = -2 * np.pi**2 * turned @ to_fraction @ u @ to_fraction.T @ turned
            total += occupancy * f * np.exp(falloff + 2j * np.pi * np.dot(hkl, image))
    return total


def test_direct_sum_is_the_formula(tmp_path: Path) -> None:
    """Every reflection of P1, with occupancies and hydrogens, extinct ones left out."""
    found = as_dict(table(write(tmp_path / "m.pdb", pdb())))
    top = max(found.values())
    assert all(abs(abs(formula(h)) - f) < 3e-7 * top for h, f in found.items())
    cell = gemmi.UnitCell(*CELL)
    sphere = {
        (h, k, el)
        for h in range(-12, 13)
        for k in range(-9, 10)
        for el in range(-15, 16)
        if (h, k, el) != (0, 0, 0) and cell.calculate_d([h, k, el]) >= 2.0
    }
    assert set(found) == {h for h in sphere if h[0] or h[2] or h[1] % 2 == 0}


def test_anisotropic_displacements(tmp_path: Path) -> None:
    """ANISOU takes the place of B; its tensor turns with the symmetry."""
    u = np.array([[0.20, 0.03, -0.02], [0.03, 0.11, 0.04], [-0.02, 0.04, 0.31]])
    lines = []
    for line in pdb().splitlines():
        lines.append(line)
        if line.startswith("ATOM"):
            six = (u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
            numbers = "".join(f"{round(x * 1e4):7d}" for x in six)
            lines.append("ANISOU" + line[6:28] + numbers + line[70:80])
    found = as_dict(table(write(tmp_path / "m.pdb", "\n".join(lines)), 4.0))
    top = max(found.values())
    assert all(abs(abs(formula(h, u=u)) - f) < 1e-6 * top for h, f in found.items())


def test_anomalous_scattering_tells_mates_apart(tmp_path: Path) -> None:
    """f' and f'' of a user's table, interpolated in energy; other elements by the built-in one."""
    path = write(tmp_path / "m.pdb", pdb())
    edge = write(tmp_path / "edge.txt", "12600 -6 3\n12700 -8 5\n")
    found = table(path, 3.0, energy=12650.0, fprime=(f"Se={edge}",))
    recipe = settle(Request(model=str(path), dmin=3.0, energy=12650.0)).structure.recipe
    assert recipe is not None
    terms = {name: first + 1j * second for name, first, second in recipe.dispersion}
    terms["Se"] = -7.0 + 4.0j
    values = as_dict(found)
    top = max(values.values())
    assert found.anomalous
    assert all(abs(abs(formula(h, terms)) - f) < 1e-6 * top for h, f in values.items())
    differ = [abs(f - values[-h[0], -h[1], -h[2]]) for h, f in values.items()]
    assert max(differ) > 0.01 * top


@pytest.mark.parametrize(
    "text",
    ["Se 12600 -6 3\nSe 12700 -8 5\nC 12600 1 1\nC 12700 1 1\n", "Se -7 4\nC 1 1\n",
     "E f1 f2 # a line of titles\nSe,12650,-7,4\nC,12650,1,1\n"],
)  # fmt: skip
def test_tables_may_name_their_elements(tmp_path: Path, text: str) -> None:
    """Element, energy, f', f'' per line; without an energy at any."""
    own = write(tmp_path / "own.txt", text)
    request = Request(model=str(write(tmp_path / "m.pdb", pdb())), dmin=4.0, energy=12650.0,
                      fprime=(str(own),))  # fmt: skip
    recipe = settle(request).structure.recipe
    assert recipe is not None
    values = {name: (first, second) for name, first, second in recipe.dispersion}
    assert values["Se"] == pytest.approx((-7.0, 4.0))
    assert values["C"] == (1.0, 1.0)
    assert recipe.tables is not None
    assert "own.txt" in recipe.tables
    assert "Cromer-Liberman" in recipe.tables


def test_a_table_without_element_is_of_the_heaviest(tmp_path: Path) -> None:
    """And that is said."""
    own = write(tmp_path / "own.txt", "12600 -6 3\n12700 -8 5\n")
    request = Request(model=str(write(tmp_path / "m.pdb", pdb())), dmin=4.0, energy=12600.0,
                      fprime=(str(own),))  # fmt: skip
    settled = settle(request)
    assert settled.structure.recipe is not None
    assert ("Se", -6.0, 3.0) in settled.structure.recipe.dispersion
    assert any("taken for Se" in note for note in settled.notes)


def test_elements_that_the_table_lacks_are_said(tmp_path: Path) -> None:
    """It ends with uranium; a user's table serves others."""
    path = write(tmp_path / "m.pdb", pdb().replace("          SE", "          CM"))
    request = Request(model=str(path), dmin=4.0, energy=9000.0)
    told = "f', f'' of Cm are not tabulated: 0"
    assert any(told in note for note in settle(request).notes)
    own = write(tmp_path / "own.txt", "Cm -5 9\n")
    notes = settle(replace(request, fprime=(str(own),))).notes
    assert not any(told in note for note in notes)


@pytest.mark.parametrize("group", ["P 1", "C 1 2 1", "P 21 21 21", "I 2 2 2", "P 43 21 2"])
def test_maps_agree_with_sums(group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 2e-5 of the rms, in groups with and without centring."""
    monkeypatch.setattr("nbdask.amplitudes.calculate.FEW_TERMS", 0)
    cell = (24.0, 24.0, 31.0, 90.0, 90.0, 90.0)
    path = write(tmp_path / "m.pdb", pdb(group=group, cell=cell))
    direct = table(path, method="direct", energy=9000.0)
    mapped = table(path, method="map", energy=9000.0)
    assert np.array_equal(direct.hkl, mapped.hkl)
    rms = np.sqrt((direct.F**2).mean())
    assert np.abs(direct.F - mapped.F).max() < 2e-5 * rms


def test_both_formats_and_gzip_give_the_same(tmp_path: Path) -> None:
    """SCALE records have no effect."""
    scale = "SCALE1      0.020000  0.000000  0.000000        0.30000\n"
    plain = table(write(tmp_path / "m.pdb", pdb()))
    packed = tmp_path / "m.pdb.gz"
    packed.write_bytes(gzip.compress(pdb(extra=scale).encode()))
    for path in (write(tmp_path / "m.cif", mmcif()), packed):
        other = table(path)
        assert np.array_equal(other.hkl, plain.hkl)
        assert np.allclose(other.F, plain.F, rtol=0, atol=1e-6 * plain.F.max())


def notes_of(path: Path) -> str:
    """What is said of a model."""
    return "\n".join(settle(Request(model=str(path), dmin=4.0)).notes)


def test_what_a_file_leaves_doubtful_is_said(tmp_path: Path) -> None:
    """Several models, atoms on symmetry elements, charges, copies by NCS, atoms without B."""
    lines = pdb().splitlines(keepends=True)
    twice = "".join([lines[0], "MODEL        1\n", *lines[1:-1], "ENDMDL\nMODEL        2\n",
                     *lines[1:-1], "ENDMDL\nEND\n"])  # fmt: skip
    assert "holds 2 models: the first one is used" in notes_of(write(tmp_path / "a.pdb", twice))
    cell = (20.0, 21.0, 22.0, 90.0, 90.0, 90.0)
    axis = pdb([("O", "O", 0.0, 0.0, 5.0, 1.0, 10.0)], "P 2 2 2", cell)
    assert "1 atoms lie within 0.5 Angstrom" in notes_of(write(tmp_path / "b.pdb", axis))
    charged = pdb().replace("          SE", "          SE2+")
    assert "1 atoms with a charge" in notes_of(write(tmp_path / "c.pdb", charged))
    bare = mmcif().replace("0.8 20.0", "? ?")
    assert "1 atoms without B take 20" in notes_of(write(tmp_path / "d.cif", bare))
    assert "1 atoms without an occupancy take 1" in notes_of(tmp_path / "d.cif")
    old = pdb().replace("          SE", "")
    assert "1 atoms without an element take" in notes_of(write(tmp_path / "f.pdb", old))
    ncs = "".join(
        f"MTRIX{n}   2{row}\n"
        for n, row in enumerate(("  1.000000  0.000000  0.000000        0.00000",
                                 "  0.000000  1.000000  0.000000        3.00000",
                                 "  0.000000  0.000000  1.000000        7.00000"), 1)
    )  # fmt: skip
    path = write(tmp_path / "e.pdb", pdb(extra=ncs))
    assert "copies by strict NCS" in notes_of(path)
    assert read_model(path).count == 2 * len(ATOMS)


@pytest.mark.parametrize(
    "given", ["_space_group.name_H-M_alt 'P 21'", "_symmetry.Int_Tables_number 4"]
)
def test_symmetry_of_mmcif_models(given: str, tmp_path: Path) -> None:
    """By the items of other dictionaries, and by number."""
    text = mmcif().replace("_symmetry.space_group_name_H-M 'P 1 21 1'", given)
    found = read_model(write(tmp_path / "m.cif", text))
    assert found.symmetry.group.xhm() == "P 1 21 1"


def test_solvent_weakens_low_resolution_alone(tmp_path: Path) -> None:
    """k and B as given; off is none; on is 0.35 and 46."""
    path = write(tmp_path / "m.pdb", pdb())
    plain, off = table(path), table(path, solvent="off")
    on, same = table(path, solvent="on"), table(path, solvent="0.35,46")
    assert np.array_equal(plain.F, off.F)
    assert np.array_equal(on.F, same.F)
    far = plain.symmetry.inverse_d_squared(plain.hkl) > 1 / 2.5**2
    assert np.abs(on.F - plain.F)[far].max() < 0.1 * np.abs(on.F - plain.F).max()
    assert not np.allclose(table(path, solvent="0.35,46,1.4,0.5").F, on.F, rtol=1e-3)


def test_limit_of_resolution_is_inclusive(tmp_path: Path) -> None:
    """A reflection exactly on it counts."""
    cell = (40.0, 40.0, 40.0, 90.0, 90.0, 90.0)
    found = as_dict(table(write(tmp_path / "m.pdb", pdb(group="P 1", cell=cell)), 4.0))
    assert {(10, 0, 0), (0, -10, 0), (6, 8, 0)} <= set(found)
    assert (10, 1, 0) not in found


def test_rhombohedral_cells_ask_for_their_setting(tmp_path: Path) -> None:
    """R 3 with equal edges and angles is R 3 :R, whatever the symbol says."""
    cell = (20.0, 20.0, 20.0, 75.0, 75.0, 75.0)
    for name in ("R 3", "R 3 :H", "H 3"):
        found = table(write(tmp_path / "m.pdb", pdb(group=name, cell=cell)), 3.0)
        assert found.symmetry.group.xhm() == "R 3:R"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("hello\n", "nothing known found"),
        ("HEADER\x00", "binary data"),
        (pdb(atoms=()), "no atom found"),
        (pdb().replace("P 1 21 1", "P 1 99 1"), "space group 'P 1 99 1'"),
        (pdb(group=""), "'P 21 21 21' (of CRYST1 or _symmetry)"),
        (pdb(group="P 41"), "a cell with that symmetry"),
        (pdb(cell=(1, 1, 1, 90, 90, 90)), "no cell: must be a crystal: a record CRYST1"),
        (pdb(cell=(20, 20, 20, 90, 90, 190)), "cell 20 20 20 90 90 190"),
        (pdb().replace("  23.000", "  23.0x0"), "CRYST1 with six numbers"),
        (pdb().replace("   7.700", "   7.7o0"), "x is '7.7o0'"),
        (pdb().replace("  0.80", "  0.8O"), "occupancy is '0.8O'"),
        (pdb().replace("  0.80", "      "), "occupancy is ''"),
        (pdb().replace(" 20.00", " 2e.00"), "B is '2e.00'"),
        (pdb().replace("  0.80", " -0.80"), "occupancy of atom 3 is -0.8"),
        (pdb().replace("          SE", "           X"), "is of element X"),
        (pdb().split("\n", 1)[1], "no cell: must be a crystal: a record CRYST1"),
        (mmcif().replace("_cell.length_b 17.0", ""), "no cell"),
        (mmcif().replace("7.7 8.8", "7.7 ?"), "coordinate of atom"),
        (mmcif().replace("loop_", "loop"), "not CIF"),
        (mmcif()[:-20], "not CIF"),
        ("data_own\n_cell.length_a 3\n", "without _atom_site.Cartn_x and _refln.index_h"),
    ],
)
def test_malformed_models_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """In one line that names the file."""
    path = write(tmp_path / "bad.pdb", text)
    with pytest.raises(InputError) as caught:
        table(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dmin": 0.0}, "--dmin 0"),
        ({"dmin": 1e-4}, "raise --dmin"),
        ({"dmin": 50.0}, "no reflection to 50"),
        ({"energy": 50.0}, "--energy 50"),
        ({"energy": "x"}, "--energy x"),
        ({"solvent": "1"}, "--solvent 1"),
        ({"solvent": "0.3,-4"}, "--solvent 0.3,-4"),
        ({"column": "F"}, "needs --reflections"),
        ({"fprime": ("t.txt",)}, "needs --energy"),
        ({"fprime": ("Se=none.txt",), "energy": 12000.0}, "none.txt"),
    ],
)
def test_options_that_are_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    """In one line that names the option."""
    path = write(tmp_path / "m.pdb", pdb())
    with pytest.raises(InputError) as caught:
        table(path, **{"dmin": 3.0, **options})  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("12000 -6\n", "line 1"),
        ("Se 12000 -6 3\nSe x\n", "line 2"),
        ("titles\n", "no line of numbers"),
        ("Se 1000 -6 3\nSe 1100 1 1\n", "Se from 1000 to 1100 eV"),
        ("Se 12000 -6 3\nSe 12000 1 1\n", "occurs twice"),
        ("-5 1 1\n", "line 1"),
    ],
)
def test_malformed_tables_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """In one line that names file and line."""
    own = write(tmp_path / "own.txt", text)
    with pytest.raises(InputError, match=r"own\.txt") as caught:
        table(write(tmp_path / "m.pdb", pdb()), energy=12000.0, fprime=(str(own),))
    assert said in str(caught.value)
