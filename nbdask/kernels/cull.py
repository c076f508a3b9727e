"""What the test of skipped groups of pixels reads, made once from a model: the struct ``Cull``.

Spots of gauss, tophat and spherical crystals end: in the loops their lattice factor is exactly 0
beyond a distance.  Where no pixel of a group is that near to a node, an orientation is skipped,
which leaves every bit as it is (``specs/culling.md``).  So are all orientations beyond the finest
resolution of a list of amplitudes.
"""

from __future__ import annotations

import math
from ctypes import Structure, c_double, c_int, c_void_p
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nbdask.geometry.model import TOPHAT, Model
from nbdask.kernels.pack import pack, spot_triangle
from nbdask.kernels.params import CODES
from nbdask.plan.tiles import Tile

Array = NDArray[np.float64]

#: Squared length of R (dh, dk, dl) from which a factor is 0: in float64, in float32, tophat.
_WIDE_END, _NARROW_END, _EDGE = 1020.0, 126.0, 1.0
#: Beyond what the loops and the test round: of that length, of an index less a whole number, and of
#: the rest of an index, which is a float32.
_RELATIVE, _ABSOLUTE, _ROUGH = 1e-5, 2e-6, 1e-6
#: Pixels of a group, and rows of pixels that it has: more rows make shorter blocks, whose middle is
#: closer to each group.
_GROUPS = ((16, 4), (32, 8), (64, 8))
#: Groups that interpolation can work on, a multiple of the pixels that it takes at a time.
_CUBIC_GROUP = 32
#: Time of testing a group for an orientation, and of making its box, over that of an evaluation.
_TEST, _BOX = 0.5, 25.0
#: Orientations that are tested side by side, ``TURN_LANES`` of ``cull.h``.
_TURN_LANES = 16
_LANES = np.dtype(
    [
        ("forward", np.float64, (9, _TURN_LANES)),
        ("narrow", np.float32, (9, _TURN_LANES)),
        ("back", np.float32, (9, _TURN_LANES)),
    ]
)
#: Share of absent nodes from which on they are looked for.
_ABSENT = 0.2
#: Rows of a band where no spots are looked for: blocks are about as high as wide.
_EMPTY_ROWS = 16
#: Pixels of a block of a sample: a multiple of all groups.
_SAMPLED = 448
#: Estimated share of the time above which nothing is tested.
_WORTHWHILE = 0.8


