"""The loops of this folder that are compiled: random numbers, point-spread functions, C's noise.

Bit for bit what :mod:`.photons`, :mod:`nbdask.elementary` and :mod:`.convolution` give.  The C++
is in ``nbdask/native/src/derive_*``.
"""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int64, c_uint64, c_void_p
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nbdask.native.library import available, library

_RECTANGLE = (c_void_p, c_int64, c_int64)
_SPREAD = (c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p)
#: Types of the arguments of each function.
_ARGUMENTS = {
    "nb_poisson": (*_RECTANGLE, *(c_uint64,) * 6),
    "nb_normal": (*_RECTANGLE, *(c_uint64,) * 6),
    "nb_spread_separable": _SPREAD,
    "nb_spread_round": _SPREAD,
    "nb_sequence": (c_void_p, c_int64, c_void_p, c_void_p),
}
#: Numbers in the shuffle table of nanoBragg's generator.
TABLE = 32

__all__ = ["TABLE", "Numbers", "Sequence", "available", "convolve", "draw", "normal", "poisson"]


class Numbers(NamedTuple):
    """What the random numbers of a rectangle depend on.

    Attributes
    ----------
    slow, fast : int
        Detector indices of the first pixel.
    frame, stream, key0, key1 : int
        See :mod:`nbdask.counter`.
    """

    slow: int
    fast: int
    frame: int
    stream: int
    key0: int
    key1: int


class Sequence(ctypes.Structure):
    """The state of nanoBragg's generator and what its deviates keep; as in derive_sequence.cpp."""

    _fields_ = (
        ("table", c_uint64 * TABLE),
        ("seed", c_uint64),
        ("last", c_uint64),
        ("has_spare", c_uint64),
        *((name, c_float) for name in ("spare", "mean", "root", "log", "g")),
    )


def poisson(values: NDArray[np.float64], numbers: Numbers) -> None:
    """Put a Poisson deviate in place of each mean; see :func:`.photons.poisson`.

    Parameters
    ----------
    values : (slow, fast) float64 array
        Means, then counts.
    numbers : Numbers
    """
    _declared(library()).nb_poisson(_address(values), *values.shape, *numbers)


def normal(values: NDArray[np.float64], numbers: Numbers) -> None:
    """Fill an array with standard normal deviates; see :func:`nbdask.elementary.normal`.

    Parameters
    ----------
    values : (slow, fast) float64 array
    numbers : Numbers
    """
    _declared(library()).nb_normal(_address(values), *values.shape, *numbers)


def convolve(padded: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve with a symmetric kernel, as :mod:`.convolution` does.

    Parameters
    ----------
    padded : (slow + 2 r, fast + 2 r) float64 array
    weights : (r + 1,) or (r + 1, r + 1) float64 array
        Of one axis, or of a quadrant, the middle one first.

    Returns
    -------
    (slow, fast) float64 array
    """
    reach = weights.shape[0] - 1
    out = np.empty((padded.shape[0] - 2 * reach, padded.shape[1] - 2 * reach))
    functions = _declared(library())
    if weights.ndim == 1:
        function, scratch = functions.nb_spread_separable, np.empty((len(padded), out.shape[1]))
    else:
        function, scratch = functions.nb_spread_round, np.empty(padded.shape[1])
    inputs = (_address(padded), _address(weights))
    function(*inputs, reach, *out.shape, _address(scratch), _address(out))
    return out


def draw(means: NDArray[np.float32], sequence: Sequence) -> NDArray[np.float32]:
    """Draw nanoBragg's deviate for each mean, in order; the sequence moves on.

    Parameters
    ----------
    means : float32 array
    sequence : Sequence

    Returns
    -------
    float32 array
        Of the same shape.
    """
    photons = np.empty_like(means)
    of_means, of_photons = _address(means, np.float32), _address(photons, np.float32)
    _declared(library()).nb_sequence(of_means, means.size, ctypes.addressof(sequence), of_photons)
    return photons


@cache
def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """Return a library whose functions know the types of their arguments."""
    for name, types in _ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = types, None
    return loaded


def _address(array: NDArray[np.generic], dtype: DTypeLike = np.float64) -> int:
    """Return where the numbers of an array are.

    Raises
    ------
    TypeError
        They are of another type, or not side by side.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"{array.dtype} array: must be contiguous and of {np.dtype(dtype)}")
    return array.ctypes.data
