"""Cell vectors of the crystal at phi = 0, number of cells, recommended oversampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nbdask import units
from nbdask.errors import FieldError
from nbdask.experiment.beam import Beam
from nbdask.experiment.crystal import MOST_CELLS, Crystal
from nbdask.geometry.mosaic import random_misset
from nbdask.geometry.numbers import absolute, clipped, cos, real, sin, sqrt
from nbdask.geometry.vectors import Array, array, cross, dot, length, rotate_xyz, unit

#: Sub-pixels along a pixel's edge that are still believed to be meant.
MAX_OVERSAMPLE = 1000


@dataclass(frozen=True, slots=True, eq=False)
class CrystalFrame:
    """The crystal before the spindle and the mosaic domains turn it.

    Attributes
    ----------
    axes : (3, 3) float64 array
        Rows a, b, c [m].
    star : (3, 3) float64 array
        Rows a*, b*, c* [1/Angstrom].
    volume : float
        Cell volume [Angstrom^3].
    n_cells : tuple of 3 ints
        Cells along a, b, c.
    misset : tuple of 3 floats
        The rotations about lab x, y, z that were applied [rad].
    notes : tuple of str
    """

    axes: Array
    star: Array
    volume: float
    n_cells: tuple[int, int, int]
    misset: tuple[float, float, float]
    notes: tuple[str, ...] = ()


def reciprocal_from_cell(cell: tuple[float, ...]) -> tuple[Array, float]:
    """Return a*, b*, c* in the default orientation, and the cell's volume.

    Parameters
    ----------
    cell : tuple of 6 floats
        a, b, c [Angstrom], alpha, beta, gamma [rad].

    Returns
    -------
    star : (3, 3) float64 array
        Rows a* (along x), b* (in the x-y plane), c* [1/Angstrom].
    volume : float
        [Angstrom^3]
    """
    a, b, c, alpha, beta, gamma = cell
    half = (alpha + beta + gamma) / 2
    skew = sin(half) * sin(half - alpha) * sin(half - beta) * sin(half - gamma)
    volume = 2.0 * a * b * c * sqrt(absolute(skew))
    inverse = 1.0 / volume
    a_s = b * c * sin(alpha) * inverse
    b_s = c * a * sin(beta) * inverse
    c_s = a * b * sin(gamma) * inverse

    def cosine(opposite: float, one: float, other: float) -> float:
        value = (cos(one) * cos(other) - cos(opposite)) / (sin(one) * sin(other))
        return 1.0 if real(value * value) > 1.0 else value

    cos_alpha, cos_beta, cos_gamma = (
        cosine(alpha, beta, gamma),
        cosine(beta, gamma, alpha),
        cosine(gamma, alpha, beta),
    )
    sin_gamma = clipped(c * inverse / a_s / b_s)
    star = np.array(
        [
            [a_s, 0.0, 0.0],
            [b_s * cos_gamma, b_s * sin_gamma, 0.0],
            [
                c_s * cos_beta,
                c_s * (cos_alpha - cos_beta * cos_gamma) / sin_gamma,
                c_s * volume / (a * b * c * sin_gamma),
            ],
        ]
    )
    return star, volume


def orient_crystal(crystal: Crystal, beam: Beam) -> CrystalFrame:
    """Build the crystal's axes from cell or matrix, misset and sample size.

    Parameters
    ----------
    crystal : Crystal
    beam : Beam
        Its wavelength scales a matrix; its size clips the sample.
    """
    lengths: tuple[float, ...] | None = None
    volume = 0.0
    star = np.zeros((3, 3))
    if crystal.cell is not None:
        cell = tuple(_angstrom(x) for x in crystal.cell[:3]) + crystal.cell[3:]
        star, volume = reciprocal_from_cell(cell)
        lengths = cell[:3]
    if crystal.matrix is not None:
        columns = np.array(crystal.matrix).reshape(3, 3).T
        star = columns * (1e-10 / beam.wavelength)
    misset = _misset_angles(crystal)
    if crystal.misset is not None:
        star = np.array([rotate_xyz(v, *misset) for v in star])
    axes, star, volume = _direct_axes(star, lengths, volume)
    n_cells, notes = _cell_counts(crystal, beam, axes)
    if crystal.cell is not None and crystal.matrix is None:
        notes += _angle_note(axes.real, tuple(real(x) for x in crystal.cell[3:]))
    return CrystalFrame(axes * 1e-10, star, volume, n_cells, misset, notes)


def _angstrom(edge: float) -> float:
    """Return an edge [Angstrom]; a nudge is not rounded."""
    typed = units.to_angstrom(real(edge))
    if isinstance(edge, complex):
        return complex(typed, edge.imag * 1e10)  # type: ignore[return-value]
    return typed


def _angle_note(axes: Array, wanted: tuple[float, ...]) -> tuple[str, ...]:
    """Say so where nanoBragg's construction of an oblique cell misses the given angles.

    Its c* has the right length and the right components along a* and b*, but a component out of
    their plane that is only right when at most one angle differs from 90 degrees.
    """
    a, b, c = (unit(v) for v in axes)
    found = [math.acos(max(-1.0, min(1.0, dot(*pair)))) for pair in ((b, c), (a, c), (a, b))]
    if max(abs(f - w) for f, w in zip(found, wanted, strict=True)) < 1e-6:
        return ()
    text = " ".join(f"{units.to_degrees(f):.4f}" for f in found)
    return (
        f"-cell: the angles realised are {text} degrees, as in nanoBragg C, whose construction is"
        " exact only where at most one angle differs from 90; a matrix (-mat) gives any cell"
        " exactly",
    )


def _misset_angles(crystal: Crystal) -> tuple[float, float, float]:
    if crystal.misset is None:
        return (0.0, 0.0, 0.0)
    if isinstance(crystal.misset, str):
        assert crystal.misset_seed is not None
        return random_misset(crystal.misset_seed)
    x, y, z = crystal.misset
    return (x, y, z)


def _direct_axes(
    star: Array, lengths: tuple[float, ...] | None, volume: float
) -> tuple[Array, Array, float]:
    """Return a, b, c [Angstrom], the a*, b*, c* that belong to them, and the volume."""
    products = [cross(star[1], star[2]), cross(star[2], star[0]), cross(star[0], star[1])]
    inverse = dot(star[0], products[0])
    if lengths is not None:
        # A given cell prevails over what a matrix says about lengths and volume.
        products = [p * (x / volume / length(p)) for p, x in zip(products, lengths, strict=True)]
        inverse = 1.0 / volume
    volume = 1.0 / inverse
    axes = np.array([p * volume for p in products])
    star = np.array(
        [
            cross(axes[1], axes[2]) * inverse,
            cross(axes[2], axes[0]) * inverse,
            cross(axes[0], axes[1]) * inverse,
        ]
    )
    return axes, star, volume


def _cell_counts(
    crystal: Crystal, beam: Beam, axes: Array
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Return the cells along a, b, c from the counts or the sample's size."""
    size = list(crystal.size)
    notes = []
    if beam.beamsize >= 0.0:
        for index, name in ((1, "y"), (2, "z")):
            if beam.beamsize < size[index]:
                notes.append(
                    f"the sample's {name} size of {size[index] * 1e3:g} mm is clipped to the beam"
                    f" size of {beam.beamsize * 1e3:g} mm"
                )
                size[index] = beam.beamsize
    counts = []
    for index in range(3):
        count = crystal.n_cells[index]
        if size[index] > 0.0:
            wanted = size[index] / length(array(axes[index].real * 1e-10))
            if wanted > MOST_CELLS:
                raise FieldError("crystal.size", size[index], f"at most {MOST_CELLS} cells long")
            count = math.ceil(wanted)
        counts.append(max(count, 1))
    return (counts[0], counts[1], counts[2]), tuple(notes)


def recommended_oversample(
    frame: CrystalFrame, wavelength: float, distance: float, pixel: float
) -> int:
    """Return the sub-pixels per edge that resolve the crystal's finest fringes.

    Parameters
    ----------
    frame : CrystalFrame
    wavelength, distance, pixel : float
        [m]

    Returns
    -------
    int
        ``ceil(3 * largest crystal dimension / (wavelength * distance / pixel))``, at least 1, at
        most ten times ``MAX_OVERSAMPLE``.
    """
    largest = max(length(v) * n for v, n in zip(frame.axes, frame.n_cells, strict=True))
    fringe = wavelength * distance / pixel
    wanted = 3.0 * largest / fringe if fringe != 0.0 else math.inf
    # Whoever calls decides what too many are; no more digits are needed to see it.
    return max(1, math.ceil(min(wanted, 10.0 * MAX_OVERSAMPLE)))
