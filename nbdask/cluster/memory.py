"""Workers that are killed for lack of memory: by the system or by dask; the user is told.

What is sent to the nannies, the processes that watch over workers, is pickled as it is: a node may
have another nbdask, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from socket import gethostname
from typing import Any

from distributed import Client, NannyPlugin
from distributed.comm.core import CommClosedError
from tornado.ioloop import PeriodicCallback

from nbdask.cluster.news import logger
from nbdask.cluster.tries import NEED_LESS
from nbdask.cluster.watch import LEAVING
from nbdask.plan.memory import format_bytes

#: Topics: of dask, whose nannies end a worker that nears its limit; of nbdask.
_BY_DASK, _BY_SYSTEM = "worker-restart-memory", "nbdask-out-of-memory"
#: Milliseconds between looks at the count of the control group.
_LOOK = 500


#: Gives the control group of a process, the processes killed in it and its limit in bytes.
_Group = Callable[[], tuple[str, int | None, int | None]]


def _make_group() -> _Group:
    """Return a function that is pickled by value, being local."""

    def number(path: str, name: str = "") -> int | None:
        """Return the number in a file, or after a name in it."""
        try:
            with open(path) as file:
                words = file.read().split()
            return int(words[words.index(name) + 1 if name else 0])
        except (OSError, ValueError, IndexError):
            return None

    def group() -> tuple[str, int | None, int | None]:
        """Return the first control group that counts memory."""
        try:
            with open("/proc/self/cgroup") as file:
                lines = [line.rstrip("\n").split(":", 2) for line in file]
        except OSError:
            return "", None, None
        for _, controllers, path in lines:
            for name in (path, ""):
                if controllers == "":
                    folder, events, most = f"/sys/fs/cgroup{name}", "events", "max"
                elif "memory" in controllers.split(","):
                    folder = f"/sys/fs/cgroup/memory{name}"
                    events, most = "oom_control", "limit_in_bytes"
                else:
                    continue
                kills = number(f"{folder}/memory.{events}", "oom_kill")
                limit = number(f"{folder}/memory.{most}")
                if kills is not None:
                    return folder, kills, limit
        return "", None, None

    return group


def make_plugin(run: str) -> Any:
    """Return the plugin by which nannies report what the system killed in their control group.

    Parameters
    ----------
    run : str
        Name of the run.

    Returns
    -------
    distributed.NannyPlugin
        Pickled by value.
    """
    topic, interval, label = _BY_SYSTEM, _LOOK, f"{_BY_SYSTEM}-{run}"
    group = _make_group()

    class Report(NannyPlugin):
        name = label
        before: int | None = None
        looks: Any = None

        def setup(self, nanny: Any) -> None:
            """Look from now on."""
            self.before = group()[1]
            if self.before is None:
                return

            def look() -> None:
                folder, kills, limit = group()
                if kills is not None and kills > self.before:  # type: ignore[operator]
                    self.before = kills
                    place = {"host": gethostname(), "group": folder, "kills": kills}
                    nanny.log_event(topic, place | {"limit": limit})

            self.looks = PeriodicCallback(look, interval)
            self.looks.start()

        def teardown(self, nanny: Any) -> None:
            """Look no more."""
            if self.looks is not None:
                self.looks.stop()

    return Report()


@contextmanager
def told(client: Client, run: str) -> Iterator[None]:
    """Tell the user, as long as a run lasts, of workers that are killed for lack of memory."""
    seen: set[tuple[str, str, int]] = set()

    def by_system(event: tuple[float, dict[str, Any]]) -> None:
        """Tell once of each worker that the system killed."""
        about = event[1]
        # All nannies of a control group see the same.
        which = about["host"], about["group"], about["kills"]
        if which not in seen:
            seen.add(which)
            limit = about["limit"]
            text = f" (limit {format_bytes(limit)})" if limit and limit < 1 << 60 else ""
            logger.warning(
                "nbdask: the system killed a worker process on %s for lack of memory%s: the run"
                " goes on; %s",
                *(about["host"], text, NEED_LESS),
            )

    def by_dask(event: tuple[float, dict[str, Any]]) -> None:
        about = event[1]
        logger.warning(
            "nbdask: worker %s was ended at %s, near its limit of memory: the run goes on; %s",
            *(about["worker"], format_bytes(about["rss"]), NEED_LESS),
        )

    plugin = make_plugin(run)
    client.register_plugin(plugin)
    client.subscribe_topic(_BY_SYSTEM, by_system)
    client.subscribe_topic(_BY_DASK, by_dask)
    try:
        yield
    finally:
        if client.status == "running":
            client.unsubscribe_topic(_BY_SYSTEM)
            client.unsubscribe_topic(_BY_DASK)
            with suppress(CommClosedError, OSError, CancelledError):
                client.sync(
                    client._unregister_worker_plugin,
                    plugin.name,
                    nanny=True,
                    callback_timeout=LEAVING,
                )
