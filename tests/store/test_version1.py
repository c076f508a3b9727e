"""Stores of format version 1, without sizes and manifest: read, verified, resumed, mended."""

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
    with zipfile.ZipFile(Path(__file__).with_name("version1.zip")) as archive:
        archive.extractall(tmp_path)
    return tmp_path


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


def test_it_is_left_alone_when_it_is_complete(folder) -> None:
    """Resumed, no byte of it changes."""
    store = folder / "version1.zarr"
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    nbdask.simulate(small_experiment(), store, tile=12, resume=True)
    nbdask.repair(store)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("lost", [None, "image/c/2/1", "tiles/c/2/1/0"])
def test_it_is_finished_in_its_own_format(folder, lost) -> None:
    """Missing tiles and lost files come back with the same bits."""
    store = folder / "begun.zarr"
    if lost is not None:
        (store / lost).unlink()
    nbdask.simulate(small_experiment(), store, tile=12, resume=True)
    assert pixels(store) == pixels(folder / "version1.zarr")
    assert nbdask.verify(store).ok
    assert StoreReader(store).attributes["format_version"] == 1


def test_altered_metadata_are_found_without_a_manifest(folder) -> None:
    """By what can be computed again."""
    store = folder / "version1.zarr"
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["experiment"]["crystal"]["cell"][0] *= 2
    (store / "zarr.json").write_text(json.dumps(root))
    assert nbdask.verify(store).altered == ("the fingerprint is not that of the experiment",)
