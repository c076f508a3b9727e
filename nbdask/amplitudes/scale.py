"""Scale between two tables of amplitudes, completeness by shell, Wilson statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from nbdask.amplitudes.calculate import form_factor
from nbdask.amplitudes.models import Model
from nbdask.amplitudes.symmetry import codes, unique_indices
from nbdask.amplitudes.table import Table, expanded
from nbdask.errors import InputFileError

#: Average atoms of proteins, for lists without a model.
_PROTEIN = (("C", 5.0), ("N", 1.35), ("O", 1.5), ("H", 8.0))
#: Beyond this spacing [Angstrom] Wilson's line is not straight.
_STRAIGHT = 4.0
_SHELLS, _LEAST = 20, 50


@dataclass(frozen=True, slots=True)
class Scale:
    """F of a list = k exp(-B s^2) F of a model, s = 1/(2d).

    Attributes
    ----------
    k : float
    B : float
        [Angstrom^2]
    correlation : float
        Between both, after scaling.
    R : float
        Sum of | F_list - k exp(-B s^2) F_model | over sum of F_list.
    common : int
        Reflections that both have.
    """

    k: float
    B: float
    correlation: float
    R: float
    common: int

    @property
    def text(self) -> str:
        """Say it in one line."""
        return (
            f"scale {self.k:.5g}, B {self.B:.2f} A^2, correlation {self.correlation:.4f},"
            f" R {self.R:.4f} over {self.common} reflections"
        )

    def factor(self, s2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return k exp(-B s^2) at s^2 [1/Angstrom^2]."""
        result: NDArray[np.float64] = self.k * np.exp(-self.B * s2)
        return result


def scale_between(path: str, table: Table, calculated: Table) -> Scale:
    """Fit k and B to the shells that both tables have.

    Raises
    ------
    InputFileError
        They have no reflection in common, or only zeros, or different cells.
    """
    cells = np.array(table.symmetry.numbers), np.array(calculated.symmetry.numbers)
    if not close_cells(*cells):
        raise InputFileError(
            f"{path}: cell {_words(cells[0])}, model: {_words(cells[1])}: must agree to 1 % and 1"
            " degree"
        )
    most = int(max(np.abs(table.hkl).max(), np.abs(calculated.hkl).max()))
    _, here, there = np.intersect1d(
        codes(table.hkl, most), codes(calculated.hkl, most), return_indices=True
    )
    one, other = table.F[here], calculated.F[there]
    s2 = table.symmetry.inverse_d_squared(table.hkl[here]) / 4.0
    if len(here) == 0 or not one.any() or not other.any():
        raise InputFileError(f"{path}: must have reflections in common with the model")
    k, B = _fit(one, other, s2)
    scaled = k * np.exp(-B * s2) * other
    # What is left to the overall factor.
    rest = float((one * scaled).sum() / (scaled * scaled).sum())
    k, scaled = k * rest, scaled * rest
    varied = one.std() > 0.0 and scaled.std() > 0.0
    correlation = float(np.corrcoef(one, scaled)[0, 1]) if varied else 1.0
    R = float(np.abs(one - scaled).sum() / one.sum())
    return Scale(float(k), float(B), correlation, R, len(here))


