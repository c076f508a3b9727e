"""What the loops of the mixed precision read, made once from a model: the struct ``Mixed``.

Lattice factors are evaluated in float32 where that keeps their digits; other crystals use float64.
"""

from __future__ import annotations

from ctypes import Structure, c_double, c_int, c_uint32, c_void_p
from dataclasses import dataclass
from math import frexp, pi, sqrt
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import GAUSS, ROUND, SPHERICAL, SQUARE, Model
from nbdask.kernels.mixed_tables import FEW_CELLS, LEAST_DEGREE, MORE_CELLS, SCALE, grating_table
from nbdask.kernels.pack import Values, pack, spot_triangle
from nbdask.kernels.params import CODES
from nbdask.physics.lattice import ROUND_SCALE

Array = NDArray[np.float64]

#: Kinds of lattice factors.
FEW, MORE, GRATING, NARROW_GAUSS, NARROW_TOPHAT, SPHERE, MANY = range(7)
#: A float64 index plus this holds, in its lower 32 bits, the index less its nearest whole number in
#: units of 2^-32, and the whole number in its upper bits; with the second the lower 32 bits are
#: those of a signed number.
BIAS = 1572864.0 + 0.5 - 2.0**-32
SIGNED_BIAS = BIAS - 0.5
#: The upper 32 bits of ``BIAS``: those of the whole number 0.
WHOLE_ZERO = 0x41380000
#: Places in a row of the table of orientations for each source: cell vectors over the wavelength,
#: the indices of straight on, the same with the bias, the source's share of the light.
LIT_START, LIT_BIASED, LIT_WEIGHT, LIT_NUMBERS = 9, 12, 15, 16
#: With more orientations than this, or more in all, each source has its own scattering vectors.
_LIT_TURNS, _LIT_MOST = 32, 2**16
#: Ellipsoids up to this squared distance in fringes, 830 cells across: of larger ones the float32
#: rest of it, below a unit, is too coarse for the first zeros.
_MOST_SQUARED = 2.0**19
#: Of square crystals of more cells along an axis the product of cells and index is rounded to 2^-32
#: too; of more than the second number, or where that product may be larger than the third, float64
#: serves.
_SOME_CELLS, _MOST_CELLS, _MOST_PRODUCT = 64, 1000, 2.0**18
#: Gaussian spots whose width is uncertain by more are computed in float64: the float32 loops know
#: indices to 2^-32 only.
_MOST_DOUBT = 5e-7


