"""What the compiled loops read: the kinds of plain tuples of arrays and numbers.

The kind of lattice factor and the kind of amplitude are Python types here; Numba compiles one
version of the loops for each pair that is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Numbers whose count is known when the loops are compiled.
Coefficients = tuple[float, ...]

#: Degree of the polynomials of :class:`NarrowFew`.
LEAST_DEGREE = 4
#: Numbers of an orientation for one source: cell vectors over the wavelength, the indices of
#: straight on, the same with the bias of the float32 loops, the source's share of the light.
LIT_START, LIT_BIASED, LIT_WEIGHT, LIT_NUMBERS = 9, 12, 15, 16


class Place(NamedTuple):
    """Where the sub-pixels are; see :class:`~nbdask.geometry.model.Model`."""

    fast: Array
    slow: Array
    normal: Array
    origin: Array
    beam: Array
    pixel_size: float
    distance: float
    close_distance: float
    curved: bool
    point_pixel: bool
    oversample: int
    layers: int
    layer_step: float
    #: Absorption of one layer at normal incidence; below 0: no sensor thickness is modelled.
    depth: float


class Light(NamedTuple):
    """The sources, and how their light is counted."""

    incident: Array
    per_wavelength: Array
    weight: Array
    polar_e: Array
    polar_b: Array
    kahn: float
    polarized: bool
    dmin: float


class Once(NamedTuple):
    """No factor goes with every term: pixels take all of them once."""

    thick: bool
    polar: bool
    omega: bool


class Each(NamedTuple):
    """Which factors go with every term."""

    thick: bool
    polar: bool
    omega: bool


class Crystal(NamedTuple):
    """Shape and size of the crystal, for the loops that are not chosen by type."""

    shape: int
    cells: Array
    star: Array
    fudge: float


class FewOdd(NamedTuple):
    """Few cells along each axis, odd numbers of them.

    The grating function of each axis as a polynomial in sin^2(pi x): its coefficients.
    """

    a: Coefficients
    b: Coefficients
    c: Coefficients


class Few(NamedTuple):
    """Few cells along each axis.

    As :class:`FewOdd`; an even number of cells has another factor, its square 1 - sin^2(pi x).
    ``even`` is 1 where it is there, else 0.
    """

    a: Coefficients
    b: Coefficients
    c: Coefficients
    even: Coefficients


class Grating(NamedTuple):
    """Any number of cells along each axis of a parallelepiped."""

    a: float
    b: float
    c: float


class NarrowGrating(NamedTuple):
    """The same in float32; the result is divided by the number of cells."""

    a: int
    b: int
    c: int
    per_cell: float


class NarrowFew(NamedTuple):
    """Few cells along each axis, in float32: polynomials from :mod:`.numba_tables`."""

    table: NDArray[np.float32]
    scale: float


class NarrowMore(NamedTuple):
    """The same with one coefficient more."""

    table: NDArray[np.float32]
    scale: float


class Sphere(NamedTuple):
    """An ellipsoid: cells along each axis, and the factor on the squared radius."""

    a: float
    b: float
    c: float
    fudge: float


class NarrowSphere(NamedTuple):
    """The same in float32: factors on distances, so that the sum of squares is in a unit.

    The unit is a power of two of which the sum is less than 2^20.
    """

    a: float
    b: float
    c: float
    unit: float


class Gauss(NamedTuple):
    """A Gaussian spot: minus the exponent of 2 is a squared length.

    It is the length of R (dh, dk, dl), R triangular: ``triangle`` holds its rows.
    """

    triangle: Coefficients
    sign: float


class NarrowGauss(NamedTuple):
    """The same in float32."""

    triangle: Coefficients
    sign: float


class Tophat(NamedTuple):
    """A spot with an edge: where the squared length of R (dh, dk, dl) is below 1."""

    triangle: Coefficients
    sign: float


class NarrowTophat(NamedTuple):
    """The same in float32, which is in doubt where the squared length is so near to 1."""

    triangle: Coefficients
    doubt: float


class ConstantAmplitude(NamedTuple):
    """No list: one amplitude everywhere.  Its square is part of the height."""

    default_squared: float


class NearestAmplitude(NamedTuple):
    """Squared amplitudes of the list in a grid with a border of ``default_F`` squared."""

    table: Array
    low: Coefficients
    high: Coefficients
    stride_h: float
    stride_k: float
    offset: float
    default_squared: float


class NarrowAmplitude(NamedTuple):
    """The same grid in float32, relative to its largest square, for biased whole indices."""

    table: NDArray[np.float32]
    low: tuple[int, ...]
    high: tuple[int, ...]
    strides: tuple[int, ...]
    offset: tuple[int, ...]
    default_squared: float


class TricubicAmplitude(NamedTuple):
    """Amplitudes of the list, and inside which bounds they are interpolated."""

    table: Array
    minimum: Coefficients
    low: Coefficients
    high: Coefficients
    stride_h: int
    stride_k: int
    default_squared: float


Lattice = (
    FewOdd | Few | Grating | NarrowGrating | NarrowFew | NarrowMore | Sphere | Gauss | NarrowGauss
    | Tophat | NarrowSphere | NarrowTophat
)  # fmt: skip
NARROW = (NarrowGrating, NarrowFew, NarrowMore, NarrowGauss, NarrowSphere, NarrowTophat)
Amplitude = ConstantAmplitude | NearestAmplitude | NarrowAmplitude | TricubicAmplitude


class Inputs(NamedTuple):
    """Everything that the compiled loops read of a model.

    ``height`` multiplies every term, so that the loops need not.  ``axes`` holds the cell vectors
    a, b, c [m] of each orientation, or, with two dimensions, each orientation for each source.
    """

    place: Place
    light: Light
    each: Once | Each
    crystal: Crystal
    lattice: Lattice
    amplitude: Amplitude
    axes: Array
    height: float

    @property
    def variant(self) -> str:
        """Name of the version of the loops that these inputs run."""
        size = ""
        if isinstance(self.lattice, (Few, FewOdd)):
            size = str(len(self.lattice.a))
        kinds = [type(part).__name__ for part in (self.lattice, self.amplitude, self.each)]
        lit = "-Lit" if self.axes.ndim == 2 else ""
        return f"{kinds[0]}{size}-{kinds[1]}-{kinds[2]}{lit}"
