"""A store from its creation to its end: who may write, resume and read it, and what it tells."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbdask
from nbdask.errors import StoreError
from nbdask.experiment import Beam, Detector, Experiment, Sampling, StructureFactors
from nbdask.inputs.checksum import sha256_of
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import EMPTY, combine, summarise
from nbdask.store import schema
from nbdask.store.address import place_of
from nbdask.store.create import create_store, update_attributes
from nbdask.store.earlier import backend_of, bound_of, is_replaced, note_of
from nbdask.store.local import LocalPlace
from nbdask.store.lock import Lock
from nbdask.store.open import open_store, read_summary
from nbdask.store.place import reason
from nbdask.store.provenance import end_attributes, input_files, now, versions
from nbdask.store.reader import StoreReader
from nbdask.store.resume import check_same
from nbdask.store.space import check_space, least_bytes, most_bytes
from nbdask.store.write import TileWriter
from tests.helpers import all_records, image_of, root_of, small_experiment

EXPERIMENT = small_experiment()
FREE = "free some space, then the same command with --resume goes on"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of a small run; tests copy it."""
    path = tmp_path_factory.mktemp("run") / "a.zarr"
    nbdask.simulate(EXPERIMENT, path, backend="numpy", threads=1, tile=16)
    return path


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "a.zarr"))


def test_a_reader_gives_tiles_records_and_summaries(finished: Path) -> None:
    """All ways to read agree with the image."""
    reader, image = StoreReader(finished), image_of(EXPERIMENT)
    assert reader.path == finished
    assert reader.unit == "photons"
    assert reader.done().tolist() == [True] * 4
    for index, tile in enumerate(reader.grid):
        part = image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        assert np.array_equal(reader.tile(index), part)
        record = reader.record(index)
        assert record is not None
        assert tuple(record) == schema.FIELDS
        assert (record["done"], record["n_evaluated"]) == (1.0, part.size)
        assert all_records(reader)[index].tolist() == list(record.values())
    summaries = list(reader.summaries())
    expected = [
        summarise(image[t.slow0 : t.slow1, t.fast0 : t.fast1], (t.slow0, t.fast0), None)
        for t in reader.grid
    ]
    assert [s._replace(seconds=0.0) for s in summaries] == expected
    assert combine(summaries).to_dict() == reader.attributes["statistics"]


def test_a_record_that_cannot_be_read_counts_as_missing(store: Path) -> None:
    """So do the others of its file, and the run computes these tiles."""
    image = np.asarray(StoreReader(store).image[:])
    (store / "tiles/c/0/0/0").write_bytes(b"short")
    reader = StoreReader(store)
    assert not reader.done().any()
    seen: list[tuple[int, int]] = []
    nbdask.simulate(
        EXPERIMENT,
        store,
        backend="numpy",
        threads=1,
        tile=16,
        resume=True,
        progress=lambda *at: seen.append(at),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.array_equal(np.asarray(StoreReader(store).image[:]), image)
    assert len(StoreReader(store).attributes["resumed"]) == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"format_version": 99}, "has format version 99, this nbdask reads up to 4: install"),
        ({"status": "creating"}, "was being created when its run ended: start again with --overw"),
        ({"plan": {}}, "is damaged: its root has no attribute plan.steps_per_task"),
        ({"plan": 5}, "is damaged: attribute plan of its root is 5: must be a table"),
        ({"backend": None}, "is damaged: attribute backend of its root is null: must be a text"),
        ({"format": "other"}, "is not an nbdask store: give the path of a finished or running run"),
    ],
)
def test_stores_that_cannot_be_read(store: Path, change: dict[str, Any], line: str) -> None:
    """Each reader refuses them in the same words."""
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"].update(change)
    (store / "zarr.json").write_text(json.dumps(root))
    for read in (StoreReader, open_store, read_summary):
        with pytest.raises(StoreError) as caught:
            read(store)  # type: ignore[operator]
        assert str(caught.value).startswith(f"{store} {line}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["image", "tiles"])
@pytest.mark.parametrize("text", [None, "", "{}", '{"zarr_format": 3, "node_type": "group"}'])
def test_damaged_metadata_of_an_array(store: Path, name: str, text: str | None) -> None:
    """Missing, empty or of something else."""
    file = store / name / "zarr.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(StoreError, match=r"is damaged: the metadata of its arrays cannot be read"):
        StoreReader(store)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"attributes": 5}', "\x00"])
