"""``nbdask compare``: stores, NumPy files and bare float files against each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nbdask.export.floatfile import FloatFile
from nbdask.parity.compare import compare
from nbdask.parity.errors import ParityUsageError
from nbdask.parity.outcome import Thresholds
from nbdask.store.reader import StoreReader
from tests.parity.conftest import Run
from tests.pictured import flip, image_of, set_pixels

Stored = Callable[..., Path]


def test_a_store_equals_its_own_float_image(run: Run, stored: Stored, tmp_path: Path) -> None:
    """A bare file takes the store's shape; a NumPy file has its own."""
    store = stored("curved")
    FloatFile(tmp_path / "image.bin").write(store)
    np.save(tmp_path / "image.npy", np.asarray(StoreReader(store).image[...]))
    for other in ("image.bin", "image.npy"):
        for pair in ((store, tmp_path / other), (tmp_path / other, store)):
            code, said, error = run("compare", *pair)
            assert (code, error) == (0, "")
            assert "equal: 9 regions" in said
            assert "(1600 pixels, equal in every bit)" in said
            assert said.count("\n") == 1


def test_differences_are_found_block_by_block(run: Run, stored: Stored, tmp_path: Path) -> None:
    """A changed pixel ends with exit code 3; the JSON form names block and pixel."""
    store = stored("curved")
    other = tmp_path / "other.zarr"
    shutil.copytree(store, other)
    image = image_of(other)
    image[20, 5] = image[20, 5] * np.float32(1.01)
    set_pixels(other, image)
    out = tmp_path / "outcome.json"
    code, said, _ = run("compare", other, store, "--json", out, "--html", tmp_path / "r.html")
    assert code == 3
    assert "slow 20, fast 5" in said
    assert "8 other regions are equal in every bit" in said
    outcome = json.loads(out.read_text())
    bad = [item for item in outcome["regions"] if not item["ok"]]
    assert [(item["slow"], item["fast"]) for item in bad] == [([16, 31], [0, 15])]
    assert bad[0]["max_rel"] == pytest.approx(0.01, rel=1e-4)
    assert outcome["reference_facts"]["semantics"] == "c"
    assert (tmp_path / "r.html").read_text().count("<figure>") == 27
    assert run("compare", other, store, "--max-rel", "0.1", "--sum-tol", "0.1")[0] == 0


def test_json_to_standard_output_is_all_there_is(run: Run, stored: Stored) -> None:
    """So that it can be piped."""
    store = stored("curved")
    code, said, error = run("compare", store, store, "--json", "-")
    assert (code, error) == (0, "")
    assert json.loads(said)["ok"]


def test_stores_of_other_experiments_are_pointed_out(run: Run, stored: Stored) -> None:
    """The numbers stand, with a remark."""
    code, _, error = run("compare", stored("mosflm_default"), stored("curved"))
    assert code == 3
    assert "made from different experiments" in error


