"""The truth that a run was asked for, where the run did not come to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.cli.main import main
from nbdask.shards import finish
from nbdask.store.address import place_of
from nbdask.store.reader import StoreReader
from nbdask.truth.stored import stored_truth

FLAGS = (
    "-cell 60 70 80 90 90 90 -default_F 100 -lambda 1 -N 5 -oversample 1 -detpixels 32 -distance 50"
    " -fluence 1e26"
)
ARGV = [
    *("simulate", *FLAGS.split(), "--tile", "16", "--shots", "3", "--orientations", "random"),
    *("--shot-seed", "1", "--quiet", "--truth", "reflections"),
]


def killed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends between its image and its truth."""

    def kill(*_: object, **__: object) -> None:
        raise SystemExit(9)

    monkeypatch.setattr("nbdask.truth.stored.write_truth", kill)
    with pytest.raises(SystemExit):
        main([*ARGV, "--out", str(store)])
    monkeypatch.undo()
    assert StoreReader(store).attributes["status"] == "complete"
    assert stored_truth(place_of(store)) is None


def test_repair_writes_what_is_missing(tmp_path, monkeypatch, capsys) -> None:
    """S-TRUTH-22: verify tells of it; the tables are those of a run that nobody ended."""
    assert main([*ARGV, "--out", str(tmp_path / "whole.zarr")]) == 0
    assert nbdask.verify(tmp_path / "whole.zarr").ok
    store = tmp_path / "a.zarr"
    killed(store, monkeypatch)
    found = nbdask.verify(store)
    assert not found.ok
    assert found.remarks == (
        "the truth that the run was asked for is not there: nbdask repair writes it",
    )
    capsys.readouterr()
    assert main(["repair", str(store)]) == 0
    assert capsys.readouterr().out == (
        f"{store}: 0 tiles computed again, truth written, complete\n"
    )
    assert nbdask.verify(store).ok
    one, other = (stored_truth(place_of(tmp_path / name)) for name in ("whole.zarr", "a.zarr"))
    assert one is not None
    assert other is not None
    assert one.shots.identical(other.shots)
    assert one.reflections is not None
    assert one.reflections.identical(other.reflections)
    again = ["truth", str(store), "--reflections", "--least", "5", "--save", "--overwrite"]
    assert main([*again, "--quiet"]) == 0
    assert nbdask.verify(store).ok


def test_a_column_without_metadata_is_told_in_one_line(tmp_path, capsys, recwarn) -> None:
    """S-TRUTH-22: nothing of zarr's own, nor that it cannot be mended; repair does it."""
    store = tmp_path / "a.zarr"
    assert main([*ARGV, "--out", str(store), "--quiet"]) == 0
    (store / "truth" / "photons" / "zarr.json").unlink()
    shutil.rmtree(store / "image" / "c" / "0")
    assert main(["verify", str(store)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert "truth has no column photons: nbdask repair writes it again" in told[-2]
    assert told[-1].endswith("computes missing and corrupt tiles again")
    assert not any("were written" in line for line in told)
    assert not recwarn.list
    assert main(["repair", str(store)]) == 0
    assert nbdask.verify(store).ok


@pytest.mark.long
@pytest.mark.parametrize("name", ["photons/c/0", "energy/c/0", "F_squared/zarr.json"])
@pytest.mark.parametrize("change", ["flip", "cut", "gone"])
def test_what_is_damaged_is_written_again(tmp_path, capsys, name: str, change: str) -> None:
    """S-TRUTH-22: verify tells of it, nbdask truth shows none of it, repair writes it again."""
    store = tmp_path / "a.zarr"
    assert main([*ARGV, "--out", str(store)]) == 0
    path = store / "truth" / name
    held = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        half = len(held) // 2
        rest = bytes([held[half] ^ 255]) + held[half + 1 :] if change == "flip" else b""
        path.write_bytes(held[:half] + rest)
    (remark,) = nbdask.verify(store).remarks
    assert "a.zarr is damaged: " in remark
    assert remark.endswith("nbdask repair writes it again")
    assert main(["truth", str(store)]) == 2
    assert "is damaged: " in capsys.readouterr().err
    assert main(["repair", str(store)]) == 0
    assert path.read_bytes() == held
    assert nbdask.verify(store).ok


def test_kept_truth_that_is_damaged_is_told(tmp_path) -> None:
    """S-TRUTH-22: where no run asked for it, the line names what writes it again."""
    store = tmp_path / "a.zarr"
    assert main([*ARGV[:-2], "--out", str(store)]) == 0
    assert main(["truth", str(store), "--save", "--quiet"]) == 0
    (store / "truth" / "energy" / "c" / "0").write_bytes(b"no chunk")
    (remark,) = nbdask.verify(store).remarks
    assert remark.endswith("nbdask truth --save --overwrite writes it again")
    assert main(["truth", str(store), "--save", "--overwrite", "--quiet"]) == 0
    assert nbdask.verify(store).ok


def test_the_last_shard_writes_it(tmp_path) -> None:
    """S-TRUTH-22: and nbdask finish, where the last shard was killed before."""
    store = tmp_path / "a.zarr"
    for number in (2, 1):
        assert stored_truth(place_of(store)) is None if store.exists() else True
        assert main([*ARGV, "--out", str(store), "--shard", f"{number}/2"]) == 0
    truth = stored_truth(place_of(store))
    assert truth is not None
    assert truth.reflections is not None
    assert truth.shots.sizes["shot"] == 3
    assert nbdask.verify(store).ok


@pytest.mark.parametrize("command", [True, False])
def test_finish_writes_it(tmp_path, monkeypatch, command: bool) -> None:
    """S-TRUTH-22: a store that is complete but for its truth."""
    store = tmp_path / "a.zarr"
    killed(store, monkeypatch)
    if command:
        assert main(["finish", str(store), "--quiet"]) == 0
    else:
        assert finish(store).status == "complete"
    assert stored_truth(place_of(store)) is not None
    assert nbdask.verify(store).ok


def test_shards_of_counts_alone(tmp_path) -> None:
    """S-STORE-83: noise at once, by shards, has the pixels of one run."""
    counts = ["--keep-float", "no", "--seed", "5", "--dtype", "int32"]
    argv = [*ARGV[:-2], *counts]
    assert main([*argv, "--out", str(tmp_path / "one.zarr")]) == 0
    for number in (1, 3, 2):
        assert main([*argv, "--out", str(tmp_path / "a.zarr"), "--shard", f"{number}/3"]) == 0
    one, other = (StoreReader(tmp_path / name) for name in ("one.zarr", "a.zarr"))
    assert other.image.stored.dtype == np.int32
    assert one.image[...].tobytes() == other.image[...].tobytes()
    for name in ("noise", "statistics", "status", "fingerprint"):
        assert one.attributes[name] == other.attributes[name]
    assert nbdask.verify(tmp_path / "a.zarr", 5).ok
    wrong = [*argv[:-3], "6", "--dtype", "int32", "--out", str(tmp_path / "a.zarr")]
    assert main([*wrong, "--shard", "1/3"]) == 2
