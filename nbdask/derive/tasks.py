"""The tasks that make one store from another, tile by tile: plain functions, free of dask."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.pipeline import Pipeline
from nbdask.errors import StoreError
from nbdask.graph.build import Graph
from nbdask.graph.context import Shared, context_of
from nbdask.graph.tasks import TileResult, named, padded, written
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import EMPTY, summarise
from nbdask.store.checked import CheckedImage
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter


@dataclass(eq=False)
class Source:
    """The pixels that a pipeline begins with.  Picklable; each process opens the store once."""

    place: Place
    _image: CheckedImage | None = field(default=None, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __getstate__(self) -> Place:
        """Leave what is open behind."""
        return self.place

    def __setstate__(self, state: Place) -> None:
        """Reopen it when needed."""
        self.place, self._image, self._lock = state, None, Lock()

    def read(self, part: Tile) -> NDArray[np.float32]:
        """Return a rectangle of pixels, of tiles that are what their records say.

        Raises
        ------
        StoreError
            A tile is damaged.
        """
        with self._lock:
            if self._image is None:
                self._image = CheckedImage(StoreReader(self.place))
        try:
            return self._image.read(part)
        except StoreError as error:
            raise StoreError(f"{error}; then the same command with --resume goes on") from error


@dataclass(frozen=True, slots=True, eq=False)
class Context(Shared):
    """What every task of a run shares.  Picklable.

    Parameters
    ----------
    source : Source
    pipeline : Pipeline
    grid : TileGrid
        Of the store that is written.
    write_tile : TileWriter
    backend : str
    sizes : tuple of (int, int)
        Pixels of each panel, (slow, fast), where there are several: light does not pass from one to
        another, and rows of the random numbers count on from one panel to the next.
    """

    source: Source
    pipeline: Pipeline
    grid: TileGrid
    write_tile: TileWriter
    backend: str
    sizes: tuple[tuple[int, int], ...] = ()

    def compute(self, index: int) -> TileResult:
        """Return a tile's pixels and summary."""
        start = time.perf_counter()
        tile = self.grid[index]
        shape = self.sizes[tile.panel] if self.sizes else self.grid.shape
        part = tile.intersect(Tile(0, shape[0], 0, shape[1]))
        if part is None:
            return TileResult(index, np.zeros(tile.shape, dtype=np.float32), EMPTY)
        values = self.source.read(self.pipeline.needs(part, shape))
        corner = (tile.panel * self.grid.shape[0], 0)
        pixels = self.pipeline.block(values, part, shape, self.backend, corner)
        found = result_of(index, pixels, part, start)
        return TileResult(index, padded(pixels, part, tile), found.summary)


def result_of(index: int, pixels: NDArray[np.float32], tile: Tile, start: float) -> TileResult:
    """Return a tile that was started at ``start``: every pixel counts."""
    seconds = time.perf_counter() - start
    return TileResult(index, pixels, summarise(pixels, (tile.slow0, tile.fast0), None, 0, seconds))


def derive_tile(run: str, index: int) -> TileResult:
    """Compute and write one tile."""
    context: Context = context_of(run)
    with named(context.grid[index], index, f" of {context.source.place.name}"):
        return written(context.write_tile, context.grid[index], context.compute(index))


def derive_graphs(run: str, indices: Iterable[int]) -> Iterator[Graph]:
    """Yield one graph of a single task for each tile."""
    for index in indices:
        key = (f"derive-{run}", index)
        yield Graph(key, {key: (derive_tile, run, index)})
