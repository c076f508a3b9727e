"""One class that fills, resumes and repairs a store, for every kind of work."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple, TypeVar

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
from nbdask.store.lock import Lock
from nbdask.store.place import Place
from nbdask.store.provenance import now
from nbdask.store.reader import StoreReader
from nbdask.store.records import settle
from nbdask.store.schema import FIELDS, RUNNING, fields_with
from nbdask.store.space import check_space
from nbdask.store.trust import lost_tiles

_log = logging.getLogger("nbdask.fill")

T = TypeVar("T")
#: Items per thread that are handed out at a time.
_WINDOW = 16


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


class _Begun(NamedTuple):
    """What is to be known of a store that was begun before."""

    attributes: Mapping[str, Any]
    journaled: bool


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
        count = len(work.grid)
        # One row per tile rather than objects: a million finished tiles are 96 MB.  Of zeros, since
        # the system gives memory to those rows only that are written.
        self.table: NDArray[np.float64] = np.zeros((count, len(fields_with(work.planes))))
        self.missing: Iterable[int] = range(count)
        self.finished = 0
        self.computed = False
        self.begun: _Begun | None = None
        #: Of the root, as a run wrote them that began it.
        self.root: Mapping[str, Any] = {}
        self.made = Made({})

    def reopen(self, *, every: bool = False) -> None:
        """Find the missing tiles of a store that was started by the same work.

        Parameters
        ----------
        every : bool
            Read all tiles on record against their checksums, not only the newest.
        """
        reader = StoreReader(self.place)
        self.begun = _Begun(reader.attributes, reader.journaled)
        self.made = Made(reader.attributes)
        self.notes += self.work.check_same(reader)
        done = self._take(reader)
        lost = lost_tiles(reader, done, every=every)
        if lost:
            done[lost], self.table[lost] = False, 0.0
            self.notes += (
                f"tiles on record whose pixels were gone or damaged, computed again: {len(lost)}"
                f" (the first is tile {lost[0]})",
            )
        if reader.journaled:
            settle(self.place, self.table, done)
        self.missing = (int(index) for index in np.flatnonzero(~done))
        self.finished = int(done.sum())
        # The reader holds the records of all tiles, and a reference to itself.
        del reader
        gc.collect()

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

        def done(result: TileResult) -> None:
            """Count a finished tile; stop where another run took the store over."""
            self.table[result.index] = result.record[: self.table.shape[1]]
            self.made.add(result)
            self.finished += 1
            self.lock.check()
            _log.debug("tile %d done, %d of %d", result.index, self.finished, len(self.table))
            for listener in listeners:
                listener.tile(result, self.finished)

        setup = Setup(self.work.run, self.work.context)
        graphs = self.work.graphs(self.missing)
        _log.info("%d of %d tiles to compute", len(self.table) - self.finished, len(self.table))
        self.computed = True
        with opened as executor:
            executor.hear = heard_by(listeners)
            executor.check(setup)
            self._begin(overwrite)
            with followed(listeners, self._start(dashboard_of(executor))):
                try:
                    executor.run(setup, graphs, each(done))
                except (KeyboardInterrupt, UnfinishedError, ClusterError):
                    self._keep_made()
                    raise

    def _keep_made(self) -> None:
        """Put on record where tiles were made, as far as that works, when a run ends early."""
        with suppress(NbdaskError):
            self.lock.check()
            update_attributes(self.place, self.made.attributes())

    def _begin(self, overwrite: bool) -> None:
        """Make the store without pixels, or put the time of resumption on record."""
        if self.begun is not None:
            times = [*self.begun.attributes.get("resumed", []), now()]
            update_attributes(self.place, {"status": RUNNING, "resumed": times})
            return
        self.root = self.work.attributes() | {"notes": list(self.notes)}
        create_store(
            self.place,
            self.work.grid,
            self.root,
            pixel_size=self.work.pixel_size,
            overwrite=overwrite,
            image=self.work.image,
            panels=self.work.panels,
            series=self.work.series,
            kept=self.work.kept,
        )

    def _start(self, dashboard: Dashboard | None) -> Start:
        """Return how things stand before the first tile."""
        columns = [FIELDS.index(name) for name in ("n_evaluated", "n_masked")]
        working = int((self.table[:, columns] > 0).any(axis=1).sum()) if self.finished else 0
        tiles = len(self.table)
        return Start(self.place.name, tiles, self.finished, working, dashboard, self.work.plan)

    def close(self) -> Filled:
        """Mark the store complete."""
        changed = self.computed or self.begun is None
        begun = self.begun
        attributes = {**self.root, "status": RUNNING} if begun is None else begun.attributes
        records = (self.table, self.work.grid.apart)
        notes = self.notes + self.made.notes(self.work.same_bits)
        made = self.made.attributes() if changed else {}
        return close(self.place, records, attributes, notes, changed=changed, more=made)

    def _take(self, reader: StoreReader) -> NDArray[np.bool_]:
        """Take the records that a store has; return which tiles have one."""
        # Records of earlier formats have fewer fields.
        self.table = np.zeros((len(self.work.grid), len(reader.fields)))
        done = np.zeros(len(self.table), dtype=np.bool_)
        start = 0
        for block in reader.record_blocks():
            stop = start + len(block)
            finished = done[start:stop] = block[:, 0] == 1.0
            self.table[start:stop][finished] = block[finished]
            start = stop
        return done

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


def mapped(function: Callable[[Any], T], items: Iterable[Any], threads: int) -> Iterator[T]:
    """Apply a function on threads, in order, with few items in hand at a time."""
    source = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="nbdask") as pool:
        while window := [item for _, item in zip(range(_WINDOW * threads), source, strict=False)]:
            yield from pool.map(function, window)
