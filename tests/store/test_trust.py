"""What a resumed run looks at before it takes a tile on record for finished."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.errors import StoreError
from nbdask.store.reader import StoreReader
from nbdask.store.trust import NEWEST
from tests.helpers import small_experiment

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 24 -pixel 0.4 -oversample 1"
DAMAGED = "image/c/1/0"


def run(store: Path, **options) -> nbdask.SimulationResult:
    """Simulate 6 tiles."""
    return nbdask.simulate(small_experiment(), store, backend="numpy", tile=12, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store."""
    store = tmp_path_factory.mktemp("made") / "a.zarr"
    run(store)
    return store


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy whose tiles are older than the newest one, which is the last."""
    copy = Path(shutil.copytree(made, tmp_path / "a.zarr"))
    newest = (copy / "image/c/2/1").stat().st_mtime
    for path in (copy / "image" / "c").rglob("*"):
        if path.name != "1" or path.parent.name != "2":
            os.utime(path, (newest - 2 * NEWEST, newest - 2 * NEWEST))
    return copy


def damage(path: Path, how: str) -> None:
    """Damage a file, its time unchanged."""
    stamp = path.stat().st_mtime_ns
    if how == "gone":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"empty": b"", "short": data[:-1], "long": data + b"x", "bit": data}[how])
    os.utime(path, ns=(stamp, stamp))


@pytest.mark.parametrize("how", ["gone", "empty", "short", "long"])
def test_a_file_that_is_gone_or_of_another_size(store, made, how) -> None:
    """The tile is computed again, also where the store was complete, and a note says so."""
    damage(store / DAMAGED, how)
    told: list[tuple[int, int]] = []
    result = run(store, resume=True, progress=lambda *at: told.append(at))
    assert told == [(6, 6)]
    assert "computed again: 1 (the first is tile 2)" in result.notes[-1]
    assert (store / DAMAGED).read_bytes() == (made / DAMAGED).read_bytes()
    assert nbdask.verify(store).ok
    assert StoreReader(store).attributes["notes"] == list(result.notes)


def test_a_bit_of_a_new_tile(store, made) -> None:
    """What was written in the last minute before the last write is read against its checksum."""
    damage(store / "image/c/2/1", "bit")
    run(store, resume=True)
    assert nbdask.verify(store).ok


def test_a_bit_of_an_old_tile_is_found_when_asked_for(store, made) -> None:
    """By --resume=verify, which reads them all."""
    damage(store / DAMAGED, "bit")
    told: list[tuple[int, int]] = []
    run(store, resume=True, progress=lambda *at: told.append(at))
    assert told == []
    assert not nbdask.verify(store).ok
    run(store, resume="verify", progress=lambda *at: told.append(at))
    assert told == [(6, 6)]
    assert nbdask.verify(store).ok
    assert np.array_equal(StoreReader(store).image[:], StoreReader(made).image[:])


def test_nothing_is_written_where_all_is_there(store) -> None:
    """A complete store stays as it is."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert not any("computed again" in note for note in run(store, resume="verify").notes)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_the_command_takes_both_forms(tmp_path, capsys) -> None:
    """Whatever stands behind --resume is not its value."""
    store, words = tmp_path / "a.zarr", [*FLAGS.split(), "--tile", "12", "--quiet"]
    assert main(["simulate", *words, "--out", str(store)]) == 0
    (store / DAMAGED).unlink()
    assert main(["simulate", "--resume", *words, "--out", str(store)]) == 0
    assert nbdask.verify(store).ok
    damage(store / DAMAGED, "bit")
    assert main(["simulate", "--resume=verify", *words, "--out", str(store)]) == 0
    noisy = ["--out", str(tmp_path / "b.zarr"), "--seed", "1", "--quiet"]
    assert main(["noise", str(store), *noisy]) == 0
    damage(tmp_path / "b.zarr" / DAMAGED, "bit")
    assert main(["noise", "--resume", str(store), *noisy]) == 0
    assert main(["noise", "--resume=verify", str(store), *noisy]) == 0
    assert nbdask.verify(tmp_path / "b.zarr").ok
    assert main(["simulate", "--resume=all", *words, "--out", str(store)]) == 2
    assert "'all'" in capsys.readouterr().err
    with pytest.raises(StoreError, match="must be --resume or --resume=verify"):
        run(store, resume="all")
