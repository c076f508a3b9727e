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
from nbdask.errors import NbdaskError, StoreError
from nbdask.graph.build import TileGraph
from nbdask.graph.tasks import TileError, TileResult
from nbdask.plan.machine import release_large_blocks
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import TileSummary, summarise
from nbdask.store.checked import CheckedImage
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.store.write import TileWriter


@dataclass(eq=False)
class Source:
    """The pixels that a pipeline begins with.  Picklable; each process opens the store once.

    Parameters
    ----------
    place : Place
    """

    place: Place
    _image: CheckedImage | None = field(default=None, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __getstate__(self) -> Place:
        """Leave what is open behind."""
        return self.place

    def __setstate__(self, state: Place) -> None:
        """Open it anew when it is needed."""
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
class Context:
    """What every task of a run shares.  Picklable.

    Parameters
    ----------
    source : Source
    pipeline : Pipeline
    grid : TileGrid
        Of the store that is written.
    writer : TileWriter
    backend : str
    """

    source: Source
    pipeline: Pipeline
    grid: TileGrid
    writer: TileWriter
    backend: str

    def compute(self, index: int) -> tuple[NDArray[np.float32], TileSummary]:
        """Return a tile's pixels and summary."""
        start = time.perf_counter()
        tile, shape = self.grid[index], self.grid.shape
        values = self.source.read(self.pipeline.needs(tile, shape))
        pixels = self.pipeline.block(values, tile, shape, self.backend)
        return pixels, summary_of(pixels, tile, start)


def summary_of(pixels: NDArray[np.float32], tile: Tile, start: float) -> TileSummary:
    """Return the summary of a tile that was begun at ``start``: every pixel counts."""
    seconds = time.perf_counter() - start
    return summarise(pixels, (tile.slow0, tile.fast0), None, 0, seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """Brings a run's context into a process, and takes it out again.

    Parameters
    ----------
    run : str
        Name of the run, unique in the process.
    context : Context
    """

    run: str
    context: Context

    def install(self) -> None:
        """Make the context known to this process's tasks."""
        release_large_blocks()
        _contexts[self.run] = self.context

    def remove(self) -> None:
        """Forget the context."""
        _contexts.pop(self.run, None)


_contexts: dict[str, Context] = {}


def derive_tile(run: str, index: int) -> TileResult:
    """Compute and write one tile."""
    context = _contexts[run]
    tile = context.grid[index]
    try:
        pixels, summary = context.compute(index)
        context.writer(index, tile, pixels, summary)
    except NbdaskError:
        raise
    except Exception as error:
        raise TileError(
            f"tile {index} (slow {tile.slow0} to {tile.slow1}, fast {tile.fast0} to {tile.fast1})"
            f" of {context.source.place.name}: {type(error).__name__}: {error}"
        ) from error
    return TileResult(index, None, summary)


def derive_graphs(run: str, indices: Iterable[int]) -> Iterator[TileGraph]:
    """Yield one graph of a single task for each tile."""
    for index in indices:
        key = (f"derive-{run}", index)
        yield TileGraph(key, {key: (derive_tile, run, index)})
