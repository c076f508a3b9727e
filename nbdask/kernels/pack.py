"""From a model to what the compiled loops are called with: tables, and fields of a structure."""

from __future__ import annotations

from math import pi
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, finalize

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from nbdask.errors import PlanError
from nbdask.geometry.model import GAUSS, ROUND, SPHERICAL, SQUARE, TOPHAT, Model
from nbdask.kernels.params import AXES_ROW, CODES, PARAMS, SOURCE_ROW, struct_of
from nbdask.physics.lattice import GAUSS_WIDTH, ROUND_SCALE, TOPHAT_LIMIT
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]
Values = dict[str, Any]
#: Where the fields of each panel stand among the values: a tuple of dicts.
FRAMES = "frames"

#: Degrees of the polynomials worth writing out: for up to 6 cells, and for up to 10.  Higher ones
#: would cost digits to cancellation.
_FEW_DEGREES = (2, 4)
_LOG2_E = 1.4426950408889634
#: Shape -> version of the loops.
_SPOTS = {GAUSS: "GAUSS", TOPHAT: "TOPHAT", SPHERICAL: "NODES"}

_making = Lock()


class Packed(NamedTuple):
    """Everything that a model gives to the loops.

    Attributes
    ----------
    values : dict
        The fields of :data:`~.params.PARAMS` that all tiles share (the others are 0), and at
        ``FRAMES`` those of each panel.
    axes : (n, AXES_ROW) float64 array
        Cell vectors a, b, c [m] and weight of each orientation.
    sources : (n, SOURCE_ROW) float64 array
        Direction, 1 / wavelength [1/m], weight, electric and magnetic direction, first place of
        the source's amplitudes in ``table``.
    table : (n,) float64 array
        Squared amplitudes (nearest), amplitudes (tricubic), or one number; tables of further
        energies follow one another.
    """

    values: Values
    axes: Array
    sources: Array
    table: Array


def pack(model: Model) -> Packed:
    """Return what the loops read of a model, made when it is first asked for.

    Raises
    ------
    PlanError
        An amplitude grid too large to be indexed.
    """
    with _making:
        if model not in _packed:
            _packed[model] = _pack(model)
        return _packed[model]


#: What was made of models, for as long as they live.
_packed: WeakKeyDictionary[Model, Packed] = WeakKeyDictionary()


