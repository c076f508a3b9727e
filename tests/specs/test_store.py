"""specs/store.md: a finished store, read with zarr and xarray alone, and stores in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import xarray
import zarr

import nbdask
from nbdask.experiment import Experiment, Sampling, StructureFactors
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import combine, summarise
from nbdask.store.schema import FIELDS, image_chunks
from tests.specs import support
from tests.specs.support import with_detector

ATTRIBUTES = """format format_version status nbdask_version git_commit command experiment
fingerprint inputs seeds semantics backend precision kernel_version plan cluster versions host cpu
started ended notes statistics manifest"""
TILE = (8, 8)


def experiment(**parts: Any) -> Experiment:
    """Return a small experiment of 20 slow x 16 fast pixels: 3 x 2 tiles."""
    return with_detector(support.experiment(**parts), pixels_slow=20)


def listed(folder: Path) -> Experiment:
    """Return an experiment with an amplitude file and a region of interest."""
    path = folder / "P1.hkl"
    span = range(-3, 4)
    rows = [(h, k, el) for h in span for k in span for el in span]
    path.write_text("".join(f"{h} {k} {el} {50 + h + 2 * k + 3 * el}\n" for h, k, el in rows))
    from nbdask.inputs.checksum import sha256_of

    return experiment(
        structure=StructureFactors(default_F=3.0, path=str(path), sha256=sha256_of(path)),
        sampling=Sampling(oversample=1, roi=(2, 17, 3, 14)),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    """Return an experiment and its finished store of 3 x 2 tiles."""
    folder = tmp_path_factory.mktemp("store")
    exp = listed(folder)
    nbdask.simulate(exp, folder / "run.zarr", backend="numpy", tile=TILE, command=["nbdask", "a b"])
    return exp, folder / "run.zarr"


def attributes(path: Path) -> dict[str, Any]:
    """Root attributes, read as JSON."""
    return dict(json.loads((path / "zarr.json").read_text())["attributes"])


def test_layout(run: tuple[Experiment, Path]) -> None:
    """Arrays, shapes, types, names and fill values, as any zarr reader sees them."""
    root = zarr.open_group(run[1], mode="r")
    assert root.metadata.zarr_format == 3
    assert sorted(root.array_keys()) == ["fast", "image", "slow", "tiles"]
    assert root.metadata.consolidated_metadata is not None
    image, tiles = zarr.open_array(run[1] / "image"), zarr.open_array(run[1] / "tiles")
    assert (image.shape, image.dtype) == ((20, 16), np.float32)
    assert image.metadata.dimension_names == ("slow", "fast")  # type: ignore[union-attr]
    assert np.isnan(image.fill_value)
    assert image.attrs["units"] == "photon"
    assert (tiles.shape, tiles.dtype) == ((3, 2, len(FIELDS)), np.float64)
    assert np.isnan(tiles.fill_value)
    assert tiles.chunks == (3, 2, len(FIELDS))
    for name, count in (("slow", 20), ("fast", 16)):
        axis = zarr.open_array(run[1] / name)
        assert np.asarray(axis[:]).tolist() == list(range(count))
        assert axis.attrs["pixel_size_m"] == 1e-3


@pytest.mark.parametrize(
    ("tile", "chunks", "shards"),
    [
        ((512, 300), (512, 300), None),
        ((1024, 2048), (512, 512), (1024, 2048)),
        ((1500, 768), (500, 384), (1500, 768)),
        ((1031, 1024), (1031, 1024), None),
    ],
)
def test_chunks_of_the_image(tile: tuple, chunks: tuple, shards: tuple | None) -> None:
    """Large tiles are shards whose inner chunks divide them; a prime side stays whole."""
    assert image_chunks(TileGrid((5000, 5000), tile)) == (chunks, shards)


def test_one_file_per_tile(run: tuple[Experiment, Path]) -> None:
    """So that tasks never write to the same file."""
    files = [p for p in (run[1] / "image" / "c").rglob("*") if p.is_file()]
    assert len(files) == 6


def test_records(run: tuple[Experiment, Path]) -> None:
    """Every field of every tile's record follows from the pixels."""
    image = np.asarray(zarr.open_array(run[1] / "image")[...])
    tiles = zarr.open_array(run[1] / "tiles")
    assert tiles.attrs["fields"] == list(FIELDS)
    evaluated = np.zeros(image.shape, dtype=bool)
    evaluated[2:18, 3:15] = True
    for row, column in np.ndindex(3, 2):
        place = (slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
        record = dict(zip(FIELDS, np.asarray(tiles[row, column]).tolist(), strict=True))
        part, used = image[place], image[place][evaluated[place]].astype(float)
        assert record["done"] == 1.0
        assert record["crc32c"] == google_crc32c.value(part.astype("<f4").tobytes())
        assert (record["n_evaluated"], record["n_masked"]) == (used.size, 0)
        assert record["max"] == used.max()
        assert image[int(record["max_slow"]), int(record["max_fast"])] == used.max()
        assert record["mean"] == pytest.approx(used.mean(), rel=1e-12)
        assert record["m2"] == pytest.approx(((used - used.mean()) ** 2).sum(), rel=1e-9)
        assert record["outside"] == 0
        assert record["seconds"] > 0


def test_opens_with_xarray_alone(run: tuple[Experiment, Path]) -> None:
    """Without nbdask, and (warnings being errors here) without warnings."""
    with xarray.open_zarr(run[1]) as opened:
        assert opened["image"].dims == ("slow", "fast")
        assert float(opened["image"].sel(slow=3, fast=4)) > 0
        assert opened.attrs["format"] == "nbdask"


def test_root_attributes(run: tuple[Experiment, Path]) -> None:
    """All that is needed to compute any tile again."""
    exp, path = run
    found = attributes(path)
    assert set(ATTRIBUTES.split()) <= set(found)
    assert (found["format"], found["format_version"], found["status"]) == ("nbdask", 3, "complete")
    assert found["command"] == "nbdask 'a b'"
    assert found["started"] <= found["ended"]
    assert Experiment.from_dict(found["experiment"]) == exp
    assert found["fingerprint"] == exp.fingerprint()
    assert found["inputs"] == [
        {"role": "structure factors", "path": exp.structure.path, "sha256": exp.structure.sha256}
    ]


def test_statistics(run: tuple[Experiment, Path]) -> None:
    """Mean, rms, rmsd and maximum over the region of interest."""
    image = np.asarray(zarr.open_array(run[1] / "image")[...])
    used = image[2:18, 3:15].astype(float)
    found = attributes(run[1])["statistics"]
    assert found["pixels"] == used.size
    assert found["max"] == image.max() == image[found["max_slow"], found["max_fast"]]
    assert found["mean"] == pytest.approx(used.mean(), rel=1e-12)
    assert found["rms"] == pytest.approx(np.sqrt((used**2).sum() / (used.size - 1)), rel=1e-12)
    assert found["rmsd"] == pytest.approx(used.std(ddof=1), rel=1e-9)


def test_statistics_with_a_mask(tmp_path: Path) -> None:
    """Masked pixels count as zeros in rmsd, and not at all in mean and rms."""
    mask = np.ones((20, 16), dtype="<u2")
    mask[4:9, 3:10] = 0
    header = b"{\nHEADER_BYTES=512;\nDIM=2;\nTYPE=unsigned_short;\nSIZE1=16;\nSIZE2=20;\n}\f"
    (tmp_path / "mask.img").write_bytes(header.ljust(512) + mask.tobytes())
    sampling = Sampling(oversample=1, roi=(2, 17, 3, 14), mask=str(tmp_path / "mask.img"))
    nbdask.simulate(experiment(sampling=sampling), tmp_path / "run.zarr", backend="numpy")
    image = np.asarray(zarr.open_array(tmp_path / "run.zarr" / "image")[...]).astype(float)
    assert not image[mask == 0].any()
    region, kept = image[2:18, 3:15], mask[2:18, 3:15] == 1
    used = region[kept]
    found = attributes(tmp_path / "run.zarr")["statistics"]
    assert found["pixels"] == kept.sum() < region.size
    assert found["mean"] == pytest.approx(used.mean(), rel=1e-12)
    assert found["rms"] == pytest.approx(np.sqrt((used**2).sum() / (used.size - 1)), rel=1e-12)
    spread = ((region - used.mean()) ** 2).sum() / (region.size - 1)
    assert found["rmsd"] == pytest.approx(np.sqrt(spread), rel=1e-9)


def test_lazy_image_has_the_stored_bits(run: tuple[Experiment, Path]) -> None:
    """The same tiles, whether written or looked at."""
    lazy = nbdask.image(run[0], backend="numpy", tile=TILE)
    np.testing.assert_array_equal(lazy.values, zarr.open_array(run[1] / "image")[...])


def test_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    """Moving an input file leaves it, changing the content does not."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = listed(tmp_path / "first"), listed(tmp_path / "second")
    assert first != second
    assert first.fingerprint() == second.fingerprint()
    other = first.replace(structure=StructureFactors(default_F=3.0, path="x", sha256="0" * 64))
    assert other.fingerprint() != first.fingerprint()


def test_defaults_do_not_enter_the_fingerprint() -> None:
    """A field given at its default value is left out of the dict form."""
    assert experiment(semantics="spec").fingerprint() == experiment().fingerprint()
    assert "semantics" not in experiment().to_dict()


def test_something_in_the_way(tmp_path: Path) -> None:
    """Nothing is replaced unasked, and never anything but a store."""
    out = tmp_path / "run.zarr"
    nbdask.simulate(experiment(), out, backend="numpy")
    before = attributes(out)["started"], (out / "zarr.json").read_bytes()
    with pytest.raises(nbdask.NbdaskError, match="exists already"):
        nbdask.simulate(experiment(), out, backend="numpy")
    assert (out / "zarr.json").read_bytes() == before[1]
    nbdask.simulate(experiment(semantics="c"), out, backend="numpy", overwrite=True)
    assert attributes(out)["semantics"] == "c"
    other = tmp_path / "precious"
    other.mkdir()
    (other / "data").write_text("keep")
    with pytest.raises(nbdask.NbdaskError, match="not an nbdask store"):
        nbdask.simulate(experiment(), other, backend="numpy", overwrite=True)
    assert (other / "data").read_text() == "keep"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["precious", "run.zarr"]


def test_later_format_version(run: tuple[Experiment, Path], tmp_path: Path) -> None:
    """A store of the future is refused with its version."""
    data = json.loads((run[1] / "zarr.json").read_text())
    data["attributes"]["format_version"] = 99
    (tmp_path / "run.zarr").mkdir()
    (tmp_path / "run.zarr" / "zarr.json").write_text(json.dumps(data))
    with pytest.raises(nbdask.NbdaskError, match="format version 99"):
        nbdask.open(tmp_path / "run.zarr")


def test_failure_leaves_a_running_store_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished tiles stay and the missing ones are computed; other settings are refused."""
    from nbdask.store.write import TileWriter

    out, original = tmp_path / "run.zarr", TileWriter.__call__

    def failing(self, index, tile, image, summary):
        if index == 4:
            raise nbdask.NbdaskError("disk full")
        return original(self, index, tile, image, summary)

    monkeypatch.setattr(TileWriter, "__call__", failing)
    with pytest.raises(nbdask.NbdaskError, match="disk full"):
        nbdask.simulate(experiment(), out, backend="numpy", tile=TILE, threads=1)
    monkeypatch.undo()
    found = attributes(out)
    assert (found["status"], found["ended"], found["statistics"]) == ("running", None, None)
    image = np.asarray(zarr.open_array(out / "image")[...])
    done = nbdask.open(out)["tiles"].values[..., 0] == 1.0
    assert not done[2, 0]
    for row, column in np.ndindex(3, 2):
        part = image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert np.isnan(part).all() != done[row, column]
    with pytest.raises(nbdask.NbdaskError, match="semantics"):
        nbdask.simulate(experiment(semantics="c"), out, backend="numpy", resume=True)
    nbdask.simulate(experiment(), out, backend="numpy", resume=True)
    assert attributes(out)["status"] == "complete"
    whole = nbdask.image(experiment(), backend="numpy", tile=TILE).values
    np.testing.assert_array_equal(zarr.open_array(out / "image")[...], whole)


def test_failed_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is there as a whole or not at all; an old one stays."""
    from nbdask.store import create

    out = tmp_path / "run.zarr"
    nbdask.simulate(experiment(), out, backend="numpy")
    before = (out / "zarr.json").read_bytes()

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(create, "_create_coordinate", failing)
    for place, overwrite in ((out, True), (tmp_path / "new.zarr", False)):
        with pytest.raises(nbdask.NbdaskError, match="No space left"):
            nbdask.simulate(experiment(), place, backend="numpy", overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]
    assert (out / "zarr.json").read_bytes() == before


def test_first_of_equal_maxima(tmp_path: Path) -> None:
    """In raster order over the whole image, not over the tiles."""
    image = np.zeros((20, 16), dtype=np.float32)
    for slow, fast in ((9, 1), (3, 12), (3, 13), (12, 3)):
        image[slow, fast] = 7.0
    corners = [(slow, fast) for slow in (0, 8, 16) for fast in (0, 8)]
    parts = [
        summarise(image[slow : slow + 8, fast : fast + 8], (slow, fast), None)
        for slow, fast in corners
    ]
    for order in (parts, parts[::-1]):
        found = combine(order)
        assert (found.max, found.max_slow, found.max_fast) == (7.0, 3, 12)
