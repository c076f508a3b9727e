"""The multiscale pyramid: coarser levels of an image, built chunk by chunk.

A chunk covers four of the level below and is built when these are finished, so levels grow while
a run goes on, and what an earlier build left out is all that a later one does.  Chunks that are
there are never built again: tiles are read against their checksums, so they are right.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nbdask.derive.canvas import covered
from nbdask.derive.halving import Image, Weights, halved
from nbdask.errors import InputError, StoreError
from nbdask.fill.filler import mapped
from nbdask.fill.listen import Listener, Progress, Start
from nbdask.graph.tasks import TileResult
from nbdask.plan.machine import available_cores
from nbdask.plan.tiles import Tile
from nbdask.store.address import place_of
from nbdask.store.checked import CheckedImage
from nbdask.store.levels import KINDS, LAYOUT, SMALLEST, Flags, Levels, create_levels
from nbdask.store.lock import Lock
from nbdask.store.reader import StoreReader


@dataclass(frozen=True, slots=True)
class Pyramid:
    """What :func:`build_pyramid` did.

    Attributes
    ----------
    path : Path or str
    kinds : tuple of str
        Kinds that the store has now.
    shapes : tuple of tuple of int
        Pixels (slow, fast) of each level beyond the image.
    built : int
        Chunks built now; those of all kinds at one place count once.
    missing : int
        Chunks that wait for tiles of the image.
    earlier : bool
        Its layout is one that nbdask no longer builds.
    """

    path: Path | str
    kinds: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    built: int
    missing: int
    earlier: bool


def build_pyramid(
    path: str | os.PathLike[str],
    *,
    kinds: Sequence[str] = KINDS,
    smallest: int = SMALLEST,
    threads: int | None = None,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> Pyramid:
    """Build what is missing of a store's pyramid.

    Parameters
    ----------
    path : path or str
        The store, or its address; unfinished ones get the chunks whose tiles are there.
    kinds : sequence of str
        ``"max"``, ``"mean"`` or both.  Kinds that the store has already are completed too.
    smallest : int
        Levels are added until both sides are at most so long [pixels].
    threads : int, optional
        None: one per core.
    rebuild : bool
        Build all of it again, in today's layout.
    progress : callable, optional
        Called with (chunks there, chunks in all).

    Raises
    ------
    InputError
        An unknown kind, or a size below 1.
    StoreError
        There is no store, a run writes to it, a tile is damaged, or it cannot be written; a kind
        would join others of an earlier layout.
    """
    check_kinds(kinds)
    if smallest < 1:
        raise InputError(f"smallest = {smallest}: must be at least 1 pixel")
    place, count = place_of(path), threads or available_cores()
    StoreReader(place)  # A missing store is named as such, not as a lock that cannot be written.
    with Lock(place) as lock:
        place.sweep()
        builder = Builder(create_levels(place, kinds, smallest, rebuild=rebuild))
        total = sum(flags.size for flags in builder.done[1:])
        before = builder.count()
        for level in range(1, len(builder.done)):
            for _ in mapped(builder.build, builder.ready(level), count):
                lock.check()
                if progress is not None:
                    progress(builder.count(), total)
    shapes = tuple(builder.levels.level_grid(k).shape for k in range(1, len(builder.done)))
    now, levels = builder.count(), builder.levels
    old = levels.layout < LAYOUT
    return Pyramid(place.name, levels.kinds, shapes, now - before, total - now, old)


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse unknown kinds of levels."""
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"kind {kind!r} of a pyramid: must be {' or '.join(KINDS)}")
    if not kinds:
        raise InputError(f"no kind of a pyramid: give {' or '.join(KINDS)}, or both")


#: Level, row and column of a chunk.
Chunk = tuple[int, int, int]


