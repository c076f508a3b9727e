"""Records chunk by chunk: what is read and written, and how much is in memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.store import ledger as ledger_module
from nbdask.store import schema
from nbdask.store.journal import entry_type
from nbdask.store.ledger import Ledger, record_chunks
from nbdask.store.local import LocalPlace

FIELDS = len(schema.FIELDS)


def make(folder: Path, counts: tuple[int, ...], monkeypatch, room: int = 8) -> LocalPlace:
    """Make an array of records without any; a chunk has few."""
    monkeypatch.setattr(schema, "RECORDS", room)
    zarr.create_array(
        folder / "tiles",
        shape=(*counts, FIELDS),
        chunks=record_chunks(counts),
        dtype="float64",
        fill_value=np.nan,
        zarr_format=3,
    )
    (folder / "zarr.json").write_text("{}")
    return LocalPlace(folder)


def stored(place: LocalPlace) -> NDArray[np.float64]:
    """Return what is in the files, (tiles, fields)."""
    array: Any = zarr.open_array(place.path / "tiles", mode="r")
    return np.asarray(array[...]).reshape(-1, FIELDS)


def record(index: int) -> list[float]:
    """Return a record that tells whose it is."""
    return [1.0, *(index + field / 100 for field in range(1, FIELDS))]


@pytest.mark.parametrize(
    "counts", [(30,), (3, 2), (5, 30), (7, 5, 3), (40, 2, 1, 1), (3, 1, 10), (6, 4), (11, 1, 1)]
)
def test_every_record_has_its_place(tmp_path, monkeypatch, counts) -> None:
    """Whatever axes tiles are numbered along, and however chunks end."""
    place = make(tmp_path, counts, monkeypatch)
    count = int(np.prod(counts))
    ledger = Ledger.to_write(place)
    for index in np.random.default_rng(1).permutation(count).tolist():
        ledger.put(index, record(index))
    ledger.flush()
    wanted = np.array([record(index) for index in range(count)])
    assert np.array_equal(stored(place), wanted)
    reader = Ledger.to_write(place)
    for start, stop in ((0, count), (1, count - 1), (count // 2, count // 2 + 1)):
        assert np.array_equal(reader.rows(start, stop), wanted[start:stop])
    assert reader.one(count - 1).tolist() == wanted[-1].tolist()


def test_few_chunks_are_in_memory(tmp_path, monkeypatch) -> None:
    """S-STORE-86: in order none stays; without order no more than so many, and nothing is lost."""
    monkeypatch.setattr(ledger_module, "MOST", 3)
    place = make(tmp_path, (400,), monkeypatch)
    ledger = Ledger.to_write(place)
    for index in range(396):
        ledger.put(index, record(index))
        assert len(ledger._changed) + len(ledger._same) <= 1
    assert not np.isnan(stored(place)[:392]).any()
    assert np.isnan(stored(place)[392:]).all()
    again = Ledger.to_write(place)
    order = np.random.default_rng(2).permutation(400).tolist()
    again.drop(order)
    for index in order:
        again.put(index, record(index))
        again.rows(index, index + 1)
        assert len(again._changed) <= 3
        assert len(again._same) <= 3
    again.flush()
    assert np.array_equal(stored(place), [record(index) for index in range(400)])


def test_of_those_that_are_not_written_all_stay(tmp_path, monkeypatch) -> None:
    """Entries of journals of a store that another process fills."""
    monkeypatch.setattr(ledger_module, "MOST", 2)
    place = make(tmp_path, (80,), monkeypatch)
    array: Any = zarr.open_array(tmp_path / "tiles", mode="r")
    ledger = Ledger(place, array)
    entries = np.zeros(80, dtype=entry_type(FIELDS))
    entries["index"], entries["values"] = np.arange(80), [record(index) for index in range(80)]
    ledger.apply([entries], lambda *_: pytest.fail("nothing differs"))
    ledger.apply([entries], lambda *_: pytest.fail("nothing differs"))
    assert np.array_equal(ledger.rows(0, 80), entries["values"])
    assert np.isnan(stored(place)).all()


def test_what_is_there_is_not_written_again(tmp_path, monkeypatch) -> None:
    """As when a run is resumed that had put most of its records into the array."""
    place = make(tmp_path, (80,), monkeypatch)
    entries = np.zeros(80, dtype=entry_type(FIELDS))
    entries["index"], entries["values"] = np.arange(80), [record(index) for index in range(80)]
    first = Ledger.to_write(place)
    first.apply([entries], lambda *_: False)
    first.flush()
    monkeypatch.setattr(Ledger, "_put", lambda *_: pytest.fail("written again"))
    again = Ledger.to_write(place)
    again.apply([entries], lambda *_: False)
    again.flush()


def test_a_damaged_chunk(tmp_path, monkeypatch) -> None:
    """Its records are missing, by name where one is asked for, until it is written again."""
    place = make(tmp_path, (20,), monkeypatch)
    ledger = Ledger.to_write(place)
    for index in range(20):
        ledger.put(index, record(index))
    ledger.flush()
    (tmp_path / "tiles" / "c" / "1" / "0").write_bytes(b"no chunk")
    found = Ledger.to_write(place)
    assert np.isnan(found.rows(0, 20)[:, 0]).tolist() == [8 <= index < 16 for index in range(20)]
    with pytest.raises(ValueError, match=r"^the file of its record is damaged: "):
        found.one(9)
    found.put(9, record(9))
    assert found.one(9).tolist() == record(9)
    found.flush()
    assert Ledger.to_write(place).rows(9, 10).tolist() == [record(9)]


def test_a_disk_without_room(tmp_path, monkeypatch) -> None:
    """One line that says what to do; what has changed is still known."""
    place = make(tmp_path, (20,), monkeypatch)
    ledger = Ledger.to_write(place)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_put", full)
        for index in range(7):
            ledger.put(index, record(index))
        with pytest.raises(
            StoreError, match=r"records cannot be written: No space left .*--resume"
        ):
            ledger.put(7, record(7))
    ledger.flush()
    assert not np.isnan(stored(place)[:8]).any()


def test_a_store_that_is_gone_is_not_made_anew(tmp_path, monkeypatch) -> None:
    """One line; no folder of records comes back."""
    place = make(tmp_path, (20,), monkeypatch)
    ledger = Ledger.to_write(place)
    ledger.put(1, record(1))
    shutil.rmtree(tmp_path)
    with pytest.raises(StoreError, match="records cannot be written: No such file"):
        ledger.flush()
    assert not tmp_path.exists()
