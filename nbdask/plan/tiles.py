"""Tiles: rectangles of detector pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Tile(NamedTuple):
    """A rectangle of pixels of one panel, half-open, in zero-based indices."""

    slow0: int
    slow1: int
    fast0: int
    fast1: int
    panel: int = 0

    @classmethod
    def within(cls, bounds: tuple[int, int, int, int]) -> Tile:
        """Return the pixels from first to last, both included: slow, slow, fast, fast."""
        return cls(bounds[0], bounds[1] + 1, bounds[2], bounds[3] + 1)

    @classmethod
    def of_shape(cls, shape: tuple[int, int], panel: int = 0) -> Tile:
        """Return all pixels of a panel of that shape, (slow, fast)."""
        return cls(0, shape[0], 0, shape[1], panel)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels along (slow, fast)."""
        return (self.slow1 - self.slow0, self.fast1 - self.fast0)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return (self.slow1 - self.slow0) * (self.fast1 - self.fast0)

    def intersect(self, other: Tile) -> Tile | None:
        """Return the common rectangle, on this one's panel, or None where there is none."""
        slow0, slow1 = max(self.slow0, other.slow0), min(self.slow1, other.slow1)
        fast0, fast1 = max(self.fast0, other.fast0), min(self.fast1, other.fast1)
        if slow0 >= slow1 or fast0 >= fast1:
            return None
        return Tile(slow0, slow1, fast0, fast1, self.panel)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First and last (exclusive) slow index, first and last fast index."""
        return self[:4]

    def __str__(self) -> str:
        """Return where it is, for messages; the first panel is not named."""
        panel = f"panel {self.panel}, " if self.panel else ""
        return f"{panel}slow {self.slow0} to {self.slow1}, fast {self.fast0} to {self.fast1}"


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The regular grid of tiles that covers each panel; tiles at the far edges may be smaller.

    The grid holds no list: tile ``i`` is computed when asked for, so a million tiles cost nothing.

    Parameters
    ----------
    shape : tuple of int
        Pixels of a panel, (slow, fast).
    tile : tuple of int
        Pixels of a full tile, (slow, fast).
    panels : int
        Number of panels.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    panels: int = 1

    @classmethod
    def of(cls, shape: Sequence[int], tile: Sequence[int]) -> TileGrid:
        """Return the grid of an image of shape (slow, fast) or (panel, slow, fast)."""
        panels = shape[0] if len(shape) > 2 else 1
        return cls((shape[-2], shape[-1]), (tile[0], tile[1]), panels)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of the image: (slow, fast), or of several panels (panel, slow, fast)."""
        return self.shape if self.panels == 1 else (self.panels, *self.shape)

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.panels * self.shape[0] * self.shape[1]

    @property
    def per_panel(self) -> int:
        """Tiles of a panel."""
        return self.counts[0] * self.counts[1]

    @property
    def apart(self) -> int | None:
        """Tiles of a panel where there are several; None: there is one."""
        return self.per_panel if self.panels > 1 else None

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles of a panel along (slow, fast)."""
        return (-(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1]))

    def __len__(self) -> int:
        """Return the number of tiles."""
        return self.panels * self.per_panel

    def __getitem__(self, index: int) -> Tile:
        """Return tile ``index``: panel by panel, each in row-major order."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        panel, number = divmod(index, self.per_panel)
        row, column = divmod(number, self.counts[1])
        slow0, fast0 = row * self.tile[0], column * self.tile[1]
        return Tile(
            slow0,
            min(slow0 + self.tile[0], self.shape[0]),
            fast0,
            min(fast0 + self.tile[1], self.shape[1]),
            panel,
        )

    def __iter__(self) -> Iterator[Tile]:
        """Go through the tiles in their order."""
        return (self[i] for i in range(len(self)))

    def place(self, index: int) -> tuple[int, ...]:
        """Return (row, column) of tile ``index``, of several panels (panel, row, column)."""
        panel, number = divmod(index, self.per_panel)
        place = divmod(number, self.counts[1])
        return place if self.panels == 1 else (panel, *place)
