"""Which parts of a detector are compared."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nbdask.parity.errors import ParityUsageError
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store.checked import overlapping

#: Above so many pixels C runs on small detectors instead of regions of the whole one.
WINDOW_PIXELS = 16 * 2**20
#: Tiles that are drawn by default.
DEFAULT_TILES = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """What the caller asks for.

    Parameters
    ----------
    tiles : int or None
        Tiles drawn at random; -1: all.
    tile_indices : tuple of (int, int)
        Row and column of tiles in the grid.
    roi : tuple of 4 ints or None
        slow_min, slow_max, fast_min, fast_max, inclusive, in pixels.
    brightest : int
        Tiles with the brightest pixels.
    seed : int
        Of the draw.
    edge : int or None
        Compare only a square of this edge of each tile; None: whole tiles.
    whole : bool
        The whole image as one region.
    only : bool
        Leave out the corners and the centre, unless they are asked for.
    """

    tiles: int | None = None
    tile_indices: tuple[tuple[int, int], ...] = ()
    roi: tuple[int, int, int, int] | None = None
    brightest: int = 0
    seed: int = 0
    edge: int | None = None
    whole: bool = False
    only: bool = False

    def __post_init__(self) -> None:
        """Refuse a choice of nothing."""
        asked = self.tile_indices or self.roi is not None or self.brightest or self.whole
        if self.only and self.tiles == 0 and not asked:
            raise ParityUsageError(
                f"--only with --tiles {self.tiles} leaves nothing to compare: give --tiles N,"
                " --at-tile, --roi or --brightest"
            )

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        asked = self.tile_indices or self.roi is not None or self.brightest or self.whole
        return self.tiles is None and not asked


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle to compare, and why.

    Attributes
    ----------
    tile : Tile
    why : str
        ``"corner"``, ``"centre"``, ``"drawn"``, ``"asked"``, ``"brightest"``, ``"all"`` or
        ``"whole"``.
    """

    tile: Tile
    why: str


def default_mode(shape: tuple[int, int]) -> str:
    """Return how C is asked on a detector of this shape: ``"roi"`` or ``"window"``."""
    return "window" if shape[0] * shape[1] > WINDOW_PIXELS else "roi"


def choose(
    grid: TileGrid,
    choice: Choice,
    roi: Tile,
    bright: Iterable[tuple[float, int]] = (),
) -> Iterator[Region]:
    """Yield the regions, each rectangle once.

    Parameters
    ----------
    grid : TileGrid
    choice : Choice
    roi : Tile
        The experiment's region of interest: outside of it nothing is computed, so tiles that hold
        none of it are not drawn.
    bright : iterable of (float, int)
        Brightest pixel and number of each tile; needed for ``brightest`` only.

    Raises
    ------
    ParityUsageError
        A region that is not on the detector, or of which nothing is computed.
    """
    if choice.whole:
        yield Region(_inside(Tile(0, grid.shape[0], 0, grid.shape[1]), roi, "the image"), "whole")
        return
    if choice.tiles == -1:
        for index in range(len(grid)):
            if grid[index].intersect(roi) is not None:
                yield Region(_cut(grid[index], choice.edge), "all")
        return
    seen: list[Tile] = []
    for region in _once(_chosen(grid, choice, roi, bright)):
        seen.append(region.tile)
        yield region
    count = DEFAULT_TILES if choice.empty else choice.tiles or 0
    for tile in _drawn(grid, count, choice.seed, roi, seen):
        yield Region(_cut(tile, choice.edge), "drawn")


def choose_panels(
    grid: TileGrid,
    sizes: Sequence[tuple[int, int]],
    choice: Choice,
    bright: Iterable[tuple[float, int]] = (),
) -> Iterator[Region]:
    """Yield regions of a detector of several panels: a panel each, or the middle of it.

    Parameters
    ----------
    grid : TileGrid
    sizes : sequence of (int, int)
        Pixels of each panel, (slow, fast).
    choice : Choice
    bright : iterable of (float, int)
        As for :func:`choose`.

    Raises
    ------
    ParityUsageError
        A choice by place, which would be one on each panel.
    """
    if choice.roi is not None or choice.tile_indices:
        flag = "--roi" if choice.roi is not None else "--at-tile"
        raise ParityUsageError(f"{flag}: the detector has {len(sizes)} panels: give --tiles N")
    brightest = heapq.nlargest(choice.brightest, _by_panel(grid, bright))
    first = [number for _, number in brightest]
    rest = [number for number in range(len(sizes)) if number not in first]
    if not (choice.empty or choice.whole or choice.tiles == -1):
        rest = sorted(random.Random(choice.seed).sample(rest, min(choice.tiles or 0, len(rest))))
    for number in [*first, *rest]:
        slow, fast = sizes[number]
        why = "brightest" if number in first else "drawn" if choice.tiles else "all"
        cut = _cut(Tile(0, slow, 0, fast), choice.edge)
        yield Region(cut._replace(panel=number), why)


def _by_panel(grid: TileGrid, bright: Iterable[tuple[float, int]]) -> Iterable[tuple[float, int]]:
    """Return the brightest pixel of each panel, and the panel's number."""
    found: dict[int, float] = {}
    for value, index in bright:
        number = index // grid.per_panel
        found[number] = max(value, found.get(number, 0.0))
    return [(value, number) for number, value in found.items()]


