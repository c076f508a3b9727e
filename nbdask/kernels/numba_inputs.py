"""What the compiled loops read, made once from a model; :mod:`.numba_types` has the kinds."""

from __future__ import annotations

from functools import lru_cache
from math import frexp, pi, sqrt
from threading import Lock

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from nbdask.errors import PlanError
from nbdask.geometry.model import GAUSS, ROUND, SQUARE, Model
from nbdask.kernels.numba_lanes import BIAS, WHOLE_ZERO
from nbdask.kernels.numba_tables import SCALE, grating_table
from nbdask.kernels.numba_types import (
    LEAST_DEGREE,
    LIT_BIASED,
    LIT_NUMBERS,
    LIT_START,
    LIT_WEIGHT,
    NARROW,
    Amplitude,
    Array,
    Coefficients,
    ConstantAmplitude,
    Crystal,
    Each,
    Few,
    FewOdd,
    Gauss,
    Grating,
    Inputs,
    Lattice,
    Light,
    NarrowAmplitude,
    NarrowFew,
    NarrowGauss,
    NarrowGrating,
    NarrowMore,
    NarrowSphere,
    NarrowTophat,
    NearestAmplitude,
    Once,
    Place,
    Sphere,
    Tophat,
    TricubicAmplitude,
)
from nbdask.kernels.processor import has_wide_vectors
from nbdask.physics.lattice import GAUSS_WIDTH, ROUND_SCALE, TOPHAT_LIMIT

#: Degrees of the polynomials worth writing out: for up to 6 cells, and for up to 10.  Higher ones
#: would cost digits to cancellation.
_FEW_DEGREES = (2, 4)
#: Up to so many cells float32 uses tables of polynomials, of the least degree or one more.
_FEW_CELLS, _MORE_CELLS = 6, 10
#: Ellipsoids up to this squared distance in fringes, 2300 cells across: 52 bits do for more of it.
_MOST_SQUARED = 2.0**22
#: Square crystals of more cells along an axis, and Gaussian spots whose width is uncertain by more,
#: are computed in float64: the float32 loops know indices to 2^-32 only.
_MOST_CELLS, _MOST_DOUBT = 64, 5e-7
#: With more orientations than this, or more in all, each source has its own scattering vectors.
_LIT_TURNS, _LIT_MOST = 32, 2**16
_LOG2_E = 1.4426950408889634

_making = Lock()


def inputs_of(model: Model, precision: str) -> Inputs:
    """Return what the loops read of a model, made when it is first asked for.

    Raises
    ------
    PlanError
        An amplitude grid too large to be indexed.
    """
    with _making:
        return _inputs(model, precision)


# The last models stay here with their tables: one run has one model.
@lru_cache(maxsize=3)
def _inputs(model: Model, precision: str) -> Inputs:
    each = (bool(model.each_thick), bool(model.each_polar), bool(model.each_omega))
    lattice, height = lattice_inputs(model, precision)
    amplitude, strength = _amplitude(model, isinstance(lattice, NARROW))
    axes, height = _axes(model, lattice, amplitude, any(each)), height * strength
    if axes.ndim == 2:
        height *= _brightest(model)
    return Inputs(
        place=_place(model),
        light=Light(
            incident=_array(model.incident),
            per_wavelength=_array(1.0 / model.wavelength),
            weight=_array(model.weight),
            polar_e=_array(model.polar_e),
            polar_b=_array(model.polar_b),
            kahn=float(model.kahn),
            polarized=bool(model.polarized),
            dmin=float(model.dmin),
        ),
        each=(Each if any(each) else Once)(*each),
        crystal=Crystal(
            int(model.shape), _array(model.n_cells), _array(model.star), float(model.fudge)
        ),
        lattice=lattice,
        amplitude=amplitude,
        axes=axes,
        height=float(height),
    )


def _place(model: Model) -> Place:
    return Place(
        fast=_array(model.fast),
        slow=_array(model.slow),
        normal=_array(model.normal),
        origin=_array(model.origin),
        beam=_array(model.beam),
        pixel_size=float(model.pixel_size),
        distance=float(model.distance),
        close_distance=float(model.close_distance),
        curved=bool(model.curved),
        point_pixel=bool(model.point_pixel),
        oversample=int(model.oversample),
        layers=int(model.layers),
        layer_step=float(model.layer_step),
        depth=float(model.layer_step * model.mu) if model.thickness != 0.0 else -1.0,
    )


