"""Tiles: rectangles of detector pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Tile(NamedTuple):
    """A rectangle of pixels, half-open, in zero-based detector indices."""

    slow0: int
    slow1: int
    fast0: int
    fast1: int

    @classmethod
    def within(cls, bounds: tuple[int, int, int, int]) -> Tile:
        """Return the pixels from first to last, both included: slow, slow, fast, fast."""
        return cls(bounds[0], bounds[1] + 1, bounds[2], bounds[3] + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels along (slow, fast)."""
        return (self.slow1 - self.slow0, self.fast1 - self.fast0)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return (self.slow1 - self.slow0) * (self.fast1 - self.fast0)

    def __str__(self) -> str:
        """Return where it is: ``"slow 0:64 fast 64:128"``."""
        return f"slow {self.slow0}:{self.slow1} fast {self.fast0}:{self.fast1}"

    def intersect(self, other: Tile) -> Tile | None:
        """Return the common rectangle, or None where there is none."""
        slow0, slow1 = max(self.slow0, other.slow0), min(self.slow1, other.slow1)
        fast0, fast1 = max(self.fast0, other.fast0), min(self.fast1, other.fast1)
        if slow0 >= slow1 or fast0 >= fast1:
            return None
        return Tile(slow0, slow1, fast0, fast1)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The regular grid of tiles that covers a detector; tiles at the far edges may be smaller.

    The grid holds no list: tile ``i`` is computed when asked for, so a million tiles cost nothing.

    Parameters
    ----------
    shape : tuple of int
        Pixels of the detector, (slow, fast).
    tile : tuple of int
        Pixels of a full tile, (slow, fast).
    """

    shape: tuple[int, int]
    tile: tuple[int, int]

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles along (slow, fast)."""
        return (-(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1]))

    def __len__(self) -> int:
        """Return the number of tiles."""
        return self.counts[0] * self.counts[1]

    def __getitem__(self, index: int) -> Tile:
        """Return tile ``index`` in row-major order."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        row, column = divmod(index, self.counts[1])
        slow0, fast0 = row * self.tile[0], column * self.tile[1]
        return Tile(
            slow0,
            min(slow0 + self.tile[0], self.shape[0]),
            fast0,
            min(fast0 + self.tile[1], self.shape[1]),
        )

    def __iter__(self) -> Iterator[Tile]:
        """Go through the tiles in row-major order."""
        return (self[i] for i in range(len(self)))

    def row_column(self, index: int) -> tuple[int, int]:
        """Return (row, column) of tile ``index`` in the grid."""
        return divmod(index, self.counts[1])