def _pack(model: Model) -> Packed:
    lattice, height = lattice_values(model)
    amplitude, table, strength = _amplitude(model)
    values: Values = dict.fromkeys(PARAMS.names or (), 0)
    values |= _place(model) | _light(model) | lattice | amplitude
    values[FRAMES] = tuple(_frame(model.at(panel)) for panel in range(model.n_panels))
    values |= {"height": height * strength, "background": model.background, "scale": model.scale}
    rows = _sources(model, table.size // model.n_tables)
    if model.diffuse is not None:
        if table.size >= 2**31:
            raise PlanError(
                "diffuse scattering: the tables of structure factors must hold less than 2^31"
                " amplitudes; leave out reflections far from the others, or energies"
            )
        values |= {
            "diffuse": model.diffuse.factor / (height * strength),
            "laue": len(model.diffuse.forms),
            "laue_at": table.size,
            "stencil": model.diffuse.stencil,
        }
        table = np.concatenate([table, model.diffuse.forms.reshape(-1)])
    return Packed(values, _axes(model), rows, table)


def arguments(values: Values, tile: Tile, steps: StepRange, active: NDArray[Any] | None) -> Any:
    """Return the structure for one tile and one range of flat steps.

    Parameters
    ----------
    values : dict
        As in :class:`Packed`.
    tile : Tile
    steps : StepRange
    active : (n,) array or None
        Flat indices in the tile of the pixels to be evaluated; None: all of them.
    """
    turns = values["turns"]
    inner = values["sources"] * turns
    outer0, low = divmod(steps.start, inner)
    outer1 = -(-steps.stop // inner)
    high = steps.stop - (outer1 - 1) * inner
    source0, turn0 = divmod(low, turns)
    source1 = -(-high // turns)
    bounds = {
        "outer0": outer0,
        "outer1": outer1,
        "source0": source0,
        "source1": source1,
        "turn0": turn0,
        "turn1": high - (source1 - 1) * turns,
        "slow0": tile.slow0,
        "fast0": tile.fast0,
        "width": tile.shape[1],
        "count": tile.pixels if active is None else active.size,
        "listed": active is not None,
    }
    shared = dict(values)
    frames = shared.pop(FRAMES)
    # The model of a panel alone has one frame, whichever panel its tiles are said to be of.
    return struct_of(shared | frames[tile.panel if len(frames) > 1 else 0] | bounds)


def _place(model: Model) -> Values:
    same = ("beam", "curved", "point_pixel", "oversample", "layers")
    return {name: getattr(model, name) for name in same}


def _frame(model: Model) -> Values:
    same = (
        "fast", "slow", "normal", "origin", "area", "distance", "close_distance", "layer_step",
    )  # fmt: skip
    return {name: getattr(model, name) for name in same} | {
        "sub_fast": model.pitch_fast / model.oversample,
        "sub_slow": model.pitch_slow / model.oversample,
        "depth": model.layer_step * model.mu if model.thickness != 0.0 else -1.0,
    }


def _light(model: Model) -> Values:
    each = (model.each_thick, model.each_polar, model.each_omega)
    factors = "PRODUCTS" if model.running_product else "EACH" if any(each) else "ONCE"
    return {
        "kahn": model.kahn,
        "dmin": model.dmin,
        "polarized": model.polarized,
        "sources": model.n_sources,
        "turns": len(model.axes),
        "weighted": model.has_weights,
        "each_thick": model.each_thick,
        "each_polar": model.each_polar,
        "each_omega": model.each_omega,
        "skip_zero": model.running_product and model.background == 0.0,
        "factors": CODES[factors],
    }


def _axes(model: Model) -> Array:
    rows = np.zeros((len(model.axes), AXES_ROW))
    rows[:, :9] = model.axes.reshape(-1, 9)
    rows[:, 9] = np.resize(model.domain_weight, len(model.axes))
    return rows


def _sources(model: Model, places: int) -> Array:
    """Return the rows of the sources; ``places``: of one table of amplitudes."""
    rows = np.zeros((model.n_sources, SOURCE_ROW))
    rows[:, :3] = model.incident
    rows[:, 3] = 1.0 / model.wavelength
    rows[:, 4] = model.weight
    rows[:, 5:8] = model.polar_e
    rows[:, 8:11] = model.polar_b
    if model.f_grid.size:
        rows[:, 11] = model.f_table * places
    return rows


def lattice_values(model: Model) -> tuple[Values, float]:
    """Return the fields of the lattice factor, and the height that its squared form leaves out."""
    values: Values = {
        "cells": model.n_cells,
        "whole_cells": model.n_cells.astype(np.int32),
        "per_cell": 1.0 / model.n_cells_total,
        "fudge": model.fudge,
    }
    if model.shape == SQUARE:
        return values | _square(model), 1.0
    if model.shape == ROUND:
        # F_latt = total * scale * 3 (sin x - x cos x) / x^3, of which the loop leaves 3 / pi^3.
        height = (model.n_cells_total * ROUND_SCALE * 3.0 / pi**3) ** 2
        return values | {"lattice": CODES["SPHERE"]}, height
    if model.nodes is not None:
        values |= {"from_nodes": model.nodes, "to_nodes": np.linalg.inv(model.nodes)}
    values |= {
        "lattice": CODES[_SPOTS[model.shape]],
        "triangle": spot_triangle(model),
        "sign": 1.0 if model.fudge >= 0.0 else -1.0,
    }
    return values, model.n_cells_total**2


def spot_triangle(model: Model) -> Array:
    """Return R of gauss, spherical and tophat spots, an upper triangle by rows, (6,) float64.

    The squared Gaussian factor is 2^-|R (dh, dk, dl)|^2; a tophat spot ends where that length is 1.
    """
    per_squared = {
        GAUSS: 2.0 * _LOG2_E / GAUSS_WIDTH,
        SPHERICAL: np.pi * _LOG2_E,
        TOPHAT: 1.0 / TOPHAT_LIMIT,
    }[model.shape]
    r = np.linalg.qr(model.spot_form, mode="r") * np.sqrt(per_squared * abs(model.fudge))
    triangle: Array = r[np.triu_indices(3)]
    return triangle


def _square(model: Model) -> Values:
    most = int(model.n_cells.max())
    degrees = [degree for degree in _FEW_DEGREES if (most - 1) // 2 <= degree]
    # Terms that are exactly 0 matter to a running product, and a polynomial has none.
    if not degrees or model.running_product:
        return {"lattice": CODES["GRATING"]}
    few = np.zeros((3, 5))
    for axis, cells in enumerate(model.n_cells):
        few[axis, : degrees[0] + 1] = grating_polynomial(int(cells), degrees[0])
    even = model.n_cells % 2 == 0
    return {
        "lattice": CODES["FEW" if even.any() else "FEW_ODD"],
        "degree": degrees[0],
        "few": few,
        "even": even,
    }


def grating_polynomial(cells: int, degree: int) -> Array:
    """Return a polynomial in s = sin^2(pi x) for the grating function sin(N pi x) / sin(pi x).

    Parameters
    ----------
    cells : int
        N.
    degree : int
        Degree of the polynomial, at least (N - 1) // 2; coefficients not needed are 0.

    Returns
    -------
    (degree + 1,) float64 array
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
    return coefficients


def _amplitude(model: Model) -> tuple[Values, Array, float]:
    """Return the fields of the amplitudes, their table, and what the squares leave out."""
    default_squared = model.default_F * model.default_F
    values: Values = {"default_squared": default_squared}
    if model.f_grid.size == 0:
        return values | {"amplitude": CODES["CONSTANT"]}, np.zeros(1), default_squared
    shape = model.f_grid.shape
    if model.interpolate:
        values |= {
            "amplitude": CODES["TRICUBIC"],
            "minimum": model.f_min,
            "last": np.array(shape) - 1,
            "low": model.interp_low,
            "high": model.interp_high,
            "stride_h": shape[1] * shape[2],
            "stride_k": shape[2],
        }
        first = np.ascontiguousarray(model.f_grid).reshape(-1)
        whole = np.concatenate([first, model.f_more.reshape(-1)]) if len(model.f_more) else first
        return values, whole, 1.0
    size = [n + 2 for n in shape]
    if size[0] * size[1] * size[2] >= 2**31:
        raise PlanError(
            f"structure factors span {shape[0]} x {shape[1]} x {shape[2]} indices: their grid"
            " must hold less than 2^31 amplitudes; leave out reflections far from the others"
        )
    table = _squared(model, size)
    values |= {
        "amplitude": CODES["NEAREST"],
        "minimum": model.f_min - 1,
        "last": np.array(size) - 1,
        "stride_h": size[1] * size[2],
        "stride_k": size[2],
    }
    return values, table.reshape(-1), 1.0


def _squared(model: Model, size: list[int]) -> Array:
    """Return the squared amplitudes of a model; models that share amplitudes share these too."""
    key = (id(model.f_grid), id(model.f_more), model.default_F)
    if key not in _squares:
        # A border of the default all around, on which indices outside the list fall.
        table = np.full([model.n_tables, *size], model.default_F * model.default_F)
        for number in range(model.n_tables):
            grid = model.f_grid if number == 0 else model.f_more[number - 1]
            np.square(grid, out=table[number, 1:-1, 1:-1, 1:-1])
        _squares[key] = table
        # With either array the key ends: another one may get its place in memory.
        for array in (model.f_grid, model.f_more):
            finalize(array, _squares.pop, key, None)
    return _squares[key]


#: Squared amplitudes of tables that live.
_squares: dict[tuple[int, int, float], Array] = {}
