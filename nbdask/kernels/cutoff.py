"""What the loops of a cutoff read, made once from a model: the struct ``Cutoff``.

With a cutoff terms whose upper bound is below their share of it are left out
(``specs/cutoff.md``); whether one is depends on its pixel, source and orientation alone.
"""

from __future__ import annotations

from ctypes import Structure, c_double, c_void_p
from dataclasses import dataclass, replace
from threading import Lock
from weakref import WeakKeyDictionary, finalize

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import ROUND, SQUARE, TOPHAT, Cutoff, Model
from nbdask.kernels.cull import side_by_side
from nbdask.kernels.interface import Kernel, Partial
from nbdask.kernels.pack import Packed, pack, spot_triangle
from nbdask.kernels.params import CODES
from nbdask.physics.amorphous import photons_at
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]

#: Photons that a pixel without background may lack, and share of the root of a background.
FAINT, OF_NOISE = 1e-4, 1e-3
#: Relative error of an index in float32, of |a| |q|: of both, of products and sums.
_ROUNDING = 6.0 * 2.0**-24
#: More than what rounding does to a bound beside that.
_ROUNDED = 1.0002
#: What rounding of indices may do to bounds; beyond that nothing is left out.
_MOST_SLACK = 1.5
#: Spread of the orientations' indices below which two neighbouring nodes of each axis are all that
#: count: an index' nodes are within that and a half.
_CLOSE = 0.49
#: Time of finding what is left out, over that of all terms; of a term that is kept, over that of
#: one in loops that leave nothing out.
_FINDING, _EACH = 0.15, 2.2
#: Share of the terms that are kept above which nothing is left out, since that takes longer.
_MOST_KEPT = 0.3
#: Pixels along cells, fixed to the panel, that have one background of amorphous materials.
_CELL = 8
#: Nodes along each axis around the one next to the mean of orientations; beyond that, of a whole
#: list.
_FURTHEST = 6


