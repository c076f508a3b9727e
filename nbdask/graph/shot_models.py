"""The models of a series' shots, built when a tile needs one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

from nbdask.errors import InputError, NbdaskError
from nbdask.experiment import Experiment, StructureFactors
from nbdask.geometry.amplitude_fields import Known, Loaded
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.plan.demand import Shots
from nbdask.shots import Series

#: Models that a process keeps: threads work on tiles of few shots at a time.
KEPT = 16
#: Shots of a series that a plan is made from, the first and the last among them.
SAMPLE = 5


@dataclass(eq=False)
class ShotModels:
    """Builds models of shots.  Picklable, without those that are built; threads may share it.

    Parameters
    ----------
    series : Series
    first : Model
        Of shot 0, whose tables of amplitudes the others share.
    """

    series: Series
    first: Model
    _built: OrderedDict[int, Model] = field(default_factory=OrderedDict, init=False, repr=False)
    #: Lists of amplitudes that shots need beside those of the first.
    _loaded: list[tuple[StructureFactors, Loaded]] = field(
        default_factory=list, init=False, repr=False
    )
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __getstate__(self) -> tuple[Series, Model]:
        """Leave built models behind."""
        return self.series, self.first

    def __setstate__(self, state: tuple[Series, Model]) -> None:
        """Begin without any."""
        self.__init__(*state)  # type: ignore[misc]

    def __getitem__(self, shot: int) -> Model:
        """Return the model of a shot.

        Raises
        ------
        InputError
            It cannot be simulated; the shot is named.
        """
        if shot == 0:
            return self.first
        with self._lock:
            model = self._built.get(shot)
            if model is None:
                model = self._built[shot] = self._build(shot)
                if len(self._built) > KEPT:
                    self._built.popitem(last=False)
            self._built.move_to_end(shot)
            return model

    def _build(self, shot: int) -> Model:
        experiment = self.series.shot(shot)
        try:
            model = build_model(experiment, Known(self._zero, self.first, self._loaded))
        except NbdaskError as error:
            raise InputError(f"shot {shot}: {error}") from error
        shapes = [(one.n_panels, one.n_slow, one.n_fast) for one in (self.first, model)]
        if shapes[0] != shapes[1]:
            sizes = [" x ".join(map(str, shape)) for shape in shapes]
            raise InputError(
                f"shot {shot}: its image has {sizes[1]} pixels (panel x slow x fast), that of"
                f" shot 0 {sizes[0]}: all shots must have one detector"
            )
        return model

    @cached_property
    def _zero(self) -> Experiment:
        """The experiment of shot 0."""
        return self.series.shot(0)


def models_of(work: Experiment | Series) -> tuple[Model, Shots | None]:
    """Return the model of an image or of shot 0, and a sample of the shots for the plan."""
    if isinstance(work, Experiment):
        return build_model(work), None
    work.check()
    count = work.n_shots
    models = ShotModels(work, build_model(work.shot(0)))
    places = {round(k * (count - 1) / (SAMPLE - 1)) for k in range(SAMPLE)}
    return models.first, Shots(count, tuple(models[number] for number in sorted(places)))
