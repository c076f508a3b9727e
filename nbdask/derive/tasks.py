"""The tasks that make one store from another, tile by tile: plain functions, free of dask."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

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
        part = tile.intersect(Tile.of_shape(shape))
        if part is None:
            return TileResult(index, np.zeros(tile.shape, dtype=np.float32), EMPTY)
        values = self.source.read(self.pipeline.needs(part, shape))
        pixels = treated(self, values, part, shape)
        found = result_of(index, pixels, part, start)
        return TileResult(index, padded(pixels, part, tile), found.summary)


class Treating(Protocol):
    """How pixels are treated."""

    @property
    def pipeline(self) -> Pipeline:
        """Its frame is that of shot 0."""

    @property
    def grid(self) -> TileGrid:
        """Of the image."""

    @property
    def backend(self) -> str:
        """``"cpu"`` or ``"numpy"``."""


def treated(
    how: Treating, values: NDArray[np.float32], part: Tile, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the finished pixels of a part of one panel of one shot.

    Parameters
    ----------
    how : Treating
    values : (slow, fast) float32 array
        Those that the part depends on.
    part : Tile
    shape : tuple of int
        Pixels of the panel, (slow, fast).
    """
    # The shots of a series are the images of one: each takes the random numbers of a frame.
    pipeline = how.pipeline.of_frame(how.pipeline.frame + part.shot)
    corner = (part.panel * how.grid.shape[0], 0)
    return pipeline.block(values, part, shape, how.backend, corner)


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Treats tiles as they are simulated; see :data:`nbdask.graph.context.After`.

    Parameters
    ----------
    pipeline : Pipeline
        Without steps that look at neighbouring pixels, or else a tile has to be a whole panel.
    grid : TileGrid
    sizes : tuple of (int, int)
        As of :class:`Context`.
    backend : str
    """

    pipeline: Pipeline
    grid: TileGrid
    sizes: tuple[tuple[int, int], ...] = ()
    backend: str = "cpu"

    def __call__(
        self, tile: Tile, image: NDArray[np.float32]
    ) -> tuple[Tile, NDArray[np.float32]] | None:
        """Return the part of a tile that its panel has, and the finished pixels of that."""
        shape = self.sizes[tile.panel] if self.sizes else self.grid.shape
        part = tile.intersect(Tile.of_shape(shape))
        if part is None:
            return None
        return part, treated(self, image[: part.shape[0], : part.shape[1]], part, shape)


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