def test_a_folder_whose_root_is_garbled_is_no_store(store: Path, text: str) -> None:
    """It is neither read nor ever deleted."""
    (store / "zarr.json").write_text(text)
    with pytest.raises(StoreError, match="is not an nbdask store"):
        StoreReader(store)
    with pytest.raises(StoreError, match="is not an nbdask store, so --overwrite does not delete"):
        place_of(store).check_free(True)
    assert (store / "image").is_dir()


def test_an_open_store_tells_units_and_experiment(finished: Path) -> None:
    """What a plain reader of the array needs."""
    dataset = open_store(finished)
    assert dataset["image"].attrs["units"] == "photon"
    again = Experiment.from_dict(json.loads(dataset["image"].attrs["experiment"]))
    assert again == EXPERIMENT
    assert dataset["slow"].attrs["pixel_size_m"] == EXPERIMENT.detector.pixel_size
    summary = read_summary(finished)
    assert summary["shape"] == [32, 24]
    assert summary["tiles"] == {"done": 4, "total": 4, "shape": [16, 16]}
    assert summary["unit"] == "photons"


CHANGED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"beam": Beam(wavelength=1.5e-10)}, {}, "beam.wavelength: default -> 1.5e-10"),
    ({"structure": StructureFactors(default_F=7.0)}, {}, "structure.default_F: 100.0 -> 7.0"),
    ({"sampling": Sampling()}, {}, "sampling.oversample: 1 -> default"),
    ({"semantics": "c"}, {}, 'semantics: default -> "c"'),
    ({}, {"tile": 8}, "tile: [16, 16] -> [8, 8]"),
    (
        {"detector": Detector(pixels_fast=24, pixels_slow=31, pixel_size=4e-4)},
        {},
        "shape: [32, 24] -> [31, 24]; detector.pixels_slow: 32 -> 31",
    ),
]


@pytest.mark.parametrize(("parts", "options", "line"), CHANGED)
def test_a_run_is_not_resumed_with_other_settings(
    finished: Path, parts: dict[str, Any], options: dict[str, Any], line: str
) -> None:
    """Every difference is told as stored -> now, and what may be done."""
    with pytest.raises(StoreError) as caught:
        nbdask.simulate(
            EXPERIMENT.replace(**parts),
            finished,
            resume=True,
            **{"backend": "numpy", "threads": 1, **options},
        )
    assert str(caught.value).startswith(
        f"--resume: {finished} was started with other settings (stored -> now): "
    )
    assert line in str(caught.value)
    assert str(caught.value).endswith(". Use the same command, or --overwrite to start again")


def test_the_same_settings_are_the_same(finished: Path) -> None:
    """As stored, and with a discontinued kernel in the place of today's."""
    reader = StoreReader(finished)
    check_same(reader, reader.attributes)
    plan = {**reader.attributes["plan"], "kernel_version": "0"}
    with pytest.raises(StoreError, match=r"repair: .*kernel_version: \"[^\"]+\" -> \"0\""):
        check_same(reader, {**reader.attributes, "plan": plan}, doing="repair")
    file = {"role": "mask", "path": "/m.img", "sha256": "1" * 64}
    with pytest.raises(StoreError, match=r"mask /m\.img: sha256 \"none\"\.\.\. -> \"1{13}\.\.\."):
        check_same(reader, {**reader.attributes, "inputs": [file]})


@pytest.mark.parametrize(
    ("attributes", "today", "bound"),
    [
        ({"backend": "cpu", "precision": "float64"}, "cpu", 0.0),
        ({"backend": "numpy", "precision": "float64"}, "numpy", 0.0),
        ({"backend": "older", "precision": "float64"}, "cpu", 2e-7),
        ({"backend": "older", "precision": "mixed"}, "cpu", 1e-5),
    ],
)
def test_kernels_that_are_no_more(attributes: dict[str, str], today: str, bound: float) -> None:
    """Another one stands in, and how far it may be off is on record."""
    assert backend_of(attributes) == today
    assert bound_of(attributes) == bound
    assert is_replaced(attributes) == (bound > 0)
    notes = note_of(attributes, "7")
    assert bool(notes) == (bound > 0)
    for note in notes:
        assert note == (
            f"begun with the kernel older and continued with cpu, version 7: tiles of the two agree"
            f" within {bound:.0e} of a tile's maximum, not in every bit"
        )