def close_cells(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two cells [Angstrom, degrees] agree to 1 % of the lengths and 1 degree."""
    lengths = np.abs(one[:3] / other[:3] - 1.0).max()
    return bool(lengths <= 0.01 and np.abs(one[3:] - other[3:]).max() <= 1.0)


def _words(cell: Sequence[float] | NDArray[np.float64]) -> str:
    return " ".join(f"{x:g}" for x in cell)


def _fit(
    one: NDArray[np.float64], other: NDArray[np.float64], s2: NDArray[np.float64]
) -> tuple[float, float]:
    """Return k, B of a straight line through the logarithms of the shells' ratios.

    Without reflections beyond ``_STRAIGHT`` a B would be that of the solvent, and senseless at the
    spacings that are filled: B is 0.
    """
    count = min(_SHELLS, len(s2) // _LEAST)
    if count < 3 or s2.max() < 0.25 / _STRAIGHT**2:
        return 1.0, 0.0
    x, y = [], []
    for part in np.array_split(np.argsort(s2, kind="stable"), count):
        above, below = float((one[part] ** 2).sum()), float((other[part] ** 2).sum())
        if above > 0.0 and below > 0.0:
            x.append(float(s2[part].mean()))
            y.append(0.5 * np.log(above / below))
    if len(x) < 3:
        return 1.0, 0.0
    slope, start = np.polyfit(x, y, 1)
    return float(np.exp(start)), float(-slope)


class Shell(NamedTuple):
    """Reflections between two spacings.

    ``d_max`` is excluded (infinite in the first shell), ``d_min`` included [Angstrom]; counts are
    of P1; ``s2`` and ``log_ratio`` are a point of the Wilson plot: mean (sin(theta)/lambda)^2 and
    ln(<F^2> / sum of f0^2); NaN where the shell is empty.
    """

    d_max: float
    d_min: float
    possible: int
    listed: int
    mean_F: float
    s2: float
    log_ratio: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a table of amplitudes looks like.

    Attributes
    ----------
    shells : tuple of Shell
    d_max, d_min : float
        Spacings of the first and last reflection [Angstrom].
    B, k : float
        Wilson's temperature factor [Angstrom^2] and scale: <F^2> = k^2 sum(f0^2) exp(-2 B s^2);
        NaN with fewer than three shells beyond 4 Angstrom.  k is NaN without a model.
    """

    shells: tuple[Shell, ...]
    d_max: float
    d_min: float
    B: float
    k: float

    @property
    def completeness(self) -> float:
        """Listed over possible reflections."""
        possible = sum(shell.possible for shell in self.shells)
        return sum(shell.listed for shell in self.shells) / possible if possible else 1.0


def statistics_of(
    path: str,
    table: Table,
    *,
    model: Model | None = None,
    d_min: float | None = None,
    count: int = 10,
) -> Statistics:
    """Count reflections in shells of equal volume, and fit Wilson's line.

    Parameters
    ----------
    path : str
        For messages.
    table : Table
    model : Model, optional
        Its atoms scatter; None: atoms as in proteins, on no absolute scale.
    d_min : float, optional
        Finest spacing that is possible [Angstrom]; None: that of the last reflection.
    count : int
        Number of shells.

    Returns
    -------
    Statistics
    """
    symmetry = table.symmetry
    own = symmetry.inverse_d_squared(table.hkl)
    finest = d_min if d_min is not None else float(own.max() ** -0.5)
    unique = unique_indices(path, symmetry, finest)
    sphere, _ = expanded(symmetry, unique, np.ones(len(unique)), mates=False)
    possible = symmetry.inverse_d_squared(sphere.hkl)
    # Extinct reflections that a list holds are no part of the sphere.
    counted = ~symmetry.absent(table.hkl)
    edges = np.linspace(0.0, finest**-3.0 * (1.0 + 3e-9), count + 1) ** (2.0 / 3.0)
    shells = []
    for low, high in pairwise(edges):
        inside = counted & (own > low) & (own <= high)
        there = int(((possible > low) & (possible <= high)).sum())
        F = table.F[inside]
        mean, s2, ratio = np.nan, np.nan, np.nan
        if len(F):
            mean, s2 = float(F.mean()), float(own[inside].mean() / 4.0)
        if F.any():
            ratio = float(np.log((F * F).mean() / _sum_of_squares(model, s2)))
        far = float(low**-0.5) if low > 0.0 else float("inf")
        shells.append(Shell(far, float(high**-0.5), there, len(F), mean, s2, ratio))
    k, B = _wilson(shells)
    d_range = float(own.min() ** -0.5), float(own.max() ** -0.5)
    return Statistics(tuple(shells), *d_range, B, k if model is not None else float("nan"))


def _sum_of_squares(model: Model | None, s2: float) -> float:
    """Return the sum of f0^2 over the atoms of the cell, or of a few atoms as in proteins."""
    point = np.array([s2])
    if model is None:
        return sum(n * float(form_factor(gemmi.Element(e), point)[0]) ** 2 for e, n in _PROTEIN)
    ops = model.symmetry.group.operations()
    # Centring concentrates the intensity in the reflections that it leaves.
    images = len(ops) * len(ops.cen_ops)
    return images * sum(
        float((a.occupancy**2).sum()) * float(form_factor(a.element, point)[0]) ** 2
        for a in model.atoms
    )


def _wilson(shells: Sequence[Shell]) -> tuple[float, float]:
    """Return k, B of the straight part of Wilson's plot."""
    chosen = [s for s in shells if np.isfinite(s.log_ratio) and s.d_max <= _STRAIGHT]
    if len(chosen) < 3:
        return float("nan"), float("nan")
    slope, start = np.polyfit([s.s2 for s in chosen], [s.log_ratio for s in chosen], 1)
    return float(np.exp(0.5 * start)), float(-0.5 * slope)
