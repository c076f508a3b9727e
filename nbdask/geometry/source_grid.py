"""Sources: directions, wavelengths and weights; and the rules for sampled ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError
from nbdask.experiment.sources import Sources, Spread
from nbdask.geometry.vectors import Array, array, cross, rotate_about, unit

#: Distance at which generated sources are put, and missing components default to [any unit].
_FAR = 10.0
#: Sources that are still believed to be meant.
MOST_SOURCES = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class SourceTable:
    """All sources.

    Attributes
    ----------
    incident : (n, 3) float64 array
        Unit vectors in which the photons travel.
    wavelength : (n,) float64 array
        [m]
    weight : (n,) float64 array
        Relative intensities with a mean of 1.
    f_table : (n,) int64 array
        Number of each source's table of amplitudes: that of its wavelength in the spectrum.
    polar_e, polar_b : (n, 3) float64 arrays
        Unit vectors of the electric and the magnetic field.
    """

    incident: Array
    wavelength: Array
    weight: Array
    polar_e: Array
    polar_b: Array
    f_table: NDArray[np.int64]


def settle_spread(spread: Spread) -> tuple[int, float, float]:
    """Return (count, range, step) of a divergence or dispersion from what is given.

    Returns
    -------
    tuple of int, float, float
        ``(1, 0.0, 0.0)`` where nothing is spread.
    """
    width, step, count = spread.range, spread.step or 0.0, spread.count
    if width is None:
        if step > 0.0:
            count, width = 2, step
        elif count is None:
            return (1, 0.0, 0.0)
        else:
            width, step = 1.0, 1.0 / count
    elif count is None:
        if step > 0.0:
            count = math.ceil(min(width / step, 2.0 * MOST_SOURCES))
        else:
            count, step = 2, width
    elif step <= 0.0:
        count = max(count, 2)
        step = width / (count - 1)
    if width <= 0.0 or step <= 0.0 or count <= 0:
        return (1, 0.0, 0.0)
    return (count, width, step)


def _outside_ellipse(value: float, count: int, width: float, step: float) -> float:
    """Return one direction's share of the test that rounds the divergence grid (NaN for 0/0)."""
    top = value * value - step * step / 4.0 * (1 - count % 2)
    return top / width / width if width != 0.0 else math.nan


def build_sources(
    sources: Sources, wavelength: float, beam: Array, polarization: Array
) -> SourceTable:
    """Return every source's direction, wavelength, weight and field directions.

    Parameters
    ----------
    sources : Sources
    wavelength : float
        Central wavelength [m].
    beam, polarization : (3,) float64 arrays
        Unit vectors.

    Returns
    -------
    SourceTable
        Generated grids run over horizontal (outer), vertical, wavelength (inner).  ``f_table`` is
        the place of the wavelength in a spectrum, 0 without one.
    """
    if sources.points:
        positions, waves, weights = _listed(sources, wavelength, beam)
    else:
        positions, waves, weights = _generated(sources, wavelength, beam, polarization)
    if not positions:
        raise FieldError(
            "sources",
            f"{sources.horizontal.count or 1} x {sources.vertical.count or 1} divergence steps",
            "a grid of which at least one point lies inside the ellipse of round divergence:"
            " give ranges (-hdivrange, -vdivrange) or -square_div",
        )
    incident = np.array([-unit(p) for p in positions])
    weight = np.array(weights, dtype=np.float64)
    weighted = sources.weights == "apply" or sources.spectrum is not None
    weight = weight / weight.mean() if weighted else np.ones(len(weight))
    polar_b = np.array([unit(cross(polarization, v)) for v in incident])
    polar_e = np.array([unit(cross(v, b)) for v, b in zip(incident, polar_b, strict=True)])
    count = 1 if sources.spectrum is None else len(sources.spectrum.wavelengths)
    f_table = np.arange(len(waves), dtype=np.int64) % count
    return SourceTable(incident, np.array(waves), weight, polar_e, polar_b, f_table)


def _listed(
    sources: Sources, wavelength: float, beam: Array
) -> tuple[list[Array], list[float], list[float]]:
    positions, waves, weights = [], [], []
    for point in sources.points:
        given = (point.x, point.y, point.z)
        positions.append(
            array([-_FAR * b if g is None else g for g, b in zip(given, beam, strict=True)])
        )
        waves.append(wavelength if point.wavelength is None else point.wavelength)
        weights.append(1.0 if point.weight is None else point.weight)
    return positions, waves, weights


def _generated(
    sources: Sources, wavelength: float, beam: Array, polarization: Array
) -> tuple[list[Array], list[float], list[float]]:
    n_h, width_h, step_h = settle_spread(sources.horizontal)
    n_v, width_v, step_v = settle_spread(sources.vertical)
    each, shares = _wavelengths(sources, wavelength, n_h * n_v)
    vertical_axis = unit(cross(beam, polarization))
    positions, waves, weights = [], [], []
    for i in range(n_h):
        for j in range(n_v):
            h = step_h * i - width_h / 2.0
            v = step_v * j - width_v / 2.0
            test = _outside_ellipse(h, n_h, width_h, step_h)
            test += _outside_ellipse(v, n_v, width_v, step_v)
            if sources.round and test * 4.0 > 1.1:
                continue
            position = rotate_about(-_FAR * beam, polarization, v)
            position = rotate_about(position, vertical_axis, h)
            positions += [position] * len(each)
            waves += each
            weights += shares
    return positions, waves, weights


def _wavelengths(
    sources: Sources, wavelength: float, directions: int
) -> tuple[list[float], list[float]]:
    """Return wavelengths [m] and weights of each of so many directions."""
    spectrum, width = sources.spectrum, sources.dispersion
    if spectrum is not None:
        count = len(spectrum.wavelengths)
    else:
        # A dispersion that is not given has the range 0, not "not given": its default is 0.
        if width.range is None:
            width = Spread(0.0, width.step, width.count)
        count, range_, step = settle_spread(width)
    if directions * count > MOST_SOURCES:
        given = f"{directions} directions x {count} wavelengths"
        raise FieldError("sources", given, f"at most {MOST_SOURCES} sources")
    if spectrum is not None:
        return list(spectrum.wavelengths), list(spectrum.weights)
    return [wavelength * (1.0 + step * w - range_ / 2.0) for w in range(count)], [1.0] * count