class Cull(Structure):
    """The struct of the same name in ``cull.h``."""

    _fields_ = (
        ("rows", c_int),
        ("group", c_int),
        ("reach", c_double),
        ("rough", c_double),
        ("widest", c_double),
        ("absent", c_int),
        ("beyond", c_double),
        ("turns", c_void_p),
        ("lanes", c_void_p),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CullInputs:
    """What the loops read.

    Attributes
    ----------
    struct : Cull
        It points into ``turns``.
    turns : (n, 24) float64 array
        Of each orientation the columns of the matrix from scattering vectors to indices (of the
        basis of nodes where there is one) [m], and the rows of its inverse [1/m]; a zero after
        each.
    lanes : structured array
        Of 16 orientations each the matrix, and in float32 the same and its inverse; zeros after the
        last.
    share : float
        Estimated share of the evaluations that is done, before any was tested.
    """

    struct: Cull
    turns: Array
    lanes: NDArray[np.void]
    share: float


_making = Lock()


def cull_inputs(model: Model, narrow: bool) -> CullInputs | None:
    """Return :func:`make_inputs` of a model, made when it is first asked for."""
    with _making:
        made = _made.setdefault(model, {})
        if narrow not in made:
            made[narrow] = make_inputs(model, narrow)
        return made[narrow]


#: What was made of models, for as long as they live.
_made: WeakKeyDictionary[Model, dict[bool, CullInputs | None]] = WeakKeyDictionary()


def make_inputs(model: Model, narrow: bool) -> CullInputs | None:
    """Return what the test reads of a model.

    Parameters
    ----------
    model : Model
    narrow : bool
        Whether lattice factors are float32.

    Returns
    -------
    CullInputs or None
        None where spots and amplitudes have no end, or testing would take longer than what it
        saves.
    """
    if model.running_product:
        return None
    forward = np.array(model.axes, dtype=np.float64).reshape(-1, 3, 3)
    beyond = _beyond(model, forward)
    spots = _spots(model, narrow, forward)
    if spots is None:
        if beyond == 0.0:
            return None
        none = Cull(rows=_EMPTY_ROWS, beyond=beyond)
        return CullInputs(none, np.zeros((0, 24)), np.zeros(0, dtype=_LANES), 1.0)
    spots.struct.beyond = beyond
    spots.struct.absent = _has_absences(model)
    return spots


def _spots(model: Model, narrow: bool, forward: Array) -> CullInputs | None:
    """Return what the test of spots reads; None where spots have no end, or it is no use."""
    if not _has_end(model):
        return None
    if model.nodes is not None:
        forward = np.asarray(np.linalg.inv(model.nodes) @ forward, dtype=np.float64)
    back: Array = np.asarray(np.linalg.inv(forward), dtype=np.float64)
    indices, reach = _reach(model, narrow, back)
    longest = np.sqrt((forward**2).sum(axis=2)).max(axis=0)
    widest = float(((0.5 - indices) / longest).min())
    if not (np.isfinite(reach) and widest > 0.0):
        return None
    choice = _choose_group(model, reach, widest, float(longest.max()))
    if choice is None:
        return None
    share, group, rows = choice
    turns = np.zeros((len(forward), 24))
    tables = turns.reshape(-1, 2, 3, 4)
    tables[:, 0, :, :3] = forward.transpose(0, 2, 1)
    tables[:, 1, :, :3] = back
    lanes = side_by_side(forward, back)
    struct = Cull(rows, group, reach, _rough(forward, back), widest)
    struct.turns, struct.lanes = turns.ctypes.data, lanes.ctypes.data
    return CullInputs(struct, turns, lanes, share)


def side_by_side(forward: Array, back: Array | None = None) -> NDArray[np.void]:
    """Return rows of ``TurnLanes`` of ``cull.h``.

    Parameters
    ----------
    forward, back : (n, 3, 3) float64 arrays
        Of each orientation the matrix from scattering vectors to indices [m], and its inverse
        [1/m]; None: zeros.
    """
    lanes = np.zeros(-(-len(forward) // _TURN_LANES), dtype=_LANES)
    for matrices, names in ((forward, ("forward", "narrow")), (back, ("back",))):
        if matrices is None:
            continue
        padded = np.zeros((lanes.size * _TURN_LANES, 9))
        padded[: len(matrices)] = matrices.reshape(-1, 9)
        for name in names:
            lanes[name] = padded.reshape(-1, _TURN_LANES, 9).transpose(0, 2, 1)
    return lanes


def _beyond(model: Model, forward: Array) -> float:
    """Return the length of scattering vectors [1/m] from which on amplitudes are 0; 0: none.

    Each takes the amplitude of a node that is at most half the diagonal of a cell away.
    """
    if model.f_grid.size == 0 or model.interpolate or model.default_F != 0.0:
        return 0.0
    metric = forward @ forward.transpose(0, 2, 1)
    same = np.abs(metric - metric[0]).max() <= 1e-9 * np.abs(metric[0]).max()
    if not same or model.nodes is not None or model.diffuse is not None:
        return 0.0
    held = model.f_grid != 0.0
    for table in model.f_more:
        held |= table != 0.0
    nodes = _ends(held) + model.f_min
    back = np.linalg.inv(forward[0])
    corners = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]) / 2.0
    half, furthest = (
        np.linalg.norm(places @ back.T, axis=1).max(initial=0.0) for places in (corners, nodes)
    )
    beyond = float(half + furthest) * (1.0 + _RELATIVE)
    return beyond if beyond < 2.0 / float(np.min(model.wavelength)) else 0.0


def _ends(held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of the first and last True of each line, among which is the furthest."""
    line = np.argwhere(held.any(axis=2))
    own = held[line[:, 0], line[:, 1]]
    first, last = own.argmax(axis=1), held.shape[2] - 1 - own[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([line, first]), np.column_stack([line, last])])


def _has_absences(model: Model) -> bool:
    """Return whether so many nodes of a list have no amplitude that it is worth looking."""
    if model.f_grid.size == 0 or model.interpolate or model.nodes is not None:
        return False
    grids = (model.f_grid, *model.f_more)
    empty = sum(np.count_nonzero(grid == 0.0) for grid in grids)
    return bool(empty > _ABSENT * len(grids) * model.f_grid.size)


def _has_end(model: Model) -> bool:
    """Return whether the lattice factor is exactly 0 far from spots."""
    codes = {CODES["GAUSS"], CODES["TOPHAT"], CODES["NODES"]}
    return pack(model).values["lattice"] in codes and model.fudge > 0.0


def _reach(model: Model, narrow: bool, back: Array) -> tuple[Array, float]:
    """Return how far spots reach: along each index, and as a scattering vector [1/m]."""
    triangle = np.zeros((3, 3))
    triangle[np.triu_indices(3)] = spot_triangle(model)
    end = _EDGE if model.shape == TOPHAT else _NARROW_END if narrow else _WIDE_END
    # Of the ellipsoid |R d| = length.
    ball = np.linalg.inv(triangle) * np.sqrt(end) * (1.0 + _RELATIVE)
    indices = np.sqrt((ball**2).sum(axis=1)) + _ABSOLUTE
    longest = np.linalg.norm(back @ ball, 2, axis=(1, 2)).max()
    rounded = np.linalg.norm(back, 2, axis=(1, 2)).max() * _ABSOLUTE * np.sqrt(3.0)
    return indices, float(longest + rounded)


def share_of_time(model: Model, share: float, group: int) -> float:
    """Return the time of tests and of a share of the evaluations over that of all evaluations."""
    if group == 0:
        return share
    return share + (_TEST + _BOX / model.n_inner) / group


def _rough(forward: Array, back: Array) -> float:
    """Return what rounding of scattering vectors and matrices in float32 does to vectors."""
    lengths = (np.linalg.norm(matrices, 2, axis=(1, 2)).max() for matrices in (forward, back))
    return math.prod(float(length) for length in lengths) * math.sqrt(3.0) * _ROUGH


def _choose_group(
    model: Model, reach: float, widest: float, longest: float
) -> tuple[float, int, int] | None:
    """Return the estimated share of evaluations, pixels of a group and its rows that cost least.

    Of a flat piece of Ewald's sphere, with as many nodes in a volume as a lattice has.
    """
    frames = model.panels or (model,)
    angle = max(max(f.pitch_fast, f.pitch_slow) / f.close_distance for f in frames)
    step = angle / float(np.min(model.wavelength))
    best = None
    for group, rows in _GROUPS:
        if model.interpolate and group % _CUBIC_GROUP:
            continue
        across, along = rows * step, group // rows * step
        # From the first pixel's middle to the last one's.
        fits = 0.5 * np.hypot(across - step, along - step) <= widest
        volume = (across + 2.0 * reach) * (along + 2.0 * reach) * 2.0 * reach * longest**3
        share = min(1.0, float(volume)) if fits else 1.0
        time = share_of_time(model, share, group)
        if best is None or time < best[0]:
            best = time, share, group, rows
    assert best is not None
    return best[1:] if best[0] < _WORTHWHILE else None


def sampled_tiles(model: Model, cull: Cull) -> list[Tile]:
    """Return a block of pixels at each of 3 x 3 places of the region of interest.

    Of several panels of up to three.
    """
    panels = sorted({0, model.n_panels // 2, model.n_panels - 1})
    tiles = []
    for panel in panels:
        own = model.at(panel)
        slow0, slow1, fast0, fast1 = own.roi
        sides = min(cull.rows, slow1 - slow0 + 1), min(_SAMPLED // cull.rows, fast1 - fast0 + 1)
        for part in range(9):
            slow = slow0 + (slow1 + 1 - slow0 - sides[0]) * (part // 3) // 2
            fast = fast0 + (fast1 + 1 - fast0 - sides[1]) * (part % 3) // 2
            tiles.append(Tile(slow, slow + sides[0], fast, fast + sides[1], panel))
    return tiles


def banded(active: NDArray[np.int32], width: int, rows: int) -> NDArray[np.int32]:
    """Return flat indices of pixels band after band, of so many rows, and by columns in each."""
    row, column = np.divmod(active, width)
    return np.ascontiguousarray(active[np.lexsort((row, column, row // rows))])
