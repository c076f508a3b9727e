"""Chunks of a pyramid, each built from those below it: plain functions, free of dask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from nbdask.derive.canvas import covered
from nbdask.derive.halving import Image, Weights, halved
from nbdask.graph.build import Graph
from nbdask.graph.context import Shared, context_of
from nbdask.plan.tiles import Tile
from nbdask.store.checked import CheckedImage, common, overlapping
from nbdask.store.levels import Levels
from nbdask.store.place import Place

#: Level, plane, row and column of a chunk; planes are the panels of all shots, shot by shot.
Chunk = tuple[int, int, int, int]


class ChunkBuilder:
    """Builds chunks of a pyramid.  Threads may share it.

    Parameters
    ----------
    levels : Levels
        Writable.
    """

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self._image = CheckedImage(levels.reader)

    def build(self, chunk: Chunk) -> None:
        """Build one chunk from those below it, which must be there.

        Raises
        ------
        StoreError
            A tile is damaged, or the chunk cannot be written.
        """
        level, plane, row, column = chunk
        grid = self.levels.level_grid(level)
        index = plane * grid.per_panel + row * grid.counts[1] + column
        part = grid[index]
        # What is beyond a panel that is smaller than others is 0, and counts in nothing.
        own = part.intersect(Tile.of_shape(self.levels.panel_shape(part.panel, level)))
        values = self._halved(level, own) if own else {}
        for kind in self.levels.kinds:
            full = values.get(kind)
            if full is None or full.shape != part.shape:
                full = np.zeros(part.shape, dtype=np.float32)
                if own is not None:
                    _place(full, values[kind], own, part, 1)
            self.levels.write(kind, level, index, full)

    def _halved(self, level: int, part: Tile) -> dict[str, Image]:
        """Return a part of a level from the level below, for each kind."""
        shape = self.levels.panel_shape(part.panel, level - 1)
        below = Tile(
            2 * part.slow0,
            min(2 * part.slow1, shape[0]),
            2 * part.fast0,
            min(2 * part.fast1, shape[1]),
            part.panel,
            part.shot,
        )
        if level == 1:
            return self._first(below, part.shape)
        weights = self._weights(level - 1, below)
        return {
            kind: halved(self.levels.read(kind, level - 1, below), kind, weights)
            for kind in self.levels.kinds
        }

    def _weights(self, level: int, part: Tile) -> Weights:
        """Return the pixels of the image that rows and columns of a level stand for."""
        shape = self.levels.panel_shape(part.panel, 0)
        return (
            covered(part.slow0, part.slow1, 2**level, shape[0]),
            covered(part.fast0, part.fast1, 2**level, shape[1]),
        )

    def _first(self, below: Tile, shape: tuple[int, int]) -> dict[str, Image]:
        """Return a part of the first level from the tiles below it, for each kind."""
        result = {kind: np.empty(shape, dtype=np.float32) for kind in self.levels.kinds}
        for part, pixels in self._parts(below):
            for kind, target in result.items():
                half = halved(pixels, kind, self._weights(0, part))
                _place(target, half, part, below, 2)
        return result

    def _parts(self, whole: Tile) -> Iterator[tuple[Tile, Image]]:
        """Yield tiles one by one, or together where they share pixels of the first level."""
        grid = self.levels.grid
        numbers = overlapping(grid, whole)
        if grid.tile[0] % 2 == 0 and grid.tile[1] % 2 == 0:
            for index in numbers:
                yield self._tile(index, whole)
            return
        pixels = np.empty(whole.shape, dtype=np.float32)
        for index in numbers:
            part, values = self._tile(index, whole)
            _place(pixels, values, part, whole, 1)
        yield whole, pixels

    def _tile(self, index: int, whole: Tile) -> tuple[Tile, Image]:
        """Read a tile against its checksum; return what the whole has of it."""
        tile = self.levels.grid[index]
        part = common(whole, tile)
        return part, self._image.read(tile)[: part.shape[0], : part.shape[1]]


def _place(target: Image, values: Image, part: Tile, whole: Tile, step: int) -> None:
    """Put the pixels of a part into those of the whole, ``step`` times coarser than both."""
    slow, fast = (part.slow0 - whole.slow0) // step, (part.fast0 - whole.fast0) // step
    target[slow : slow + values.shape[0], fast : fast + values.shape[1]] = values


@dataclass(frozen=True, slots=True, eq=False)
class Chunks(Shared):
    """What the tasks of a pyramid share.  Picklable; each process opens the store once.

    Parameters
    ----------
    place : Place
        Its pyramid has its arrays already.
    builder : ChunkBuilder, optional
        Where the store is open.
    """

    place: Place
    builder: ChunkBuilder | None = None

    def enter(self, run: str) -> Self:
        """Open the store."""
        return replace(self, builder=ChunkBuilder(Levels(self.place, writable=True)))


def build_chunk(run: str, level: int, plane: int, row: int, column: int) -> Chunk:
    """Build and write one chunk."""
    context: Chunks = context_of(run)
    assert context.builder is not None
    context.builder.build((level, plane, row, column))
    return level, plane, row, column


def chunk_graphs(run: str, chunks: Iterable[Chunk]) -> Iterator[Graph]:
    """Yield one graph of a single task for each chunk."""
    for chunk in chunks:
        key = (f"pyramid-{run}", *chunk)
        yield Graph(key, {key: (build_chunk, run, *chunk)})
