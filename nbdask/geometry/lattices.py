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
    built = [build(single) for single in experiment.singles]
    weights = [experiment.weight, *(lattice.weight for lattice in experiment.lattices)]
    models = [_sharing(model, weight, built) for model, weight in zip(built, weights, strict=True)]
    first = models[0]
    shares = tuple(
        Share(weight * (model.scale / first.scale), model)
        for weight, model in zip(weights, models, strict=True)
    )
    notes = dict.fromkeys(note for model in models for note in model.notes)
    whole = first.cutoff and replace(first.cutoff, share=1.0)
    return replace(first, lattices=shares, notes=tuple(notes), cutoff=whole)


def _sharing(model: Model, weight: float, models: list[Model]) -> Model:
    """Return the model of a crystal with its share of a cutoff: equal ones of photons."""
    if model.cutoff is None:
        return model
    share = 1.0 / (len(models) * max(weight, 1e-30))
    water = models[0].cutoff.water if models[0].cutoff is not None else 0.0
    return replace(model, cutoff=replace(model.cutoff, share=share, water=water))
