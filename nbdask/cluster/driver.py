"""Keeps the workers of a dask.distributed scheduler supplied with tiles, until all are done."""

from __future__ import annotations

import asyncio
import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from dask.utils import key_split
from distributed import Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from nbdask.cluster import gate
from nbdask.cluster.copies import Copies
from nbdask.cluster.executor import Done, Graph
from nbdask.cluster.news import tell
from nbdask.cluster.parcels import Pace, Parcel, Reply, is_single, limit, pack
from nbdask.cluster.tries import NEED_LESS, PAUSE, Failure, Tries, news_of
from nbdask.cluster.watch import LOOK, ClusterLostError, Watch
from nbdask.plan.leading import ahead

#: Seconds in which results are collected before they are taken together, where so many threads
#: work that they come fast.
COLLECT, MANY = 0.1, 8
#: Seconds that fetching results may take before workers are looked for.
FETCH = 10.0


class Driver:
    """Leads one run.

    Parameters
    ----------
    client : distributed.Client
    watch : Watch
    least : int
        Tasks that are handed out even where there are fewer threads.
    run : str
        Name of the run.
    graphs : iterator of Graph
    done : callable
        Takes the result of each.

    Attributes
    ----------
    pending : dict
        What was handed out and not yet taken back.
    """

    def __init__(
        self,
        client: Client,
        watch: Watch,
        least: int,
        run: str,
        graphs: Iterator[Graph],
        done: Done,
    ) -> None:
        self._client, self._watch, self._least, self._run = client, watch, least, run
        self._graphs, self._done = graphs, done
        self._again: deque[Graph] = deque()
        self._tries, self._pace, self._copies = Tries(least), Pace(), Copies()
        self._ready: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._numbers = count()
        self._taken = 0
        self.pending: dict[Future[Any], Parcel] = {}

    def drive(self) -> None:
        """Hand out tiles and take results until all are done, or nothing more can be."""
        self._watch.count()
        while True:
            self._fill()
            if not self.pending and not self._tries.waiting():
                break
            finished = self._finished()
            if finished:
                self._take(finished)
            else:
                self._watch.look()
        self._watch.count()
        self._tries.finish()

    @property
    def _threads(self) -> int:
        return max(self._least, self._watch.threads)

    def _fill(self) -> None:
        """Hand out tiles that are to be tried again, and as many new ones as there is room for."""
        threads = self._tries.threads = self._threads
        seconds = limit(threads)
        for item, workers in self._tries.due():
            self._send([pack(self._run, next(self._numbers), [item], seconds)], workers)
        room = threads + ahead(threads) - len(self.pending)
        parcels: list[Parcel] = []
        while len(parcels) < room and (items := self._draw(self._pace.tiles(threads))):
            parcels.append(pack(self._run, next(self._numbers), items, seconds))
        if parcels:
            self._send(parcels)
        elif room > 0:
            self._copy(self._watch.threads - len(self.pending), seconds)

    def _copy(self, idle: int, seconds: float) -> None:
        """Give what a slow worker has in hand to idle threads too: no other work is left."""
        late = self._copies.late(self.pending, idle)
        if not late:
            return
        hands = self._client.processing()
        for future in late:
            parcel = self.pending[future]
            slow = {
                name for name, keys in hands.items() if not parcel.graph.keys().isdisjoint(keys)
            }
            if self._watch.workers - slow:
                copy = pack(self._run, next(self._numbers), parcel.items, seconds, copy=True)
                (made,) = self._send([copy], frozenset(slow))
                self._copies.pair(future, made)

    def _draw(self, most: int) -> list[Graph]:
        """Return the tiles of the next parcel; none: there are no more."""
        items: list[Graph] = []
        while len(items) < most:
            item = self._again.popleft() if self._again else next(self._graphs, None)
            if item is None:
                break
            if items and not is_single(item):
                self._again.appendleft(item)
                break
            items.append(item)
            if not is_single(item):
                break
        return items

    def _send(
        self, parcels: Sequence[Parcel], avoid: frozenset[str] = frozenset()
    ) -> list[Future[Any]]:
        """Hand out parcels, if possible to other workers than those to avoid."""
        graph = {key: task for parcel in parcels for key, task in parcel.graph.items()}
        others = sorted(self._watch.workers - avoid) if avoid else []
        where = {"workers": others, "allow_other_workers": True} if others else {}
        keys = [parcel.key for parcel in parcels]
        futures: list[Future[Any]] = self._client.get(graph, keys, sync=False, **where)
        for future, parcel in zip(futures, parcels, strict=True):
            self.pending[future] = parcel
            self._copies.sent(future)
            future.add_done_callback(self._ready.put)
        return futures

    def _finished(self) -> list[Future[Any]]:
        """Wait for results; none: none came for a while."""
        try:
            found = [self._ready.get(timeout=PAUSE if self._tries.waiting() else LOOK)]
        except queue.Empty:
            return []
        if self._threads >= MANY:
            time.sleep(COLLECT)
        with suppress(queue.Empty):
            while True:
                found.append(self._ready.get_nowait())
        return found

    def _take(self, futures: list[Future[Any]]) -> None:
        """Take results, and let the scheduler forget them."""
        futures = [future for future in futures if future in self.pending]
        replies = self._replies(futures)
        if futures and all(reply is None for reply in replies):
            time.sleep(COLLECT)
            self._watch.look()
        else:
            self._watch.result()
        for future, reply in zip(futures, replies, strict=True):
            if reply is None:
                future.add_done_callback(self._ready.put)
                continue
            if (parcel := self.pending.pop(future, None)) is None:
                continue  # its copy was first
            twin = self._copies.ended(future, reply.seconds if isinstance(reply, Reply) else 0.0)
            if isinstance(reply, Reply):
                self._drop(twin)
                self._accept(parcel, reply)
            elif twin is None:
                alone = replace(reply, deaths=reply.deaths and len(parcel.items) == 1)
                for item in parcel.items:
                    self._failed(item, alone)
            future.release()
        before, self._taken = self._taken, self._taken + len(futures)
        if before // gate.FORGET_AFTER != self._taken // gate.FORGET_AFTER:
            self._forget_keys()

    def _drop(self, future: Future[Any] | None) -> None:
        """Leave the slower one of two copies; what its worker has in hand it finishes."""
        if future is not None and self.pending.pop(future, None) is not None:
            self._copies.ended(future)
            self._client.cancel([future], force=True)

    def _replies(self, futures: list[Future[Any]]) -> list[Reply | Failure | None]:
        """Fetch all at once; one by one where something is wrong with them.

        None: it was lost with its worker before it was here, and will come again.
        """
        good = [future for future in futures if future.status == "finished"]
        found: dict[Future[Any], Reply] = {}
        with suppress(Exception):
            found = dict(zip(good, self._gather(good), strict=True))
        return [found[future] if future in found else _reply(future) for future in futures]

    def _gather(self, futures: list[Future[Any]]) -> list[Reply]:
        """Fetch results; dask's own way waits for ever where the last worker has died."""
        fetching: Any = self._client.gather(futures, asynchronous=True)
        loop: Any = self._client.loop
        fetched = asyncio.run_coroutine_threadsafe(fetching, loop.asyncio_loop)
        try:
            replies: list[Reply] = fetched.result(FETCH)
        except TimeoutError:
            fetched.cancel()
            raise
        return replies

    def _accept(self, parcel: Parcel, reply: Reply) -> None:
        self._pace.learn(reply)
        # What the parcel had no time for goes out again.
        self._again.extend(parcel.items[len(reply.values) :])
        for item, value in zip(parcel.items, reply.values, strict=False):
            if isinstance(value, Failure):
                self._failed(item, value)
                continue
            self._done(value)
            for worker, failure in self._tries.succeeded(item.key, reply.worker):
                self._retire(worker, failure)

    def _failed(self, item: Graph, failure: Failure) -> None:
        """Have a tile tried again, or set it aside, and tell of it."""
        self._tries.failed(item, failure)
        self._watch.crew.retries = self._tries.again
        self._watch.hear(news_of(item, failure, self._tries))

    def _retire(self, worker: str, failure: Failure) -> None:
        """Send a worker away that fails what others can do, unless it is the last one."""
        if not self._watch.workers - {worker}:
            return
        error = " ".join(str(failure.error).split())
        text = f"worker {worker} is retired: it failed tiles that others computed, at last with:"
        tell(self._watch.hear, "retired", f"{text} {error}", worker=worker)
        self._watch.dismissed.add(worker)
        with suppress(OSError, RuntimeError, ValueError):
            self._client.retire_workers([worker])

    def _forget_keys(self) -> None:
        """Empty what dask remembers of tasks that are done, here and in the scheduler.

        The plugin does the same in the workers.
        """
        key_split.cache_clear()
        # A scheduler that runs nobody's functions keeps its memories.
        with suppress(Exception):
            self._client.run_on_scheduler(gate.make_forget())


def _reply(future: Future[Any]) -> Reply | Failure | None:
    """Return what became of one future; what ends the whole run is raised.

    None: it was lost with its worker.
    """
    if future.status in ("pending", "lost"):
        return None
    try:
        reply: Reply = future.result(LOOK)
    except (CancelledError, CommClosedError):
        raise
    except TimeoutError as error:
        return Failure(error) if future.status == "error" else None
    except KilledWorker as error:
        return Failure(
            ClusterLostError(
                f"{error.allowed_failures + 1} workers died while they computed the same tile, the"
                f" last at {error.last_worker.address}: most often they lack memory:"
                f" {NEED_LESS}; look at the workers' logs"
            ),
            deaths=True,
        )
    except Exception as error:  # what a worker cannot even load
        return Failure(error)
    return reply
