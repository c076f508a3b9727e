"""How fast a store's place is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbdask.plan.estimate import Storage
from nbdask.store import speed
from nbdask.store.address import place_of


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The folder need not be there; nobody waits for a small file where durability is fast."""
    (tmp_path / "there").mkdir()
    place = place_of(tmp_path / "there" / "not" / "a.zarr")
    full = speed.measured_storage(place)
    assert full.measured
    assert full.latency > 0
    assert full.bandwidth > 0
    assert speed.measured_storage(place_of(place.name, "fast")).latency == 0.0
    assert os.listdir(tmp_path) == ["there"]
    assert os.listdir(tmp_path / "there") == []


def test_a_place_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is usual counts then."""

    def full(*_: object) -> float:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(speed, "_seconds", full)
    assert speed.measured_storage(place_of(tmp_path / "a.zarr")) == Storage()


def test_slow_storage_gets_a_small_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A larger one tells more, but only where it takes no time."""
    sizes: list[int] = []

    def seconds(folder: Path, size: int, durable: bool) -> float:
        sizes.append(size)
        return 0.001 + size / rate

    monkeypatch.setattr(speed, "_seconds", seconds)
    for rate, largest in ((1e7, 1 << 22), (1e9, 1 << 25)):
        found = speed.measured_storage(place_of(tmp_path / "a.zarr"))
        assert found.bandwidth == pytest.approx(rate, rel=0.01)
        assert sizes.pop() == largest
        sizes.clear()
