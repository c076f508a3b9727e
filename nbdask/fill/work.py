"""The work on one store: its tiles, and how each is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbdask.experiment import DetectorPanel
from nbdask.graph.context import Shared
from nbdask.graph.tasks import TileResult
from nbdask.plan.plan import Plan
from nbdask.plan.tiles import TileGrid
from nbdask.shots import Series
from nbdask.store.pixels import Kept
from nbdask.store.schema import PHOTONS

if TYPE_CHECKING:
    from nbdask.store.reader import StoreReader
    from nbdask.store.write import TileWriter


@dataclass(kw_only=True)
class Work(ABC):
    """Work that fills a store.

    Parameters
    ----------
    run : str
        Name of the run, unique in every process.
    grid : TileGrid
    writer : TileWriter
    context : Shared
        What all tasks share.
    pixel_size : float
        [m].
    image : mapping
        What the image holds: ``long_name`` and ``units``.
    panels : tuple of DetectorPanel
        Of a detector that has some.
    series : Series, optional
        Whose shots the image holds.
    kept : Kept, optional
        How pixels are kept; None: as float32, quickly compressed.
    plan : Plan, optional
        What listeners are told; None where nothing is simulated.
    notes : tuple of str
        What goes on record.
    planes : tuple of str
        Names of the arrays that each tile has beside the image.
    slopes : int
        Derivatives of a pixel.
    """

    run: str
    grid: TileGrid
    writer: TileWriter
    context: Shared
    pixel_size: float
    image: Mapping[str, str] = field(default_factory=PHOTONS.copy)
    panels: tuple[DetectorPanel, ...] = ()
    series: Series | None = None
    kept: Kept | None = None
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
    planes: tuple[str, ...] = ()
    slopes: int = 0

    @property
    def same_bits(self) -> bool:
        """Whether the pixels have the same bits on machines of every kind."""
        return True

    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """Return the root's attributes for a run that begins now."""

    @abstractmethod
    def check_same(self, reader: StoreReader, doing: str = "--resume") -> tuple[str, ...]:
        """Make sure that the work gives exactly the pixels that a store was started with.

        Returns
        -------
        tuple of str
            What else goes on record.

        Raises
        ------
        StoreError
            With every difference as ``name: stored -> now``, after what was asked for.
        """

    @abstractmethod
    def graphs(self, missing: Iterable[int]) -> Iterator[Any]:
        """Yield the graph of one missing tile after another."""

    @abstractmethod
    def compute(self, index: int) -> TileResult:
        """Return a tile with its pixels, here and now."""
