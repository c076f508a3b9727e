"""Reflection files: columns, missing values, merging, expansion to P1."""

from __future__ import annotations

import gzip
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nbdask.amplitudes.lists import Reflections, read_reflections
from nbdask.errors import InputError
from tests.amplitudes.support import CELL, refln, write, write_mtz

FP = (("FP", "F"), ("SIGFP", "Q"))
NAN = float("nan")


def as_dict(found: Reflections) -> dict[tuple[int, ...], float]:
    """F by index."""
    table = found.table
    return {tuple(h): f for h, f in zip(table.hkl.tolist(), table.F.tolist(), strict=True)}


def test_expansion_to_p1(tmp_path: Path) -> None:
    """P 21 has h k l, -h k -l and their mates; 0 k 0 only itself and its mate."""
    path = write_mtz(tmp_path / "a.mtz", FP, [(1, 2, 3, 5, 1), (0, 4, 0, 7, 1)])
    found = as_dict(read_reflections(path))
    assert found == {
        (1, 2, 3): 5, (-1, 2, -3): 5, (-1, -2, -3): 5, (1, -2, 3): 5, (0, 4, 0): 7, (0, -4, 0): 7,
    }  # fmt: skip


def test_centred_and_trigonal_groups(tmp_path: Path) -> None:
    """P 3 1 2 turns by 120 degrees: -k-h... of a general reflection has 12 images."""
    cell = (30.0, 30.0, 50.0, 90.0, 90.0, 120.0)
    path = write_mtz(tmp_path / "a.mtz", FP, [(1, 2, 3, 5, 1)], "P 3 2 1", cell)
    found = as_dict(read_reflections(path))
    assert len(found) == 12
    assert {(1, 2, 3), (2, -3, 3), (-3, 1, 3), (2, 1, -3), (-1, -2, -3)} <= set(found)


ORDER = (("I", "J"), ("SIGI", "Q"), ("FC", "F"), ("PHIC", "P"), ("FP", "F"), ("SIGFP", "Q"),
         ("I(+)", "K"), ("SIGI(+)", "M"), ("I(-)", "K"), ("SIGI(-)", "M"),
         ("F(+)", "G"), ("SIGF(+)", "L"), ("F(-)", "G"), ("SIGF(-)", "L"))  # fmt: skip
VALUES = (9, 1, 8, 0, 3, 1, 16, 1, 25, 1, 6, 1, 7, 1)


@pytest.mark.parametrize(
    ("left_out", "names", "mean"),
    [
        ((), ("F(+)", "F(-)"), 6.5),
        (("F(",), ("I(+)", "I(-)"), 4.5),
        (("F(", "I("), ("FP",), 3.0),
        (("F(", "I(", "FP"), ("I",), 3.0),
        (("F(", "I(", "FP", "I"), ("FC",), 8.0),
    ],
)
def test_order_of_columns(
    tmp_path: Path, left_out: tuple[str, ...], names: tuple[str, ...], mean: float
) -> None:
    """F(+)/F(-), I(+)/I(-), F, I, calculated F; the choice is said."""

    def out(name: str) -> bool:
        return any(name.removeprefix("SIG") == x or (len(x) == 2 and x in name) for x in left_out)

    kept = [n for n, (name, _) in enumerate(ORDER) if not out(name)]
    row = [1, 2, 3, *(VALUES[n] for n in kept)]
    path = write_mtz(tmp_path / "a.mtz", [ORDER[n] for n in kept], [row])
    found = read_reflections(path)
    assert found.columns == names
    assert names[0] in found.notes[0]
    assert found.table.F.mean() == pytest.approx(mean)


@pytest.mark.parametrize(
    ("asked", "mean"),
    [("I", 3.0), ("FP", 3.0), ("FC", 8.0), ("I(+)", 4.5), ("I(-)", 4.5), ("F(+),F(-)", 6.5),
     ("FP,SIGFP", 3.0), ("f(+)", 6.5)],
)  # fmt: skip
def test_columns_by_name(tmp_path: Path, asked: str, mean: float) -> None:
    """Pairs by either name; case does not count; others are said."""
    path = write_mtz(tmp_path / "a.mtz", ORDER, [(1, 2, 3, *VALUES)])
    found = read_reflections(path, column=asked)
    assert found.table.F.mean() == pytest.approx(mean)
    assert "--column chooses another" in found.notes[0]