class Mixed(Structure):
    """The struct of the same name in ``mixed_spots.h``."""

    _fields_ = (
        ("lattice", c_int),
        ("listed", c_int),
        ("lit", c_int),
        ("cells", c_int * 3),
        ("scale", c_double),
        ("triangle", c_double * 6),
        ("doubt", c_double),
        ("radii", c_double * 3),
        ("unit", c_double),
        ("polynomials", c_void_p),
        ("amplitudes", c_void_p),
        ("low", c_int * 3),
        ("high", c_int * 3),
        ("strides", c_int * 2),
        ("offset", c_uint32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class MixedInputs:
    """What the loops read.

    Attributes
    ----------
    struct : Mixed
        It points into ``tables``.
    axes : (n, AXES_ROW) or (n, LIT_NUMBERS) float64 array
        Cell vectors a, b, c [m] of each orientation; if ``struct.lit`` each orientation for each
        source, sources outside.
    height : float
        Factor on every term, which the loops leave out.
    tables : tuple of arrays
    """

    struct: Mixed
    axes: Array
    height: float
    tables: tuple[NDArray[np.float32], ...]


_making = Lock()


def mixed_inputs(model: Model, wide: bool) -> MixedInputs | None:
    """Return :func:`make_inputs` of a model, made when it is first asked for."""
    with _making:
        made = _made.setdefault(model, {})
        if wide not in made:
            made[wide] = make_inputs(model, wide)
        return made[wide]


#: What was made of models, for as long as they live.
_made: WeakKeyDictionary[Model, dict[bool, MixedInputs | None]] = WeakKeyDictionary()


def make_inputs(model: Model, wide: bool) -> MixedInputs | None:
    """Return what the loops of the mixed precision read of a model.

    Parameters
    ----------
    model : Model
    wide : bool
        Whether the loops are those for vectors of 512 bits, which can look up polynomials.

    Returns
    -------
    MixedInputs or None
        None where the loops of float64 serve instead.  For interpolated amplitudes the loops give
        the lattice factors alone.

    Raises
    ------
    PlanError
        An amplitude grid too large to be indexed.
    """
    if model.running_product or model.diffuse is not None:
        return None
    struct = Mixed()
    lattice = _lattice(model, wide, struct)
    if lattice is None:
        return None
    packed = pack(model)
    height, polynomials = lattice
    tables = [polynomials] if polynomials is not None else []
    kind = packed.values["amplitude"]
    if kind == CODES["CONSTANT"]:
        height *= packed.values["default_squared"]
    elif kind == CODES["NEAREST"]:
        largest = float(packed.table.max()) or 1.0
        single = (packed.table / largest).astype(np.float32)
        fill_list(struct, single, packed.values)
        height *= largest
        tables.append(single)
    axes = packed.axes
    if _is_lit(model):
        struct.lit = 1
        height *= _brightest(model)
        signed = kind == CODES["CONSTANT"] and struct.lattice == NARROW_TOPHAT
        axes = _lit_axes(model, SIGNED_BIAS if signed else BIAS)
    return MixedInputs(struct, axes, height, tuple(tables))


def _lattice(
    model: Model, wide: bool, struct: Mixed
) -> tuple[float, NDArray[np.float32] | None] | None:
    """Fill in the lattice factor; return the height that its square leaves out, and polynomials."""
    squared = float(model.n_cells_total) ** 2
    fudge = float(model.fudge)
    if model.shape == SQUARE:
        if max(model.n_cells) > _MOST_CELLS or _largest_product(model) > _MOST_PRODUCT:
            return None
        polynomials = fill_square(struct, model.n_cells, wide)
        return (1.0 if polynomials is None else squared), polynomials
    if model.shape == ROUND:
        # F_latt = total * scale * 3 (sin x - x cos x) / x^3, of which the loop leaves 24 / pi^3.
        if not 0.0 < _most(model.n_cells, fudge) < _MOST_SQUARED:
            return None
        fill_sphere(struct, model.n_cells, fudge)
        return squared * (ROUND_SCALE * 24.0 / pi**3) ** 2, None
    if fudge < 0.0 or model.shape == SPHERICAL:
        return None
    triangle = spot_triangle(model)
    if model.shape == GAUSS:
        if _length(triangle) * 2.0**-32 >= _MOST_DOUBT:
            return None
        fill_gauss(struct, triangle)
        return squared, None
    fill_tophat(struct, triangle)
    return squared, None


def fill_square(struct: Mixed, cells: Array, wide: bool) -> NDArray[np.float32] | None:
    """Fill in a parallelepiped's numbers; return its polynomials, which have to be kept."""
    whole = np.asarray(cells).astype(np.int64)
    most = int(whole.max())
    if most > MORE_CELLS or not wide:
        struct.lattice = GRATING if most <= _SOME_CELLS else MANY
        struct.cells = tuple(int(n) for n in whole)
        return None
    few = most <= FEW_CELLS
    struct.lattice = FEW if few else MORE
    struct.scale = 1.0 if few else SCALE**-3
    table = grating_table(whole, LEAST_DEGREE if few else LEAST_DEGREE + 1, 1.0 if few else SCALE)
    struct.polynomials = table.ctypes.data
    return table


def fill_sphere(struct: Mixed, cells: Array, fudge: float) -> None:
    """Fill in an ellipsoid's numbers, for a fudge factor above 0.

    Factors on distances, so that the sum of squares is in a unit: a power of two of which the sum
    is less than 2^20.
    """
    struct.lattice = SPHERE
    struct.unit = unit = 2.0 ** (frexp(1.001 * _most(cells, fudge))[1] - 20)
    struct.radii = tuple(float(n) * sqrt(fudge / unit) for n in cells)


def fill_gauss(struct: Mixed, triangle: Array) -> None:
    """Fill in a Gaussian spot's numbers: R by rows."""
    struct.lattice = NARROW_GAUSS
    struct.triangle = tuple(triangle)


def fill_tophat(struct: Mixed, triangle: Array) -> None:
    """Fill in the numbers of a spot with an edge, where the squared length of R (dh, dk, dl) is 1.

    In doubt is float32 so near to 1: indices are off by up to 2.5 units of 2^-32 along each axis,
    the rest by its rounding.
    """
    struct.lattice = NARROW_TOPHAT
    struct.triangle = tuple(triangle)
    length = _length(triangle) * 2.5 * 2.0**-32 + 2e-6
    struct.doubt = length * (2.0 + length)


def _largest_product(model: Model) -> float:
    """Return the largest product of an index and the number of cells.

    Scattering vectors are at most 2 / wavelength long.
    """
    lengths = np.linalg.norm(np.reshape(model.axes, (-1, 3, 3)), axis=2).max(axis=0)
    return (
        float(np.max(lengths * np.asarray(model.n_cells))) * 2.0 / float(np.min(model.wavelength))
    )


def _most(cells: Array, fudge: float) -> float:
    """Return the largest squared distance from the nearest spot, in fringes."""
    return fudge * float(np.sum((np.asarray(cells) / 2.0) ** 2))


def _length(triangle: Array) -> float:
    return sqrt(3.0 * float(np.sum(np.square(triangle))))


def fill_list(struct: Mixed, table: NDArray[np.float32], values: Values) -> None:
    """Fill in a grid of squared amplitudes, with the fields that :mod:`.pack` gives to float64."""
    struct.listed = 1
    struct.amplitudes = table.ctypes.data
    low = [int(n) + WHOLE_ZERO for n in values["minimum"]]
    strides = values["stride_h"], values["stride_k"]
    struct.low, struct.strides = tuple(low), strides
    struct.high = tuple(n + int(last) for n, last in zip(low, values["last"], strict=True))
    struct.offset = -(low[0] * strides[0] + low[1] * strides[1] + low[2]) % 2**32


def _is_lit(model: Model) -> bool:
    """Return whether a table of orientations for each source is quicker, and can be used."""
    sources, turns = len(model.weight), len(model.axes)
    return (
        not (model.f_grid.size > 0 and model.interpolate)
        and not (model.each_thick or model.each_polar or model.each_omega)
        and model.dmin <= 0.0
        and model.n_tables == 1
        and turns <= _LIT_TURNS
        and sources * turns <= _LIT_MOST
    )


def _lit_axes(model: Model, bias: float) -> Array:
    """Return the orientations for each source: the index is linear in the ray."""
    sources, turns = len(model.weight), len(model.axes)
    lit = np.empty((sources, turns, LIT_NUMBERS))
    scaled = model.axes / np.asarray(model.wavelength)[:, None, None, None]
    lit[..., :LIT_START] = scaled.reshape(sources, turns, 9)
    lit[..., LIT_START:LIT_BIASED] = -np.einsum("stij,sj->sti", scaled, model.incident)
    lit[..., LIT_BIASED:LIT_WEIGHT] = lit[..., LIT_START:LIT_BIASED] + bias
    lit[..., LIT_WEIGHT] = (np.asarray(model.weight) / _brightest(model))[:, None]
    lit[..., LIT_WEIGHT] *= np.resize(model.domain_weight, turns)
    return lit.reshape(-1, LIT_NUMBERS)


def _brightest(model: Model) -> float:
    """Return the weight of the source that has the largest."""
    return float(np.max(np.abs(model.weight))) or 1.0