class Disk(LocalPlace):
    """A place with a given number of free bytes."""

    free: int | None = None

    def free_bytes(self) -> int | None:
        """Return the given number."""
        return self.free


@pytest.mark.parametrize(
    ("free", "told"),
    [(None, ""), (10**12, ""), (4 * 4352 + 4 * 768, ""), (4 * 4352 + 4 * 768 - 1, "may need up"),
     (4 * 4352, "may need up"), (4 * 4352 - 1, "refused"), (0, "refused")],
)  # fmt: skip
def test_what_surely_does_not_fit_is_refused_and_the_rest_told(
    tmp_path: Path, free: int | None, told: str
) -> None:
    """Between an empty image and one that cannot be compressed there is a note."""
    grid, disk = TileGrid((32, 24), (16, 16)), Disk(tmp_path / "a.zarr")
    object.__setattr__(disk, "free", free)
    assert (least_bytes(4), most_bytes(grid, 4)) == (4 * 4352, 4 * 4352 + 4 * 768)
    if told == "refused":
        with pytest.raises(StoreError) as caught:
            check_space(disk, grid, 4)
        assert str(caught.value).startswith(
            f"--out {disk.name}: 4 tiles need at least 17.0 KiB but"
        )
    else:
        notes = check_space(disk, grid, 4)
        assert len(notes) == bool(told)
        assert all("may need up to 20.0 KiB on disk" in note for note in notes)
    assert check_space(disk, grid, 0) == ()


def test_attributes_of_the_end(store: Path) -> None:
    """NaN has no place in JSON: such a statistic is null."""
    statistics = combine([EMPTY])._replace(mean=float("nan"), max=2.0)
    found = end_attributes(statistics)
    assert found["statistics"]["mean"] is None
    assert found["statistics"]["max"] == 2.0
    assert found["status"] == "complete"
    update_attributes(store, found)
    assert StoreReader(store).attributes["statistics"]["mean"] is None
    assert now().endswith("+00:00")
    assert {"python", "numpy", "zarr"} <= set(versions())


def test_attributes_of_a_store_that_is_gone_or_garbled(store: Path) -> None:
    """Changing them is refused in one line, and nothing is made anew."""
    (store / "zarr.json").write_text("{")
    begin = f"{store}: cannot update the root's attributes: "
    with pytest.raises(StoreError) as caught:
        update_attributes(store, {"a": 1})
    assert str(caught.value).startswith(begin)
    assert (store / "zarr.json").read_text() == "{"
    shutil.rmtree(store)
    with pytest.raises(StoreError) as caught:
        update_attributes(store, {"a": 1})
    assert str(caught.value) == f"{begin}No such file or directory"
    assert not store.exists()


def test_input_files_are_on_record_by_content(tmp_path: Path) -> None:
    """Checksums that are held are taken; files that are only on record may be gone."""
    hkl, matrix, gone = tmp_path / "a.hkl", tmp_path / "A.mat", tmp_path / "gone.txt"
    hkl.write_text("0 0 0 1\n")
    matrix.write_text("1 0 0 0 1 0 0 0 1\n")
    crystal = replace(EXPERIMENT.crystal, matrix_file=str(matrix))
    experiment = EXPERIMENT.replace(
        crystal=crystal,
        structure=StructureFactors(path=str(hkl)),
        sampling=Sampling(mask="/no/mask.img", mask_sha256="5" * 64),
        sources=replace(EXPERIMENT.sources, file=str(gone)),
    )
    assert input_files(experiment) == [
        {"role": "structure factors", "path": str(hkl), "sha256": sha256_of(hkl)},
        {"role": "mask", "path": "/no/mask.img", "sha256": "5" * 64},
        {"role": "orientation matrix", "path": str(matrix), "sha256": sha256_of(matrix)},
    ]
    assert input_files(EXPERIMENT) == []


