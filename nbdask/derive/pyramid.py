"""The multiscale pyramid: coarser levels of an image, built chunk by chunk.

A chunk covers four of the level below and is built when these are finished, so levels grow while
a run goes on, and what an earlier build left out is all that a later one does.  Chunks that are
there are never built again: tiles are read against their checksums, so they are right.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np

from nbdask.cluster.executor import Executor
from nbdask.cluster.open import open_cluster
from nbdask.cluster.parse import Where, parse_where
from nbdask.derive.chunks import Chunk, ChunkBuilder, Chunks, chunk_graphs
from nbdask.errors import InputError, StoreError
from nbdask.fill.again import repeatable
from nbdask.fill.listen import Listener, Progress, Start
from nbdask.graph.context import Setup
from nbdask.graph.tasks import TileResult
from nbdask.store.address import place_of
from nbdask.store.levels import KINDS, LAYOUT, SMALLEST, Flags, Levels
from nbdask.store.lock import Lock
from nbdask.store.place import Place
from nbdask.store.pyramid import create_levels
from nbdask.store.reader import StoreReader

_log = logging.getLogger("nbdask.derive")


@dataclass(frozen=True, slots=True)
class Pyramid:
    """What :func:`build_pyramid` did.

    Attributes
    ----------
    path : Path or str
    kinds : tuple of str
        Kinds that the store has now.
    shapes : tuple of tuple of int
        Pixels (slow, fast) of a panel at each level beyond the image.
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
    rebuild: bool = False,
    shots: Iterable[int] | None = None,
    progress: Progress | None = None,
    **where: Unpack[Where],
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
    rebuild : bool
        Build all of it again, in today's layout.
    shots : iterable of int, optional
        Of a series: build the chunks of these only; None: of all.
    progress : callable, optional
        Called with (chunks there, chunks in all).
    **where
        ``cluster``, ``workers``, ``threads`` and ``jobs``, as in :class:`nbdask.prepare.Settings`.
        The files do not depend on it.

    Raises
    ------
    InputError
        An unknown kind, or a size below 1.
    StoreError
        There is no store, a run writes to it, a tile is damaged, or it cannot be written; a kind
        would join others of an earlier layout.
    ClusterError
        The cluster cannot be had, or was lost; what is built stays.
    """
    check_kinds(kinds)
    if smallest < 1:
        raise InputError(f"smallest = {smallest}: must be at least 1 pixel")
    place = place_of(path)
    # A missing store is named as such, not as a lock that cannot be written.
    planes = _planes(StoreReader(place), shots)
    spec = parse_where(where)
    with Lock(place) as lock:
        place.sweep()
        make = partial(create_levels, place, kinds, smallest, rebuild=rebuild)
        if not rebuild and _is_built(place, kinds, planes):
            builder = Builder(make(), planes)
            before = builder.count()
        else:
            with repeatable(place.name), open_cluster(spec) as executor:
                executor.check(Setup(secrets.token_hex(8), Chunks(place)))
                builder = Builder(make(), planes)
                before = builder.count()
                _build(executor, builder, place, _Noting(builder, lock, progress))
    levels, now = builder.levels, builder.count()
    _log.info("%s: %d chunks of a pyramid built", place.name, now - before)
    shapes = tuple(levels.level_grid(k).shape for k in range(1, len(builder.done)))
    missing, old = builder.total - now, levels.layout < LAYOUT
    return Pyramid(place.name, levels.kinds, shapes, now - before, missing, old)


def _planes(reader: StoreReader, shots: Iterable[int] | None) -> list[int] | None:
    """Return the planes of some shots; None: all.

    Raises
    ------
    StoreError
        There is no such shot, or the store is none of a series.
    """
    if shots is None:
        return None
    panels, chosen = reader.grid.panels, sorted({reader.checked_shot(shot) for shot in shots})
    return [shot * panels + panel for shot in chosen for panel in range(panels)]


def _is_built(place: Place, kinds: Sequence[str], planes: Sequence[int] | None) -> bool:
    """Return whether nothing can be built: no cluster is needed to find that out."""
    levels = Levels(place)
    return set(kinds) <= set(levels.kinds) and not Builder(levels, planes).any_ready()


def _build(
    executor: Executor, builder: Builder, place: Place, built: Callable[[Chunk], None]
) -> None:
    """Build one level after another: each needs what is there of the one below."""
    for level in range(1, len(builder.done)):
        # To a scheduler, which knows tasks by their names, each level is a run of its own.
        setup = Setup(secrets.token_hex(8), Chunks(place))
        if ready := builder.ready(level):
            executor.run(setup, chunk_graphs(setup.run, ready), built)


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse unknown kinds of levels."""
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"kind {kind!r} of a pyramid: must be {' or '.join(KINDS)}")
    if not kinds:
        raise InputError(f"no kind of a pyramid: give {' or '.join(KINDS)}, or both")


