"""What a fit found, of one image or of many."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray

from nbdask.experiment import Experiment
from nbdask.geometry.model import Array
from nbdask.gradients.columns import Columns
from nbdask.gradients.normal import NormalEquations
from nbdask.gradients.parameters import FIELDS, Parameter, value_of
from nbdask.gradients.report import write_report
from nbdask.gradients.search import Shot, labels_of

_HEAD = f"{'parameter':24s}{'start':>16s}{'value':>20s}{'sigma':>12s}  unit"


def _row(name: str, start: float, value: float, sigma: float, unit: str) -> str:
    return f"{name:24s}{start:16.9g}{value:20.12g}{sigma:12.3g}  {unit}"


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
    shot : Shot
        What it was fitted to.
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
    shot: Shot

    def __repr__(self) -> str:
        """Return in a line how it ended; :meth:`table` has the parameters."""
        return f"<FitResult: {self.table().splitlines()[1 + len(self.parameters)]}>"

    def __str__(self) -> str:
        """Return what :meth:`table` does."""
        return self.table()

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
        names = [parameter.name for parameter in self.parameters]
        units = [parameter.shown_unit for parameter in self.parameters]
        columns = (names, self.start, self.value, self.sigma, units)
        lines = [_HEAD, *(_row(*row) for row in zip(*columns, strict=True))]
        near = _most_correlated(self)
        return "\n".join(
            [
                *lines,
                f"chi2 per pixel {self.chi2_per_pixel:.4f} of {self.equations.pixels} pixels,"
                f" {len(self.losses) - 1} steps: {self.message}",
                *near,
            ]
        )

    def report(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write pictures of data, model, residuals and pulls, with the tables.

        Parameters
        ----------
        path : path
            ``.html``, or ``.png`` for the pictures alone.
        overwrite : bool
            Replace an existing file.
        """
        write_report(path, [self], (), overwrite=overwrite)

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


@dataclass(frozen=True, slots=True, eq=False)
class JointResult:
    """What a joint fit found.

    Attributes
    ----------
    shots : tuple of FitResult
        Each shot with all its parameters, the common ones among them; their covariances are those
        of the joint fit.
    names, units : tuple of str
        Of the common parameters, such as ``detector.distance`` or, of a group, with its label.
    start, value : (m,) float64 arrays
        Of the common ones, as the first shot that has them holds them.
    covariance : (m, m) float64 array
        Of the common ones.
    amplitudes, amplitude_sigma : (h, k, l) DataArray or None
        Where they were fitted [electron]; the sigma is infinite where no pixel tells it, and does
        not hold what the other parameters add.
    losses : tuple of float
        Of the start and after every step.
    converged : bool
    message : str
    """

    shots: tuple[FitResult, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    start: Array
    value: Array
    covariance: Array
    amplitudes: xarray.DataArray | None
    amplitude_sigma: xarray.DataArray | None
    losses: tuple[float, ...]
    converged: bool
    message: str

    def __repr__(self) -> str:
        """Return in a line how it ended; :meth:`table` has the parameters."""
        return f"<JointResult: {self.table().splitlines()[-1]}>"

    def __str__(self) -> str:
        """Return what :meth:`table` does."""
        return self.table()

    @property
    def sigma(self) -> Array:
        """Standard deviations of the common parameters, from the data's errors alone."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> Array:
        """Correlation of the common parameters."""
        result: Array = self.covariance / np.outer(self.sigma, self.sigma)
        return result

    @property
    def labels(self) -> list[int]:
        """What shots are called: their numbers in a series, or places in the list."""
        return labels_of([found.shot for found in self.shots])

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """The experiments that were found."""
        return tuple(shot.experiment for shot in self.shots)

    @property
    def chi2_per_pixel(self) -> float:
        """Mean of r^2 / V over all shots; 1 where model and errors are right."""
        own = len(self.shots[0].parameters) * len(self.shots)
        pixels = sum(shot.equations.pixels for shot in self.shots)
        return sum(shot.equations.chi2 for shot in self.shots) / max(1, pixels - own)

    def table(self) -> str:
        """Return a line for each common parameter, and one for each shot."""
        lines = []
        if self.names:
            columns = (self.names, self.start, self.value, self.sigma, self.units)
            lines = [_HEAD, *(_row(*row) for row in zip(*columns, strict=True)), ""]
        lines.append(f"{'shot':>6s}{'pixels':>12s}{'chi2 per pixel':>16s}")
        for number, shot in zip(self.labels, self.shots, strict=True):
            chi2, pixels = shot.chi2_per_pixel, shot.equations.pixels
            lines.append(f"{number:6d}{pixels:12d}{chi2:16.4f}")
        if self.amplitudes is not None and self.amplitude_sigma is not None:
            seen = int(np.isfinite(self.amplitude_sigma).sum())
            lines.append(f"amplitudes: {seen} seen of {self.amplitudes.size}")
        steps = len(self.losses) - 1
        lines.append(
            f"chi2 per pixel {self.chi2_per_pixel:.4f} of {len(self.shots)} shots, {steps} steps:"
            f" {self.message}"
        )
        return "\n".join(lines)

    def report(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the tables, and pictures of the shots that agree least; see :class:`FitResult`."""
        write_report(path, self.shots, [self.table()], overwrite=overwrite)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        columns = (self.names, self.units, self.start, self.value, self.sigma)
        found = {
            "common": [
                {"name": n, "unit": u, "start": float(a), "value": float(b), "sigma": float(s)}
                for n, u, a, b, s in zip(*columns, strict=True)
            ],
            "covariance": self.covariance.tolist(),
            "losses": list(self.losses),
            "converged": self.converged,
            "message": self.message,
            "shots": [
                {"shot": number, **shot.to_dict()}
                for number, shot in zip(self.labels, self.shots, strict=True)
            ],
        }
        if self.amplitudes is not None and self.amplitude_sigma is not None:
            seen = np.argwhere(np.isfinite(self.amplitude_sigma.values))
            low = [int(self.amplitudes[axis][0]) for axis in "hkl"]
            found["amplitudes"] = [
                [
                    *(place + low).tolist(),
                    float(self.amplitudes.values[tuple(place)]),
                    float(self.amplitude_sigma.values[tuple(place)]),
                ]
                for place in seen
            ]
        return found


def end_of(experiment: Experiment, parameter: Parameter, moved: float) -> float:
    """Return a field's value; of a turn or a combination what it moved by."""
    name = next(iter(parameter.fields))
    if list(parameter.fields.values()) != [1.0] or FIELDS[name].is_move:
        return moved
    return value_of(experiment, name) or 0.0


def common_of(columns: Columns, shots: tuple[FitResult, ...]) -> tuple[list[str], Array, Array]:
    """Return units, start and value of the common parameters, each of the first shot with it."""
    units = [""] * len(columns.names)
    start, value = np.zeros(len(units)), np.zeros(len(units))
    for part, shot in zip(reversed(columns.parts), reversed(shots), strict=True):
        start[part.column], value[part.column] = shot.start[part.common], shot.value[part.common]
        for place, column in zip(part.common, part.column, strict=True):
            units[column] = columns.parameters[place].shown_unit
    return units, start, value
