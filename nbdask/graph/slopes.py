"""Derivatives of the tiles of a run, with the bases of a series' shots built when needed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from nbdask.errors import InputError, NbdaskError
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array, Model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.pack import fits
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.work import Work, planes_of_tile
from nbdask.graph.shot_models import KEPT
from nbdask.plan.plan import Plan
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.shots import Series


@dataclass(eq=False)
class TileSlopes:
    """Derivatives of tiles.  Picklable, without what is built; threads may share it.

    Parameters
    ----------
    subject : Experiment or Series
    parameters : tuple of Parameter
    grid : TileGrid
    backend : str
        Of the image.
    """

    subject: Experiment | Series
    parameters: tuple[Parameter, ...]
    grid: TileGrid
    backend: str
    _built: OrderedDict[int, Work] = field(default_factory=OrderedDict, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    @classmethod
    def of(cls, subject: Experiment | Series, plan: Plan) -> TileSlopes | None:
        """Return what a plan asks for; None: no derivatives."""
        if not plan.slopes:
            return None
        by = tuple(Parameter(slope.name, slope.fields, slope.unit) for slope in plan.slopes)
        return cls(subject, by, plan.grid, plan.backend)

    def __getstate__(self) -> tuple[Any, ...]:
        """Leave what is built behind."""
        return self.subject, self.parameters, self.grid, self.backend

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Begin without any."""
        self.__init__(*state)  # type: ignore[misc]

    def planes(self, model: Model, tile: Tile) -> Array:
        """Return the derivatives of a tile, 0 where nothing is evaluated.

        All steps are summed in one go, so no bit depends on how those of the image are cut.

        Parameters
        ----------
        model : Model
            Of the tile's shot.
        tile : Tile

        Returns
        -------
        (parameters, n_slow, n_fast) float64 array
            [photons per unit of the parameter]
        """
        return planes_of_tile(self._work(model, tile.shot), tile)[1:]

    def _work(self, model: Model, shot: int) -> Work:
        with self._lock:
            work = self._built.get(shot)
            if work is None:
                work = self._built[shot] = self._build(model, shot)
                if len(self._built) > KEPT:
                    self._built.popitem(last=False)
            self._built.move_to_end(shot)
            return work

    def _build(self, model: Model, shot: int) -> Work:
        subject = self.subject
        if isinstance(subject, Experiment):
            basis = basis_of(subject, model, self.parameters)
        else:
            try:
                basis = basis_of(subject.shot(shot), model, self.parameters)
            except NbdaskError as error:
                raise InputError(f"shot {shot}: {error}") from error
        # Curved detectors are differentiated by NumPy alone.
        backend = self.backend if fits(model, basis) else "numpy"
        return Work(model, basis, self.grid, backend)