def _once(regions: Iterable[Region]) -> Iterator[Region]:
    """Pass over rectangles that came before, or lie within one that did."""
    seen: list[Tile] = []
    for region in regions:
        if not any(region.tile.intersect(other) == region.tile for other in seen):
            seen.append(region.tile)
            yield region


def _chosen(
    grid: TileGrid, choice: Choice, roi: Tile, bright: Iterable[tuple[float, int]]
) -> Iterator[Region]:
    if choice.roi is not None:
        yield Region(_asked_roi(grid, choice.roi, roi), "asked")
    for row, column in choice.tile_indices:
        tile = _asked_tile(grid, row, column)
        _inside(tile, roi, f"--at-tile {row},{column}")
        yield Region(_cut(tile, choice.edge), "asked")
    if not choice.only:
        yield from _fixed(grid, choice.edge, roi)
    if choice.brightest:
        for _, index in heapq.nlargest(choice.brightest, bright):
            yield Region(_cut(grid[index], choice.edge), "brightest")


def _fixed(grid: TileGrid, edge: int | None, roi: Tile) -> Iterator[Region]:
    """Yield the tiles at the corners and the centre of what is computed."""
    rows, columns = (roi.slow0, roi.slow1 - 1), (roi.fast0, roi.fast1 - 1)
    for slow in rows:
        for fast in columns:
            yield Region(_around(grid, slow, fast, edge), "corner")
    middle = ((roi.slow0 + roi.slow1) // 2, (roi.fast0 + roi.fast1) // 2)
    yield Region(_around(grid, *middle, edge), "centre")


def _around(grid: TileGrid, slow: int, fast: int, edge: int | None) -> Tile:
    """Return the tile that holds a pixel, or a square of it that does."""
    row, column = slow // grid.tile[0], fast // grid.tile[1]
    tile = grid[row * grid.counts[1] + column]
    if edge is None:
        return tile
    slow0 = min(max(tile.slow0, slow - edge // 2), max(tile.slow0, tile.slow1 - edge))
    fast0 = min(max(tile.fast0, fast - edge // 2), max(tile.fast0, tile.fast1 - edge))
    square = Tile(slow0, slow0 + edge, fast0, fast0 + edge).intersect(tile)
    assert square is not None
    return square


def _cut(tile: Tile, edge: int | None) -> Tile:
    """Return the middle of a tile, a square of an edge; all of it where that is None."""
    if edge is None:
        return tile
    sides = []
    for start, stop in ((tile.slow0, tile.slow1), (tile.fast0, tile.fast1)):
        size = min(edge, stop - start)
        first = start + (stop - start - size) // 2
        sides += [first, first + size]
    return Tile(*sides)


def _drawn(grid: TileGrid, count: int, seed: int, roi: Tile, seen: list[Tile]) -> Iterator[Tile]:
    """Yield tiles drawn at random among those that hold something and were not chosen yet."""
    first = (roi.slow0 // grid.tile[0], roi.fast0 // grid.tile[1])
    last = ((roi.slow1 - 1) // grid.tile[0], (roi.fast1 - 1) // grid.tile[1])
    columns = last[1] - first[1] + 1
    among = (last[0] - first[0] + 1) * columns
    # Each region that was chosen may touch several tiles; a rectangle of pixels touches many.
    touched = sum(len(overlapping(grid, tile)) for tile in seen)
    draw = random.Random(seed).sample(range(among), min(count + touched, among))
    for number in draw:
        if count <= 0:
            return
        row, column = divmod(number, columns)
        tile = grid[(first[0] + row) * grid.counts[1] + first[1] + column]
        if not any(tile.intersect(other) for other in seen):
            count -= 1
            yield tile


def _asked_tile(grid: TileGrid, row: int, column: int) -> Tile:
    rows, columns = grid.counts
    if not (0 <= row < rows and 0 <= column < columns):
        raise ParityUsageError(
            f"--at-tile {row},{column}: must be a row from 0 to {rows - 1} and a column from 0 to"
            f" {columns - 1} of the tiles of {grid.tile[0]} x {grid.tile[1]} pixels"
        )
    return grid[row * columns + column]


def _asked_roi(grid: TileGrid, bounds: tuple[int, int, int, int], roi: Tile) -> Tile:
    slow0, slow1, fast0, fast1 = bounds
    text = f"--roi {slow0} {slow1} {fast0} {fast1}"
    n_slow, n_fast = grid.shape
    if not (0 <= slow0 <= slow1 < n_slow and 0 <= fast0 <= fast1 < n_fast):
        raise ParityUsageError(
            f"{text}: must be first and last pixel along slow (0 to {n_slow - 1}), then along fast"
            f" (0 to {n_fast - 1})"
        )
    return _inside(Tile.within(bounds), roi, text)


def _inside(tile: Tile, roi: Tile, what: str) -> Tile:
    """Refuse a rectangle of which nothing is computed."""
    if tile.intersect(roi) is None:
        raise ParityUsageError(
            f"{what} lies outside the experiment's region of interest, slow {roi.slow0} to"
            f" {roi.slow1 - 1}, fast {roi.fast0} to {roi.fast1 - 1}: nothing is computed there"
        )
    return tile