def test_places_list_read_and_remove_files(store: Path) -> None:
    """By names within the store; what is not there is no error."""
    place = place_of(store)
    assert place.exists()
    assert place.read("absent") is None
    assert json.loads(place.read("zarr.json") or b"")["attributes"]["format"] == "nbdask"
    keys = place.keys("image/c/")
    assert sorted(keys) == [f"image/c/{row}/{column}" for row in (0, 1) for column in (0, 1)]
    assert place.keys("absent/") == []
    place.remove(keys[0])
    place.remove(keys[0])
    assert len(place.keys("image/c/")) == 3
    (store / "image/c/0/7.0123.partial").write_bytes(b"half")
    (store / "tiles.partial").write_bytes(b"half")
    assert place.sweep() == 2
    assert place.sweep() == 0
    assert (place.free_bytes() or 0) > 0
    shutil.rmtree(store)
    assert not place.exists()
    with pytest.raises(FileNotFoundError):
        place.check_alive()


def test_a_lock_file_is_taken_by_one(tmp_path: Path) -> None:
    """Created once, replaced only by who saw what is there, renewed with another stamp."""
    file = place_of(tmp_path / "a.zarr").lock_file()
    assert file.name == str(tmp_path / ".a.zarr.lock")
    assert file.read() is None
    assert file.create(b"one")
    assert not file.create(b"two")
    seen = file.read()
    assert seen is not None
    assert seen.text == b"one"
    os.utime(file.name, ns=(1, 1))
    renewed = file.read()
    file.renew(b"one")
    after = file.read()
    assert renewed is not None
    assert after is not None
    assert renewed.stamp != after.stamp
    assert file.replace(after, b"three")
    assert not file.replace(after, b"four")
    file.delete()
    file.delete()
    assert file.read() is None
    assert file.replace(after, b"five")
    assert Path(file.name).read_bytes() == b"five"


def test_two_runs_of_two_stores_do_not_disturb_each_other(tmp_path: Path) -> None:
    """A lock belongs to one name in one folder; it goes with an error too."""
    with Lock(place_of(tmp_path / "a.zarr")) as lock:
        lock.check()
        with pytest.raises(ZeroDivisionError), Lock(place_of(tmp_path / "b.zarr")):
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == [".a.zarr.lock"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device"), f"No space left on device; {FREE}"),
        (OSError(122, "Disk quota exceeded"), f"Disk quota exceeded; {FREE}"),
        (
            OSError(30, "Read-only file system"),
            "Read-only file system; the folder must be writable (with --cluster, for every worker)",
        ),
        (OSError(5, "Input/output error"), "Input/output error"),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
def test_reasons_tell_what_to_do(error: Exception, text: str) -> None:
    """Where that is known."""
    assert reason(error) == text


@pytest.mark.parametrize(
    ("out", "line"),
    [
        ("", "path '' is empty: give that of the store, such as run.zarr"),
        ("http://a/b", "--out http://a/b: give a path, or an address that begins with s3://"),
        (b"a.zarr", "b'a.zarr' is not a path: give that of a store, such as 'run.zarr'"),
        (7, "7 is not a path: give that of a store, such as 'run.zarr'"),
    ],
)
def test_what_is_no_place(out: Any, line: str) -> None:
    """Text or a path; a place is one already."""
    with pytest.raises(StoreError) as caught:
        place_of(out)
    assert str(caught.value) == line
    place = place_of("a.zarr")
    assert place_of(place) is place
    assert place == LocalPlace(Path("a.zarr").absolute())


def test_a_store_of_another_unit_says_so(tmp_path: Path) -> None:
    """What a pixel counts is an attribute of the image."""
    grid = TileGrid((5, 7), (5, 7))
    attributes = root_of(grid)
    image = {"long_name": "counts", "units": "adu"}
    create_store(tmp_path / "a.zarr", grid, attributes, pixel_size=1e-4, image=image)
    TileWriter(tmp_path / "a.zarr")(0, Tile(0, 5, 0, 7), np.ones((5, 7), np.float32), EMPTY)
    reader = StoreReader(tmp_path / "a.zarr")
    assert reader.unit == "adu"
    assert reader.tile(0).tolist() == [[1.0] * 7] * 5
    assert read_summary(tmp_path / "a.zarr")["tiles"]["done"] == 1
