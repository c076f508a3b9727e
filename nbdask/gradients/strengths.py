"""Steps of structure factor amplitudes that many images have in common.

Where amplitudes are looked up, an image is linear in their squares, J = F^2.  With g the slope of
half the loss and H the Hessian by J, D = (H J)/J is a diagonal matrix that is nowhere steeper
than H (De Pierro's separable surrogate), and J + g/D lowers the loss as Newton's step would where
every pixel is of one reflection.  Both sums are adjoints: of r/V and of model/V.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import xarray

from nbdask.errors import FieldError
from nbdask.experiment import Experiment, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Array
from nbdask.gradients.adjoint import adjoint
from nbdask.gradients.columns import Indices
from nbdask.gradients.normal import LEAST_VARIANCE, Errors
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.work import image_of

#: By what a step changes an amplitude's square at most, as a factor.
_MOST = 4.0


class Pulls(NamedTuple):
    """Sums over the pixels of one image or of several, (h, k, l) each.

    Attributes
    ----------
    residual : DataArray
        Of 2 F A r/V, A the photons of an amplitude of 1.
    model : DataArray
        Of 2 F A I/V.
    """

    residual: xarray.DataArray
    model: xarray.DataArray


def listed(experiment: Experiment) -> Experiment:
    """Return an experiment that holds every amplitude of its list's grid itself.

    Raises
    ------
    FieldError
        No list, amplitudes that are interpolated, or a table for each wavelength.
    """
    model = build_model(experiment)
    if model.f_grid.size == 0:
        raise FieldError("amplitudes", True, "left out without a list of structure factors")
    if model.interpolate or model.n_tables > 1:
        raise FieldError(
            "amplitudes", True, "left out where they are interpolated or by wavelength"
        )
    places = np.indices(model.f_grid.shape, dtype=np.int64).reshape(3, -1).T
    grid = places + np.asarray(model.f_min, dtype=np.int64)
    return with_strengths(experiment, grid, model.f_grid.reshape(-1))


def with_strengths(experiment: Experiment, hkl: Indices, values: Array) -> Experiment:
    """Return an experiment with these amplitudes, (n, 3) indices and (n,) values."""
    rows = [(*index, f) for index, f in zip(hkl.tolist(), values.tolist(), strict=True)]
    held = experiment.structure
    # What the list does not hold lies outside its grid.
    structure = StructureFactors(default_F=held.default_F * held.scale, reflections=tuple(rows))
    return experiment.replace(structure=structure)


def strengths_of(experiment: Experiment) -> tuple[Indices, Array]:
    """Return (n, 3) indices and (n,) amplitudes of an experiment that holds them itself."""
    table = np.array(experiment.structure.reflections)
    return table[:, :3].astype(np.int64), table[:, 3]


def pulls_of(
    experiment: Experiment,
    parameter: Parameter,
    data: Any,
    mask: Any,
    errors: Errors,
    options: dict[str, Any],
) -> Pulls:
    """Return the sums of one image.  The image is held as a whole.

    Parameters
    ----------
    experiment : Experiment
    parameter : Parameter
        Any that can be refined.
    data, mask
        As for :func:`~.normal.normal_equations`.
    errors : Errors
    options : dict
        ``backend`` and ``tile``.
    """
    model, seen = image_of(experiment, **options), np.asarray(data, dtype=np.float64)
    counts = np.isfinite(seen) if mask is None else np.isfinite(seen) & np.asarray(mask)
    variance = np.maximum(model + errors.background + errors.readout**2, LEAST_VARIANCE)
    residual = np.where(counts, seen - errors.background - model, 0.0)
    weight = np.where(counts, 1.0 / variance, 0.0)
    if errors.robust is not None:
        pull = np.abs(residual) * np.sqrt(weight)
        weight *= errors.robust / np.maximum(pull, errors.robust)
    sums = [
        adjoint(experiment, image * weight, parameter, amplitudes=True, **options).amplitudes
        for image in (residual, model)
    ]
    assert sums[0] is not None
    assert sums[1] is not None
    return Pulls(sums[0], sums[1])


def stepped_strengths(values: Array, residual: Array, model: Array, part: float) -> Array:
    """Return amplitudes after a part of their step; what is 0, or not seen, stays.

    Parameters
    ----------
    values, residual, model : (n,) float64 arrays
        Amplitudes and their two sums.
    part : float
        Of the step, 0 to 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(model > 0.0, residual / model, 0.0)
    squares = np.clip(1.0 + part * np.nan_to_num(change), 1.0 / _MOST, _MOST)
    found: Array = values * np.sqrt(squares)
    return found


def promised_by(values: Array, residual: Array, changed: Array) -> float:
    """Return by how much a step lowers the loss, halved, were it a parabola.

    Parameters
    ----------
    values, residual, changed : (n,) float64 arrays
        Amplitudes, their sums of residuals, and amplitudes after the step.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(values > 0.0, 0.5 * residual / values, 0.0)
    return float(np.sum(slope * (changed**2 - values**2)))


def sigma_of(values: Array, model: Array) -> Array:
    """Return standard deviations of amplitudes where each pixel is of one; infinite: not seen."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(model > 0.0, np.sqrt(0.5 * values / model), np.inf)
    return found


def as_grid(hkl: Indices, values: Array) -> xarray.DataArray:
    """Return values of all reflections of a grid on it [electron]."""
    low, high = hkl.min(axis=0), hkl.max(axis=0)
    grid = np.full(high - low + 1, np.nan)
    grid[tuple((hkl - low).T)] = values
    coords = {axis: np.arange(a, b + 1) for axis, a, b in zip("hkl", low, high, strict=True)}
    return xarray.DataArray(grid, coords, ("h", "k", "l"), attrs={"units": "electron"})


def same_structure(experiments: list[Experiment]) -> None:
    """Refuse images of other amplitudes than the first one's."""
    for experiment in experiments[1:]:
        if experiment.structure != experiments[0].structure:
            raise FieldError("amplitudes", True, "left out where shots have different lists")


def shared_structure(experiments: list[Experiment]) -> list[Experiment]:
    """Return experiments that hold the amplitudes of their list themselves, one for all."""
    same_structure(experiments)
    structure = listed(experiments[0]).structure
    return [dataclasses.replace(e, structure=structure) for e in experiments]
