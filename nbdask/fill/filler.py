"""One class that fills, resumes and repairs a store, for every kind of work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nbdask.cluster.dashboard import Dashboard, dashboard_of
from nbdask.cluster.executor import Executor
from nbdask.errors import ClusterError, NbdaskError, UnfinishedError
from nbdask.fill.close import Filled, close
from nbdask.fill.listen import Listener, Progress, Start, followed, heard_by
from nbdask.fill.made import Made
from nbdask.fill.target import Target
from nbdask.fill.work import Work
from nbdask.graph.context import Setup
from nbdask.graph.tasks import TileResult, each, written
from nbdask.store.create import create_store, update_attributes
from nbdask.store.ledger import Ledger
from nbdask.store.lock import Lock
from nbdask.store.place import Place
from nbdask.store.provenance import now
from nbdask.store.reader import StoreReader
from nbdask.store.records import drop_journals
from nbdask.store.schema import FIELDS, RUNNING, is_journaled
from nbdask.store.space import check_space
from nbdask.store.trust import lost_tiles

_log = logging.getLogger("nbdask.fill")

T = TypeVar("T")
#: Items per thread that are handed out at a time; tiles that are looked through at a time.
_WINDOW, _BLOCK = 16, 1 << 16


def fill(
    work: Work,
    target: Target,
    opened: AbstractContextManager[Executor],
    listeners: Sequence[Listener] = (),
) -> Filled:
    """Fill a store, or finish one.

    Parameters
    ----------
    work : Work
    target : Target
        Checked already.
    opened : context manager of Executor
        Entered where tiles are missing, before anything is written.
    listeners : sequence of Listener

    Raises
    ------
    NbdaskError
        Another run writes to the store, or it was started with other settings, or there is no room
        for it; a tile that failed: the store then keeps the status ``running`` and the tiles that
        are done.
    """
    with Lock(target.place) as lock:
        filler = Filler(work, target.place, lock)
        if target.place.sweep():
            # A store that a killed run was about to replace may be back.
            target.check()
        if target.resume:
            filler.reopen(every=target.resume == "verify")
        filler.check_space()
        filler.fill(opened, target.overwrite, listeners)
        return filler.close()


class Filler:
    """A store under its lock: its tiles, their summaries, what is missing.

    Parameters
    ----------
    work : Work
    place : Place
    lock : Lock
        Held.
    """

    def __init__(self, work: Work, place: Place, lock: Lock) -> None:
        self.work, self.place, self.lock = work, place, lock
        self.notes = work.notes
        self.missing: Iterable[int] = range(len(work.grid))
        #: Tiles that are there, those of them that touch the region of interest, and those whose
        #: records are of no use.
        self.finished = self.working = 0
        self.lost: Sequence[int] = ()
        self.computed = False
        #: The root's attributes of a store that was begun before.
        self.begun: Mapping[str, Any] | None = None
        self.made = Made({})

    def reopen(self, *, every: bool = False) -> None:
        """Find the missing tiles of a store that was started by the same work.

        Parameters
        ----------
        every : bool
            Read all tiles on record against their checksums, not only the newest.
        """
        reader = StoreReader(self.place)
        self.begun, self.made = reader.attributes, Made(reader.attributes)
        self.notes += self.work.check_same(reader)
        reader.records.settle()
        done, working = _flags(reader)
        self.lost = lost_tiles(reader, done, every=every)
        if self.lost:
            done[self.lost] = working[self.lost] = False
            self.notes += (
                "tiles on record whose pixels were gone or damaged, computed again:"
                f" {len(self.lost)} (the first is tile {self.lost[0]})",
            )
        self.missing = _unset(done)
        self.finished, self.working = int(done.sum()), int(working.sum())

    def check_space(self) -> None:
        """Refuse what cannot fit on the disk; note what may not."""
        grid = self.work.grid
        left, planes = len(grid) - self.finished, len(self.work.planes)
        self.notes += check_space(self.place, grid, left, planes, self.work.slopes)

    def fill(
        self,
        opened: AbstractContextManager[Executor],
        overwrite: bool,
        listeners: Sequence[Listener],
    ) -> None:
        """Make the store once the cluster is there; compute and write the missing tiles."""
        if self.finished == len(self.work.grid):
            with followed(listeners, self._start(None)):
                return

        tiles = len(self.work.grid)
        ledger: Ledger | None = None

        def done(result: TileResult) -> None:
            """Count a finished tile; stop where another run took the store over."""
            self.made.add(result)
            self.finished += 1
            self.lock.check()
            if ledger is not None:
                ledger.put(result.index, result.record)
            _log.debug("tile %d done, %d of %d", result.index, self.finished, tiles)
            for listener in listeners:
                listener.tile(result, self.finished)

        setup = Setup(self.work.run, self.work.context)
        graphs = self.work.graphs(self.missing)
        _log.info("%d of %d tiles to compute", tiles - self.finished, tiles)
        self.computed = True
        with opened as executor:
            executor.hear = heard_by(listeners)
            executor.check(setup)
            self._begin(overwrite)
            ledger = self._ledger()
            with followed(listeners, self._start(dashboard_of(executor))):
                try:
                    executor.run(setup, graphs, each(done))
                except (KeyboardInterrupt, UnfinishedError, ClusterError):
                    self._keep_made()
                    raise
        if ledger is not None:
            ledger.flush()
            drop_journals(self.place)

    def _ledger(self) -> Ledger | None:
        """Return the records, without those of lost tiles; None: each is in a file of its own."""
        if not is_journaled(self.begun or {}):
            return None
        ledger = Ledger.to_write(self.place)
        ledger.drop(self.lost)
        # Before other tiles are written: later these would no longer be among the newest.
        ledger.flush()
        return ledger

    def _keep_made(self) -> None:
        """Put on record where tiles were made, as far as that works, when a run ends early."""
        with suppress(NbdaskError):
            self.lock.check()
            update_attributes(self.place, self.made.attributes())

    def _begin(self, overwrite: bool) -> None:
        """Make the store without pixels, or put the time of resumption on record."""
        if self.begun is not None:
            times = [*self.begun.get("resumed", []), now()]
            update_attributes(self.place, {"status": RUNNING, "resumed": times})
            return
        create_store(
            self.place,
            self.work.grid,
            self.work.attributes() | {"notes": list(self.notes)},
            pixel_size=self.work.pixel_size,
            overwrite=overwrite,
            image=self.work.image,
            panels=self.work.panels,
            series=self.work.series,
            kept=self.work.kept,
        )

    def _start(self, dashboard: Dashboard | None) -> Start:
        """Return how things stand before the first tile."""
        counts = (len(self.work.grid), self.finished, self.working)
        return Start(self.place.name, *counts, dashboard, self.work.plan)

    def close(self) -> Filled:
        """Mark the store complete."""
        changed = self.computed or self.begun is None
        notes = self.notes + self.made.notes(self.work.same_bits)
        made = self.made.attributes() if changed else {}
        return close(self.place, notes, changed=changed, more=made)

    def repair(
        self, indices: Sequence[int], threads: int, progress: Progress | None = None
    ) -> None:
        """Compute tiles again, on threads of this process, and write them over what is there.

        Parameters
        ----------
        indices : sequence of int
            Numbers of the tiles.
        threads : int
        progress : callable, optional
            Called with (tiles repaired, tiles to repair).
        """

        def again(index: int) -> None:
            self.lock.check()
            written(self.work.writer, self.work.grid[index], self.work.compute(index))

        for done, _ in enumerate(mapped(again, indices, threads), 1):
            if progress is not None:
                progress(done, len(indices))


def _flags(reader: StoreReader) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which tiles are on record, and which of them touch the region of interest."""
    done, working = np.zeros((2, len(reader.grid)), dtype=np.bool_)
    columns, start = [FIELDS.index(name) for name in ("n_evaluated", "n_masked")], 0
    for block in reader.record_blocks():
        part = slice(start, start + len(block))
        done[part] = block[:, 0] == 1.0
        working[part] = (block[:, columns] > 0).any(axis=1)
        start = part.stop
    return done, working


def _unset(flags: NDArray[np.bool_]) -> Iterator[int]:
    """Yield where flags are not set; all numbers at once would take eight bytes for each."""
    for start in range(0, len(flags), _BLOCK):
        yield from (start + np.flatnonzero(~flags[start : start + _BLOCK])).tolist()


def mapped(function: Callable[[Any], T], items: Iterable[Any], threads: int) -> Iterator[T]:
    """Apply a function on threads, in order, with few items in hand at a time."""
    source = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="nbdask") as pool:
        while window := [item for _, item in zip(range(_WINDOW * threads), source, strict=False)]:
            yield from pool.map(function, window)
