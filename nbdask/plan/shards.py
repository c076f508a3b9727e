"""Shards: which tiles of an image each of many independent runs computes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import PlanError

#: Most shards of an image.
MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the shares of an image's tiles.

    Tiles are dealt out in rounds of ``count``, each shard gets one of every round.  Where a round
    begins is drawn from the CRC-32 of its number, so that no shard keeps to one column of tiles.

    Parameters
    ----------
    number : int
        From 1.
    count : int
        Of all shards.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3/200``.

        Raises
        ------
        PlanError
            Something else, or no such shard.
        """
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count <= MOST:
            raise PlanError(
                f"--shard {text}: must be NUMBER/COUNT with a number from 1 to the count and at"
                f" most {MOST} shards, such as 3/200"
            )
        return cls(number, count)

    def __str__(self) -> str:
        """Return it as ``3/200``."""
        return f"{self.number}/{self.count}"

    def tiles(self, total: int) -> Iterator[int]:
        """Yield the numbers of its tiles, in order, where there are ``total``."""
        for turn in range(-(-total // self.count)):
            index = turn * self.count + (self.number - 1 - _shift(turn)) % self.count
            if index < total:
                yield index


def _shift(turn: int) -> int:
    return zlib.crc32(turn.to_bytes(8, "little"))


def owners(total: int, count: int) -> NDArray[np.int64]:
    """Return the number of the shard that each tile belongs to, (tiles,)."""
    found = np.arange(total, dtype=np.int64)
    for turn in range(-(-total // count)):
        part = found[turn * count : (turn + 1) * count]
        part[:] = (part + _shift(turn)) % count + 1
    return found
