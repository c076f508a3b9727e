"""Normal equations of an image and its model: how well they agree, and which way is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbdask.errors import FieldError, in_python
from nbdask.experiment import Experiment
from nbdask.experiment.checks import not_negative, positive
from nbdask.geometry.model import Array
from nbdask.gradients.card import CardSlopes
from nbdask.gradients.compiled import CpuSlopes
from nbdask.gradients.parameters import Parameter
from nbdask.gradients.reduce import given, given_mask, inside, over_tiles, strips
from nbdask.gradients.work import Work, planes_of_tile, prepare_gradient, region_of
from nbdask.kernels.interface import Mask
from nbdask.plan.tiles import Tile

#: Least variance of a pixel [photons^2].
LEAST_VARIANCE = 1e-3
#: Largest readout noise whose square is a number [photons].
MOST_READOUT = 1e150
#: Loss, chi2, pixels, gradient, Hessian.
Sums = tuple[float, float, int, Array, Array]


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """Sums over all pixels of residuals r = data - background - model and their variances V.

    Attributes
    ----------
    names, units : tuple of str
        Of the parameters.
    loss : float
        Deviance of a shifted Poisson distribution (robust: Huber's sum); about chi2.
    chi2 : float
        Sum of r^2 / V.
    pixels : int
        Number of those that count.
    gradient : (parameters,) float64 array
        Sum of J r / V: half the slope of -loss.
    hessian : (parameters, parameters) float64 array
        Sum of J J^T / V.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    loss: float
    chi2: float
    pixels: int
    gradient: Array
    hessian: Array

    @classmethod
    def of(cls, parameters: Sequence[Parameter], sums: Sums) -> NormalEquations:
        """Name the sums of all pixels."""
        names = tuple(p.name for p in parameters)
        return cls(names, tuple(p.shown_unit for p in parameters), *sums)


@dataclass(frozen=True, slots=True)
class Errors:
    """What is known of the data's errors.

    Parameters
    ----------
    background : float
        Photons per pixel that the model does not hold.
    readout : float
        Standard deviation of what is added to each pixel [photons].
    robust : float or None
        Residuals beyond so many standard deviations count by their size, not its square.
    """

    background: float = 0.0
    readout: float = 0.0
    robust: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        not_negative("background", self.background)
        # Its square is part of a variance.
        if not_negative("readout", self.readout) > MOST_READOUT:
            raise FieldError("readout", self.readout, f"at most {MOST_READOUT:g} photons")
        if self.robust is not None:
            positive("robust", self.robust)

    def numbers(self) -> dict[str, float]:
        """Return what compiled loops are told."""
        return {
            "background": self.background,
            "noise": self.readout**2,
            "least": LEAST_VARIANCE,
            "robust": self.robust or 0.0,
        }


@in_python
def normal_equations(
    experiment: Experiment,
    data: Any,
    parameters: str | Parameter | Sequence[str | Parameter],
    *,
    background: float = 0.0,
    readout: float = 0.0,
    mask: Any = None,
    robust: float | None = None,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
    precision: str = "float64",
) -> NormalEquations:
    """Compare an image with its model, and sum up what a step of a fit needs.

    The variance of a pixel is V = model + background + readout^2, from the model: one from the
    data would favour pixels that are low by chance.  Planes are never held as a whole.

    Parameters
    ----------
    experiment : Experiment
    data : ([panel,] slow, fast) array
        Photons: NumPy, dask, zarr or xarray.  Pixels that are not numbers do not count.
    parameters : str, Parameter or sequence of them
    background, readout, robust
        See :class:`Errors`.
    mask : ([panel,] slow, fast) bool array, optional
        True where a pixel counts.
    backend, tile, precision
        As for :func:`nbdask.gradient`.

    Returns
    -------
    NormalEquations
    """
    work, chosen = prepare_gradient(experiment, parameters, backend, tile, precision)
    return equations_of(work, chosen, data, mask, Errors(background, readout, robust))


def equations_of(
    work: Work, parameters: Sequence[Parameter], data: Any, mask: Any, errors: Errors
) -> NormalEquations:
    """Return the normal equations of work that is prepared."""

    def task(work: Work, index: int, data: Array, mask: Any) -> Sums:
        return tile_sums(work, index, data, mask, errors)

    given("data", data)
    given_mask(mask)
    return NormalEquations.of(parameters, over_tiles(work, [data, mask], task, add_sums))


def add_sums(first: Sums, second: Sums) -> Sums:
    """Return the sums of the pixels of both."""
    return (
        first[0] + second[0],
        first[1] + second[1],
        first[2] + second[2],
        first[3] + second[3],
        first[4] + second[4],
    )


def tile_sums(work: Work, index: int, data: Array, mask: Any, errors: Errors) -> Sums:
    """Return the sums of one tile, strip by strip."""
    tile, count = work.grid[index], len(work.basis.slopes)
    kernel = work.summed
    if kernel is not None:
        return _in_one(kernel, work, tile, data, mask, errors)
    total: Sums = (0.0, 0.0, 0, np.zeros(count), np.zeros((count, count)))
    for strip in strips(tile, count):
        rows = slice(strip.slow0 - tile.slow0, strip.slow1 - tile.slow0)
        planes = planes_of_tile(work, strip).reshape(1 + count, -1)
        counts = np.isfinite(data[rows]) & counted(work, strip)
        if mask is not None:
            counts &= np.asarray(mask[rows], dtype=np.bool_)
        seen = np.where(counts, data[rows], 0.0).astype(np.float64).reshape(-1)
        total = add_sums(total, pixel_sums(planes, seen, counts.reshape(-1), errors))
    return total


def _in_one(
    kernel: CpuSlopes | CardSlopes, work: Work, tile: Tile, data: Array, mask: Any, errors: Errors
) -> Sums:
    """Return the sums of a tile whose planes are never held."""
    found, count = region_of(work.model, tile), len(work.basis.slopes)
    if found is None:
        return 0.0, 0.0, 0, np.zeros(count), np.zeros((count, count))
    part, evaluated = found
    seen = np.asarray(inside(data, tile, part), dtype=np.float64)
    if mask is not None:
        seen = np.where(np.asarray(inside(mask, tile, part), dtype=np.bool_), seen, np.nan)
    sums, gradient, hessian = kernel.equations(
        work.model, work.basis, part, evaluated, seen, errors.numbers()
    )
    return float(sums[0]), float(sums[1]), int(sums[2]), gradient, hessian


def counted(work: Work, tile: Tile) -> Mask:
    """Return where pixels of a tile are evaluated at all."""
    inside = np.zeros(tile.shape, dtype=np.bool_)
    found = region_of(work.model, tile)
    if found is not None:
        part, mask = found
        slow, fast = part.slow0 - tile.slow0, part.fast0 - tile.fast0
        place = (slice(slow, slow + part.shape[0]), slice(fast, fast + part.shape[1]))
        inside[place] = True if mask is None else mask
    return inside


def pixel_sums(planes: Array, data: Array, counts: Any, errors: Errors) -> Sums:
    """Return loss, chi2, number of pixels, gradient and Hessian of some pixels; changes planes."""
    model, slopes = planes[0], planes[1:]
    noise = errors.readout**2
    variance = np.maximum(model + errors.background + noise, LEAST_VARIANCE)
    residual = data - errors.background - model
    weight = np.where(counts, 1.0 / variance, 0.0)
    squares = residual * residual * weight
    if errors.robust is None:
        # A Poisson distribution of data + readout^2 with the mean V: its score is r / V.
        shifted = np.maximum(data + noise, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(shifted > 0.0, shifted * np.log(shifted / variance), 0.0)
        loss = float(np.where(counts, 2.0 * (variance - shifted + logs), 0.0).sum())
    else:
        pull = np.sqrt(squares)
        far = pull > errors.robust
        loss = float(np.where(far, errors.robust * (2.0 * pull - errors.robust), squares).sum())
        weight = weight * np.where(far, errors.robust / np.maximum(pull, errors.robust), 1.0)
    # In place: planes are not needed any more, and their products are symmetric.
    root = np.sqrt(weight)
    slopes *= root
    return (
        loss,
        float(squares.sum()),
        int(np.count_nonzero(counts)),
        slopes @ (residual * root),
        slopes @ slopes.T,
    )