def test_blocks_of_images_without_tiles(tmp_path: Path) -> None:
    """Images from elsewhere are cut into blocks; peaks and sums are those of the whole."""
    image = np.zeros((1500, 1100), np.float32)
    image[3, 4], image[1400, 1090] = 5.0, 7.0
    np.save(tmp_path / "a.npy", image)
    image.tofile(tmp_path / "b.bin")
    outcome = compare(tmp_path / "a.npy", tmp_path / "b.bin", threads=2)
    assert outcome.ok
    assert len(outcome.regions) == 4
    assert outcome.total.pixels == image.size
    image[3, 5] = 1e-9
    image.tofile(tmp_path / "b.bin")
    outcome = compare(tmp_path / "a.npy", tmp_path / "b.bin", threads=2)
    assert outcome.total.differing == 1
    assert outcome.total.peaks.count == 1  # of the block that is not equal in every bit


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("a.npy", "no.npy"), 2, "no.npy: no such file or directory"),
        (("a.npy", "no.zarr"), 2, "no.zarr: no such file"),
        (("no.zarr", "nor.zarr"), 2, "no.zarr: no such file or directory: must be a store"),
        (("a.npy", "wide.npy"), 4, "a.npy has 6 x 8 pixels (slow x fast), wide.npy has 8 x 6"),
        (("a.npy", "short.bin"), 4, "short.bin: has 100 bytes"),
        (("short.bin", "short.bin"), 2, "give --shape SLOW FAST"),
        (("a.npy", "a.npy", "--shape", "6", "8"), 2, "--shape 6 8: only for a bare float file"),
        (("a.npy", "whole.npy"), 2, "holds int64"),
        (("a.npy",), 2, "Missing argument"),
        (("a.npy", "a.npy", "--max-rl", "1"), 2, "--max-rel"),
        (("a.npy", "a.npy", "--json", "short.bin"), 2, "exists already"),
        (("a.npy", "a.npy", "--json", "a.npy"), 2, "is an input of this run"),
        (("a.npy", "wide.npy", "--html", "./wide.npy", "--overwrite"), 2, "is an input of this"),
        (("a.npy", "a.npy", "--map", "hard.npy", "--overwrite"), 2, "is an input of this run"),
        (("a.npy", "a.npy", "--json", "x", "--html", "x"), 2, "is the file of --json already"),
        (("a.npy", "a.npy", "--max-rel", "nan"), 2, "'nan': must be a finite number, 0 or more"),
        (("a.npy", "a.npy", "--sum-tol", "inf"), 2, "must be a finite number"),
        (("a.npy", "a.npy", "--min-corr", "x"), 2, "must be a finite number, from -1 to 1"),
        (("a.npy", "objects.npy"), 2, "objects.npy: another kind of file, or cut short"),
        (("a.npy", "cut.npy"), 2, "cut.npy: another kind of file, or cut short"),
        (("a.npy", "many.npy"), 2, "many.npy: another kind of file, or cut short"),
        (("a.npy", "letters.npy"), 2, "letters.npy: another kind of file, or cut short"),
    ],
)
def test_wrong_arguments_have_their_exit_code(
    argv: tuple[str, ...],
    code: int,
    message: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line each, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.ones((6, 8), np.float32))
    np.save("wide.npy", np.ones((8, 6), np.float32))
    np.save("whole.npy", np.ones((6, 8), np.int64))
    np.save("objects.npy", np.array([[{}]]), allow_pickle=True)
    np.savez("many.npz", np.ones((6, 8)))
    Path("many.npz").rename("many.npy")
    Path("letters.npy").write_bytes(b"PK\x03\x04, but no archive")
    Path("cut.npy").write_bytes(Path("a.npy").read_bytes()[:200])
    Path("hard.npy").hardlink_to("a.npy")
    Path("short.bin").write_bytes(bytes(100))
    before = Path("a.npy").read_bytes()
    found, said, error = run("compare", *argv)
    assert (found, said) == (code, "")
    assert message in error
    assert error.count("\n") == 1
    assert Path("a.npy").read_bytes() == before


def test_a_store_that_is_read_is_not_written_into(run: Run, stored: Stored, tmp_path: Path) -> None:
    """Its metadata would be lost."""
    store = stored("curved")
    before = (store / "zarr.json").read_bytes()
    target = store / "zarr.json"
    code, _, error = run("compare", store, store, "--json", target, "--overwrite")
    assert code == 2
    assert f"must lie outside the store {store}" in error
    assert target.read_bytes() == before


def test_infinite_pixels_are_told(run: Run, tmp_path: Path) -> None:
    """Equal images that hold infinite pixels say so, as with NaN."""
    image = np.ones((6, 8), np.float32)
    image[2, 3] = np.inf
    np.save(tmp_path / "a.npy", image)
    code, said, _ = run("compare", tmp_path / "a.npy", tmp_path / "a.npy")
    assert code == 0
    assert "(48 pixels, equal in every bit, 1 of them infinite)" in said


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_damaged_tile_is_not_compared(run: Run, stored: Stored, place: float) -> None:
    """A flipped bit, whether or not the chunk still decodes: the tile and what to do, in a line."""
    store = stored("curved")
    other = shutil.copytree(store, store.with_name("sound.zarr"))
    flip(store / "image" / "c" / "1" / "0", place)
    for pair in ((store, other), (other, store)):
        code, _, error = run("compare", *pair)
        assert code == 2
        assert f"{store}: tile 3 (slow 16 to 32, fast 0 to 16) is damaged" in error
        assert f"nbdask repair {store}" in error
        assert "Error:" not in error


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bounds_are_finite(value: float) -> None:
    """Nothing would ever be beyond them."""
    with pytest.raises(ParityUsageError, match=r"sum_tol = .*: must be a finite number"):
        Thresholds(sum_tol=value)


def test_an_unfinished_store_is_refused(run: Run, stored: Stored) -> None:
    """Its missing tiles would be NaN."""
    store = stored("curved")
    path = store / "zarr.json"
    path.write_text(path.read_text().replace('"status": "complete"', '"status": "running"'))
    code, _, error = run("compare", store, store)
    assert code == 2
    assert "is not complete" in error
