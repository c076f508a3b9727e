"""What a worker must have before it may take part, and how a run's setup comes to it.

Functions and the class sent to workers are made inside functions, so that they are
pickled as they are, not by their name: a worker with another nbdask, or without any, must be able
to say so.  They use only what is sent with them.
"""

from __future__ import annotations

import re
from asyncio import sleep
from collections.abc import Callable
from importlib import import_module
from typing import Any

from dask.utils import key_split
from distributed import WorkerPlugin
from distributed.core import Status
from distributed.protocol.pickle import dumps, loads

from nbdask.cluster.executor import Installable
from nbdask.version import __version__

#: Topic under which workers report that they were refused.
REFUSED = "nbdask-refused"

#: Results after which a process forgets the keys of tasks that are done, which dask would remember.
FORGET_AFTER = 1000

#: Returns why a process may not take part, or None.
Check = Callable[[], "str | None"]


def make_check(setup: Installable) -> Check:
    """Return a function that compares a process's nbdask and kernel with those here.

    Parameters
    ----------
    setup : Installable
        Its attribute ``requires``, where it has one: (backend, precision, version) of the kernel.

    Returns
    -------
    callable
        Pickled by value.
    """
    version = __version__
    requires: tuple[str, str, str] | None = getattr(setup, "requires", None)

    def check() -> str | None:
        """Return why a process cannot take part, or None; runs there."""
        try:
            found = import_module("nbdask.version").__version__
        except ImportError:
            return f"nbdask is not installed there, {version} is needed"
        if found != version:
            return f"nbdask is version {found} there, {version} here"
        if requires is None:
            return None
        backend, precision, wanted = requires
        try:
            kernel = import_module("nbdask.kernels.registry").get_kernel(backend, precision)
        except Exception as error:
            return f"kernel {backend}: {error}"
        if kernel.version != wanted:
            return f"kernel {backend} is version {kernel.version} there, {wanted} here"
        return None

    return check


def make_plugin(setup: Installable) -> Any:
    """Return the plugin that checks a worker, installs the setup in it, and removes it at the end.

    Returns
    -------
    distributed.WorkerPlugin
        Pickled by value.  A worker that joins later and is refused reports it and closes.
    """
    check, payload, topic, every = make_check(setup), dumps(setup), REFUSED, FORGET_AFTER
    label = f"nbdask-{setup.run}"

    class Bring(WorkerPlugin):
        idempotent = True
        name = label
        installed: Any = None
        results = 0

        async def setup(self, worker: Any) -> None:
            reason = check()
            if reason is None:
                try:
                    self.installed = loads(payload)
                    self.installed.install()
                    return
                except Exception as error:
                    self.installed = None
                    reason = f"{type(error).__name__}: {error}"
            # In this state a worker starts no task; the scheduler sends them elsewhere.
            worker.status = Status.closing_gracefully
            worker.log_event(topic, {"worker": worker.address, "reason": reason})
            # Until this returns the worker does not even look at its tasks; the report goes out.
            await sleep(0.5)
            worker.loop.add_callback(worker.close)

        def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
            """Count results, and forget names of keys every so many of them."""
            if finish == "memory":
                self.results += 1
                if self.results % every == 0:
                    key_split.cache_clear()

        def teardown(self, worker: Any) -> None:
            if self.installed is not None:
                self.installed.remove()

    return Bring()


def make_facts() -> Callable[[], tuple[int, int]]:
    """Return a function that says the threads of a worker and the bytes it may use (0: any).

    Returns
    -------
    callable
        Pickled by value.
    """

    def facts(dask_worker: Any = None) -> tuple[int, int]:
        return dask_worker.state.nthreads, int(dask_worker.memory_manager.memory_limit or 0)

    return facts


def make_forget() -> Callable[..., None]:
    """Return a function that empties what a scheduler remembers of work that is done.

    dask would keep the last 100000 keys, and a note on every graph that it was ever given, so that
    the scheduler grew with the number of tiles.

    Returns
    -------
    callable
        For a process with the scheduler; pickled by value.
    """

    def forget(dask_scheduler: Any = None) -> None:
        """Drop what the scheduler remembers of the keys of finished graphs."""
        key_split.cache_clear()
        spans = getattr(dask_scheduler.extensions.get("spans"), "spans", {})
        for span in spans.values():
            notes = getattr(span, "_metadata", None)
            if notes and isinstance(notes.get("collections"), list):
                notes["collections"].clear()

    return forget


def make_busy() -> Callable[..., int]:
    """Return a function that counts a scheduler's workers that have something to do.

    Returns
    -------
    callable
        For a process with the scheduler; pickled by value.
    """

    def busy(dask_scheduler: Any = None) -> int:
        return sum(bool(worker.processing) for worker in dask_scheduler.workers.values())

    return busy


def refusal(worker: str, reason: str) -> str:
    """Return the one line that a user is told of a refused worker."""
    advice = f"install nbdask {__version__} with the same kernels where that worker runs"
    return f"worker {worker} is refused: {re.sub(r'[.]$', '', reason)}: {advice}"
