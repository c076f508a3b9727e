"""What there is to do: the tiles of one store, and how each of them comes about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from nbdask.graph.context import Shared, WriteTile
from nbdask.graph.tasks import TileResult
from nbdask.plan.plan import Plan
from nbdask.plan.tiles import TileGrid
from nbdask.store.open import StoreReader


class TileContext(Shared, Protocol):
    """What all tasks share: with it they compute tiles and write them."""

    @property
    def grid(self) -> TileGrid:
        """Of the store."""

    @property
    def write_tile(self) -> WriteTile | None:
        """Writes a tile, then its record."""


class Work(Protocol):
    """Work that fills a store."""

    @property
    def run(self) -> str:
        """Name of the run, unique in every process."""

    @property
    def context(self) -> TileContext:
        """What all tasks share."""

    @property
    def plan(self) -> Plan | None:
        """What listeners are told; None where nothing is simulated."""

    @property
    def pixel_size(self) -> float:
        """[m]."""

    @property
    def image(self) -> Mapping[str, str]:
        """What the image holds: ``long_name`` and ``units``."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What goes on record."""

    def attributes(self) -> dict[str, Any]:
        """Return the root's attributes for a run that begins now."""

    def check_same(self, reader: StoreReader) -> tuple[str, ...]:
        """Make sure that the work gives the very pixels that a store was begun with.

        Returns
        -------
        tuple of str
            What goes on record beside.

        Raises
        ------
        StoreError
            It does not.
        """

    def graphs(self, missing: Iterable[int]) -> Iterator[Any]:
        """Yield the graph of one missing tile after another."""

    def compute(self, index: int) -> TileResult:
        """Return a tile with its pixels, here and now."""