class Builder:
    """Builds chunks of a pyramid and knows which are there.

    Parameters
    ----------
    levels : Levels
        Writable.

    Attributes
    ----------
    done : list of bool arrays
        Finished tiles of the image, then the chunks of each level.
    """

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self._image = CheckedImage(levels.reader)
        # A record that cannot be read counts as missing, so the records are read here.
        tiles = levels.reader.done().reshape(levels.grid.counts)
        self.done: list[Flags] = [tiles]
        self.done += [levels.done(levels.kinds, level) for level in range(1, levels.count + 1)]

    def count(self) -> int:
        """Return how many chunks are there."""
        return sum(int(flags.sum()) for flags in self.done[1:])

    def ready(self, level: int) -> list[Chunk]:
        """Return the chunks whose inputs are there and they are not."""
        below, here = self.done[level - 1], self.done[level]
        padded = np.ones((2 * here.shape[0], 2 * here.shape[1]), dtype=np.bool_)
        padded[: below.shape[0], : below.shape[1]] = below
        whole = padded.reshape(here.shape[0], 2, here.shape[1], 2).all(axis=(1, 3))
        return [(level, int(r), int(c)) for r, c in np.argwhere(whole & ~here)]

    def above(self, chunk: Chunk) -> Chunk | None:
        """Return the chunk over a finished one if it can be built now."""
        level, row, column = chunk
        if level + 1 >= len(self.done):
            return None
        r, c = row // 2, column // 2
        four = self.done[level][2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        return (level + 1, r, c) if four.all() and not self.done[level + 1][r, c] else None

    def build(self, chunk: Chunk) -> None:
        """Build one chunk from those below it.

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
        else:
            below = self._below(level, grid[index])
            for kind in self.levels.kinds:
                values = self.levels.read(kind, level - 1, below)
                values = halved(values, kind, self._weights(level - 1, below))
                self.levels.write(kind, level, index, values)
        self.done[level][row, column] = True

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
        if grid.tile[0] % 2 or grid.tile[1] % 2:
            # Tiles of odd size share pixels of the level; they are put together first.
            pixels = np.empty(whole.shape, dtype=np.float32)
            for index in numbers:
                _place(pixels, self._tile(index), grid[index], whole, 1)
            parts = [(whole, pixels)]
        else:
            parts = [(grid[index], self._tile(index)) for index in numbers]
        for part, pixels in parts:
            for kind, target in result.items():
                half = halved(pixels, kind, self._weights(0, part))
                _place(target, half, part, whole, 2)
        return result

    def _tile(self, index: int) -> Image:
        """Read a tile against its checksum."""
        return self._image.read(self.levels.grid[index])


def _place(target: Image, values: Image, part: Tile, whole: Tile, step: int) -> None:
    """Put the pixels of a part into those of the whole, ``step`` times coarser than both."""
    slow, fast = (part.slow0 - whole.slow0) // step, (part.fast0 - whole.fast0) // step
    target[slow : slow + values.shape[0], fast : fast + values.shape[1]] = values


class GrowingPyramid(Listener):
    """Builds the pyramid of a store while a run fills it, in a separate thread.

    A listener for :func:`nbdask.simulate`, whose lock covers what is written here.

    Parameters
    ----------
    kinds : sequence of str
    smallest : int
        As for :func:`build_pyramid`.
    """

    def __init__(self, kinds: Sequence[str] = KINDS, smallest: int = SMALLEST) -> None:
        check_kinds(kinds)
        self._kinds, self._smallest = kinds, smallest
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def begin(self, start: Start) -> None:
        """Make the arrays of the levels, and start on existing tiles."""
        builder = Builder(create_levels(place_of(start.store), self._kinds, self._smallest))
        self._thread = threading.Thread(
            target=self._work, args=(builder,), name="nbdask-pyramid", daemon=True
        )
        self._thread.start()

    def tile(self, result: TileResult, done: int) -> None:
        """Hand the tile on to the thread."""
        self._queue.put(result.index)

    def end(self, complete: bool) -> None:
        """Wait until all is built; where the run failed, only for the current chunk.

        Raises
        ------
        StoreError
            Building failed.
        """
        if self._thread is None:
            return
        if not complete:
            self._stop.set()
        self._queue.put(None)
        self._thread.join()
        if complete and self._error is not None:
            raise StoreError(
                f"{self._error}; the image is there, nbdask pyramid builds what is missing of its"
                " pyramid"
            ) from self._error

    def _work(self, builder: Builder) -> None:
        """Build what was left out before, then what each finished tile completes."""
        try:
            for level in range(1, len(builder.done)):
                for chunk in builder.ready(level):
                    if self._stop.is_set():
                        return
                    builder.build(chunk)
            columns = builder.levels.grid.counts[1]
            while (index := self._queue.get()) is not None and not self._stop.is_set():
                row, column = divmod(index, columns)
                builder.done[0][row, column] = True
                above = builder.above((0, row, column))
                while above is not None:
                    builder.build(above)
                    above = builder.above(above)
        except Exception as error:  # raised by end(), in the thread of the run
            self._error = error
