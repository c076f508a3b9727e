"""An image, or a region of it, reduced by a whole factor: read piece by piece, any size.

Pieces come from the coarsest level of the pyramid that is finished at their place, so an
unfinished pyramid, or none, costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nbdask.plan.tiles import Tile
from nbdask.store.levels import MAX, Flags, Levels

Starts = NDArray[np.intp]


class Piece(NamedTuple):
    """A rectangle of a level; ``part`` is in pixels of that level."""

    level: int
    part: Tile


class Done(Protocol):
    """Which chunks of each level are there, the image's tiles first; a list will do."""

    def __len__(self) -> int:
        """Return the number of levels, the image included."""

    def __getitem__(self, level: int, /) -> Flags:
        """Return the chunks of a level, (chunks_slow, chunks_fast) bool."""


class Finished:
    """Which chunks of each level of a kind are there, the image's tiles first.

    Files are listed level by level, when a level is first asked for.
    """

    def __init__(self, levels: Levels, kind: str) -> None:
        self._levels, self._kind = levels, kind
        self._count = levels.top(kind) + 1
        self._found: dict[int, Flags] = {}

    def __len__(self) -> int:
        """Return the number of levels, the image included."""
        return self._count

    def __getitem__(self, level: int, /) -> Flags:
        """Return the chunks of a level, looked up once."""
        if level not in self._found:
            self._found[level] = self._levels.done((self._kind,), level)
        return self._found[level]


