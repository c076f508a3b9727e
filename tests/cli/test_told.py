"""What is said, and when: of semantics, of stores in the way, of a noisy copy's own flag."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.store.address import place_of
from nbdask.store.journal import is_journal
from tests.helpers import lose_records

Captured = pytest.CaptureFixture[str]
FLAGS = "-cell 70 80 90 -default_F 100 -N 5 -detpixels 12 -pixel 3 -oversample 1"
GOOD = FLAGS.split()
TURNED = [*GOOD, "-phi", "0", "-osc", "1", "-phisteps", "3"]


def set_attributes(store: Path, **values: object) -> None:
    """Change attributes of a store's root."""
    root = store / "zarr.json"
    data = json.loads(root.read_text())
    data["attributes"] |= values
    root.write_text(json.dumps(data))


def test_semantics_are_told(tmp_path: Path, capsys: Captured) -> None:
    """By simulate, --dry-run and info, in one line with the other choice; else not."""
    store = tmp_path / "a.zarr"
    for last in (["--dry-run"], ["--out", str(store)]):
        assert main(["simulate", *TURNED, *last]) == 0
        said = capsys.readouterr().err.splitlines()
        (told,) = (line for line in said if "semantics spec: " in line)
        assert "at phi 0" in told
        assert "--semantics c computes that one" in told
    assert main(["info", str(store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "note         semantics spec: " in line]) == 1
    assert main(["simulate", *GOOD, "--dry-run"]) == 0
    assert "semantics" not in capsys.readouterr().err


def test_stores_of_earlier_versions_are_told_too(tmp_path: Path, capsys: Captured) -> None:
    """Where no note was kept it follows from the experiment."""
    store = tmp_path / "a.zarr"
    assert main(["simulate", *TURNED, "--out", str(store)]) == 0
    set_attributes(store, notes=[])
    capsys.readouterr()
    assert main(["info", str(store)]) == 0
    assert "note         semantics spec: " in capsys.readouterr().out


def test_an_unfinished_store_is_resumed_first(tmp_path: Path, capsys: Captured) -> None:
    """The first way that the error names is --resume; of a finished one it is not named."""
    store = tmp_path / "a.zarr"
    argv = ["simulate", *GOOD, "--tile", "8", "--out", str(store)]
    assert main(argv) == 0
    assert main(argv) == 2
    assert "--resume" not in capsys.readouterr().err
    lose_records(store, 0)
    set_attributes(store, status="running")
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "it is unfinished: --resume finishes it, --overwrite replaces it, or choose" in error
    assert main([*argv, "--resume"]) == 0
    assert nbdask.open(store).attrs["status"] == "complete"


def test_a_noisy_copy_is_named_by_its_own_flag(tmp_path: Path, capsys: Captured) -> None:
    """Inside another store, or in the way."""
    store = tmp_path / "a.zarr"
    assert main(["simulate", *GOOD, "--out", str(store)]) == 0
    argv = ["simulate", *GOOD, "--out", str(tmp_path / "b.zarr"), "--seed", "1"]
    for noisy in (store / "noisy.zarr", store):
        capsys.readouterr()
        assert main([*argv, "--noise", str(noisy)]) == 2
        assert f"error: --noise {noisy}" in capsys.readouterr().err
    assert not (tmp_path / "b.zarr").exists()


def test_what_has_no_spots_is_told(capsys: Captured) -> None:
    """One unit cell; amplitudes that end before the detector does."""
    flags = [word for word in GOOD if word not in ("-N", "5")]
    assert main(["simulate", *flags, "--dry-run"]) == 0
    assert "one unit cell, which has no Bragg spots: -N sets" in capsys.readouterr().err
    assert main(["simulate", *GOOD, "--dry-run"]) == 0
    assert "Bragg" not in capsys.readouterr().err


def test_amplitudes_that_end_early_are_told(tmp_path: Path, capsys: Captured) -> None:
    """With both resolutions; not where --dmin reaches the corner."""
    atom = "ATOM      1  C   ALA A   1       1.000   2.000   3.000  1.00 10.00           C\n"
    model = tmp_path / "a.pdb"
    model.write_text(
        "CRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1\n" + atom + "END\n"
    )
    flags = [
        "-N",
        "5",
        "-detpixels",
        "40",
        "-pixel",
        "3",
        "-distance",
        "100",
        "--model",
        str(model),
    ]
    assert main(["simulate", *flags, "--dmin", "3", "--dry-run"]) == 0
    assert "amplitudes end at 3 Angstrom (--dmin), the detector at 1." in capsys.readouterr().err
    assert main(["simulate", *flags, "--dmin", "1", "--dry-run"]) == 0
    assert "amplitudes end" not in capsys.readouterr().err


def test_every_crystal_is_told(tmp_path: Path, capsys: Captured) -> None:
    """With its cell and weight."""
    more = tmp_path / "more.toml"
    table = '[[crystals]]\nflags = "{}"\nweight = {}\n'
    more.write_text(table.format("-N 5", 1) + table.format("-cell 50 60 70 -N 3", 0.5))
    assert main(["simulate", *GOOD, "--crystals", str(more), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "crystal   5 x 5 x 5 cells of 70 80 90" in text
    assert "crystal 2 3 x 3 x 3 cells of 50 60 70 Angstrom, 90 90 90 degrees, weight 0.5" in text


def test_a_pipe_in_a_store_is_no_journal(tmp_path: Path, capsys: Captured) -> None:
    """Reading it would never end."""
    store = tmp_path / "a.zarr"
    assert main(["simulate", *GOOD, "--tile", "8", "--out", str(store)]) == 0
    lose_records(store, 0)
    key = "tiles/journal.0123456789abcdef.1"
    assert is_journal(key)
    os.mkfifo(store / key)
    capsys.readouterr()
    assert main(["status", str(store)]) in (0, 1)
    assert place_of(store).read(key) is None


def test_what_verify_finds_as_json(tmp_path: Path, capsys: Captured) -> None:
    """A sound store, and one of which a tile is gone."""
    store = tmp_path / "a.zarr"
    assert main(["simulate", *GOOD, "--tile", "8", "--out", str(store)]) == 0
    capsys.readouterr()
    assert main(["verify", str(store), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["tiles"], found["faults"]) == (True, 4, [])
    lose_records(store, 2)
    assert main(["verify", str(store), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(fault["tile"], fault["kind"]) for fault in found["faults"]] == [(2, "missing")]


def test_another_unit_by_mistake_is_a_note(tmp_path: Path, capsys: Captured) -> None:
    """Of a file; once, though parts of it are copied."""
    path = tmp_path / "a.toml"
    path.write_text('[crystal]\ncell = "70 A"\nmisset = [10, 0, 0]\n[structure]\ndefault_F = 1\n')
    assert main(["simulate", "--config", str(path), "--dry-run"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "are meant" in line]
    meant = "crystal.misset = 10: radians are meant; 10 degrees are 0.17453"
    assert told == [f"nbdask: note: {path}: {meant}"]


def test_an_image_without_a_photon_is_told(tmp_path: Path, capsys: Captured) -> None:
    """By a note that names what raises it; not for a bright one."""
    store = tmp_path / "a.zarr"
    beam = ["-flux", "1e12", "-exposure", "0.1", "-beamsize", "0.05"]
    assert main(["simulate", *GOOD, *beam, "--out", str(store)]) == 0
    said = capsys.readouterr()
    assert "note: no pixel expects more than " in said.err
    assert "a higher -flux, -exposure or -fluence, a smaller -beamsize" in said.err
    fluence = "4e+19 photons/m^2 (1e+12 photons/s for 0.1 s on 0.05 x 0.05 mm)"
    assert f"fluence   {fluence}" in said.out
    assert main(["info", str(store)]) == 0
    assert f"fluence      {fluence}" in capsys.readouterr().out
    assert main(["simulate", *GOOD, "--out", str(tmp_path / "b.zarr")]) == 0
    assert "no pixel expects" not in capsys.readouterr().err
    told = []
    for shard in ("1/2", "2/2"):
        words = [*GOOD, *beam, "--tile", "8", "--out", str(tmp_path / "c.zarr"), "--shard", shard]
        assert main(["simulate", *words]) == 0
        told.append("note: no pixel expects more than " in capsys.readouterr().err)
    assert told == [False, True]  # known with the last one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--noise n.zarr", "--seed is missing"),
        ("--noise n.zarr -seed 5", "-seed 5 is the seed of -noisefile alone"),
        ("--noise a.zarr --out a.zarr --seed 1", "--noise a.zarr is the store --out too"),
        ("--seed 1 --gain 2", "--seed needs --noise PATH"),
        ("--keep-float no --out a.zarr", "--seed is missing"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(
    options: str, message: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The options of noise, before anything is computed."""
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", *GOOD, *options.split(), "--dry-run"]) == 2
    assert message in capsys.readouterr().err
    assert main(["simulate", *GOOD, "--noise", "n.zarr", "--seed", "1", "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []
