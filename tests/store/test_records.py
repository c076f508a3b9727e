"""Records: journals of many writers, read with the array, and put into it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

import nbdask
from benchmarks import records
from nbdask.errors import StoreError
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import summarise
from nbdask.store import journal as journal_module
from nbdask.store import schema
from nbdask.store import write as write_module
from nbdask.store.address import place_of
from nbdask.store.create import create_store
from nbdask.store.journal import Journal, entry, entry_type, is_journal, parsed, seed_of
from nbdask.store.ledger import record_chunks
from nbdask.store.local import LocalPlace
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter
from tests.helpers import all_records, records_of, root_of, small_experiment

GRID = TileGrid((20, 30), (8, 16))
IMAGE = np.arange(600, dtype=np.float32).reshape(20, 30)
VALUES = [1.0, *range(2, 1 + len(schema.FIELDS))]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store without pixels."""
    create_store(tmp_path / "a.zarr", GRID, root_of(GRID), pixel_size=2e-4)
    return tmp_path / "a.zarr"


def write(writer: TileWriter, index: int, image: NDArray[np.float32] = IMAGE) -> None:
    """Write a tile."""
    tile = GRID[index]
    part = np.ascontiguousarray(image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1])
    writer(index, tile, part, summarise(part, (tile.slow0, tile.fast0), None))


def journals(store: Path) -> list[str]:
    """Return the names of the journals."""
    names = [file.name for file in (store / "tiles").iterdir()]
    return sorted(name for name in names if is_journal(f"tiles/{name}"))


def array(store: Path) -> Any:
    """Return the array of records as any zarr reader sees it."""
    return zarr.open_array(store / "tiles", mode="r")


def test_an_entry_is_108_bytes_of_number_record_and_checksum() -> None:
    """All of them count: no other byte anywhere, no other store."""
    seed = seed_of({"fingerprint": "f", "started": "s"})
    data = entry(7, VALUES, seed)
    assert len(data) == 108
    assert int.from_bytes(data[:8], "little") == 7
    assert np.frombuffer(data[8:104], "<f8").tolist() == VALUES
    assert parsed(data, seed)["values"].tolist() == [VALUES]
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 4
        assert len(parsed(bytes(changed), seed)) == 0
    assert len(parsed(data, seed_of({"fingerprint": "f", "started": "later"}))) == 0


@pytest.mark.parametrize("cut", [0, 1, 107, 108, 215])
def test_what_is_torn_is_no_entry(cut: int) -> None:
    """Neither at the end nor, as zeros, between others."""
    data = entry(1, VALUES, 5) + bytes(108) + entry(2, VALUES, 5)
    found = parsed(data[: len(data) - cut] if cut else data, 5)["index"].tolist()
    assert found == ([1, 2] if cut == 0 else [1])


def test_of_one_tile_the_last_entry_of_a_journal_counts() -> None:
    """A process that does a tile again replaces what it wrote."""
    other = [*VALUES[:-1], 99.0]
    found = parsed(entry(3, VALUES, 5) + entry(1, VALUES, 5) + entry(3, other, 5), 5)
    assert dict(zip(found["index"].tolist(), found["values"].tolist(), strict=True)) == {
        1: VALUES,
        3: other,
    }


@pytest.mark.parametrize(
    ("counts", "chunks"),
    [((3, 2), (3, 2)), ((64, 64), (16, 64)), ((1000, 1000), (1, 1000)), ((5, 3000), (1, 1024)),
     ((4, 16, 16), (4, 16, 16)), ((9, 16, 16), (4, 16, 16)), ((9, 40, 40), (1, 25, 40))],
)  # fmt: skip
def test_a_file_holds_up_to_1024_records(counts: tuple, chunks: tuple) -> None:
    """Of neighbouring tiles, however many axes they are numbered along."""
    assert record_chunks(counts) == (*chunks, len(schema.FIELDS))


def test_each_process_keeps_a_journal_and_the_reader_sees_all(store) -> None:
    """Also one that was opened before; the array has nothing until they are put into it."""
    reader, first = StoreReader(store), TileWriter(store)
    second = pickle.loads(pickle.dumps(first))
    assert not reader.done().any()
    for index in (4, 0):
        write(first, index)
    write(second, 3)
    assert reader.done().tolist() == [True, False, False, True, True, False]
    assert len(journals(store)) == 2
    assert np.isnan(array(store)[...]).all()
    write(second, 5)
    assert reader.done().tolist() == [True, False, False, True, True, True]
    assert nbdask.open(store)["tiles"].values[2].tolist() == all_records(reader)[4:].tolist()


def test_settling_may_be_done_again_and_by_several(store) -> None:
    """Records stay what they are; journals are gone; who looked before sees the same."""
    reader, writer = StoreReader(store), TileWriter(store)
    for index in range(len(GRID)):
        write(writer, index)
    before = all_records(reader)
    for _ in range(2):
        reader.records.settle()
        assert journals(store) == []
        assert np.array_equal(np.asarray(array(store)[...]).reshape(before.shape), before)
        assert np.array_equal(all_records(reader), before)
    write(writer, 2)
    assert journals(store) != []
    StoreReader(store).records.settle()
    assert journals(store) == []
    assert np.array_equal(all_records(reader), before)


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("call", ["replace", "unlink"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_while_settling_loses_nothing(store, monkeypatch, call, number) -> None:
    """Journals go only when the array is on the disk."""
    writers = [TileWriter(store) for _ in range(2)]
    for index in range(len(GRID)):
        write(writers[index % 2], index)
    before, calls = records_of(store), []
    original: Callable[..., Any] = getattr(os, call)

    def killed(*words: Any, **options: Any) -> Any:
        calls.append(words)
        if len(calls) == number:
            raise Killed
        return original(*words, **options)

    monkeypatch.setattr(os, call, killed)
    with pytest.raises(Killed) if call == "unlink" or number == 1 else _nothing():
        StoreReader(store).records.settle()
    monkeypatch.undo()
    assert np.array_equal(records_of(store), before)
    StoreReader(store).records.settle()
    assert np.array_equal(records_of(store), before)
    assert journals(store) == []


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_where_journals_differ_the_pixels_decide(store) -> None:
    """Two processes did one tile with other bits; the one whose pixels are there counts."""
    one, other = (TileWriter(store) for _ in range(2))
    write(one, 1)
    write(other, 1, IMAGE + 1)
    write(one, 0)
    for reader in (StoreReader(store), StoreReader(store)):
        found = reader.record(1)
        assert found is not None
        assert found["max"] == IMAGE[:8, 16:].max() + 1
    (store / "image/c/0/1").unlink()
    assert StoreReader(store).done().tolist() == [True, *[False] * 5]
    write(one, 1)
    found = StoreReader(store).record(1)
    assert found is not None
    assert found["max"] == IMAGE[:8, 16:].max()


def test_a_journal_prevails_over_the_array(store) -> None:
    """As after a repair that was killed before its end."""
    writer = TileWriter(store)
    write(writer, 1)
    StoreReader(store).records.settle()
    write(TileWriter(store), 1, IMAGE + 1)
    found = StoreReader(store).record(1)
    assert found is not None
    assert found["max"] == IMAGE[:8, 16:].max() + 1


def test_entries_of_a_store_that_was_replaced_are_none(store) -> None:
    """A process that outlived it writes on; its records are not those of the new store."""
    writer = TileWriter(store)
    write(writer, 1)
    attributes = root_of(GRID) | {"started": "later"}
    create_store(store, GRID, attributes, pixel_size=2e-4, overwrite=True)
    write(writer, 2)
    assert len(journals(store)) == 1
    assert not StoreReader(store).done().any()


def test_threads_share_a_journal(store, monkeypatch) -> None:
    """None waits for its entry to be written by another without its being there."""
    monkeypatch.setattr(journal_module, "MOST", 5)
    zarr_store = place_of(store).zarr_store(read_only=False)
    made = Journal(zarr_store, 9)

    def add(index: int) -> bool:
        made.add([(index, VALUES)])
        found = [parsed((store / "tiles" / name).read_bytes(), 9) for name in journals(store)]
        return any(index in entries["index"] for entries in found)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(add, range(40)))
    names = journals(store)
    assert len({name.split(".")[1] for name in names}) == 1
    assert 1 < len(names) <= 8
    found = [parsed((store / "tiles" / name).read_bytes(), 9)["index"] for name in names]
    assert sorted(np.concatenate(found).tolist()) == list(range(40))


def test_an_entry_that_could_not_be_written_may_be_added_again(store, monkeypatch) -> None:
    """As after an outage that passed."""
    made = Journal(place_of(store).zarr_store(read_only=False), 9)
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *words: (_ for _ in ()).throw(OSError(5, "no")))
    with pytest.raises(OSError, match="no"):
        made.add([(1, VALUES)])
    monkeypatch.setattr(os, "replace", replace)
    made.add([(1, VALUES)])
    made.add([(2, VALUES)])
    (name,) = journals(store)
    assert parsed((store / "tiles" / name).read_bytes(), 9)["index"].tolist() == [1, 2]