def test_missing_values(tmp_path: Path) -> None:
    """NaN, and 0 with a sigma of 0; a 0 with a sigma is a value."""
    rows = [(1, 2, 3, NAN, NAN), (1, 1, 3, 0, 0), (2, 1, 3, 0, 1), (3, 1, 3, 4, 0)]
    found = read_reflections(write_mtz(tmp_path / "a.mtz", FP, rows))
    assert found.counts["missing"] == 2
    assert {abs(h) for h, _, _ in as_dict(found)} == {2, 3}


def test_missing_mates_take_the_other_value(tmp_path: Path) -> None:
    """And are counted; those that are there stay apart."""
    columns = [c for c in ORDER if "F(" in c[0]]
    rows = [(1, 2, 3, 5, 1, 6, 1), (1, 2, 4, 8, 1, NAN, NAN), (1, 2, 5, 0, 0, 9, 1)]
    found = read_reflections(write_mtz(tmp_path / "a.mtz", columns, rows))
    values = as_dict(found)
    assert (values[1, 2, 3], values[-1, 2, -3]) == (5, 5)
    assert (values[-1, -2, -3], values[1, -2, 3]) == (6, 6)
    assert values[-1, -2, -4] == 8
    assert values[1, 2, 5] == values[-1, -2, -5] == 9
    assert found.counts["filled"] == 4
    assert found.table.anomalous


def test_mates_are_told_by_their_labels(tmp_path: Path) -> None:
    """Whatever the order of the columns; sigmas go by name."""
    minus_first = [("F(-)", "G"), ("SIGF(-)", "L"), ("F(+)", "G"), ("SIGF(+)", "L")]
    values = as_dict(
        read_reflections(write_mtz(tmp_path / "a.mtz", minus_first, [(1, 2, 3, 6, 1, 5, 1)]))
    )
    assert (values[1, 2, 3], values[-1, -2, -3]) == (5, 6)
    sigmas_last = [("F(+)", "G"), ("F(-)", "G"), ("SIGF(+)", "L"), ("SIGF(-)", "L")]
    rows = [(1, 2, 3, 5, 6, 1, 0), (1, 2, 4, 0, 0, 0, 0), (1, 2, 5, 0, 8, 0, 1)]
    found = read_reflections(write_mtz(tmp_path / "b.mtz", sigmas_last, rows))
    values = as_dict(found)
    assert (values[1, 2, 3], values[-1, -2, -3], values[1, 2, 5]) == (5, 6, 8)
    assert (1, 2, 4) not in values
    assert found.counts["missing"] == 3


def test_data_sets_of_mtz(tmp_path: Path) -> None:
    """Each has its own cell; equal labels are told apart by the names of their data sets."""
    path = write_mtz(tmp_path / "a.mtz", (*FP, ("FPH", "F"), *FP), [(1, 2, 3, 5, 1, 7, 9, 1)])
    mtz = gemmi.read_mtz_file(str(path))
    for number, name in ((2, "der"), (3, "third")):
        mtz.add_dataset(name).cell = gemmi.UnitCell(23.4, 17.2, 29.3, 90, 101.5, 90)
        assert mtz.datasets[-1].id == number
    for place, number in ((5, 2), (6, 3), (7, 3)):
        mtz.columns[place].dataset_id = number
    mtz.write_to_file(str(path))
    first, other = read_reflections(path), read_reflections(path, column="third/FP")
    assert "own/FP" in first.notes[0]
    assert as_dict(first)[1, 2, 3] == 5
    assert as_dict(other)[1, 2, 3] == 9
    assert other.table.symmetry.numbers == pytest.approx((23.4, 17.2, 29.3, 90, 101.5, 90))
    assert first.table.symmetry.numbers == pytest.approx(CELL)
    assert read_reflections(path, column="FPH").table.symmetry.numbers[0] == pytest.approx(23.4)
    with pytest.raises(InputError, match="no column 'FP': must be one of: own/FP, FPH, third/FP"):
        read_reflections(path, column="FP")


