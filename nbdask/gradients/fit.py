"""``fit()``: Levenberg-Marquardt steps on the normal equations of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbdask.errors import FieldError, InputError, in_python
from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.gradients.change import frozen, stepped, within
from nbdask.gradients.normal import Errors, NormalEquations, equations_of
from nbdask.gradients.parameters import FIELDS, Parameter, known, parameters_of, value_of
from nbdask.gradients.work import prepare_gradient

#: What a step must promise to lower the loss by: far below what chance does.
_ENOUGH = 1e-4
_MOST_DAMPING = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """What a fit found.

    Attributes
    ----------
    experiment : Experiment
        With the values that were found.
    parameters : tuple of Parameter
    start, value : (parameters,) float64 arrays
        Before and after; of turns and combinations the sum of all changes.
    covariance : (parameters, parameters) float64 array
        Inverse of the Hessian.
    equations : NormalEquations
        Of the last model.
    losses : tuple of float
        Of the start and after every step.
    converged : bool
    message : str
    """

    experiment: Experiment
    parameters: tuple[Parameter, ...]
    start: Array
    value: Array
    covariance: Array
    equations: NormalEquations
    losses: tuple[float, ...]
    converged: bool
    message: str

    @property
    def sigma(self) -> Array:
        """Standard deviations of the parameters, from the data's errors alone."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> Array:
        """Correlation of the parameters."""
        sigma = self.sigma
        result: Array = self.covariance / np.outer(sigma, sigma)
        return result

    @property
    def chi2_per_pixel(self) -> float:
        """Mean of r^2 / V; 1 where model and errors are right."""
        return self.equations.chi2 / max(1, self.equations.pixels - len(self.parameters))

    def table(self) -> str:
        """Return a line for each parameter: before, after, standard deviation, unit."""
        lines = [f"{'parameter':24s}{'start':>16s}{'value':>20s}{'sigma':>12s}  unit"]
        for parameter, start, value, sigma in zip(
            self.parameters, self.start, self.value, self.sigma, strict=True
        ):
            lines.append(
                f"{parameter.name:24s}{start:16.9g}{value:20.12g}{sigma:12.3g}"
                f"  {parameter.shown_unit}"
            )
        near = _most_correlated(self)
        return "\n".join(
            [
                *lines,
                f"chi2 per pixel {self.chi2_per_pixel:.4f} of {self.equations.pixels} pixels,"
                f" {len(self.losses) - 1} steps: {self.message}",
                *near,
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {
            "parameters": [
                {"name": p.name, "unit": p.shown_unit, "start": a, "value": b, "sigma": s}
                for p, a, b, s in zip(
                    self.parameters,
                    self.start.tolist(),
                    self.value.tolist(),
                    self.sigma.tolist(),
                    strict=True,
                )
            ],
            "covariance": self.covariance.tolist(),
            "correlation": self.correlation.tolist(),
            "chi2": self.equations.chi2,
            "pixels": self.equations.pixels,
            "losses": list(self.losses),
            "converged": self.converged,
            "message": self.message,
            "experiment": self.experiment.to_dict(),
        }


def _most_correlated(result: FitResult) -> list[str]:
    """Say which two parameters can hardly be told apart, if there are such."""
    if len(result.parameters) < 2:
        return []
    table = np.abs(result.correlation - np.eye(len(result.parameters)))
    i, j = np.unravel_index(int(table.argmax()), table.shape)
    if table[i, j] < 0.95:
        return []
    names = result.parameters[i].name, result.parameters[j].name
    return [f"correlated: {names[0]} and {names[1]}, {result.correlation[i, j]:.4f}"]


@in_python
def fit(
    experiment: Experiment,
    data: Any,
    parameters: str | Parameter | Sequence[str | Parameter],
    *,
    background: float = 0.0,
    readout: float = 0.0,
    mask: Any = None,
    robust: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    iterations: int = 50,
    backend: str | None = None,
    tile: int | tuple[int, int] | None = None,
    report: Callable[[str], None] | None = None,
) -> FitResult:
    """Refine numbers of an experiment so that its image becomes that of the data.

    Levenberg-Marquardt steps on the normal equations: only sums leave a tile.  Whole numbers
    (sub-pixels, cells) stay as they are at the start.  No capture range is promised: spots must
    overlap with those of the data.

    Parameters
    ----------
    experiment : Experiment
        Where to start.
    data : (slow, fast) array
        Photons; NaN where there are none.
    parameters : str, Parameter or sequence of them
        Such as ``"crystal.turn,crystal.cell"``; not ``crystal.n_cells``, which are whole.
    background, readout, robust, mask
        As for :func:`nbdask.normal_equations`.
    bounds : mapping of str to (float, float), optional
        Least and greatest value of fields.
    iterations : int
        Most steps.
    backend, tile
        As for :func:`nbdask.gradient`.
    report : callable, optional
        Is told a line after every step.

    Returns
    -------
    FitResult

    Raises
    ------
    NbdaskError
        A parameter that cannot be refined, or that no pixel depends on.
    """
    chosen = parameters_of(parameters)
    for parameter in chosen:
        for name in parameter.fields:
            if FIELDS[name].field == "n_cells":
                raise FieldError("parameter", name, "left out: a fit keeps whole numbers of cells")
    for name in bounds or {}:
        known(name)
    errors = Errors(background, readout, robust)
    search = _Search(chosen, data, mask, errors, backend, tile, bounds or {}, report)
    return search.run(frozen(experiment), iterations)


class _Search:
    """One fit."""

    def __init__(
        self,
        parameters: tuple[Parameter, ...],
        data: Any,
        mask: Any,
        errors: Errors,
        backend: str | None,
        tile: int | tuple[int, int] | None,
        bounds: Mapping[str, tuple[float, float]],
        report: Callable[[str], None] | None,
    ) -> None:
        self.parameters, self.data, self.mask, self.errors = parameters, data, mask, errors
        self.backend, self.tile, self.bounds = backend, tile, bounds
        self.report = report or (lambda text: None)

    def equations(self, experiment: Experiment) -> NormalEquations:
        """Compare an experiment with the data."""
        work, _ = prepare_gradient(experiment, self.parameters, self.backend, self.tile)
        return equations_of(work, self.parameters, self.data, self.mask, self.errors)

    def run(self, experiment: Experiment, iterations: int) -> FitResult:
        """Go downhill until a step promises nothing more."""
        start = np.array([_value(experiment, p) for p in self.parameters])
        now = self.equations(experiment)
        _check(now)
        moved, losses = np.zeros(len(start)), [now.loss]
        damping, message = 1e-3, f"stopped after {iterations} steps"
        converged = False
        while len(losses) <= iterations and not converged:
            step = _step(now, damping)
            promised = float(step @ now.gradient)
            if promised < _ENOUGH:
                converged, message = True, "converged"
                break
            found = self._try(experiment, step)
            if found is None or not found[1].loss < now.loss:
                damping *= 10.0
                if damping > _MOST_DAMPING:
                    message = "no step lowers the loss any more"
                    break
                continue
            experiment, now = found
            moved, damping = moved + step, max(damping / 10.0, 1e-12)
            losses.append(now.loss)
            self.report(f"step {len(losses) - 1}: loss {now.loss:.6g}, promised {promised:.3g}")
        ends = zip(self.parameters, moved, strict=True)
        end = np.array([_end(experiment, p, change) for p, change in ends])
        return FitResult(
            experiment,
            self.parameters,
            start,
            end,
            _covariance(now),
            now,
            tuple(losses),
            converged,
            message,
        )

    def _try(
        self, experiment: Experiment, step: Array
    ) -> tuple[Experiment, NormalEquations] | None:
        """Return where a step leads; None: to no experiment."""
        try:
            there, _ = within(stepped(experiment, self.parameters, step), self.bounds)
            equations = self.equations(there)
        except InputError:
            return None
        return (there, equations) if np.isfinite(equations.loss) else None


def _step(now: NormalEquations, damping: float) -> Array:
    """Return the damped step, in units in which every parameter has the same weight."""
    size = np.sqrt(np.diag(now.hessian))
    scaled = now.hessian / np.outer(size, size)
    scaled[np.diag_indices_from(scaled)] += damping
    step: Array = np.linalg.solve(scaled, now.gradient / size) / size
    return step


def _covariance(now: NormalEquations) -> Array:
    """Return the inverse of the Hessian, of parameters of any units."""
    size = np.sqrt(np.diag(now.hessian))
    inverse = np.linalg.pinv(now.hessian / np.outer(size, size), hermitian=True)
    covariance: Array = inverse / np.outer(size, size)
    return covariance


def _check(now: NormalEquations) -> None:
    if not now.pixels:
        raise FieldError(
            "data", "no pixel that counts", "an image with numbers where it is computed"
        )
    for name, weight in zip(now.names, np.diag(now.hessian), strict=True):
        if weight <= 0.0:
            raise FieldError("parameter", name, "one on which some pixel depends")


def _value(experiment: Experiment, parameter: Parameter) -> float:
    if list(parameter.fields.values()) != [1.0]:
        return 0.0
    return value_of(experiment, next(iter(parameter.fields))) or 0.0


def _end(experiment: Experiment, parameter: Parameter, moved: float) -> float:
    """Return a field's value; of a turn or a combination what it moved by."""
    name = next(iter(parameter.fields))
    if list(parameter.fields.values()) != [1.0] or FIELDS[name].field == "turn":
        return moved
    return value_of(experiment, name) or 0.0