class Builder:
    """Knows which chunks of a pyramid are there and which can be built, and builds some.

    Parameters
    ----------
    levels : Levels
        Writable.
    planes : sequence of int, optional
        Builds those of these only; planes are the panels of all shots.

    Attributes
    ----------
    done : list of bool arrays
        Finished tiles of the image, then the chunks of each level: (plane, row, column).
    """

    def __init__(self, levels: Levels, planes: Sequence[int] | None = None) -> None:
        self.levels = levels
        self._chunks = ChunkBuilder(levels)
        self._wanted = np.ones(levels.grid.planes, dtype=np.bool_)
        if planes is not None:
            self._wanted[:] = False
            self._wanted[list(planes)] = True
        # A record that cannot be read counts as missing, so the records are read here.
        flags = (levels.done(levels.kinds, level) for level in range(levels.count + 1))
        self.done: list[Flags] = [f.reshape(-1, *f.shape[-2:]) for f in flags]

    @property
    def total(self) -> int:
        """Chunks of all levels."""
        planes = int(self._wanted.sum())
        return sum(planes * flags[0].size for flags in self.done[1:])

    def count(self) -> int:
        """Return how many chunks are there."""
        return sum(int(flags[self._wanted].sum()) for flags in self.done[1:])

    def ready(self, level: int) -> list[Chunk]:
        """Return the chunks whose inputs are there and they are not."""
        below, here = self.done[level - 1], self.done[level]
        planes, rows, columns = here.shape
        padded = np.ones((planes, 2 * rows, 2 * columns), dtype=np.bool_)
        padded[:, : below.shape[1], : below.shape[2]] = below
        whole = padded.reshape(planes, rows, 2, columns, 2).all(axis=(2, 4))
        missing = whole & ~here & self._wanted[:, None, None]
        return [(level, int(p), int(r), int(c)) for p, r, c in np.argwhere(missing)]

    def any_ready(self) -> bool:
        """Return whether any chunk can be built now."""
        return any(self.ready(level) for level in range(1, len(self.done)))

    def above(self, chunk: Chunk) -> Chunk | None:
        """Return the chunk over a finished one if it can be built now."""
        level, plane, row, column = chunk
        if level + 1 >= len(self.done):
            return None
        r, c = row // 2, column // 2
        four = self.done[level][plane, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        there = self.done[level + 1][plane, r, c]
        return (level + 1, plane, r, c) if four.all() and not there else None

    def build(self, chunk: Chunk) -> None:
        """Build one chunk here and now, and note that it is there."""
        self._chunks.build(chunk)
        self.note(chunk)

    def note(self, chunk: Chunk) -> None:
        """Note that a chunk is there."""
        level, plane, row, column = chunk
        self.done[level][plane, row, column] = True


class _Noting:
    """Takes note of each chunk; stops where somebody else took the store over."""

    def __init__(self, builder: Builder, lock: Lock, progress: Progress | None) -> None:
        self._builder, self._lock, self._progress = builder, lock, progress

    def __call__(self, chunk: Chunk) -> None:
        """Take note of one that was built by a task."""
        self._builder.note(chunk)
        self._lock.check()
        if self._progress is not None:
            self._progress(self._builder.count(), self._builder.total)


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
            tiles = builder.done[0]
            while (index := self._queue.get()) is not None and not self._stop.is_set():
                plane, row, column = (int(i) for i in np.unravel_index(index, tiles.shape))
                tiles[plane, row, column] = True
                above = builder.above((0, plane, row, column))
                while above is not None:
                    builder.build(above)
                    above = builder.above(above)
        except Exception as error:  # raised by end(), in the thread of the run
            self._error = error