def test_columns_of_no_described_data_set(tmp_path: Path) -> None:
    """As old files have them: the file's own cell."""
    path = write_mtz(tmp_path / "a.mtz", FP, [(1, 2, 3, 5, 1)])
    data = path.read_bytes()
    old = data.replace(b"00    1COLUMN", b"00    7COLUMN").replace(b"00    1NDIF", b"00    7NDIF")
    assert old != data
    path.write_bytes(old)
    found = read_reflections(path)
    assert found.table.symmetry.numbers == pytest.approx(CELL)
    assert as_dict(found)[1, 2, 3] == 5


def test_mates_in_rows_of_cif(tmp_path: Path) -> None:
    """h and -h of a CIF file are different reflections, but in centric ones and zones."""
    rows = ["1 2 3 5", "-1 -2 -3 7", "1 0 4 6", "-1 0 -4 8", "2 2 2 9"]
    path = write(tmp_path / "a.cif", refln("F_meas_au", rows))
    found = read_reflections(path)
    values = as_dict(found)
    assert found.table.anomalous
    assert (values[1, 2, 3], values[-1, -2, -3], values[1, -2, 3]) == (5, 7, 7)
    assert values[1, 0, 4] == values[-1, 0, -4] == 7
    assert values[2, 2, 2] == values[-2, -2, -2] == 9
    assert (found.counts["merged"], found.counts["filled"]) == (1, 2)
    assert "both Friedel mates" in found.notes[0]
    centric = read_reflections(path, space_group="P 1 21/m 1")
    assert not centric.table.anomalous
    assert as_dict(centric)[1, 2, 3] == 6


def test_data_sets_in_rows_of_cif(tmp_path: Path) -> None:
    """Those of the first wavelength are taken, and said, not a mean over all."""
    rows = ["1 2 3 1 o 5 1", "1 2 4 1 x 6 1", "1 2 3 2 o 50 1", "1 2 5 2 o 60 1"]
    text = refln("wavelength_id status F_meas_au F_meas_sigma_au", rows)
    found = read_reflections(write(tmp_path / "a.cif", text))
    assert {abs(el): f for (_, _, el), f in as_dict(found).items()} == {3: 5}
    assert found.counts["dropped"] == 1
    assert any("rows of wavelength_id 1 are used, 2 others are not" in n for n in found.notes)


@pytest.mark.parametrize(
    "given",
    ["_space_group.name_H-M_alt 'P 1 21 1'", "_space_group_IT_number 4",
     "loop_\n_space_group_symop_operation_xyz\n'x,y,z'\n'-x,y+1/2,-z'"],
)  # fmt: skip
def test_symmetry_of_cif(given: str, tmp_path: Path) -> None:
    """By symbol, number, or operators, in the spelling of new and old dictionaries."""
    stated = "_symmetry.space_group_name_H-M 'P 1 21 1'"
    text = refln("F_meas_au", ["1 2 3 5"]).replace(stated, given)
    found = read_reflections(write(tmp_path / "a.cif", text))
    assert found.table.symmetry.group.xhm() == "P 1 21 1"


def test_duplicates_are_merged_by_mean_before_the_root(tmp_path: Path) -> None:
    """Of intensities the mean is of I; negative ones are counted, and give 0 if they prevail."""
    columns = (("I", "J"), ("SIGI", "Q"))
    rows = [(1, 2, 3, 30, 1), (-1, 2, -3, 20, 1), (1, 2, 4, -9, 1), (1, 2, 5, -4, 1),
            (-1, -2, -5, 8, 1)]  # fmt: skip
    found = read_reflections(write_mtz(tmp_path / "a.mtz", columns, rows))
    values = as_dict(found)
    assert values[1, 2, 3] == pytest.approx(5.0)
    assert values[1, 2, 4] == 0.0
    assert values[1, 2, 5] == pytest.approx(np.sqrt(2.0))
    assert (found.counts["negative"], found.counts["merged"]) == (2, 2)


