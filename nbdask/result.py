"""What a run gave, how a notebook shows it, and the files that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nbdask import html
from nbdask.errors import StoreError
from nbdask.plan.plan import Plan
from nbdask.plan.tiles import dims_text, shape_text
from nbdask.statistics import Statistics

#: Most pixels of an image of which a result shows a picture.
_MOST_SHOWN = 4096**2


class Output(Protocol):
    """A further file that is made from the finished store, tile by tile."""

    def check(self) -> None:
        """Raise an error before anything is computed if the file could not be written."""

    def write(self, store: Path | str) -> None:
        """Write the file from the complete store."""


def recorded(outputs: Sequence[Output]) -> dict[str, Any]:
    """Return the root's attributes by which outputs can be made later, of those that have some."""
    found: dict[str, Any] = {}
    for output in outputs:
        found |= getattr(output, "recorded", {})
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave.

    Attributes
    ----------
    path : Path or str
        The store that was written: its absolute path, or its address.
    shape : tuple of int
        Pixels of the image, ([shot,] [panel,] slow, fast).
    statistics : Statistics
    notes : tuple of str
        What the user should be told.
    seconds : float
        Wall time.
    """

    path: Path | str
    shape: tuple[int, ...]
    statistics: Statistics
    notes: tuple[str, ...]
    seconds: float

    def __repr__(self) -> str:
        """Return in a line what was made."""
        numbers = self.statistics
        return (
            f"<{type(self).__name__} {self.path}: {shape_text(self.shape)} pixels, at most"
            f" {numbers.max:.6g} at {numbers.place}, {self.seconds:.1f} s>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class SimulationResult(Result):
    """What a simulation gave: as :class:`Result`, and the plan."""

    plan: Plan

    def _repr_html_(self) -> str:
        """Show the result in a notebook, with a small picture where the image is not very large."""
        numbers = self.statistics
        dims = dims_text(self.shape, numbers.max_shot is not None)
        rows: list[tuple[str, object]] = [
            ("store", self.path),
            ("image", f"{shape_text(self.shape)} pixels ({dims})"),
            (
                "maximum",
                f"{numbers.max:.6g} photons at {numbers.place}",
            ),
            ("mean", f"{numbers.mean:.6g} photons"),
            ("kernel", f"{self.plan.backend}, {self.plan.precision}"),
            ("time", f"{self.seconds:.1f} s"),
            *(("note", note) for note in self.notes),
        ]
        return html.table("nbdask result", rows) + _thumbnail(self.path, self.shape)


def _thumbnail(path: Path | str, shape: tuple[int, ...]) -> str:
    """Return a picture of a store; nothing where it is gone or would take long to read."""
    from nbdask.store.reader import StoreReader

    if len(shape) > 2 or shape[0] * shape[1] > _MOST_SHOWN:
        return ""
    try:
        image = StoreReader(path).image
        return html.picture(np.asarray(image[...], dtype=np.float32))
    except StoreError:
        return ""
