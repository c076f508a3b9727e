"""The random numbers and point-spread functions of this folder, compiled by Numba.

Bit for bit what :mod:`.photons`, :mod:`.elementary` and :mod:`.spread` give: the formulas without
branches are the same functions, and nothing is contracted or reassociated.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from nbdask.derive import counter, elementary
from nbdask.derive.photons import NEGLIGIBLE, RECIPROCALS, REJECTION_FROM
from nbdask.kernels.cache import cache_directory
from nbdask.kernels.numba_jit import bits_of, float_of

_Function = TypeVar("_Function", bound=Callable[..., Any])
# No float flags: multiply and add stay two operations, each rounded.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
_lock = RLock()


def _inner(function: _Function) -> _Function:
    """Compile a function that compiled code calls, put in line there."""
    compiled: _Function = numba.njit(forceinline=True, no_cpython_wrapper=True, **_OPTIONS)(
        function
    )
    return compiled


@lru_cache(maxsize=1)
def _folder() -> str:
    """Return where machine code is kept: Numba itself does not look at the inner functions."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return str(cache_directory() / f"derive-{digest.hexdigest()[:12]}")


def _entry(function: _Function) -> _Function:
    """Compile a function that Python calls; its machine code is kept on disk."""
    with _lock:
        # Set only while the function is made, so that other users of Numba keep their own place.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = _folder()
        try:
            compiled: _Function = numba.njit(cache=True, **_OPTIONS)(function)
        finally:
            numba.config.CACHE_DIR = before
    return compiled


_horner = _inner(elementary.horner)
_philox = _inner(counter.philox)
_uniform = _inner(counter.uniform)

_MANTISSA, _ONE, _BIAS, _BITS = 0x000FFFFFFFFFFFFF, 0x3FF0000000000000, 1023, 52
_LN2_HIGH, _LN2_LOW, _LOG2_E = elementary.LN2_HIGH, elementary.LN2_LOW, elementary.LOG2_E
_SQRT_2 = 2.0 * elementary.SQRT_HALF
_HALF_LN_2PI = elementary.HALF_LN_2PI
_LOG_SERIES, _EXP_SERIES = elementary.LOG_SERIES, elementary.EXP_SERIES
_DEVIANCE_SERIES, _STIRLING_SERIES = elementary.DEVIANCE_SERIES, elementary.STIRLING_SERIES
_STIRLING_TABLE = elementary.STIRLING_TABLE
_CENTRE_UPPER, _CENTRE_LOWER = elementary.CENTRE
_TAIL_UPPER, _TAIL_LOWER = elementary.TAIL
_FAR_UPPER, _FAR_LOWER = elementary.FAR_TAIL
_HALF_WIDTH, _CENTRE_SHIFT = elementary.CENTRE_HALF_WIDTH, elementary.CENTRE_SHIFT
_TAIL_SHIFT, _FAR = elementary.TAIL_SHIFT, elementary.FAR
_REJECTION_FROM, _NEGLIGIBLE, _RECIPROCALS = REJECTION_FROM, NEGLIGIBLE, RECIPROCALS
_DRAWS = np.uint64(24)


@_inner
def _log(x: float) -> Any:
    """:func:`.elementary.log`."""
    bits = bits_of(x)
    mantissa = float_of((bits & _MANTISSA) | _ONE)
    exponent = float((bits >> _BITS) - _BIAS)
    if mantissa >= _SQRT_2:
        mantissa *= 0.5
        exponent += 1.0
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = z * _horner(_LOG_SERIES, z)
    return exponent * _LN2_HIGH + (s * (2.0 + series) + exponent * _LN2_LOW)


@_inner
def _exp_minus(x: float) -> Any:
    """:func:`.elementary.exp_minus`."""
    count = math.floor(x * _LOG2_E + 0.5)
    value = _horner(_EXP_SERIES, count * _LN2_LOW - (x - count * _LN2_HIGH))
    return value * float_of((_BIAS - int(count)) << _BITS)


@_inner
def _log_probability(k: float, mean: float) -> Any:
    """:func:`.elementary.log_probability`."""
    if k < 1.0:
        return -mean
    if abs(k - mean) < 0.1 * (k + mean):
        v = (k - mean) / (k + mean)
        z = v * v
        deviance = (k - mean) * v + 2.0 * k * v * (z * _horner(_DEVIANCE_SERIES, z))
    else:
        deviance = k * _log(k / mean) + (mean - k)
    stirling = _STIRLING_TABLE[int(min(k, 15.0))]
    if k >= 16.0:
        stirling = _horner(_STIRLING_SERIES, 1.0 / (k * k)) / k
    return -deviance - stirling - 0.5 * _log(k) - _HALF_LN_2PI


@_inner
def _normal(u: float) -> Any:
    """:func:`.elementary.normal`."""
    q = u - 0.5
    if abs(q) <= _HALF_WIDTH:
        r = _CENTRE_SHIFT - q * q
        return q * (_horner(_CENTRE_UPPER, r) / _horner(_CENTRE_LOWER, r))
    r = math.sqrt(-_log(min(u, 1.0 - u)))
    if r <= _FAR:
        r = r - _TAIL_SHIFT
        tail = _horner(_TAIL_UPPER, r) / _horner(_TAIL_LOWER, r)
    else:
        r = r - _FAR
        tail = _horner(_FAR_UPPER, r) / _horner(_FAR_LOWER, r)
    return -tail if q < 0.0 else tail


@_inner
def _by_inversion(mean: float, u: float) -> Any:
    """Search for the count whose cumulative probability passes the deviate."""
    count = 0
    probability = _exp_minus(mean)
    total = probability
    while u > total:
        count += 1
        probability *= mean * _RECIPROCALS[count]
        if probability < _NEGLIGIBLE:
            break
        total += probability
    return float(count)