def test_status_of_observations(tmp_path: Path) -> None:
    """x and - are dropped and counted, o and < are not; calculated columns have no status."""
    rows = [f"1 2 {n} {s} {n} 1 {2 * n}" for n, s in enumerate("o<x-f", 1)]
    path = write(tmp_path / "a.cif", refln("status F_meas_au F_meas_sigma_au F_calc", rows))
    found = read_reflections(path)
    assert found.counts["dropped"] == 2
    assert {abs(el) for _, _, el in as_dict(found)} == {1, 2, 5}
    calculated = read_reflections(path, column="_refln.F_calc")
    assert {abs(el) for _, _, el in as_dict(calculated)} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("columns", "row", "values"),
    [
        ("F_meas_au", "1 2 3 5", (5.0, 5.0)),
        ("intensity_meas intensity_sigma", "1 2 3 25 1", (5.0, 5.0)),
        ("F_squared_meas F_squared_sigma", "1 2 3 25(2) 1", (5.0, 5.0)),
        ("pdbx_F_plus pdbx_F_plus_sigma pdbx_F_minus pdbx_F_minus_sigma", "1 2 3 5 1 6 1", (5, 6)),
        ("pdbx_I_plus pdbx_I_minus", "1 2 3 25 36", (5, 6)),
        ("pdbx_F_plus pdbx_F_minus", "1 2 3 ? 6", (6, 6)),
    ],
)
def test_items_of_mmcif(
    tmp_path: Path, columns: str, row: str, values: tuple[float, float]
) -> None:
    """F, I, F squared, and both of each mate; ? is missing."""
    rows = [row, "1 2 4 " + " ".join("?" for _ in columns.split())]
    found = as_dict(read_reflections(write(tmp_path / "a.ent", refln(columns, rows))))
    assert (found[1, 2, 3], found[-1, -2, -3]) == pytest.approx(values)
    assert (1, 2, 4) not in found


def test_packed_files(tmp_path: Path) -> None:
    """Gzip is told from the content of text, and by the name of MTZ."""
    plain = write_mtz(tmp_path / "a.mtz", FP, [(1, 2, 3, 5, 1)])
    packed = tmp_path / "b.mtz.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    text = tmp_path / "c.cif"
    text.write_bytes(gzip.compress(refln("F_meas", ["1 2 3 5"]).encode()))
    assert as_dict(read_reflections(packed)) == as_dict(read_reflections(plain))
    assert as_dict(read_reflections(text)) == as_dict(read_reflections(plain))


HKLF4 = (
    "   1   2   3   25.00    1.00   1\n"
    "  -1  -2  -3   36.00    1.00   1\n"
    "   0   0   0    0.00    0.00\n"
)
INS = "TITL own\nCELL 0.71 23 17 29 90 101 90\nLATT -1\nSYMM -X, 0.5+Y, -Z\n"


@pytest.mark.parametrize("place", ["behind", ".ins", ".res"])
def test_shelx(tmp_path: Path, place: str) -> None:
    """F squared by default, mates apart, cell and symmetry from the instructions."""
    path = write(tmp_path / "a.hkl", HKLF4 + (INS if place == "behind" else ""))
    if place != "behind":
        write(tmp_path / f"a{place}", INS)
    found = read_reflections(path)
    values = as_dict(found)
    assert found.table.symmetry.group.xhm() == "P 1 21 1"
    assert values[1, 2, 3] == values[-1, 2, -3] == 5.0
    assert values[-1, -2, -3] == 6.0
    assert as_dict(read_reflections(path, column="F"))[1, 2, 3] == 25.0


def test_touching_columns_of_shelx(tmp_path: Path) -> None:
    """Fields are told by their columns."""
    text = " -12 -10-123 9999.99 1234.56\n" + "  11   2   3 1000.0012345.67\n"
    found = read_reflections(write(tmp_path / "a.hkl", text), cell=CELL, column="F")
    assert as_dict(found)[-12, -10, -123] == pytest.approx(9999.99)
    assert as_dict(found)[11, 2, 3] == pytest.approx(1000.0)


def test_shelx_without_symmetry(tmp_path: Path) -> None:
    """The cell must be given; without a group it is P 1, which is said."""
    path = write(tmp_path / "a.hkl", HKLF4)
    with pytest.raises(InputError, match="no cell"):
        read_reflections(path)
    found = read_reflections(path, cell=CELL)
    assert any("taken as P 1" in note for note in found.notes)
    assert len(read_reflections(path, cell=CELL, space_group="P 21").table) == 4