def _axes(model: Model, lattice: Lattice, amplitude: Amplitude, each: bool) -> Array:
    """Return the orientations, for each source where that is quicker."""
    axes = _array(model.axes)
    sources = len(model.weight)
    if (
        not isinstance(lattice, NARROW)
        or isinstance(amplitude, TricubicAmplitude)
        or each
        or model.dmin > 0.0
        or len(axes) > _LIT_TURNS
        or sources * len(axes) > _LIT_MOST
    ):
        return axes
    lit = np.empty((sources, len(axes), LIT_NUMBERS))
    scaled = axes / _array(model.wavelength)[:, None, None, None]
    lit[..., :LIT_START] = scaled.reshape(sources, -1, 9)
    lit[..., LIT_START:LIT_BIASED] = -np.einsum("stij,sj->sti", scaled, model.incident)
    lit[..., LIT_BIASED:LIT_WEIGHT] = lit[..., LIT_START:LIT_BIASED] + BIAS
    lit[..., LIT_WEIGHT] = (_array(model.weight) / _brightest(model))[:, None]
    return lit.reshape(-1, LIT_NUMBERS)


def _brightest(model: Model) -> float:
    """Return the weight of the source that has the largest."""
    return float(np.max(np.abs(model.weight))) or 1.0


def lattice_inputs(model: Model, precision: str) -> tuple[Lattice, float]:
    """Return the lattice factor's numbers, and the height that its squared form leaves out."""
    a, b, c = (float(n) for n in model.n_cells)
    total = a * b * c
    narrow = precision == "mixed"
    if model.shape == SQUARE:
        few = [degree for degree in _FEW_DEGREES if (max(a, b, c) - 1) // 2 <= degree]
        if narrow and max(a, b, c) <= _MOST_CELLS:
            return _narrow_square(model.n_cells), total**2
        return (_few(model.n_cells, few[0]) if few else Grating(a, b, c)), 1.0
    if model.shape == ROUND:
        # F_latt = total * scale * 3 (sin x - x cos x) / x^3, of which the loop leaves 3 / pi^3.
        if narrow and 0.0 < _most(model.n_cells, float(model.fudge)) < _MOST_SQUARED:
            height = (total * ROUND_SCALE * 24.0 / pi**3) ** 2
            return narrow_sphere(model.n_cells, float(model.fudge)), height
        return Sphere(a, b, c, float(model.fudge)), (total * ROUND_SCALE * 3.0 / pi**3) ** 2
    sign = 1.0 if model.fudge >= 0.0 else -1.0
    width = abs(model.fudge) * total**2
    if model.shape == GAUSS:
        triangle = _triangle(model, 2.0 * _LOG2_E / GAUSS_WIDTH * width)
        sure = sqrt(3.0 * sum(r * r for r in triangle)) * 2.0**-32 < _MOST_DOUBT
        return (NarrowGauss if narrow and sure else Gauss)(triangle, sign), total**2
    triangle = _triangle(model, width / TOPHAT_LIMIT)
    if narrow and sign > 0.0:
        return NarrowTophat(triangle, spot_doubt(triangle)), total**2
    return Tophat(triangle, sign), total**2


def narrow_sphere(cells: Array, fudge: float) -> NarrowSphere:
    """Return the numbers of an ellipsoid in float32, for a fudge factor above 0."""
    unit = 2.0 ** (frexp(1.001 * _most(cells, fudge))[1] - 20)
    a, b, c = (float(n) * sqrt(fudge / unit) for n in cells)
    return NarrowSphere(a, b, c, unit)


def _most(cells: Array, fudge: float) -> float:
    """Return the largest squared distance from the nearest spot, in fringes."""
    return fudge * float(np.sum((cells / 2.0) ** 2))


def spot_doubt(triangle: Coefficients) -> float:
    """Return how near to 1 the float32 squared length of R (dh, dk, dl) says nothing."""
    # Indices are off by up to 2.5 units of 2^-32 along each axis, the rest by its rounding.
    length = sqrt(3.0 * sum(r * r for r in triangle)) * 2.5 * 2.0**-32 + 2e-6
    return length * (2.0 + length)


def _narrow_square(cells: Array) -> NarrowFew | NarrowMore | NarrowGrating:
    most = max(cells)
    whole = np.asarray(cells).astype(np.int64)
    if most > _MORE_CELLS or not has_wide_vectors():
        a, b, c = (int(n) for n in whole)
        return NarrowGrating(a, b, c, 1.0 / (a * b * c))
    if most <= _FEW_CELLS:
        return NarrowFew(grating_table(whole, LEAST_DEGREE, 1.0), 1.0)
    return NarrowMore(grating_table(whole, LEAST_DEGREE + 1, SCALE), SCALE**-3)


def _triangle(model: Model, factor: float) -> tuple[float, ...]:
    """Return R with |R (dh, dk, dl)|^2 = factor * |dh a* + dk b* + dl c*|^2, by rows."""
    r = np.linalg.qr(model.star.T, mode="r") * np.sqrt(factor)
    return tuple(float(x) for x in r[np.triu_indices(3)])


def _few(cells: Array, degree: int) -> FewOdd | Few:
    a, b, c = (grating_polynomial(int(n), degree) for n in cells)
    even = tuple(float(n % 2 == 0) for n in cells)
    return Few(a, b, c, even) if any(even) else FewOdd(a, b, c)


def grating_polynomial(cells: int, degree: int) -> Coefficients:
    """Return a polynomial in s = sin^2(pi x) for the grating function sin(N pi x) / sin(pi x).

    Parameters
    ----------
    cells : int
        N.
    degree : int
        Degree of the polynomial, at least (N - 1) // 2; coefficients not needed are 0.

    Returns
    -------
    tuple of floats
        Coefficients of s^0, s^1 and so on, all whole numbers.  For even N the function is
        cos(pi x) times the polynomial.
    """
    # With c = cos(2 pi x) = 1 - 2 s: D_m = sin((2m+1) z) / sin z and 2 U_m = sin(2(m+1) z) /
    # (sin z cos z) both obey P_{m+1} = 2 c P_m - P_{m-1}.
    twice_c = Polynomial([2.0, -4.0])
    before, now = (
        (Polynomial([-1.0]), Polynomial([1.0]))
        if cells % 2
        else (Polynomial([0.0]), Polynomial([2.0]))
    )
    for _ in range((cells - 1) // 2):
        before, now = now, twice_c * now - before
    coefficients = np.zeros(degree + 1)
    coefficients[: len(now.coef)] = now.coef
    return tuple(float(x) for x in coefficients)


def _amplitude(model: Model, narrow: bool) -> tuple[Amplitude, float]:
    """Return the amplitudes, and the factor on the squares that they leave out."""
    default_squared = float(model.default_F) * float(model.default_F)
    if model.f_grid.size == 0:
        return ConstantAmplitude(default_squared), default_squared
    shape = model.f_grid.shape
    low = _three(model.f_min)
    if model.interpolate:
        listed = TricubicAmplitude(
            table=_array(model.f_grid).reshape(-1),
            minimum=low,
            low=_three(model.interp_low),
            high=_three(model.interp_high),
            stride_h=shape[1] * shape[2],
            stride_k=shape[2],
            default_squared=default_squared,
        )
        return listed, 1.0
    size = [n + 2 for n in shape]
    if size[0] * size[1] * size[2] >= 2**31:
        raise PlanError(
            f"structure factors span {shape[0]} x {shape[1]} x {shape[2]} indices: their grid"
            " must hold less than 2^31 amplitudes; leave out reflections far from the others"
        )
    table = np.full(size, model.default_F**2)
    np.square(model.f_grid, out=table[1:-1, 1:-1, 1:-1])
    if narrow:
        return _narrow_amplitude(model, table)
    stride_h, stride_k = float(size[1] * size[2]), float(size[2])
    nearest = NearestAmplitude(
        table=table.reshape(-1),
        low=_three(np.array(low) - 1.0),
        high=_three(np.array(low) + np.array(shape)),
        stride_h=stride_h,
        stride_k=stride_k,
        offset=-((low[0] - 1.0) * stride_h + (low[1] - 1.0) * stride_k + (low[2] - 1.0)),
        default_squared=default_squared,
    )
    return nearest, 1.0


def _narrow_amplitude(model: Model, table: Array) -> tuple[NarrowAmplitude, float]:
    largest = float(table.max()) or 1.0
    first = [int(n) - 1 + WHOLE_ZERO for n in model.f_min]
    stride_h, stride_k = table.shape[1] * table.shape[2], table.shape[2]
    table /= largest
    amplitude = NarrowAmplitude(
        table=table.astype(np.float32).reshape(-1),
        low=tuple(first),
        high=tuple(n + size - 1 for n, size in zip(first, table.shape, strict=True)),
        strides=(stride_h, stride_k),
        offset=(-(first[0] * stride_h + first[1] * stride_k + first[2]),),
        default_squared=float(model.default_F) ** 2,
    )
    return amplitude, largest


def _array(values: Array) -> Array:
    """Return an array of the one type that the loops are compiled for, copied only if need be."""
    # Arrays that came from another process may be read-only or begin at an odd address.
    return np.require(values, np.float64, ["C", "A", "W"])


def _three(values: NDArray[np.float64] | NDArray[np.int64]) -> Coefficients:
    return tuple(float(x) for x in values)