class CutoffStruct(Structure):
    """The struct ``Cutoff`` of ``cutoff.h``."""

    _fields_ = (
        ("photons", c_double),
        ("shares", c_double),
        ("slack", c_double),
        ("polar", c_double),
        ("axes", c_double * 3),
        ("rounding", c_double),
        ("spread", c_double * 3),
        ("close_spread", c_double),
        ("mean", c_double * 9),
        ("rows", c_void_p),
        ("lanes", c_void_p),
        ("close", c_void_p),
        ("far", c_void_p),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CutoffInputs:
    """What the loops read.

    Attributes
    ----------
    struct : CutoffStruct
        It points into the arrays.
    rows : (n, 12) float32 array
        Of each orientation x, y, z of a, b, c [m], of spherical spots in the basis of nodes; a zero
        after each three.
    lanes : structured array
        The same of 16 orientations each; see :func:`~.cull.side_by_side`.
    close, far : (n,) float32 arrays or None
        Of each place of the table the greatest squared amplitude of it and the next node along each
        axis, and of all that any orientation may take there; None without a list.
    """

    struct: CutoffStruct
    rows: NDArray[np.float32]
    lanes: NDArray[np.void]
    close: NDArray[np.float32] | None
    far: NDArray[np.float32] | None


_making = Lock()
#: What was made of models, for as long as they live.
_made: WeakKeyDictionary[Model, CutoffInputs | None] = WeakKeyDictionary()


def cutoff_inputs(model: Model) -> CutoffInputs | None:
    """Return what the loops of a cutoff read; None: nothing is left out, as without a cutoff."""
    if model.cutoff is None:
        return None
    packed = pack(model)
    with _making:
        if model not in _made:
            _made[model] = _make(model, packed)
        return _made[model]


def may_leave_out(model: Model) -> bool:
    """Return whether there are bounds for this kind of experiment."""
    return not (
        model.shape == TOPHAT
        or model.running_product
        or model.interpolate
        or model.diffuse is not None
        or (model.shape != SQUARE and model.fudge <= 0.0)
    )


def _make(model: Model, packed: Packed) -> CutoffInputs | None:
    if not may_leave_out(model):
        return None
    axes_of: Array = np.array(model.axes, dtype=np.float64).reshape(-1, 3, 3)
    if model.nodes is not None:
        axes_of = np.asarray(np.linalg.inv(model.nodes) @ axes_of)
    rows, lanes = np.zeros((len(axes_of), 12), dtype=np.float32), side_by_side(axes_of)
    rows.reshape(-1, 3, 4)[:, :, :3] = axes_of.transpose(0, 2, 1)
    longest_q = 2.0 / float(np.min(model.wavelength))
    rounding = _ROUNDING * longest_q * float(np.linalg.norm(axes_of, axis=2).max())
    axes, slack = _bound(model, rounding)
    if not slack <= _MOST_SLACK:
        return None
    mean = model.axes.mean(axis=0)
    spread = np.linalg.norm(model.axes - mean, axis=2).max(axis=0)
    close, far = _greatest(model, packed, float(spread.max()) * longest_q)
    weights = float(np.sum(model.weight)) * float(np.max(model.domain_weight))
    assert model.cutoff is not None
    struct = CutoffStruct(
        photons=even_photons(model.cutoff),
        shares=weights * len(rows) * model.layers * model.oversample**2,
        slack=slack * _ROUNDED,
        polar=max(1.0, 0.5 * (1.0 + abs(model.kahn))),
        axes=tuple(axes),
        rounding=rounding,
        spread=tuple(spread),
        close_spread=_CLOSE if model.nodes is None else 0.0,
        mean=tuple(mean.reshape(-1)),
        rows=rows.ctypes.data,
        lanes=lanes.ctypes.data,
        close=None if close is None else close.ctypes.data,
        far=None if far is None else far.ctypes.data,
    )
    return CutoffInputs(struct, rows, lanes, close, far)


def _bound(model: Model, rounding: float) -> tuple[Array, float]:
    """Return what a bound knows of each axis, and what an index' rounding may do to the bound."""
    if model.shape == SQUARE:
        # From a third of 1 / N the distance counts, whose relative error is then 3 N times that.
        left = 1.0 - 3.0 * rounding * model.n_cells
        slack = float(np.prod(1.0 / left**2)) if left.min() > 0.0 else np.inf
        return 1.0 / (9.0 * model.n_cells**2), slack
    if model.shape == ROUND:
        return model.fudge * model.n_cells**2, 1.0
    triangle = np.zeros((3, 3))
    triangle[np.triu_indices(3)] = spot_triangle(model)
    form = triangle.T @ triangle
    widths = np.sqrt(np.diag(form))
    # |R d|^2 is at least the least eigenvalue of the scaled form times the sum of squares.
    least = float(np.linalg.eigvalsh(form / np.outer(widths, widths))[0]) * (1.0 - 1e-9)
    return max(least, 0.0) * widths**2, 1.0


def _greatest(
    model: Model, packed: Packed, spread: float
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Return tables of the greatest squared amplitudes, next to nodes and within the spread.

    The node next to an index is half an index away at most, of spherical spots a corner of a cell
    of nodes; so is the one next to the mean orientation's.
    """
    if packed.values["amplitude"] == CODES["CONSTANT"]:
        return None, None
    away = 0.5 if model.nodes is None else float(np.abs(model.nodes).sum(axis=1).max())
    near, reach = _table(model, packed, 0, 1), int(spread + 0.5 + away)
    if spread < _CLOSE and model.nodes is None:
        return near, near
    return near, _table(model, packed, reach, reach)


def _table(model: Model, packed: Packed, before: int, after: int) -> NDArray[np.float32]:
    """Return greatest squared amplitudes, flat; models that share amplitudes share these too."""
    before = min(before, _FURTHEST + 1)
    key = (id(model.f_grid), id(model.f_more), model.default_F, before)
    if key not in _tables:
        shape = (model.n_tables, *(n + 2 for n in model.f_grid.shape))
        table = packed.table.reshape(shape).astype(np.float32) * np.float32(1.000001)
        if before > _FURTHEST:
            most = table.max(axis=(1, 2, 3), keepdims=True)
            table = np.ascontiguousarray(np.broadcast_to(most, shape))
        else:
            table = _dilated(table, before, after)
        _tables[key] = table.reshape(-1)
        # With either array the key ends: another one may get its place in memory.
        for array in (model.f_grid, model.f_more):
            finalize(array, _tables.pop, key, None)
    return _tables[key]


#: Tables of the greatest squared amplitudes, for as long as the lists live.
_tables: dict[tuple[int, int, float, int], NDArray[np.float32]] = {}


def _dilated(table: NDArray[np.float32], before: int, after: int) -> NDArray[np.float32]:
    """Return the greatest of each place and of so many before and after it along each axis."""
    for axis in (1, 2, 3):
        source = np.moveaxis(table, axis, 0)
        found = source.copy()
        for step in range(1, min(max(before, after), len(source) - 1) + 1):
            if step <= before:
                np.maximum(found[step:], source[:-step], out=found[step:])
            if step <= after:
                np.maximum(found[:-step], source[step:], out=found[:-step])
        table = np.ascontiguousarray(np.moveaxis(found, 0, axis))
    return table


def even_photons(cutoff: Cutoff) -> float:
    """Return the photons that each pixel may lack where that does not depend on a background."""
    return (FAINT if cutoff.photons is None else cutoff.photons) * cutoff.share


def cutoff_rows(model: Model) -> int:
    """Return the rows of a band of pixels that are taken together, as in ``cutoff.cpp``."""
    n = model.oversample
    return 1 if n > 5 or n == 4 else 2 if n > 1 else 4


def is_worthwhile(kept: float, exact: float) -> bool:
    """Return whether a cutoff gains time.

    Parameters
    ----------
    kept : float
        Share of the terms that are kept.
    exact : float
        Time of loops that skip what is exactly 0, over that of all terms.
    """
    return kept <= _MOST_KEPT and time_with_cutoff(kept) < exact


def time_with_cutoff(share: float) -> float:
    """Return the time of a share of the evaluations over that of all, with what finds them."""
    return _FINDING + _EACH * share


def allowed_photons(kernel: Kernel, model: Model, tile: Tile) -> Array | None:
    """Return the photons that each pixel may lack, as the tile; None: all the same.

    Parameters
    ----------
    kernel : Kernel
        Which gives the background that the model itself has.
    model : Model
        With a cutoff.
    tile : Tile
    """
    cutoff = model.cutoff
    assert cutoff is not None
    if cutoff.photons is not None or (cutoff.water == 0.0 and not model.amorphous):
        return None
    photons = _amorphous(model.at(tile.panel), tile) if model.amorphous else np.zeros(tile.shape)
    if cutoff.water != 0.0:
        # Of several crystals that of the first counts, whose scale may differ.
        own = model.scale * model.background
        empty = Partial(np.zeros(tile.shape), None, 0)
        photons += kernel.finish(model, tile, empty, None) * (cutoff.water / own)
    # In place: new memory takes longer than this arithmetic.
    np.sqrt(np.maximum(photons, 0.0, out=photons), out=photons)
    photons *= OF_NOISE
    np.maximum(photons, FAINT, out=photons)
    photons *= cutoff.share
    return photons


def most_lacking(kernel: Kernel, model: Model, pixel: Tile) -> float:
    """Return the most photons that a pixel may lack [photons]; 0 without a cutoff.

    Parameters
    ----------
    kernel, model
        As of :func:`allowed_photons`.
    pixel : Tile
        One pixel.
    """
    if model.cutoff is None:
        return 0.0
    allowed = allowed_photons(kernel, model, pixel)
    return even_photons(model.cutoff) if allowed is None else float(allowed[0, 0])


def _amorphous(model: Model, tile: Tile) -> Array:
    """Return the photons of amorphous materials in the middle of each pixel's 8 x 8 pixels."""
    slow = np.arange(tile.slow0 // _CELL, (tile.slow1 - 1) // _CELL + 1, dtype=np.float64)
    fast = np.arange(tile.fast0 // _CELL, (tile.fast1 - 1) // _CELL + 1, dtype=np.float64)
    middle = 0.5 * (_CELL - 1)
    rows = np.repeat(_CELL * slow + middle, len(fast))
    columns = np.tile(_CELL * fast + middle, len(slow))
    photons = photons_at(replace(model, oversample=1), rows, columns).photons
    seen = photons.reshape(len(slow), 1, len(fast), 1)
    whole = np.broadcast_to(seen, (len(slow), _CELL, len(fast), _CELL))
    low, left = tile.slow0 % _CELL, tile.fast0 % _CELL
    found: Array = whole.reshape(_CELL * len(slow), _CELL * len(fast))[
        low : low + tile.shape[0], left : left + tile.shape[1]
    ]
    return np.ascontiguousarray(found)