def pieces(levels: Levels, done: Done, region: Tile, factor: int) -> Iterator[Piece]:
    """Divide a region into rectangles of the coarsest levels that serve a factor.

    Parameters
    ----------
    levels : Levels
    done : Done
        Such as :class:`Finished`.
    region : Tile
        In pixels of the image.
    factor : int
        Only levels whose own factor divides it are used.

    Yields
    ------
    Piece
        None of a place where the image is not computed yet.
    """
    top = 0
    while top + 1 < len(done) and factor % 2 ** (top + 1) == 0:
        top += 1
    here, tile = scaled(region, 2**top), levels.level_grid(top).tile
    for row in range(here.slow0 // tile[0], -(-here.slow1 // tile[0])):
        for column in range(here.fast0 // tile[1], -(-here.fast1 // tile[1])):
            yield from _descend(levels, done, region, top, row, column)


def scaled(region: Tile, step: int) -> Tile:
    """Return the pixels, each of ``step`` times ``step`` of the image, that a region touches."""
    return Tile(
        region.slow0 // step,
        -(-region.slow1 // step),
        region.fast0 // step,
        -(-region.fast1 // step),
    )


def _descend(
    levels: Levels, done: Done, region: Tile, level: int, row: int, column: int
) -> Iterator[Piece]:
    """Yield a chunk, or those of the level below where it is not there."""
    grid = levels.level_grid(level)
    chunk = grid[row * grid.counts[1] + column]
    part = chunk.intersect(scaled(region, 2**level))
    if part is None:
        return
    if done[level][row, column]:
        yield Piece(level, part)
    elif level > 0:
        below = levels.level_grid(level - 1).counts
        for r in range(2 * row, min(2 * row + 2, below[0])):
            for c in range(2 * column, min(2 * column + 2, below[1])):
                yield from _descend(levels, done, region, level - 1, r, c)


class Canvas:
    """An image reduced by a whole factor, filled rectangle by rectangle in any order.

    Parameters
    ----------
    shape : tuple of int
        Pixels of the whole image, (slow, fast).
    region : Tile
        What is wanted of it; the canvas reaches out to whole multiples of the factor.
    factor : int
        Pixels of the image along each side of one of the canvas.
    kind : str
        ``"max"`` or ``"mean"``.

    Attributes
    ----------
    region : Tile
        What the canvas covers, in pixels of the image; it may reach beyond the far edges.
    hidden : (n_slow, n_fast) bool array or None
        Pixels that are NaN whatever is added, such as masked ones; None at first.
    """

    def __init__(self, shape: tuple[int, int], region: Tile, factor: int, kind: str) -> None:
        self.factor, self.kind, self._image = factor, kind, shape
        bins = scaled(region, factor)
        self._corner = (bins.slow0, bins.fast0)
        self.region = Tile(*(edge * factor for edge in bins))
        self._values = np.full(bins.shape, np.nan, dtype=np.float32)
        self._sums: NDArray[np.float64] | None = None
        self._weights: NDArray[np.float64] | None = None
        self.hidden: Flags | None = None

    def add(self, values: NDArray[np.float32], piece: Piece) -> None:
        """Add the pixels of a piece.

        Parameters
        ----------
        values : (n_slow, n_fast) float32 array
            NaN pixels do not count.
        piece : Piece
            Where they are, inside the region; its level's factor divides that of the canvas.
        """
        ratio = self.factor // 2**piece.level
        slow, slow_starts = _bins(piece.part.slow0, piece.part.slow1, ratio, self._corner[0])
        fast, fast_starts = _bins(piece.part.fast0, piece.part.fast1, ratio, self._corner[1])
        if ratio == 1:
            self._values[slow, fast] = values
        elif self.kind == MAX:
            rows = np.fmax.reduceat(values, slow_starts, axis=0)
            found = np.fmax.reduceat(rows, fast_starts, axis=1)
            self._values[slow, fast] = np.fmax(self._values[slow, fast], found)
        else:
            self._add_mean(values, piece, (slow, fast), (slow_starts, fast_starts))

    def _add_mean(
        self,
        values: NDArray[np.float32],
        piece: Piece,
        area: tuple[slice, slice],
        starts: tuple[Starts, Starts],
    ) -> None:
        """Add sums and weights, the pixels of the image that each pixel of the piece stands for."""
        if self._sums is None or self._weights is None:
            self._sums = np.zeros(self._values.shape)
            self._weights = np.zeros(self._values.shape)
        step, part = 2**piece.level, piece.part
        weights = np.outer(
            covered(part.slow0, part.slow1, step, self._image[0]),
            covered(part.fast0, part.fast1, step, self._image[1]),
        )
        numbers = values.astype(np.float64)
        missing = np.isnan(values)
        weights[missing] = 0.0
        numbers[missing] = 0.0
        numbers *= weights
        for target, added in ((self._sums, numbers), (self._weights, weights)):
            rows = np.add.reduceat(added, starts[0], axis=0)
            target[area] += np.add.reduceat(rows, starts[1], axis=1)

    def values(self) -> NDArray[np.float32]:
        """Return what there is so far, (n_slow, n_fast) float32; NaN where nothing is."""
        result = self._known()
        if self.hidden is not None:
            result = np.where(self.hidden, np.float32(np.nan), result)
        return result

    def lacking(self) -> float:
        """Return the part of it that is not computed yet, 0 to 1; hidden pixels lack nothing."""
        missing = np.isnan(self._known())
        if self.hidden is not None:
            missing &= ~self.hidden
        return float(missing.mean())

    def _known(self) -> NDArray[np.float32]:
        """Return what there is, hidden pixels included."""
        if self._sums is None or self._weights is None:
            return self._values
        result = self._values.copy()
        known = self._weights > 0.0
        result[known] = self._sums[known] / self._weights[known]
        return result


def covered(start: int, stop: int, step: int, side: int) -> NDArray[np.float64]:
    """Return how many of ``side`` pixels each pixel ``start`` to ``stop`` of a level covers."""
    edges = np.minimum(np.arange(start, stop + 1, dtype=np.int64) * step, side)
    return np.diff(edges).astype(np.float64)


def _bins(start: int, stop: int, ratio: int, corner: int) -> tuple[slice, Starts]:
    """Return the bins that a range of pixels falls into, and where in the range each begins."""
    first, last = start // ratio, (stop - 1) // ratio + 1
    starts = np.maximum(np.arange(first, last, dtype=np.intp) * ratio - start, 0)
    return slice(first - corner, last - corner), starts


def reduce_image(
    levels: Levels, region: Tile, factor: int, kind: str, done: Done | None = None
) -> Canvas:
    """Read a region of an image, reduced.

    Parameters
    ----------
    levels : Levels
    region : Tile
        In pixels of the image.
    factor : int
    kind : str
        ``"max"`` or ``"mean"``.
    done : Done, optional
        None: it is looked up.

    Returns
    -------
    Canvas
        Memory: one tile in addition to the canvas.

    Raises
    ------
    StoreError
        A file is damaged.
    """
    canvas = Canvas(levels.grid.shape, region, factor, kind)
    if done is None:
        done = Finished(levels, kind)
    for piece in pieces(levels, done, region, factor):
        canvas.add(levels.read(kind, piece.level, piece.part), piece)
    return canvas


def factor_for(region: Tile, pixels: int) -> int:
    """Return the factor that brings the longer side of a region to at most ``pixels``.

    Returns
    -------
    int
        A multiple of a power of two large enough for the levels of a pyramid to serve it.
    """
    least = -(-max(region.shape) // pixels)
    unit = max(1, 1 << max(0, least.bit_length() - 2))
    return -(-least // unit) * unit
