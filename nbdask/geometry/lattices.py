"""Several crystals: the model of each, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nbdask.experiment import Experiment
from nbdask.geometry.crystal_frame import MAX_OVERSAMPLE
from nbdask.geometry.model import Model, Share


def model_of_several(
    experiment: Experiment, build: Callable[[Experiment], Model], finest: int
) -> Model:
    """Return the model of an experiment with several crystals.

    Parameters
    ----------
    experiment : Experiment
    build : callable
        Makes the model of a single crystal.
    finest : int
        Sub-pixels along an edge that the most demanding crystal needs, which all take unless a
        number is given.
    """
    sampling = experiment.sampling
    if sampling.oversample is None and finest <= MAX_OVERSAMPLE:
        experiment = experiment.replace(sampling=replace(sampling, oversample=finest))
    models = [build(single) for single in experiment.singles]
    weights = [experiment.weight, *(lattice.weight for lattice in experiment.lattices)]
    first = models[0]
    shares = tuple(
        Share(weight * (model.scale / first.scale), model)
        for weight, model in zip(weights, models, strict=True)
    )
    notes = dict.fromkeys(note for model in models for note in model.notes)
    return replace(first, lattices=shares, notes=tuple(notes))