def test_own_lists(tmp_path: Path) -> None:
    """h k l F of the P1 cell, as nbdask writes them."""
    expected = {(1, 2, 3): 5.5, (-1, -2, -3): 6.5}
    path = write(tmp_path / "P1.hkl", "1 2 3 5.5\n-1 -2 -3 6.5\n# end\n")
    assert as_dict(read_reflections(path, cell=CELL)) == expected
    wide = "".join(f"{h:4d}{k:4d}{n:4d}{f:18.10f}\n" for (h, k, n), f in expected.items())
    assert as_dict(read_reflections(write(path, wide), cell=CELL)) == expected


def test_instructions_say_what_a_shelx_list_holds(tmp_path: Path) -> None:
    """HKLF 3 is F; scale and matrix are applied; other kinds and odd operators are refused."""
    path = write(tmp_path / "a.hkl", HKLF4)
    write(tmp_path / "a.ins", INS + "HKLF 3\n")
    assert as_dict(read_reflections(path))[1, 2, 3] == 25.0
    write(tmp_path / "a.ins", INS + "HKLF 4 0.25 0 1 0 1 0 0 0 0 -1\n")
    values = as_dict(read_reflections(path))
    assert (values[2, 1, -3], values[-2, -1, 3]) == (2.5, 3.0)
    for text, said in (
        (INS + "HKLF 5\n", "HKLF 5: must be HKLF 3"),
        (INS + "HKLF 4 1 -1 0 0 0 1 0 0 0 1\n", "a determinant above 0"),
        (INS.replace("0.5+Y", "1/3+Y"), "LATT -1 with 2 operators"),
    ):
        write(tmp_path / "a.ins", text)
        with pytest.raises(InputError, match=r"a\.(ins|hkl)") as caught:
            read_reflections(path)
        assert said in str(caught.value)
    assert len(read_reflections(path, space_group="P 21").table) == 4


GOOD = refln("F_meas F_meas_sigma", ["1 2 3 5 1"])


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.mtz", b"MTZ ", "damaged MTZ"),
        ("a.mtz", b"MTZ " + b"\xff" * 400, "damaged MTZ"),
        ("a.mtz.gz", gzip.compress(b"MTZ " * 100, mtime=0)[:20], "damaged gzip"),
        ("a.cif", GOOD.replace("F_meas", "F_odd").encode(), "no column of amplitudes"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "1 2 3 ? ?").encode(), "or without values"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "1 2 x 5 1").encode(), "index_l of reflection 1"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "1 2 3.5 5 1").encode(), "indices of reflection 1"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "1 2 3 five 1").encode(), "F_meas of reflection 1"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "1 2 9999999 5 1").encode(), "indices of"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "1 2 3 5").encode(), "not CIF"),
        ("a.cif", GOOD.replace("_cell.length_b 17.0", "").encode(), "no cell"),
        ("a.cif", GOOD.replace("17.0", "-17.0").encode(), "no cell"),
        ("a.cif", GOOD.replace("P 1 21 1", "Q 9").encode(), "space group 'Q 9'"),
        ("a.cif", GOOD.replace("P 1 21 1", "P 4").encode(), "a cell with that symmetry"),
        ("a.cif", GOOD.replace("1 2 3 5 1", "0 0 0 5 1").encode(), "no value in column"),
        ("a.hkl", b"1 2\n", "line 1"),
        ("a.hkl", b"1 2 3 x\n", "line 1"),
        ("a.hkl", b"   1   2   3   25.00    1.00\n 1 2 z\n", "line 2"),
        ("a.hkl", b"   0   0   0    0.00    0.00\n", "no reflection found"),
    ],
)
def test_malformed_lists_are_refused(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    """In one line that names the file."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_reflections(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_zarr_folders_of_amplitudes_are_refused(tmp_path: Path) -> None:
    """With the command that makes a file of one."""
    folder = tmp_path / "A.zarr"
    folder.mkdir()
    write(folder / "zarr.json", "{}")
    with pytest.raises(InputError, match=r"A\.zarr --out F\.mtz writes its amplitudes to one"):
        read_reflections(folder)


def test_unknown_columns_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    """The option is named."""
    path = write_mtz(tmp_path / "a.mtz", FP, [(1, 2, 3, 5, 1)])
    with pytest.raises(InputError, match=r"no column 'FOO': must be one of: FP \(--column\)"):
        read_reflections(path, column="FOO")
