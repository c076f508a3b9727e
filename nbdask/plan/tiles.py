"""Tiles: rectangles of detector pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nbdask.statistics import Apart


class Tile(NamedTuple):
    """A rectangle of pixels of one panel of one shot, half-open, in zero-based indices."""

    slow0: int
    slow1: int
    fast0: int
    fast1: int
    panel: int = 0
    shot: int = 0

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
        """Return the common rectangle, on this one's panel and shot; None: there is none."""
        slow0, slow1 = max(self.slow0, other.slow0), min(self.slow1, other.slow1)
        fast0, fast1 = max(self.fast0, other.fast0), min(self.fast1, other.fast1)
        if slow0 >= slow1 or fast0 >= fast1:
            return None
        return Tile(slow0, slow1, fast0, fast1, self.panel, self.shot)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First and last (exclusive) slow index, first and last fast index."""
        return self[:4]

    def __str__(self) -> str:
        """Return where it is, for messages; the first panel and the first shot are not named."""
        shot = f"shot {self.shot}, " if self.shot else ""
        panel = f"panel {self.panel}, " if self.panel else ""
        return f"{shot}{panel}slow {self.slow0} to {self.slow1}, fast {self.fast0} to {self.fast1}"


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
    shots : int
        Number of shots of a series, also where it is 1; 0: an image that is none of a series.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    panels: int = 1
    shots: int = 0

    @classmethod
    def of(cls, shape: Sequence[int], tile: Sequence[int], *, series: bool = False) -> TileGrid:
        """Return the grid of an image of shape (slow, fast) or (panel, slow, fast).

        Parameters
        ----------
        shape, tile : sequence of int
        series : bool
            Whether the number of shots comes before these.
        """
        shots, rest = (shape[0], shape[1:]) if series else (0, shape)
        panels = rest[0] if len(rest) > 2 else 1
        return cls((rest[-2], rest[-1]), (tile[0], tile[1]), panels, shots)

    @property
    def before(self) -> tuple[int, ...]:
        """Shape of what comes before (slow, fast): shots of a series, panels where several."""
        shots = (self.shots,) if self.shots else ()
        return shots if self.panels == 1 else (*shots, self.panels)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions of the image."""
        shots = ("shot",) if self.shots else ()
        panels = ("panel",) if self.panels > 1 else ()
        return (*shots, *panels, "slow", "fast")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of the image: ([shot,] [panel,] slow, fast); panel where there are several."""
        return (*self.before, *self.shape)

    @property
    def planes(self) -> int:
        """Panels of all shots."""
        return max(1, self.shots) * self.panels

    @property
    def pixels(self) -> int:
        """Pixels of the image, of all shots."""
        return self.planes * self.shape[0] * self.shape[1]

    @property
    def per_shot(self) -> int:
        """Tiles of a shot."""
        return self.panels * self.per_panel

    @property
    def one_shot(self) -> TileGrid:
        """The grid of one shot alone."""
        return TileGrid(self.shape, self.tile, self.panels)

    @property
    def per_panel(self) -> int:
        """Tiles of a panel."""
        return self.counts[0] * self.counts[1]

    @property
    def apart(self) -> Apart | None:
        """How tiles follow one another where there are several panels or shots."""
        several = self.panels > 1 or self.shots
        return Apart(self.per_panel, self.panels, self.shots) if several else None

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles of a panel along (slow, fast)."""
        return (-(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1]))

    def __len__(self) -> int:
        """Return the number of tiles."""
        return self.planes * self.per_panel

    def __getitem__(self, index: int) -> Tile:
        """Return tile ``index``: shot by shot, panel by panel, each in row-major order."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        plane, number = divmod(index, self.per_panel)
        shot, panel = divmod(plane, self.panels)
        row, column = divmod(number, self.counts[1])
        slow0, fast0 = row * self.tile[0], column * self.tile[1]
        return Tile(
            slow0,
            min(slow0 + self.tile[0], self.shape[0]),
            fast0,
            min(fast0 + self.tile[1], self.shape[1]),
            panel,
            shot,
        )

    def __iter__(self) -> Iterator[Tile]:
        """Go through the tiles in their order."""
        return (self[i] for i in range(len(self)))

    def place(self, index: int) -> tuple[int, ...]:
        """Return (row, column) of tile ``index``; before them its shot and panel, as in the image.

        See :attr:`before`.
        """
        plane, number = divmod(index, self.per_panel)
        place = divmod(number, self.counts[1])
        shot, panel = divmod(plane, self.panels)
        shots = (shot,) if self.shots else ()
        return (*shots, *place) if self.panels == 1 else (*shots, panel, *place)

    def number(self, place: Sequence[int]) -> int:
        """Return the number of the tile at a place as :meth:`place` gives it."""
        index = 0
        for at, count in zip(place, (*self.before, *self.counts), strict=True):
            index = index * count + at
        return index


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape such as 8 x 512 x 1024."""
    return " x ".join(map(str, shape))


def dims_text(shape: Sequence[int], series: bool = False) -> str:
    """Return what the numbers of a shape count; of a series the first counts shots."""
    inner = ("panel", "slow", "fast")[-(len(shape) - series) :]
    return " x ".join((*(["shot"] if series else []), *inner))
