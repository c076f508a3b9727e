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
from nbdask.store.checked import CheckedImage
from nbdask.store.levels import Levels
from nbdask.store.place import Place

#: Level, row and column of a chunk.
Chunk = tuple[int, int, int]


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
        level, row, column = chunk
        grid = self.levels.level_grid(level)
        index = row * grid.counts[1] + column
        if level == 1:
            for kind, values in self._first(row, column, grid[index].shape).items():
                self.levels.write(kind, level, index, values)
            return
        below = self._below(level, grid[index])
        weights = self._weights(level - 1, below)
        for kind in self.levels.kinds:
            values = halved(self.levels.read(kind, level - 1, below), kind, weights)
            self.levels.write(kind, level, index, values)

    def _below(self, level: int, part: Tile) -> Tile:
        """Return what a chunk covers, in pixels of the level below."""
        shape = self.levels.level_grid(level - 1).shape
        return Tile(
            2 * part.slow0,
            min(2 * part.slow1, shape[0]),
            2 * part.fast0,
            min(2 * part.fast1, shape[1]),
        )

    def _weights(self, level: int, part: Tile) -> Weights:
        """Return the pixels of the image that rows and columns of a level stand for."""
        shape = self.levels.grid.shape
        return (
            covered(part.slow0, part.slow1, 2**level, shape[0]),
            covered(part.fast0, part.fast1, 2**level, shape[1]),
        )

    def _first(self, row: int, column: int, shape: tuple[int, int]) -> dict[str, Image]:
        """Return a chunk of the first level from the tiles that it covers, for each kind."""
        grid = self.levels.grid
        numbers = [
            r * grid.counts[1] + c
            for r in range(2 * row, min(2 * row + 2, grid.counts[0]))
            for c in range(2 * column, min(2 * column + 2, grid.counts[1]))
        ]
        corner = grid[numbers[0]]
        whole = Tile(corner.slow0, grid[numbers[-1]].slow1, corner.fast0, grid[numbers[-1]].fast1)
        result = {kind: np.empty(shape, dtype=np.float32) for kind in self.levels.kinds}
        for part, pixels in self._parts(numbers, whole):
            for kind, target in result.items():
                half = halved(pixels, kind, self._weights(0, part))
                _place(target, half, part, whole, 2)
        return result

    def _parts(self, numbers: list[int], whole: Tile) -> Iterator[tuple[Tile, Image]]:
        """Yield tiles one by one, or together where they share pixels of the first level."""
        grid = self.levels.grid
        if grid.tile[0] % 2 == 0 and grid.tile[1] % 2 == 0:
            for index in numbers:
                yield grid[index], self._tile(index)
            return
        pixels = np.empty(whole.shape, dtype=np.float32)
        for index in numbers:
            _place(pixels, self._tile(index), grid[index], whole, 1)
        yield whole, pixels

    def _tile(self, index: int) -> Image:
        """Read a tile against its checksum."""
        return self._image.read(self.levels.grid[index])


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


def build_chunk(run: str, level: int, row: int, column: int) -> Chunk:
    """Build and write one chunk."""
    context: Chunks = context_of(run)
    assert context.builder is not None
    context.builder.build((level, row, column))
    return level, row, column


def chunk_graphs(run: str, chunks: Iterable[Chunk]) -> Iterator[Graph]:
    """Yield one graph of a single task for each chunk."""
    for chunk in chunks:
        key = (f"pyramid-{run}", *chunk)
        yield Graph(key, {key: (build_chunk, run, *chunk)})
