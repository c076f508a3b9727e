"""Threads of this process, by dask's threaded scheduler."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dask.callbacks import Callback
from dask.threaded import get as threaded_get

from nbdask.cluster.executor import Done, Installable
from nbdask.cluster.news import Hear, ignore
from nbdask.cluster.options import Asked
from nbdask.cluster.spec import ClusterSpec
from nbdask.cluster.tries import PAUSE, Failure, Tries, attempt, news_of
from nbdask.errors import ClusterError
from nbdask.plan.machine import available_cores

#: Tasks per thread that are handed to the scheduler at a time.  The threads wait for each other
#: once per so many tasks; only as many tiles as threads are in memory.
WINDOW_PER_THREAD = 64


def spec_of(asked: Asked) -> ClusterSpec:
    """Make the spec: one process, by default with a thread for each core.

    Raises
    ------
    ClusterError
        More than one worker.
    """
    if asked.workers not in (None, 1):
        raise ClusterError(
            f"--workers {asked.workers} needs --cluster local: --cluster threads is one process,"
            " with as many --threads as given"
        )
    return ClusterSpec(asked.kind, 1, asked.settings.get("threads") or available_cores())


def open_spec(spec: ClusterSpec) -> AbstractContextManager[ThreadsExecutor]:
    """Give the executor; the threads start with its first graph."""
    return nullcontext(ThreadsExecutor(spec.threads))


class ThreadsExecutor:
    """Runs graphs on a number of threads."""

    hear: Hear = staticmethod(ignore)

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def check(self, setup: Installable) -> None:
        """Nothing to check: the threads are this process's own."""

    def run(self, setup: Installable, graphs: Iterator[Any], done: Done) -> None:
        """Compute every graph; see :class:`~.executor.Executor`."""
        setup.install()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="nbdask")
        tries = Tries(self.threads)
        try:
            while window := self._next_window(graphs, tries):
                self._run_window(pool, window, done, tries)
            tries.finish()
        finally:
            # After an error or Ctrl-C the tasks that run now are waited for, no others start.
            pool.shutdown(wait=True, cancel_futures=True)
            setup.remove()

    def _next_window(self, graphs: Iterator[Any], tries: Tries) -> list[Any]:
        """Draw graphs until they hold enough tasks, those to be tried again first."""
        window: list[Any] = [item for item, _ in tries.due()]
        tasks = sum(len(item.graph) for item in window)
        while tasks < WINDOW_PER_THREAD * self.threads:
            following = next(graphs, None)
            if following is None:
                break
            window.append(following)
            tasks += len(following.graph)
        while not window and tries.waiting():
            time.sleep(PAUSE / 10)
            window = [item for item, _ in tries.due()]
        return window

    def _run_window(
        self, pool: ThreadPoolExecutor, window: list[Any], done: Done, tries: Tries
    ) -> None:
        items = {item.key: item for item in window}
        graph = {key: (attempt, *task) for item in window for key, task in item.graph.items()}

        def finished(key: Any, value: Any, *_: Any) -> None:
            """Hear of what became of an item."""
            if key not in items:
                return
            if isinstance(value, Failure):
                tries.failed(items[key], value)
                self.hear(news_of(items[key], value, tries))
            else:
                done(value)
                tries.succeeded(key)

        with Callback(posttask=finished):
            threaded_get(graph, [item.key for item in window], pool=pool, num_workers=self.threads)