def test_names_of_journals() -> None:
    """Nothing that is being written, no chunk, nothing elsewhere."""
    assert is_journal("tiles/journal.0123456789abcdef.12")
    for name in ("tiles/journal.0123456789abcdef.12.00ff.partial", "tiles/c/0/0/0", "journal.a.0"):
        assert not is_journal(name)


def test_a_complete_store_is_plain_zarr_with_few_files(tmp_path) -> None:
    """No journals; a file for each tile, one for their records, and what every store has."""
    nbdask.simulate(small_experiment(), tmp_path / "a.zarr", backend="numpy", tile=8, threads=3)
    files = sorted(
        file.relative_to(tmp_path / "a.zarr").as_posix()
        for file in (tmp_path / "a.zarr").rglob("*")
        if file.is_file()
    )
    assert [name for name in files if not name.startswith("image/c/")] == [
        "fast/c/0", "fast/zarr.json", "image/zarr.json", "slow/c/0", "slow/zarr.json",
        "tiles/c/0/0/0", "tiles/zarr.json", "zarr.json",
    ]  # fmt: skip
    assert len(files) == 12 + 8
    assert (np.asarray(array(tmp_path / "a.zarr")[..., 0]) == 1).all()
    assert entry_type(len(schema.FIELDS)).itemsize == 108


@pytest.mark.long
def test_a_million_records_are_read_in_seconds(tmp_path) -> None:
    """From the journals of 64 processes, and from the array; with few files."""
    found = records.synthetic(tmp_path, 1_000_000, 64)
    assert found["journals"]["processor_seconds_reading"] < 5
    assert found["array"]["processor_seconds_reading"] < 5
    assert found["journals"]["record_files"] < 5000
    assert found["array"]["record_files"] == 1000


def test_a_root_that_cannot_be_read_for_a_moment(store, monkeypatch) -> None:
    """No entry is written for another store than this one; the tile may be tried again."""
    writer = TileWriter(store)
    monkeypatch.setattr(write_module, "read_root", lambda place: None)
    with pytest.raises(StoreError, match=r"cannot write tile 1 .*the root cannot be read"):
        write(writer, 1)
    assert journals(store) == []
    monkeypatch.undo()
    write(writer, 1)
    assert StoreReader(store).done()[1]


def test_a_journal_that_cannot_be_read_for_a_moment_is_read_the_next_time(
    store, monkeypatch
) -> None:
    """Its stamp alone does not say that it was seen."""
    reader = StoreReader(store)
    write(TileWriter(store), 1)
    monkeypatch.setattr(LocalPlace, "read", lambda *_: None)
    assert not reader.done().any()
    monkeypatch.undo()
    assert reader.done().tolist() == [False, True, *[False] * 4]
