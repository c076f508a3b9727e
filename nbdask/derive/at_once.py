"""Noise that is added to tiles as they are simulated: the photons themselves are not kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbdask.derive import provenance
from nbdask.derive.pipeline import Pipeline
from nbdask.derive.tasks import AtOnce
from nbdask.errors import FieldError, StoreError
from nbdask.experiment import DetectorPanel
from nbdask.plan.tiles import TileGrid
from nbdask.store import schema
from nbdask.store.reader import StoreReader


@dataclass(frozen=True, slots=True)
class Noise:
    """What is done to each tile before it is written; see :class:`nbdask.simulation.Treatment`.

    Parameters
    ----------
    pipeline : Pipeline
    """

    pipeline: Pipeline

    @property
    def whole(self) -> bool:
        """Whether all pixels are whole numbers afterwards."""
        return self.pipeline.whole

    def attributes(self) -> dict[str, Any]:
        """Return what goes on record."""
        return {"version": provenance.VERSION, "pipeline": self.pipeline.to_dict()}

    def image(self) -> Mapping[str, str]:
        """Return name and unit of what the image holds."""
        return provenance.named(schema.PHOTONS["units"], self.pipeline)

    def after(self, grid: TileGrid, panels: tuple[DetectorPanel, ...]) -> AtOnce:
        """Return what treats the tiles of an image.

        Raises
        ------
        FieldError
            Steps that cannot be done tile by tile.
        """
        if self.pipeline.split() is not None:
            raise FieldError("steps", "poisson_c", "left out: it goes through whole images")
        if self.pipeline.halo and grid.per_panel > 1:
            kind = next(step.kind for step in self.pipeline.steps if step.halo)
            raise FieldError(
                "steps",
                kind,
                f"left out where a panel has {grid.per_panel} tiles: light spreads from one to"
                f" another; give --tile {grid.shape[0]},{grid.shape[1]}, or keep the photons",
            )
        sizes = tuple((panel.n_slow, panel.n_fast) for panel in panels) if grid.panels > 1 else ()
        self.pipeline.check((grid.panels * grid.shape[0], grid.shape[1]))
        provenance.check_frames(self.pipeline, grid.shots)
        return AtOnce(self.pipeline, grid, sizes)


def noise_of(reader: StoreReader, doing: str) -> Noise | None:
    """Return the noise with which a store was simulated, to compute its tiles again.

    Raises
    ------
    StoreError
        This nbdask would make another one.
    """
    held = reader.attributes.get("noise")
    if held is None:
        return None
    if held["version"] != provenance.VERSION:
        raise StoreError(
            f"{doing}: {reader.path} was made by an nbdask whose noise has version"
            f" {held['version']}, here it has {provenance.VERSION}"
        )
    return Noise(Pipeline.from_dict(held["pipeline"]))