@_inner
def _by_rejection(
    mean: float, fast: Any, slow: Any, frame: Any, last: Any, k0: Any, k1: Any
) -> Any:
    """Draw from the hat until a deviate is accepted."""
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_squeeze = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        w0, w1, w2, w3 = _philox(fast, slow, frame, last, k0, k1)
        u, v = _uniform(w0, w1) - 0.5, _uniform(w2, w3)
        us = 0.5 - abs(u)
        k = np.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_squeeze:
            return k
        if k >= 0.0 and not (us < 0.013 and v > us):
            left = _log(v * inverse_alpha / (a / (us * us) + b))
            if left <= _log_probability(k, mean):
                return k
        last += np.uint64(1)


@_entry
def poisson(
    values: NDArray[np.float64], slow0: Any, fast0: Any, frame: Any, stream: Any, k0: Any, k1: Any
) -> None:
    """Put a Poisson deviate in place of each mean; see :func:`.photons.poisson`.

    Parameters
    ----------
    values : (slow, fast) float64 array
        Means, then counts.
    slow0, fast0, frame, stream, k0, k1 : uint64
    """
    last = stream << _DRAWS
    for i in range(values.shape[0]):
        slow = slow0 + np.uint64(i)
        for j in range(values.shape[1]):
            mean = values[i, j]
            if not mean > 0.0:
                if mean <= 0.0:
                    values[i, j] = 0.0
                continue
            if mean == np.inf:
                continue
            fast = fast0 + np.uint64(j)
            if mean < _REJECTION_FROM:
                w0, w1, _, _ = _philox(fast, slow, frame, last, k0, k1)
                values[i, j] = _by_inversion(mean, _uniform(w0, w1))
            else:
                values[i, j] = _by_rejection(mean, fast, slow, frame, last, k0, k1)


@_entry
def normal(
    values: NDArray[np.float64], slow0: Any, fast0: Any, frame: Any, stream: Any, k0: Any, k1: Any
) -> None:
    """Fill an array with standard normal deviates; see :func:`.elementary.normal`.

    Parameters
    ----------
    values : (slow, fast) float64 array
    slow0, fast0, frame, stream, k0, k1 : uint64
    """
    last = stream << _DRAWS
    for i in range(values.shape[0]):
        slow = slow0 + np.uint64(i)
        for j in range(values.shape[1]):
            w0, w1, _, _ = _philox(fast0 + np.uint64(j), slow, frame, last, k0, k1)
            values[i, j] = _normal(_uniform(w0, w1))


@_entry
def spread_separable(
    padded: NDArray[np.float64], weights: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Convolve with a symmetric separable kernel; see :func:`.spread.separable`.

    Parameters
    ----------
    padded : (slow + 2 r, fast + 2 r) float64 array
    weights : (r + 1,) float64 array
        The middle one first.
    out : (slow, fast) float64 array
    """
    reach = weights.size - 1
    n_fast = out.shape[1]
    rows = np.empty((padded.shape[0], n_fast))
    for y in range(padded.shape[0]):
        source, row = padded[y], rows[y]
        for x in range(n_fast):
            row[x] = weights[0] * source[x + reach]
        for d in range(1, reach + 1):
            weight = weights[d]
            left, right = source[reach - d :], source[reach + d :]
            for x in range(n_fast):
                row[x] += weight * (left[x] + right[x])
    for y in range(out.shape[0]):
        row, middle = out[y], rows[y + reach]
        for x in range(n_fast):
            row[x] = weights[0] * middle[x]
        for d in range(1, reach + 1):
            weight = weights[d]
            above, below = rows[y + reach - d], rows[y + reach + d]
            for x in range(n_fast):
                row[x] += weight * (above[x] + below[x])


@_inner
def _add_two(row: Any, both: Any, reach: int, d: int, first: float, second: float) -> None:
    """Add the light of the pixels at the distances d and d + 1 on both sides."""
    left, right = both[reach - d :], both[reach + d :]
    more_left, more_right = both[reach - d - 1 :], both[reach + d + 1 :]
    for x in range(row.size):
        value = row[x] + first * (left[x] + right[x])
        row[x] = value + second * (more_left[x] + more_right[x])


@_entry
def spread_round(
    padded: NDArray[np.float64], quadrant: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Convolve with a kernel symmetric in both axes; see :func:`.spread.round_kernel`.

    Parameters
    ----------
    padded : (slow + 2 r, fast + 2 r) float64 array
    quadrant : (r + 1, r + 1) float64 array
        Weights; the middle one first.  A weight of 0 ends its row.
    out : (slow, fast) float64 array
    """
    reach = quadrant.shape[0] - 1
    n_fast = out.shape[1]
    both = np.empty(padded.shape[1])
    for y in range(out.shape[0]):
        row = out[y]
        row[:] = 0.0
        for dy in range(reach + 1):
            if dy == 0:
                both[:] = padded[y + reach]
            else:
                above, below = padded[y + reach - dy], padded[y + reach + dy]
                for x in range(both.size):
                    both[x] = above[x] + below[x]
            weight = quadrant[dy, 0]
            for x in range(n_fast):
                row[x] += weight * both[x + reach]
            d = 1
            # Two at a time where there are two: half as often through memory, the same sums.
            while d < reach and quadrant[dy, d + 1] != 0.0:
                _add_two(row, both, reach, d, quadrant[dy, d], quadrant[dy, d + 1])
                d += 2
            while d <= reach and quadrant[dy, d] != 0.0:
                weight = quadrant[dy, d]
                left, right = both[reach - d :], both[reach + d :]
                for x in range(n_fast):
                    row[x] += weight * (left[x] + right[x])
                d += 1
