"""``nbdask verify`` and ``nbdask repair``, used as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nbdask.cli.main import main
from nbdask.graph.tasks import compute_tile
from nbdask.store.create import update_attributes
from nbdask.store.reader import StoreReader
from nbdask.verification import verify
from tests.helpers import ROOT, STRICT, lose_records

GOOD = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 40 -pixel 0.3 -oversample 1"
OPTIONS = "--backend numpy --tile 8"


def simulate(store: Path, *argv: str) -> int:
    """Make a store of 25 tiles."""
    return main(["simulate", *GOOD.split(), *OPTIONS.split(), "--out", str(store), *argv])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A complete store."""
    assert simulate(tmp_path / "run.zarr") == 0
    return tmp_path / "run.zarr"


def damage(store: Path, *tiles: int) -> None:
    """Change one byte of the pixels of some tiles."""
    for index in tiles:
        file = store / "image" / "c" / str(index // 5) / str(index % 5)
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)


def test_a_sound_store(store, capsys) -> None:
    """Exit code 0 and one line; more tiles than there are may be asked for."""
    capsys.readouterr()
    assert main(["verify", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: 25 tiles read, all well\n"
    assert main(["verify", str(store), "--recompute", "1000"]) == 0
    assert "25 tiles read, 25 recomputed, all well" in capsys.readouterr().out


def test_faults_are_listed_and_repaired(store, capsys) -> None:
    """Which tile, where, what; exit code 1; after the repair exit code 0 and the same image."""
    before = np.asarray(StoreReader(store).image[:])
    damage(store, 7)
    lose_records(store, 13)
    capsys.readouterr()
    assert main(["verify", str(store)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("tile 7 (slow 8 to 16, fast 16 to 24): corrupt: CRC-32C ")
    assert said[1] == "tile 13 (slow 16 to 24, fast 24 to 32): missing: it has no record"
    assert "25 tiles read, 1 missing, 1 corrupt; nbdask repair" in said[2]
    assert main(["repair", str(store)]) == 0
    assert "2 tiles computed again, complete" in capsys.readouterr().out
    assert main(["verify", str(store), "--quiet", "--recompute", "25"]) == 0
    assert capsys.readouterr().out == ""
    assert np.array_equal(np.asarray(StoreReader(store).image[:]), before)


def test_many_faults_are_counted(store, capsys) -> None:
    """The first twenty are listed."""
    damage(store, *range(25))
    capsys.readouterr()
    assert main(["verify", str(store)]) == 1
    said = capsys.readouterr().out
    assert said.count("corrupt: ") == 20
    assert "... and 5 more" in said
    assert "25 corrupt" in said


def test_bits_that_computing_again_does_not_give(store, capsys) -> None:
    """A tile whose checksum fits but whose pixels are others: only --recompute finds it."""
    from nbdask.statistics import summarise
    from nbdask.store.address import place_of
    from nbdask.store.write import TileWriter

    reader = StoreReader(store)
    pixels = reader.tile(3)
    pixels[2, 5] *= np.float32(1.001)
    tile = reader.grid[3]
    summary = summarise(pixels, (tile.slow0, tile.fast0), None)
    TileWriter(place_of(store))(3, tile, pixels, summary)
    (remark,) = verify(store).remarks
    assert remark.endswith("are not those of its tiles: nbdask repair counts again")
    capsys.readouterr()
    assert main(["verify", str(store), "--recompute", "25"]) == 1
    said = capsys.readouterr().out
    assert "tile 3 (slow 0 to 8, fast 24 to 32): different: 1 of 64 pixels differ" in said
    assert "made with the library" not in said
    made = StoreReader(store).attributes["versions"] | {"native": "another"}
    update_attributes(place_of(store), {"versions": made})
    assert main(["verify", str(store), "--recompute", "25"]) == 1
    assert "; the store was made with the library for another\n" in capsys.readouterr().out


def test_the_draw_follows_the_seed(store, monkeypatch) -> None:
    """The same seed recomputes the same tiles."""
    calls: list[int] = []

    def watched(context, index):
        calls.append(index)
        return compute_tile(context, index)

    monkeypatch.setattr("nbdask.graph.reread.compute_tile", watched)
    drawn = []
    for seed in (1, 1, 2):
        calls.clear()
        verify(store, recompute=5, seed=seed, threads=1)
        drawn.append(sorted(calls))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(set(drawn[0])) == 5


def test_an_unfinished_store(store, capsys) -> None:
    """Missing tiles are faults; repair finishes them, with the statistics of a whole run."""
    expected = StoreReader(store).attributes["statistics"]
    lose_records(store, *range(5, 10))
    update_attributes(store, {"status": "running", "statistics": None, "ended": None})
    assert main(["verify", str(store)]) == 1
    assert "5 missing" in capsys.readouterr().out
    assert main(["repair", str(store)]) == 0
    attributes = StoreReader(store).attributes
    assert (attributes["status"], attributes["statistics"]) == ("complete", expected)
    assert len(attributes["repaired"]) == 1


def test_all_tiles_but_no_end(store, capsys) -> None:
    """A run killed after its last tile: verify says so, repair puts it right."""
    update_attributes(store, {"status": "running", "statistics": None, "ended": None})
    assert main(["verify", str(store)]) == 1
    assert "the status is not complete" in capsys.readouterr().out
    assert main(["repair", str(store)]) == 0
    assert main(["verify", str(store)]) == 0


def test_other_kernels_and_missing_files_are_refused(store, tmp_path, capsys, monkeypatch) -> None:
    """Other bits would be written otherwise; nothing is touched."""
    plan = {**StoreReader(store).attributes["plan"], "kernel_version": "0"}
    update_attributes(store, {"plan": plan})
    damage(store, 3)
    capsys.readouterr()
    for argv in (["verify", "--recompute", "1"], ["repair"]):
        assert main([argv[0], str(store), *argv[1:]]) == 2
        said = capsys.readouterr().err
        assert f"nbdask: error: {argv[0]}: {store} was started with other settings" in said
        assert 'kernel_version: "0" -> ' in said
    monkeypatch.chdir(tmp_path)
    Path("P1.hkl").write_text("0 0 1 10\n")
    listed = ["simulate", *GOOD.split(), "-hkl", "P1.hkl", "--backend", "numpy", "--out", "b.zarr"]
    assert main(listed) == 0
    Path("P1.hkl").unlink()
    capsys.readouterr()
    assert main(["verify", "b.zarr"]) == 0
    assert main(["verify", "b.zarr", "--recompute", "1"]) == 2
    assert "P1.hkl" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "repair"])
def test_what_is_no_store(tmp_path, capsys, command) -> None:
    """One line, exit code 2, nothing written."""
    assert main([command, str(tmp_path / "none.zarr")]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    assert main([command, str(tmp_path / "folder")]) == 2
    assert "is not an nbdask store" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.long
def test_workers_find_the_same(store, capsys) -> None:
    """Worker processes read and recompute as threads do, and say the same."""
    damage(store, 7)
    lose_records(store, 13)
    said = []
    for where in (["--threads", "1"], ["--cluster", "local", "--workers", "2"]):
        capsys.readouterr()
        assert main(["verify", str(store), "--recompute", "5", *where]) == 1
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert "5 recomputed, 1 missing, 1 corrupt" in said[0].out


@pytest.mark.long
def test_the_functions_are_public(store) -> None:
    """``nbdask.verify`` and ``nbdask.repair`` are functions, whatever was imported before."""
    code = (
        "import sys, nbdask, nbdask.cli.verify, nbdask.cli.repair\n"
        "found = nbdask.verify(sys.argv[1], recompute=2)\n"
        "assert found.ok and found.tiles == 25 and found.recomputed == 2\n"
        "print(nbdask.repair(sys.argv[1]).faults)"
    )
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", code, store],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "()\n"
