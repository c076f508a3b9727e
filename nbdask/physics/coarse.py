"""The amorphous background of a tile: on a coarse grid where that is as good, else pixel by pixel.

Cells of 8 x 8 pixels are fixed to the panel, so that a pixel depends on its cell alone, whatever
tile it is in.  A cell is interpolated from the nodes around it, by polynomials of degree 5 along
both axes, where two errors are small enough:

- that of a smooth function is the sum of the errors along the two axes, which are measured in the
  middles of the edges of the cell and its neighbours: there a polynomial's error is greatest;
- what the table's curve has beside a smooth one (its roughness) grows by the weights at most.

The other pixels are computed one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nbdask.background.layer import ROUGH, Layer
from nbdask.geometry.model import Model
from nbdask.physics.amorphous import Seen, photons_at
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]

#: Pixels along a cell.
CELL = 8
#: Nodes before a cell's first that its polynomials need, and in all.
BEFORE, POINTS = 2, 6
#: Relative error that is allowed in the middles of two edges together.
SMOOTH = 4e-8
#: Cells around a tile whose edges are looked at too.
_MARGIN = 1
#: Pixels that are computed at once.
_BLOCK = 65536


class _Cells(NamedTuple):
    """The cells of a tile, and one more all around: the first, and how many (slow, fast)."""

    slow: int
    fast: int
    shape: tuple[int, int]


def amorphous_photons(model: Model, tile: Tile, mask: Bool | None) -> Array:
    """Return the photons that amorphous materials send to the pixels of a tile.

    Parameters
    ----------
    model : Model
    tile : Tile
    mask : (n_slow, n_fast) bool array or None
        False: the pixel is not wanted and may hold anything.

    Returns
    -------
    (n_slow, n_fast) float64 array
    """
    model = model.at(tile.panel)
    image = np.zeros(tile.shape)
    if any(material.rough for material in model.amorphous):
        left = np.ones(tile.shape, dtype=np.bool_)
    else:
        left = ~_interpolate(model, tile, image)
    if mask is not None:
        left &= mask
    _compute(model, tile, np.flatnonzero(left), image)
    return image


def _interpolate(model: Model, tile: Tile, image: Array) -> Bool:
    """Fill a tile by interpolation; return where that is good enough, (n_slow, n_fast)."""
    slow, fast = tile.slow0 // CELL - _MARGIN, tile.fast0 // CELL - _MARGIN
    rows, columns = (-(-end // CELL) + _MARGIN for end in (tile.slow1, tile.fast1))
    cells = _Cells(slow, fast, (rows - slow, columns - fast))
    nodes = _seen_on(model, cells, POINTS - 1, (0, 0))
    coarse = _is_smooth(model, cells, nodes.photons) & _is_flat(model, nodes)
    if coarse.any():
        whole = _along_slow(_along_slow(_inner(nodes.photons)).T).T
        first = tile.slow0 % CELL, tile.fast0 % CELL
        image[:] = whole[first[0] : first[0] + tile.shape[0], first[1] : first[1] + tile.shape[1]]
    return _pixels(coarse, tile)


def _seen_on(model: Model, cells: _Cells, more: int, offset: tuple[int, int]) -> Seen:
    """Return what one pixel of each cell sees; ``more``: cells beyond, some of them before."""
    begin = BEFORE if more else 0
    shape = (cells.shape[0] + more, cells.shape[1] + more)
    rows = CELL * (np.arange(shape[0], dtype=np.float64) + (cells.slow - begin)) + offset[0]
    columns = CELL * (np.arange(shape[1], dtype=np.float64) + (cells.fast - begin)) + offset[1]
    with np.errstate(all="ignore"):
        found = photons_at(model, np.repeat(rows, shape[1]), np.tile(columns, shape[0]))
    return Seen(*(values.reshape(shape) for values in found))


def weights() -> Array:
    """Return the weights of the nodes around a cell in interpolating its pixels, (8, 6)."""
    nodes = np.arange(POINTS) - BEFORE
    x = np.arange(CELL)[:, None] / CELL
    result = np.ones((CELL, POINTS))
    for i, node in enumerate(nodes):
        for other in np.delete(nodes, i):
            result[:, i] *= (x[:, 0] - other) / (node - other)
    return result


_WEIGHTS = weights()


def _inner(nodes: Array) -> Array:
    """Return the nodes without those of the margin."""
    return nodes[_MARGIN : nodes.shape[0] - _MARGIN, _MARGIN : nodes.shape[1] - _MARGIN]


def _along_slow(nodes: Array) -> Array:
    """Interpolate along the first axis: (n + 5, m) -> (8 n, m)."""
    count = nodes.shape[0] - POINTS + 1
    found = np.zeros((count, CELL, nodes.shape[1]))
    for i in range(POINTS):
        found += _WEIGHTS[None, :, i, None] * nodes[i : i + count, None, :]
    return found.reshape(count * CELL, nodes.shape[1])


def _is_smooth(model: Model, cells: _Cells, nodes: Array) -> Bool:
    """Return in which cells (those of the margin left out) a smooth function is good enough."""
    middle = CELL // 2
    along = _edge_error(nodes, _seen_on(model, cells, 0, (middle, 0)).photons)
    across = _edge_error(nodes.T, _seen_on(model, cells, 0, (0, middle)).photons.T).T
    with np.errstate(invalid="ignore"):
        worst = [sliding_window_view(e, (3, 3)).max(axis=(2, 3)) for e in (along, across)]
        return np.asarray(worst[0] + worst[1] <= SMOOTH)


def _edge_error(nodes: Array, middles: Array) -> Array:
    """Return the relative errors in the middles of the cells' edges along the first axis."""
    rows, columns = middles.shape
    found = np.zeros((rows, columns))
    for i in range(POINTS):
        found += _WEIGHTS[CELL // 2, i] * nodes[i : i + rows, BEFORE : BEFORE + columns]
    with np.errstate(all="ignore"):
        error = np.abs(found - middles) / middles
    return np.where(error >= 0.0, error, np.inf)


def _is_flat(model: Model, nodes: Seen) -> Bool:
    """Return in which cells neither the tables' roughness nor the beam matters."""

    def over(values: Array, reduce: np.ufunc) -> Array:
        found: Array = reduce.reduce(
            sliding_window_view(_inner(values), (POINTS, POINTS)), axis=(2, 3)
        )
        return found

    with np.errstate(all="ignore"):
        low, high = over(nodes.least, np.minimum), over(nodes.most, np.maximum)
        # sin(theta)/lambda changes by less than this from one node to the next.
        step = CELL * max(model.pitch_slow, model.pitch_fast) / over(nodes.path, np.minimum)
        step = step / (2.0 * float(model.wavelength.min()))
        flat = np.isfinite(step) & (low > 3.0 * step)
        low, high = low - step, high + step
        error, whole = np.zeros(low.shape), np.zeros(low.shape)
        for material in model.amorphous:
            smallest, greatest, rough = _extremes(material, low, high)
            flat &= smallest > 0.0
            error += material.factor * greatest * rough
            whole += material.factor * smallest * smallest
        return np.asarray(flat & (error <= ROUGH * whole))


def _extremes(material: Layer, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Return the least and greatest amplitude and the greatest roughness between two places.

    The roughness is infinite where an end of the table lies between them.
    """
    curve = material.curve
    ends = [curve(np.ravel(v)).reshape(v.shape) for v in (low, high)]
    smallest, greatest = np.minimum(*ends), np.maximum(*ends)
    first, last = np.searchsorted(curve.knots, low), np.searchsorted(curve.knots, high)
    bounds = np.stack([np.ravel(first), np.ravel(last) + 1], axis=1).reshape(-1)
    # Interval i is before knot i: the knots between are first to last - 1.  One more at the end.
    rough = np.maximum.reduceat(np.append(material.roughness, 0.0), bounds)[::2]
    rough = rough.reshape(low.shape)
    some = last > first
    knots = np.stack([first[some], last[some]], axis=1).reshape(-1)
    if knots.size:
        values = np.append(curve.amplitude, np.nan)
        smallest[some] = np.minimum(smallest[some], np.fmin.reduceat(values, knots)[::2])
        greatest[some] = np.maximum(greatest[some], np.fmax.reduceat(values, knots)[::2])
    crossed = ((first == 0) & (last > 0)) | (
        (first < len(curve.knots)) & (last == len(curve.knots))
    )
    return smallest, greatest, np.where(crossed, np.inf, rough)


def _pixels(cells: Bool, tile: Tile) -> Bool:
    """Return a flag of each cell for each pixel of a tile."""
    slow = np.arange(tile.slow0, tile.slow1) // CELL - tile.slow0 // CELL
    fast = np.arange(tile.fast0, tile.fast1) // CELL - tile.fast0 // CELL
    return np.asarray(cells[slow[:, None], fast[None, :]])


def _compute(model: Model, tile: Tile, places: NDArray[np.intp], image: Array) -> None:
    """Compute pixels one by one, given by their flat places in a tile."""
    flat = image.reshape(-1)
    for begin in range(0, len(places), _BLOCK):
        some = places[begin : begin + _BLOCK]
        slow, fast = np.divmod(some, tile.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            seen = photons_at(
                model,
                (slow + tile.slow0).astype(np.float64),
                (fast + tile.fast0).astype(np.float64),
            )
        flat[some] = seen.photons
