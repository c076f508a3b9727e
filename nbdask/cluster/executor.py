"""What every cluster offers: many small graphs, a bounded number of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from nbdask.cluster.spec import ClusterSpec


class Setup(Protocol):
    """Something to be done once in each process before its first task, and undone at the end."""

    @property
    def run(self) -> str:
        """Name of the run, unique in every process."""

    def install(self) -> None:
        """Do it."""

    def remove(self) -> None:
        """Undo it."""


class Graph(Protocol):
    """A dask graph and the key whose value is its result."""

    @property
    def key(self) -> Any:
        """Key of the result."""

    @property
    def graph(self) -> dict[Any, Any]:
        """The tasks."""


#: Called in the process that leads the run with each result, in the order of completion.
Done = Callable[[Any], None]


class Executor(Protocol):
    """Runs graphs."""

    def run(self, setup: Setup, graphs: Iterator[Any], done: Done) -> None:
        """Compute every graph, drawing the next ones only as others finish.

        Parameters
        ----------
        setup : Setup
            Brought to every process first.
        graphs : iterator of Graph
        done : callable
            Takes each graph's result.

        Raises
        ------
        Exception
            The first error of a task, as it was raised there; nothing is left running.
        """


@contextmanager
def open_cluster(spec: ClusterSpec) -> Iterator[Executor]:
    """Start what a spec asks for, and end it afterwards whatever happens.

    Yields
    ------
    Executor

    Raises
    ------
    ClusterError
        It cannot be started.
    """
    if spec.kind == "threads":
        from nbdask.cluster.threads import ThreadsExecutor

        yield ThreadsExecutor(spec.threads)
        return
    from nbdask.cluster.local import local_cluster

    with local_cluster(spec) as executor:
        yield executor
