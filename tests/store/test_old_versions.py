"""Stores of format versions 1 and 2, a file for each record: read, verified, resumed, mended.

Those of version 1 have no sizes and no manifest either.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.store.reader import StoreReader
from tests.helpers import small_experiment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete store and one of 4 tiles of 6, as version 0.1.0 wrote them."""
    return unpacked(1, tmp_path)


def unpacked(version: int, folder: Path) -> Path:
    """Unpack the stores of a version."""
    with zipfile.ZipFile(Path(__file__).with_name(f"version{version}.zip")) as archive:
        archive.extractall(folder)
    return folder


def pixels(store: Path) -> bytes:
    """Return the image's bytes."""
    return np.asarray(StoreReader(store).image[:]).tobytes()


def test_it_is_sound_and_says_what_is_not_covered(folder, capsys) -> None:
    """A note, not a failure."""
    store = folder / "version1.zarr"
    found = nbdask.verify(store, recompute=6)
    assert found.ok
    assert ["without a manifest" in note for note in found.notes] == [True]
    assert main(["verify", str(store)]) == 0
    assert "note: made by an earlier version" in capsys.readouterr().out


@pytest.mark.parametrize("version", [1, 2])
def test_it_is_left_alone_when_it_is_complete(tmp_path, version) -> None:
    """Resumed, no byte of it changes."""
    store = unpacked(version, tmp_path) / f"version{version}.zarr"
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    nbdask.simulate(small_experiment(), store, tile=12, resume=True)
    nbdask.repair(store)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("lost", [None, "image/c/2/1", "tiles/c/2/1/0"])
def test_it_is_finished_in_its_own_format(tmp_path, lost, version) -> None:
    """Missing tiles and lost files come back with the same bits, a record in each file."""
    folder = unpacked(version, tmp_path)
    store = folder / "begun.zarr"
    if lost is not None:
        (store / lost).unlink()
    nbdask.simulate(small_experiment(), store, tile=12, resume=True)
    assert pixels(store) == pixels(folder / f"version{version}.zarr")
    assert nbdask.verify(store).ok
    assert StoreReader(store).attributes["format_version"] == version
    assert len([file for file in (store / "tiles" / "c").rglob("*") if file.is_file()]) == 6


@pytest.mark.parametrize("lost", ["image/c/2/1", "tiles/c/2/1/0"])
def test_it_is_repaired_in_its_own_format(tmp_path, lost) -> None:
    """One tile, and only that one."""
    store = unpacked(2, tmp_path) / "version2.zarr"
    before = pixels(store)
    (store / lost).unlink()
    assert [fault.index for fault in nbdask.repair(store).faults] == [5]
    assert pixels(store) == before
    assert nbdask.verify(store).ok


def test_altered_metadata_are_found_without_a_manifest(folder) -> None:
    """By what can be computed again."""
    store = folder / "version1.zarr"
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["experiment"]["crystal"]["cell"][0] *= 2
    (store / "zarr.json").write_text(json.dumps(root))
    assert nbdask.verify(store).altered == ("the fingerprint is not that of the experiment",)
