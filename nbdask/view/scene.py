"""Views of a store for the viewer: windows at any zoom, an overview, single pixels.

Everything is read in pieces of bounded size.  Where a store has no pyramid, or an unfinished one,
the overview is made in memory in the background, from the coarsest level available.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.derive.assembly import Plane, geometry_of, open_levels
from nbdask.derive.canvas import Canvas, Done, Finished, Piece, factor_for, pieces
from nbdask.derive.masked import masked_pixels
from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile
from nbdask.store import schema
from nbdask.store.checked import common
from nbdask.store.levels import KINDS, MAX, Flags, Levels
from nbdask.store.place import Place
from nbdask.store.reader import StoreReader
from nbdask.view.contrast import Contrast, centre_of, choose
from nbdask.view.damage import Damage
from nbdask.view.spots import Spot, brightest

#: Longest side of the overview [pixels], and most pixels that are read for one window.
OVERVIEW, LIMIT = 512, 16 * 2**20
#: Seconds between looks at a store that a run is writing.
PAUSE = 2.0
#: Side [pixels] and number of the blocks that are kept for reading single pixels.
_BLOCK, _BLOCKS = 256, 64


class Window(NamedTuple):
    """A part of the image as it is shown.

    Attributes
    ----------
    values : (n_slow, n_fast) float32 array
        Photons; NaN where nothing is computed yet, and in masked pixels.
    region : Tile
        What it covers, in pixels of the image; it may reach beyond the far edges.
    factor : int
        Pixels of the image along each side of one of ``values``.
    beam : (slow, fast), optional
        Where the beam is, in pixels of the image.
    """

    values: NDArray[np.float32]
    region: Tile
    factor: int
    beam: tuple[float, float] | None = None

    @property
    def contrast(self) -> Contrast:
        """The ends of the logarithmic scale of colours that suits it."""
        if self.beam is None:
            return choose(self.values)
        return choose(self.values, centre=centre_of(self.region, self.factor, self.beam))


@dataclass(slots=True)
class Progress:
    """How far a store and its overview are.

    Attributes
    ----------
    tiles, shown, total : int
        Tiles that are computed, that the overview shows, and in all.
    complete : bool
        Whether the run is complete.
    version : int
        Increases when there is something new to show.
    error : str or None
        The error that stopped reading.
    """

    tiles: int
    shown: int
    total: int
    complete: bool
    version: int = 0
    error: str | None = None


class Overview:
    """The whole image, reduced; filled piece by piece.

    Parameters
    ----------
    levels : Levels
    kind : str
        ``"max"`` or ``"mean"``.
    damage : Damage
    """

    def __init__(self, levels: Levels, kind: str, damage: Damage) -> None:
        slow, fast = levels.grid.shape
        self._damage = damage
        self.kind, self._levels = kind, levels
        self._whole = Tile(0, slow, 0, fast)
        factor = factor_for(self._whole, OVERVIEW)
        self.canvas = self._canvas = Canvas((slow, fast), self._whole, factor, kind)
        self.canvas.hidden = masked_pixels(levels, self.canvas.region, factor)
        self._shown: Flags = np.zeros(levels.grid.counts, dtype=np.bool_)

    @property
    def shown(self) -> int:
        """Tiles that the overview shows."""
        return int(self._shown.sum())

    @property
    def window(self) -> Window:
        """What there is so far."""
        return Window(self._canvas.values().copy(), self._canvas.region, self._canvas.factor)

    def forget(self, index: int) -> None:
        """Read a tile again when :meth:`fill` is called next."""
        self._shown.flat[index] = False

    def fill(self, done: Done, seconds: float) -> bool:
        """Add what is new, for about so many seconds; return whether that was all.

        Parameters
        ----------
        done : Done
            From :func:`~nbdask.derive.canvas.finished`.
        seconds : float
        """
        if self._shown.all():
            return True
        end = time.monotonic() + seconds
        fresh = _Fresh(self._levels, done, self._shown)
        for piece in pieces(self._levels, fresh, self._whole, self._canvas.factor):
            values = self._damage.read(self._levels, self.kind, done, piece)
            if values is None:
                return False
            self._canvas.add(values, piece)
            tile, step = self._levels.grid.tile, 2**piece.level
            part = piece.part
            self._shown[
                part.slow0 * step // tile[0] : -(-part.slow1 * step // tile[0]),
                part.fast0 * step // tile[1] : -(-part.fast1 * step // tile[1]),
            ] = True
            if time.monotonic() > end:
                return False
        return True


class _Fresh:
    """The chunks that cover nothing that is shown already: means count pixels once."""

    def __init__(self, levels: Levels, done: Done, shown: Flags) -> None:
        self._done = done
        self._found: dict[int, Flags] = {}
        self._shown = [shown.copy()]
        for level in range(1, len(done)):
            rows, columns = levels.level_grid(level).counts
            below = self._shown[-1]
            padded = np.zeros((2 * rows, 2 * columns), dtype=np.bool_)
            padded[: below.shape[0], : below.shape[1]] = below
            self._shown.append(np.asarray(padded.reshape(rows, 2, columns, 2).any(axis=(1, 3))))

    def __len__(self) -> int:
        """Return the number of levels, the image included."""
        return len(self._done)

    def __getitem__(self, level: int, /) -> Flags:
        """Return the chunks of a level."""
        if level not in self._found:
            self._found[level] = np.asarray(self._done[level] & ~self._shown[level])
        return self._found[level]


class Scene:
    """A store as the viewer needs it.

    Parameters
    ----------
    path : path, address or Place
        The store.
    shot : int, optional
        Of a series.
    plane : Plane, optional
        The picture of several panels; None: that of this shot's.

    Raises
    ------
    StoreError
        There is no store, no such shot, or it is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Place,
        shot: int | None = None,
        plane: Plane | None = None,
    ) -> None:
        self.shot = shot
        self.levels = open_levels(path, shot, plane)
        status = self.levels.reader.attributes["status"]
        self.geometry = geometry_of(self.levels)
        self.damage = Damage()
        self._overviews = {MAX: Overview(self.levels, MAX, self.damage)}
        self._blocks: OrderedDict[tuple[int, int], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._next_look = self._next_check = 0.0
        self._done: dict[str, Done] = {}
        self.progress = Progress(0, 0, len(self.levels.grid), status == schema.COMPLETE)
        self._list()
        # With a pyramid, or a small image, this is all of it.
        self._fill(0.5)
        self._thread = threading.Thread(target=self._follow, name="nbdask-view", daemon=True)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of the image, (slow, fast)."""
        return self.levels.grid.shape

    @property
    def pitch(self) -> float:
        """Distance of pixels along fast [m]."""
        return float(self.geometry.model.pitch_fast)

    def start(self) -> None:
        """Begin to read the rest of the overview, and to follow a run, in the background."""
        self._thread.start()

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be read in the background."""
        return self.progress.complete and self.progress.shown == self.progress.total

    def halt(self) -> None:
        """Let reading in the background end soon."""
        self._stop.set()

    def stop(self) -> None:
        """Stop reading in the background."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _look(self) -> None:
        """Look which tiles and chunks there are by now."""
        # Before the files: what is complete now is there when they are listed.
        attributes = StoreReader(self.levels.place).attributes
        complete = attributes["status"] == schema.COMPLETE
        if complete != self.progress.complete or self.levels.count == 0:
            self.levels = self.levels.again()
        if self.shot is None:
            self.levels.reader.attributes = attributes
        before = (self.progress.tiles, self.progress.complete)
        self.progress.complete = complete
        self._list()
        if (self.progress.tiles, complete) != before:
            self.progress.version += 1
            with self._lock:
                self._blocks.clear()

    def _list(self) -> None:
        """Forget which files there were; of a finished run none is looked up before its turn."""
        self._done = {kind: Finished(self.levels, kind) for kind in KINDS}
        total = self.progress.total
        self.progress.tiles = total if self.progress.complete else int(self._done[MAX][0].sum())

    def _fill(self, seconds: float) -> bool:
        """Read some of what the overviews lack; return whether they lack nothing."""
        every = True
        for overview in list(self._overviews.values()):
            before, damaged = overview.shown, self.damage.count
            every &= overview.fill(self._done[overview.kind], seconds)
            if overview.shown != before or self.damage.count != damaged:
                self.progress.version += 1
        shown = min(o.shown for o in self._overviews.values())
        self.progress.shown = self.progress.tiles if every else shown
        return every

    def _follow(self) -> None:
        """Fill the overviews and follow the store, until the viewer is stopped."""
        while not self._stop.is_set():
            try:
                self._fill_and_look()
            except (StoreError, OSError) as error:
                self._tell_error(str(error))
                self._stop.wait(PAUSE)

    def _fill_and_look(self) -> None:
        """Do one round of following."""
        if not self._fill(0.5):
            return
        self._stop.wait(0.2 if self.progress.complete else PAUSE)
        if not self.progress.complete:
            self._look()
        else:
            self._list_ahead()
            if time.monotonic() < self._next_check:
                return
            # Gone, or replaced by something else, while it is looked at.
            self._next_check = time.monotonic() + PAUSE
            StoreReader(self.levels.place)
        self._look_again()
        if self.progress.error is not None:
            self._tell_error(None)

    def _tell_error(self, text: str | None) -> None:
        """Show that the store cannot be read any more, or that it can be again."""
        if text != self.progress.error:
            self.progress.error = text
            self.progress.version += 1

    def _look_again(self) -> None:
        """Show tiles that were repaired meanwhile."""
        if not self.damage.tiles or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + PAUSE
        repaired = self.damage.repaired(self.levels)
        for index in repaired:
            for overview in self._overviews.values():
                overview.forget(index)
        if repaired:
            with self._lock:
                self._blocks.clear()
            self.progress.version += 1

    def _list_ahead(self) -> None:
        """Look up the files of all levels before somebody zooms into them; once."""
        for kind in list(self._overviews):
            for level in range(len(self._done[kind]) - 1, -1, -1):
                if self._stop.is_set():
                    return
                self._done[kind][level]

    def overview(self, kind: str) -> Window:
        """Return the whole image, reduced; NaN where it is not computed, or not read yet."""
        if kind not in self._overviews:
            overview = Overview(self.levels, kind, self.damage)
            overview.fill(self._done[kind], 0.5)
            self._overviews = {**self._overviews, kind: overview}
        return self._overviews[kind].window._replace(beam=self.geometry.beam_centre)

    def window(self, kind: str, region: Tile, factor: int) -> Window:
        """Return a part of the image at a resolution, from memory where reading takes too long.

        Parameters
        ----------
        kind : str
        region : Tile
            In pixels of the image.
        factor : int
            A power of two.

        Returns
        -------
        Window
            Of that factor, or of the overview's.

        Raises
        ------
        StoreError
            A file is damaged.
        """
        known = self.damage.count
        canvas = self._drawn(kind, region, factor)
        while canvas is None:
            canvas = self._drawn(kind, region, factor)
        if self.damage.count != known:
            self.progress.version += 1
        if isinstance(canvas, Window):
            return canvas
        return Window(canvas.values(), canvas.region, factor, self.geometry.beam_centre)

    def _drawn(self, kind: str, region: Tile, factor: int) -> Canvas | Window | None:
        """Read a region; the overview of one that is too large, None: again, without a part."""
        done = self._done[kind]
        found = list(pieces(self.levels, done, region, factor))
        if sum(piece.part.pixels for piece in found) > LIMIT:
            return self.overview(kind)
        canvas = Canvas(self.shape, region, factor, kind)
        canvas.hidden = masked_pixels(self.levels, canvas.region, factor)
        for piece in found:
            values = self.damage.read(self.levels, kind, done, piece)
            if values is None:
                return None
            canvas.add(values, piece)
        return canvas

    def spots(self, region: Tile, factor: int, count: int) -> list[tuple[Spot, str]]:
        """Return the spots of a region that stand out most, and h k l of each.

        Parameters
        ----------
        region : Tile
        factor : int
            At which it is looked at.
        count : int
            Most spots.
        """
        canvas = self._drawn(MAX, region, factor)
        while canvas is None:
            canvas = self._drawn(MAX, region, factor)
        if isinstance(canvas, Window):
            canvas, region = self._overviews[MAX].canvas, Tile(0, self.shape[0], 0, self.shape[1])
        found = brightest(self.levels, canvas, region, count)
        indices = [self.geometry.spot_index(spot.slow, spot.fast) for spot in found]
        return [(spot, " ".join(map(str, hkl))) for spot, hkl in zip(found, indices, strict=True)]

    def photons(self, slow: int, fast: int) -> float:
        """Return one pixel of the image; NaN where it is not computed, damaged or outside."""
        index = self.tile_at(slow, fast)
        if index is None or not self._done[MAX][0].flat[index]:
            return float("nan")
        tile = self.levels.grid[index]
        row, column = (slow - tile.slow0) // _BLOCK, (fast - tile.fast0) // _BLOCK
        corner = (tile.slow0 + row * _BLOCK, tile.fast0 + column * _BLOCK)
        with self._lock:
            block = self._blocks.get(corner)
        if block is None:
            part = Tile(corner[0], corner[0] + _BLOCK, corner[1], corner[1] + _BLOCK)
            piece = Piece(0, common(part, tile))
            block = self.damage.read(self.levels, MAX, self._done[MAX], piece)
            assert block is not None  # only parts of the pyramid are done without
            with self._lock:
                self._blocks[corner] = block
                while len(self._blocks) > _BLOCKS:
                    self._blocks.popitem(last=False)
        return float(block[slow - corner[0], fast - corner[1]])

    def tile_at(self, slow: int, fast: int) -> int | None:
        """Return the number of the tile that holds a pixel, None outside of the image."""
        if not (0 <= slow < self.shape[0] and 0 <= fast < self.shape[1]):
            return None
        tile, columns = self.levels.grid.tile, self.levels.grid.counts[1]
        return slow // tile[0] * columns + fast // tile[1]
