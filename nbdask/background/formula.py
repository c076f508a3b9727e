"""The amplitude between, before and behind the points of a table, and how many molecules scatter.

Formulas: specification, background (S-BKG).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask import units
from nbdask.background.tables import Table

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A table as polynomials: between two points a cubic, outside straight lines.

    Attributes
    ----------
    knots : (n,) float64 array
        sin(theta)/lambda of the points [1/m].
    start : (n + 1,) float64 array
        Where the polynomials count from: interval i lies before knot i.
    coefficients : (n + 1, 4) float64 array
        Of x - start to the powers 0 to 3.
    """

    knots: Array
    start: Array
    coefficients: Array

    @property
    def amplitude(self) -> Array:
        """The amplitude at the points."""
        return self.coefficients[1:, 0]

    def __call__(self, stol: Array) -> Array:
        """Return the amplitude [electrons] at sin(theta)/lambda [1/m], a contiguous array."""
        at = np.searchsorted(self.knots, stol, side="right")
        t = stol - self.start[at]
        c = self.coefficients
        value: Array = ((c[at, 3] * t + c[at, 2]) * t + c[at, 1]) * t + c[at, 0]
        return value

    def roughness(self) -> Array:
        """Return how far each polynomial is from the smooth spline through the points, (n + 1,).

        The spline is cubic and natural, its first two derivatives are continuous; outside it has
        none to be compared with, and the lines there count as smooth.
        """
        x, y = self.knots, self.amplitude
        h, second = np.diff(x), _spline(x, y)
        t = np.arange(1, 8)[:, None] / 8.0
        line = y[:-1] + t * np.diff(y)
        bend = h * h / 6.0 * ((t**3 - t) * second[1:] + ((1.0 - t) ** 3 - (1.0 - t)) * second[:-1])
        c = self.coefficients[1:-1].T
        own = ((c[3] * t * h + c[2]) * t * h + c[1]) * t * h + c[0]
        worst = np.abs(own - line - bend).max(axis=0)
        return np.concatenate([[0.0], worst, [0.0]])


def _spline(x: Array, y: Array) -> Array:
    """Return the second derivatives at the points of the natural cubic spline."""
    h = np.diff(x)
    right = 6.0 * np.diff(np.diff(y) / h)
    diagonal = 2.0 * (h[:-1] + h[1:])
    for i in range(1, len(diagonal)):
        share = h[i] / diagonal[i - 1]
        diagonal[i] -= share * h[i]
        right[i] -= share * right[i - 1]
    second = np.zeros(len(x))
    for i in range(len(diagonal) - 1, -1, -1):
        second[i + 1] = (right[i] - h[i + 1] * second[i + 2]) / diagonal[i]
    return second


def curve_of(table: Table) -> Curve:
    """Return the polynomials of a table.

    Between the points i and i + 1 it is the cubic through i - 1 to i + 2, in the first and last
    interval the parabola through the outer three points, beyond them the line through the outer
    two.
    """
    x, y = table.stol, table.amplitude
    count = len(x)
    start = np.concatenate([x[:1], x])
    coefficients = np.zeros((count + 1, 4))
    coefficients[0, :2] = y[0], (y[1] - y[0]) / (x[1] - x[0])
    coefficients[-1, :2] = y[-1], (y[-1] - y[-2]) / (x[-1] - x[-2])
    for i in range(count - 1):
        points = slice(max(i - 1, 0), min(i + 3, count))
        coefficients[i + 1] = _polynomial(x[points] - x[i], y[points])
        coefficients[i + 1, 0] = y[i]
    return Curve(x, start, coefficients)


def _polynomial(x: Array, y: Array) -> Array:
    """Return the four coefficients of the polynomial through three or four points."""
    newton = y.copy()
    for level in range(1, len(x)):
        newton[level:] = (newton[level:] - newton[level - 1 : -1]) / (x[level:] - x[:-level])
    result = np.zeros(4)
    for value, at in zip(newton[::-1], x[::-1], strict=True):
        result[1:] = result[:-1] - at * result[1:]
        result[0] = value - at * result[0]
    return result


def molecules(thickness: float, area: float, density: float, molar_mass: float) -> float:
    """Return the number of molecules in the beam.

    Parameters
    ----------
    thickness : float
        [m]
    area : float
        Lit, across the beam [m^2].
    density : float
        [kg/m^3]
    molar_mass : float
        [kg/mol]
    """
    return thickness * area * density / molar_mass * units.AVOGADRO


def signed_square(amplitude: Array, clipped: bool) -> Array:
    """Return sign(F) F^2 [electrons^2]; ``clipped``: 0 where F is negative."""
    if clipped:
        amplitude = np.maximum(amplitude, 0.0)
    square: Array = np.abs(amplitude) * amplitude
    return square


def exp_of(x: Array) -> Array:
    """Return exp(x) for x from -700 to 700, from + - * / alone: the same bits on any processor.

    The series of x/1024 is squared ten times: to 1e-12.
    """
    y = np.clip(x, -700.0, 700.0) * 2.0**-10
    value = np.ones_like(y)
    for n in range(16, 0, -1):
        value = value * y / n + 1.0
    for _ in range(10):
        value = value * value
    return value
