"""Shards: every tile belongs to one of them, and costly regions spread."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from nbdask.errors import PlanError
from nbdask.plan.shards import Shard, owners


@pytest.mark.parametrize("total", [1, 5, 64, 1000])
@pytest.mark.parametrize("count", [1, 2, 7, 64, 200])
def test_every_tile_belongs_to_one_shard(total: int, count: int) -> None:
    """In shares that differ by one at most, listed in order."""
    shares = [list(Shard(number, count).tiles(total)) for number in range(1, count + 1)]
    assert sorted(index for share in shares for index in share) == list(range(total))
    assert all(share == sorted(share) for share in shares)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    owner = owners(total, count)
    for number, share in enumerate(shares, 1):
        assert np.flatnonzero(owner == number).tolist() == share


def test_the_rule_is_that_of_the_specification() -> None:
    """Tile i of round q: shard 1 + (i + CRC-32 of q) mod N."""
    owner = owners(1000, 37)
    for index in (0, 36, 37, 500, 999):
        shift = zlib.crc32((index // 37).to_bytes(8, "little"))
        assert owner[index] == 1 + (index + shift) % 37


@pytest.mark.parametrize("columns", [32, 37, 63, 64, 65, 100, 128])
@pytest.mark.parametrize("count", [10, 31, 32, 64, 100])
def test_costly_regions_spread(columns: int, count: int) -> None:
    """Of a beam in the middle of the detector no shard has much more than its part."""
    row, column = np.divmod(np.arange(columns * columns), columns)
    middle = (columns - 1) / 2
    cost = np.exp(-((row - middle) ** 2 + (column - middle) ** 2) / (columns / 4) ** 2)
    work = np.bincount(owners(len(cost), count), weights=cost)[1:]
    assert work.max() < 2.3 * work.mean()
    in_columns = np.exp(-((column - middle) ** 2) / (columns / 8) ** 2)
    work = np.bincount(owners(len(cost), count), weights=in_columns)[1:]
    assert work.max() < 2.3 * work.mean()


@pytest.mark.parametrize("text", ["1/1", "3/200", "200/200"])
def test_shards_are_read_and_written(text: str) -> None:
    """As they stand on the command line."""
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "3", "0/200", "201/200", "-1/3", "1/0", "1/2/3", "a/b", "1/2000000", "1 /2", "1.0/2"],
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    """In one line that says what is."""
    with pytest.raises(PlanError, match=r"^--shard .*: must be NUMBER/COUNT with a number from 1"):
        Shard.parse(text)
