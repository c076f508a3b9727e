"""Photon noise as nanoBragg C makes it: one sequence of deviates over the whole image.

Each pixel takes as many numbers of the sequence as it happens to need, so the noise of a pixel
depends on all pixels before it, and an image can only be made in raster order.  The state of the
sequence is small: rows can be passed through one after another in bounded memory.

Deviates are single precision and so are C's intermediate values; where C computes in double
precision and rounds, so does this.  Functions are compiled without fused multiplication and
addition, as C is by plain ``gcc -O3``; a C program compiled with ``-march=native`` rounds some
deviates differently, and from there on its whole sequence is another one.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbdask.errors import InputError
from nbdask.geometry.lcg import MinimalStandard
from nbdask.kernels.cache import cache_directory

_TABLE = 32
_MODULUS = 2147483647
_DIVISOR = 1 + (_MODULUS - 1) // _TABLE
_UNIT = 1.0 / _MODULUS
_MOST = 1.0 - 1.2e-7

#: Above this mean a normal deviate stands for the Poisson deviate; below, numbers are multiplied.
NORMAL_FROM, PRODUCT_BELOW = 1e6, 12.0

# Places in the state of the sequence (whole numbers), and in that of the deviates (float32).
_SEED, _LAST, _HAS_SPARE = range(_TABLE, _TABLE + 3)
_SPARE, _MEAN, _ROOT, _LOG, _G = range(5)


def _inner(function: Any) -> Any:
    """Compile a function that only compiled code calls."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=False)(function)


def _entry(function: Any) -> Any:
    """Compile a function that Python calls; its machine code is kept on disk."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory())
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False)(function)
    finally:
        numba.config.CACHE_DIR = before


@_inner
def _uniform(whole: Any) -> Any:
    """Return the next deviate above 0 and below 1, float32."""
    whole[_SEED] = whole[_SEED] * 16807 % _MODULUS
    place = whole[_LAST] // _DIVISOR
    whole[_LAST] = whole[place]
    whole[place] = whole[_SEED]
    value = np.float32(_UNIT * whole[_LAST])
    return np.float32(_MOST) if np.float64(value) > _MOST else value


@_inner
def _normal(whole: Any, real: Any) -> Any:
    """Return a normal deviate, float32; every second one was kept from the call before."""
    if whole[_HAS_SPARE]:
        whole[_HAS_SPARE] = 0
        return real[_SPARE]
    while True:
        a = np.float32(2.0 * np.float64(_uniform(whole)) - 1.0)
        b = np.float32(2.0 * np.float64(_uniform(whole)) - 1.0)
        square = np.float32(a * a) + np.float32(b * b)
        if square < 1.0 and square != 0.0:
            break
    wide = np.float64(square)
    factor = np.float32(math.sqrt(-2.0 * math.log(wide) / wide))
    real[_SPARE] = a * factor
    whole[_HAS_SPARE] = 1
    return b * factor


@_inner
def _log_gamma(argument: Any) -> Any:
    """Return the logarithm of the gamma function of a float32, rounded to float32.

    The approximation of Lanczos (1964) with six terms, in double precision.
    """
    x = np.float64(argument)
    y = x
    head = x + 5.5
    head -= (x + 0.5) * math.log(head)
    series = 1.000000000190015
    y += 1.0
    series += 76.18009172947146 / y
    y += 1.0
    series += -86.50532032941677 / y
    y += 1.0
    series += 24.01409824083091 / y
    y += 1.0
    series += -1.231739572450155 / y
    y += 1.0
    series += 0.1208650973866179e-2 / y
    y += 1.0
    series += -0.5395239384953e-5 / y
    return np.float32(-head + math.log(2.5066282746310005 * series / x))


@_inner
def _product(mean: Any, whole: Any, real: Any) -> Any:
    """Return how many deviates can be multiplied before they fall below exp(-mean)."""
    if mean != real[_MEAN]:
        real[_MEAN] = mean
        real[_G] = np.float32(math.exp(-np.float64(mean)))
    count = np.float32(0.0)
    left = np.float32(1.0) * _uniform(whole)
    while left > real[_G]:
        count += np.float32(1.0)
        left *= _uniform(whole)
    return count


@_inner
def _rejection(mean: Any, whole: Any, real: Any) -> Any:
    """Return a Poisson deviate by rejection from a Lorentzian."""
    if mean != real[_MEAN]:
        wide = np.float64(mean)
        real[_MEAN] = mean
        real[_ROOT] = np.float32(math.sqrt(2.0 * wide))
        real[_LOG] = np.float32(math.log(wide))
        real[_G] = np.float32(mean * real[_LOG]) - _log_gamma(np.float32(wide + 1.0))
    while True:
        while True:
            y = np.float32(math.tan(math.pi * np.float64(_uniform(whole))))
            value = np.float32(real[_ROOT] * y) + mean
            if not value < 0.0:
                break
        value = np.float32(math.floor(np.float64(value))) if value == value else value
        gamma = _log_gamma(np.float32(np.float64(value) + 1.0))
        power = np.float32(np.float32(value * real[_LOG]) - gamma) - real[_G]
        height = 0.9 * (1.0 + np.float64(np.float32(y * y))) * math.exp(np.float64(power))
        if not _uniform(whole) > np.float32(height):
            return value


@_entry
def _draw(means: Any, whole: Any, real: Any, photons: Any) -> None:
    """Draw one deviate for each mean, in order."""
    for i in range(means.size):
        mean = means[i]
        if mean > NORMAL_FROM:
            wide = np.float64(mean)
            photons[i] = np.float32(wide + math.sqrt(wide) * np.float64(_normal(whole, real)))
        elif mean < PRODUCT_BELOW:
            photons[i] = _product(mean, whole, real)
        else:
            photons[i] = _rejection(mean, whole, real)


class CNoise:
    """The photon noise of one image, in raster order.

    Parameters
    ----------
    seed : int
        As given with ``-seed``, 0 or more (0 acts as 1).

    Raises
    ------
    InputError
        A negative seed: with it C's noise depends on the numbers that were drawn before for
        mosaic domains and missetting.

    Examples
    --------
    >>> noise = CNoise(12345)
    >>> first = noise.image_rows(np.full((2, 3), 5.0, np.float32))
    >>> second = noise.image_rows(np.full((2, 3), 5.0, np.float32))  # goes on where first ended
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise InputError(
                f"-seed {seed}: must be 0 or more for nanoBragg's own noise; a negative seed makes"
                " it depend on what was drawn before"
            )
        start = MinimalStandard(seed)
        self._whole = np.zeros(_TABLE + 3, np.int64)
        self._whole[:_TABLE] = start.table
        self._whole[_SEED], self._whole[_LAST] = start.state, start.last
        self._real = np.zeros(5, np.float32)
        self._real[_MEAN] = -1.0

    def image_rows(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Draw the photons of the next rows of the image.

        Parameters
        ----------
        rows : (n, m) array
            Mean photons of each pixel; used as float32.  Only pixels inside the region of
            interest take part: leave the others out.

        Returns
        -------
        (n, m) float32 array
            Photons.  Whole numbers, but for means above 1e6, whose normal deviates are not
            rounded.
        """
        means = np.ascontiguousarray(rows, dtype=np.float32)
        photons = np.empty_like(means)
        _draw(means.reshape(-1), self._whole, self._real, photons.reshape(-1))
        return photons
