"""Squared amplitudes at fractional indices, chosen by the kind of amplitude when compiling."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.kernels.numba_jit import chosen_by_type, formula
from nbdask.kernels.numba_types import ConstantAmplitude
from nbdask.kernels.numba_work import PLACE, SUM, TERM


class Rows(NamedTuple):
    """The rows that :func:`add_term` and :func:`look_up` write."""

    total: NDArray[np.float64]
    term: NDArray[np.float64]
    place: NDArray[np.int32]


@formula
def rows_of(work: Any) -> Any:
    """Return the rows of a block's scratch memory that take terms."""
    return Rows(work.wide[SUM], work.wide[TERM], work.bits[PLACE])


def nearest(amplitude: Any, x: float) -> float:
    """Return the nearest whole number; halves go down where an amplitude is looked up there."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(nearest)
def _choose_nearest(amplitude: Any, x: Any) -> Any:
    if amplitude.instance_class is ConstantAmplitude:
        # Which of two equally near numbers is taken makes no difference to the lattice factor.
        return lambda amplitude, x: np.rint(x)
    return lambda amplitude, x: np.ceil(x - 0.5)


@formula
def place_of(amplitude: Any, h: float, k: float, el: float) -> Any:
    """Return where the table holds the squared amplitude of whole indices."""
    # Indices outside the list fall on the border of the grid, which holds the default.
    h = min(max(h, amplitude.low[0]), amplitude.high[0])
    k = min(max(k, amplitude.low[1]), amplitude.high[1])
    el = min(max(el, amplitude.low[2]), amplitude.high[2])
    return np.int32(h * amplitude.stride_h + k * amplitude.stride_k + el + amplitude.offset)


def add_term(amplitude: Any, rows: Any, i: int, term: float, h: float, k: float, el: float) -> None:
    """Add a squared lattice factor to the sum of pixel ``i``, or keep it until the look-up.

    Parameters
    ----------
    amplitude : named tuple
        A constant amplitude is part of the height: the term goes straight into the sum.
    rows : Rows
        From :func:`rows_of`.
    i : int
    term : float
    h, k, el : float
        Whole indices.
    """
    raise TypeError("only compiled code may call this")


@chosen_by_type(add_term)
def _choose_add(amplitude: Any, rows: Any, i: Any, term: Any, h: Any, k: Any, el: Any) -> Any:
    if amplitude.instance_class is ConstantAmplitude:
        return _add_alone
    return _keep


def _add_alone(
    amplitude: Any, rows: Any, i: int, term: float, h: float, k: float, el: float
) -> None:
    rows.total[i] += term


def _keep(amplitude: Any, rows: Any, i: int, term: float, h: float, k: float, el: float) -> None:
    rows.term[i] = term
    rows.place[i] = place_of(amplitude, h, k, el)


def look_up(amplitude: Any, rows: Any, count: int) -> None:
    """Add the kept terms, times the squared amplitudes that belong to them."""
    raise TypeError("only compiled code may call this")


@chosen_by_type(look_up)
def _choose_look_up(amplitude: Any, rows: Any, count: Any) -> Any:
    if amplitude.instance_class is ConstantAmplitude:
        return lambda amplitude, rows, count: None
    return _look_up


def _look_up(amplitude: Any, rows: Any, count: int) -> None:
    # A loop of its own: LLVM must expect that what it stores changes what it looks up next, and
    # makes no vector code of a loop that does both.
    for i in range(count):
        rows.total[i] += rows.term[i] * amplitude.table[np.uint32(rows.place[i])]
