"""What every cluster offers: many small graphs, a bounded number of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from nbdask.cluster.news import Hear


class Installable(Protocol):
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
    """Runs graphs.

    Attributes
    ----------
    hear : callable
        Takes news of workers and tiles that failed; set by whoever wants to hear them.
    """

    hear: Hear

    def check(self, setup: Installable) -> None:
        """Wait for the first worker, and refuse workers that could not take part.

        Called before anything is written.

        Raises
        ------
        ClusterError
            A worker has another nbdask or kernel, or none comes.
        """

    def run(self, setup: Installable, graphs: Iterator[Any], done: Done) -> None:
        """Compute every graph, drawing the next ones only as others finish.

        Parameters
        ----------
        setup : Installable
            Brought to every process first.
        graphs : iterator of Graph
        done : callable
            Takes each graph's result.

        Raises
        ------
        Exception
            An error of a task that no other try would mend, as it was raised there; nothing is
            left running.
        UnfinishedError
            Tiles failed on every try; all others are done.
        """
