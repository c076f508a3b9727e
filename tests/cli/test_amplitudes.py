"""``nbdask amplitudes``, and images of models and reflection files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gemmi
import numpy as np
import pytest

import nbdask
from nbdask.amplitudes.request import Request
from nbdask.cli.main import main
from nbdask.flags import from_toml, parse_args, to_toml
from nbdask.store.reader import StoreReader
from tests.amplitudes.support import CELL, mmcif, pdb, refln, write, write_mtz

Captured = pytest.CaptureFixture[str]
SMALL = "-N 4 -lambda 1.0 -distance 60 -detpixels 24 -pixel 1.5 -misset 10 20 30 -oversample 1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a model and two lists of it."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "m.pdb", pdb())
    columns = [("F(+)", "G"), ("SIGF(+)", "L"), ("F(-)", "G"), ("SIGF(-)", "L")]
    rows = [(h, k, el, 9 + h, 1, 10 + k, 1) for h in range(4) for k in range(1, 4) for el in (1, 2)]
    write_mtz(tmp_path / "r.mtz", columns, rows)
    write(tmp_path / "r.cif", refln("F_meas", [f"1 {k} 2 {k}" for k in range(1, 4)]))


def refused(capsys: Captured, *argv: str) -> str:
    """The one line of a refusal."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def simulated(store: str, *argv: str) -> np.ndarray:
    """Pixels of a small image."""
    words = ["simulate", *argv, *SMALL.split(), "--out", store, "--backend", "numpy", "--quiet"]
    assert main(words) == 0
    return np.asarray(nbdask.open(store).image)


def test_listing_as_json(capsys: Captured) -> None:
    """The same figures; what is not known is null, so that every reader takes it."""
    assert main(["amplitudes", "m.pdb", "--dmin", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["space_group"] == "P 1 21 1"
    assert found["cell"] == [23.0, 17.0, 29.0, 90.0, 101.0, 90.0]
    assert len(found["shells"]) == 10
    assert found["completeness"] == 1.0
    assert main(["amplitudes", "m.pdb", "--dmin", "6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wilson_B"] is None


def test_listing_of_a_model(capsys: Captured) -> None:
    """Counts, shells, completeness, Wilson's line; tables and method are said."""
    assert main(["amplitudes", "m.pdb", "--dmin", "2"]) == 0
    said = capsys.readouterr()
    assert "P 1 21 1, cell 23 17 29 90 101 90, 5 atoms" in said.out
    assert "completeness 100.0%" in said.out
    assert re.search(r"Wilson: B -?\d+\.\d\d A\^2, scale [01]\.\d+", said.out)
    shells = [line for line in said.out.splitlines() if line.endswith(tuple("0123456789"))]
    assert len([line for line in shells if "100.0%" in line]) == 10
    assert "F by direct sums, f0: International Tables C (1992)" in said.err


@pytest.mark.parametrize("digits", [None, 2])
def test_text_lists(digits: int | None, capsys: Captured) -> None:
    """All of P1, sorted, both mates, without -0; --digits are those after the point."""
    more = [] if digits is None else ["--digits", str(digits)]
    assert main(["amplitudes", "m.pdb", "--dmin", "3", "--out", "P1.hkl", *more]) == 0
    lines = Path("P1.hkl").read_text().splitlines()
    rows = [line.split() for line in lines]
    indices = [tuple(map(int, row[:3])) for row in rows]
    assert indices == sorted(indices)
    assert {tuple(-x for x in h) for h in indices} == set(indices)
    assert not any(re.search(r"(^| )-0(\.0*)?( |$)", line) for line in lines)
    if digits is not None:
        assert all(re.fullmatch(r"\d+\.\d\d", row[3]) for row in rows)


@pytest.mark.parametrize("name", ["F.mtz", "F.zarr"])
@pytest.mark.parametrize("energy", ["off", "9000"])
def test_other_formats_hold_the_same(name: str, energy: str, capsys: Captured) -> None:
    """Read again by the same command."""
    model = ["amplitudes", "m.pdb", "--dmin", "3", "--energy", energy, "--quiet", "--out"]
    assert main([*model, "P1.hkl"]) == 0
    assert main([*model, name]) == 0
    assert main(["amplitudes", name, "--out", "again.hkl", "--quiet"]) == 0
    assert np.allclose(np.loadtxt("again.hkl"), np.loadtxt("P1.hkl"), rtol=2e-7)
    if name == "F.mtz":
        mtz = gemmi.read_mtz_file(name)
        assert mtz.spacegroup.hm == "P 1"
        assert [c.type for c in mtz.columns][3:] == (["F"] if energy == "off" else ["G", "G"])
    else:
        attributes = json.loads(Path(name, "zarr.json").read_text())["attributes"]
        assert attributes["recipe"]["method"] == "direct"
        assert len(attributes["sha256"]) == 64


def test_wilson_plot_and_overwriting(capsys: Captured) -> None:
    """Nothing that is there is replaced unasked."""
    argv = ["amplitudes", "m.pdb", "--dmin", "2", "-o", "w.png", "--out", "P1.hkl"]
    assert main(argv) == 0
    assert Path("w.png").read_bytes()[:4] == b"\x89PNG"
    assert "--overwrite replaces it" in refused(capsys, *argv)
    assert main([*argv, "--overwrite"]) == 0


def test_lists_are_compared_with_models_and_completed(capsys: Captured) -> None:
    """What the list has stays; the model is brought to its scale."""
    assert main(["amplitudes", "m.pdb", "--dmin", "3", "--out", "full.hkl", "--quiet"]) == 0
    full = np.loadtxt("full.hkl")
    half = full[::2] * [1, 1, 1, 2.5]
    np.savetxt("half.hkl", half, fmt="%d %d %d %.9g")
    cell = ["--cell", *map(str, CELL)]
    argv = ["amplitudes", "half.hkl", *cell, "--space-group", "P 21", "--model", "m.pdb"]
    assert main([*argv, "--dmin", "3"]) == 0
    assert re.search(r"against the model: scale 2\.5\d*, B -?0\.00", capsys.readouterr().out)
    assert main([*argv, "--dmin", "3", "--fill", "model", "--out", "filled.hkl"]) == 0
    assert "filled from" in capsys.readouterr().err
    assert np.allclose(np.loadtxt("filled.hkl"), full * [1, 1, 1, 2.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("none.pdb --dmin 2", "none.pdb: no such file"),
        ("m.pdb", "--dmin is missing"),
        ("m.pdb --dmin nan", "'nan': must be a finite number"),
        ("m.pdb --dmin 2 --out x.txt", "--out x.txt: the name must end in"),
        ("m.pdb --dmin 2 --out no/x.hkl", "the folder"),
        ("m.pdb --dmin 2 --out m.pdb", "is an input of this run"),
        ("m.pdb --dmin 2 -o x.gif", "-o x.gif: the name must end in"),
        ("m.pdb --dmin 2 --digits 3", "--digits 3: needs --out FILE.hkl"),
        ("m.pdb --dmin 2 --column F", "--column F: needs --reflections"),
        ("r.mtz --energy 9000", "--energy: needs --model"),
        ("r.mtz --fill model", "--fill model: needs --model"),
        ("r.mtz --column FOO", "no column 'FOO'"),
        ("r.mtz --dmin 40", "no reflection to 40 Angstrom"),
        (".", "is a directory"),
    ],
)
def test_refusals(argv: str, said: str, capsys: Captured) -> None:
    """One line, nothing written."""
    before = set(Path.cwd().iterdir())
    assert said in refused(capsys, "amplitudes", *argv.split())
    assert set(Path.cwd().iterdir()) == before


def test_images_of_models_are_those_of_their_lists() -> None:
    """With f' and f'' at the beam's energy, and the file's cell."""
    energy = str(12398.42 / 1.0)
    listing = ["amplitudes", "m.pdb", "--dmin", "3", "--energy", energy, "--solvent", "on"]
    assert main([*listing, "--out", "P1.hkl", "--digits", "12", "--quiet"]) == 0
    image = simulated("m.zarr", "--model", "m.pdb", "--dmin", "3", "--solvent", "on")
    listed = simulated("l.zarr", "-hkl", "P1.hkl", "-cell", *map(str, CELL))
    assert image.max() > 0
    assert np.allclose(image, listed, rtol=1e-6)
    assert not np.allclose(image, simulated("o.zarr", "--model", "m.pdb", "--dmin", "3"), rtol=1e-3)


def test_stores_of_models_record_what_recomputes_them(capsys: Captured) -> None:
    """File, checksum, tables, options; verify computes them again, resume knows them."""
    simulated("m.zarr", "--model", "m.pdb", "--dmin", "3")
    attributes = StoreReader("m.zarr").attributes
    recipe = attributes["experiment"]["structure"]["recipe"]
    assert recipe["d_min"] == pytest.approx(3e-10)
    assert "International Tables" in recipe["tables"]
    assert "Cromer-Liberman" in recipe["tables"]
    assert {row[0] for row in recipe["dispersion"]} == {"H", "C", "N", "O", "Se"}
    assert attributes["inputs"][0]["path"].endswith("m.pdb")
    assert main(["verify", "m.zarr", "--recompute", "1"]) == 0
    again = ["simulate", "--model", "m.pdb", *SMALL.split(), "--out", "m.zarr", "--resume"]
    again += ["--backend", "numpy"]
    assert main([*again, "--dmin", "3"]) == 0
    assert "structure.recipe.d_min" in refused(capsys, *again, "--dmin", "4", "--quiet")
    write(Path("m.pdb"), pdb().replace("  0.80", "  0.70"))
    capsys.readouterr()
    assert main(["verify", "m.zarr", "--recompute", "1"]) == 2
    assert "m.pdb: the file has changed" in capsys.readouterr().err


def test_images_of_reflections() -> None:
    """Friedel mates apart; column and counts are said, and recorded by name."""
    image = simulated("r.zarr", "--reflections", "r.mtz")
    assert image.max() > 0
    structure = StoreReader("r.zarr").attributes["experiment"]["structure"]
    assert structure["format"] == "reflections"
    assert structure["recipe"]["column"] == "F(+)"
    notes = StoreReader("r.zarr").attributes["notes"]
    assert any("amplitudes from column F(+) and F(-)" in note for note in notes)
    filled = simulated("f.zarr", "--reflections", "r.cif", "--model", "m.pdb", "--fill", "model",
                       "--dmin", "3")  # fmt: skip
    assert np.count_nonzero(filled) > 0
    assert main(["verify", "f.zarr", "--recompute", "1"]) == 0
    roles = [item["role"] for item in StoreReader("f.zarr").attributes["inputs"]]
    assert roles == ["structure factors", "model"]


def test_a_list_of_few_reflections_is_told(capsys: Captured) -> None:
    """With its share and the way to complete it; not where a model does, nor of a whole list."""
    argv = ["simulate", *SMALL.split(), "--dry-run", "--reflections"]
    assert main([*argv, "r.mtz"]) == 0
    said = capsys.readouterr().err
    found = re.search(r"r\.mtz holds ([0-9.]+) % of the reflections to ([0-9.]+) Angstrom", said)
    assert found is not None
    cell, group = gemmi.UnitCell(*CELL), gemmi.SpaceGroup("P 1 21 1")
    whole = gemmi.make_miller_array(cell, group, float(found[2]))
    every = gemmi.make_miller_array(cell, group, float(found[2]), unique=False)
    # The 24 rows are of sets of four in P 1 21 1.
    assert float(found[1]) == pytest.approx(100.0 * 4 * 24 / len(every), rel=0.05)
    assert "--fill model completes them" in said
    assert main([*argv, "r.mtz", "--model", "m.pdb", "--fill", "model", "--dmin", "3"]) == 0
    assert "% of the reflections" not in capsys.readouterr().err
    write_mtz(Path("whole.mtz"), [("F", "F")], [(*map(int, hkl), 5) for hkl in whole])
    assert main([*argv, "whole.mtz"]) == 0
    assert "% of the reflections" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("--model m.pdb", "--dmin is missing"),
        ("--dmin 3 -cell 23 17 29 90 101 90 -default_F 1", "--dmin: needs --model"),
        ("--model m.pdb --dmin 3 -cell 23 17 31 90 101 90", "contradicts"),
        ("--model m.pdb --dmin 3 -cell 23 17 29 90 103 90", "contradicts"),
        ("--model m.pdb --dmin 3 -hkl P1.hkl", "-hkl P1.hkl: leave out beside --model"),
        ("--model m.pdb --reflections r.mtz --dmin 3", "needs --fill model"),
        ("--model r.mtz --dmin 3", "r.mtz: holds reflections"),
        ("--reflections m.pdb", "m.pdb: holds atoms"),
        ("--config x.toml --model m.pdb", "leave out --model"),
    ],
)
def test_refusals_of_images(argv: str, said: str, capsys: Captured) -> None:
    """One line, no store."""
    config = argv.startswith("--config")
    words = [*argv.split(), *([] if config else SMALL.split())]
    assert said in refused(capsys, "simulate", *words, "--out", "x.zarr")
    assert not Path("x.zarr").exists()


def test_a_cell_close_to_the_files_is_used(capsys: Captured) -> None:
    """And said; a matrix brings its own, which must agree as well."""
    argv = ["--model", "m.pdb", "--dmin", "3", "-cell", "23.1", "17", "29", "90", "101", "90"]
    simulated("m.zarr", *argv)
    attributes = StoreReader("m.zarr").attributes
    assert attributes["experiment"]["crystal"]["cell"][0] == pytest.approx(23.1e-10)
    assert any("the cell given is used" in note for note in attributes["notes"])
    write(Path("A.mat"), "0.05 0 0\n0 0.05 0\n0 0 0.05\n")
    argv = ["--model", "m.pdb", "--dmin", "3", "-mat", "A.mat", *SMALL.split(), "--out", "x.zarr"]
    assert "contradicts" in refused(capsys, "simulate", *argv)


def test_flags_in_toml(tmp_path: Path) -> None:
    """A table of the same names; the experiment survives TOML."""
    text = f"[nanobragg]\nflags = '{SMALL}'\n[nanobragg.amplitudes]\nmodel = 'm.pdb'\ndmin = 3.0\n"
    experiment = from_toml(write(tmp_path / "run.toml", text))

    request = Request(model="m.pdb", dmin=3.0)
    assert experiment == parse_args(SMALL.split(), amplitudes=request).experiment
    assert from_toml(write(tmp_path / "own.toml", to_toml(experiment))) == experiment


def test_both_formats_of_a_model_give_one_image(tmp_path: Path) -> None:
    """PDB and mmCIF of the same atoms."""
    write(tmp_path / "m.cif", mmcif())
    one = simulated("a.zarr", "--model", "m.pdb", "--dmin", "3")
    other = simulated("b.zarr", "--model", "m.cif", "--dmin", "3")
    assert np.allclose(one, other, rtol=1e-6)
