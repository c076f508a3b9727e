"""Random numbers of a shot: they depend on seed, what they are for, and the shot alone.

The generator has no state (:mod:`nbdask.counter`).  Its counter here is

    lower half of the shot's number, upper half, purpose, 255 * 2**24 + draw

and its key the seed.  The purpose is 32 bits of a checksum of a name, so what one field draws does
not depend on which others vary; 255 is no stream of the noise, so the noise of an image with the
same seed draws other numbers.

All functions have the same bits on every processor, see :mod:`nbdask.elementary`.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from nbdask.counter import key_words, philox, uniform
from nbdask.elementary import exp_minus, horner, normal

Array = NDArray[np.float64]
_STREAM = 255 << 24
_HALF = np.uint64(0xFFFFFFFF)
#: (-1)**n / (2 n)! and / (2 n + 1)!, the highest first: up to an eighth of a turn they end below
#: the last bit.
_COSINE = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(9, -1, -1))
_SINE = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(9, -1, -1))
#: Digits of a share of a distribution: the same on every system.
_DIGITS = 12


def uniforms(seed: int, purpose: str, shots: NDArray[np.int64], count: int) -> Array:
    """Return ``count`` deviates for each shot, uniform, above 0 and below 1.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    purpose : str
        Name of what they are for.
    shots : (n,) int64 array
        Numbers of the shots, from 0.
    count : int

    Returns
    -------
    (n, count) float64 array
    """
    numbers = np.asarray(shots).astype(np.uint64)
    digest = hashlib.sha256(purpose.encode()).digest()
    what = np.uint64(int.from_bytes(digest[:4], "big"))
    columns: list[Array] = []
    for draw in range((count + 1) // 2):
        last = np.uint64(_STREAM | draw)
        words = philox(numbers & _HALF, numbers >> np.uint64(32), what, last, *key_words(seed))
        columns += [uniform(words[0], words[1]), uniform(words[2], words[3])]
    return np.stack(columns[:count], axis=-1)


def share_below(z: float) -> float:
    """Return the share of standard normal deviates below ``z``, to 12 digits."""
    return round(0.5 * math.erfc(-z / math.sqrt(2.0)), _DIGITS)


def cut_normal(deviates: Array, low: float, high: float) -> Array:
    """Return standard normal deviates between two limits: what lies beyond them is left out.

    Parameters
    ----------
    deviates : float64 array
        Uniform between 0 and 1.
    low, high : float
        May be infinite.
    """
    below, above = share_below(low), share_below(high)
    shares = below + deviates * (above - below)
    return np.clip(normal(np.clip(shares, 1e-300, 1.0 - 2.0**-53)), low, high)


def exponential(x: Array) -> Array:
    """Return ``exp(x)`` for x from -700 to 700."""
    falling = exp_minus(np.abs(x))
    return np.where(x > 0.0, 1.0 / falling, falling)


def circle(turns: Array) -> tuple[Array, Array]:
    """Return cosine and sine of an angle in whole turns, from 0 to 1."""
    quarters = np.floor(4.0 * turns + 0.5)
    angle = 2.0 * math.pi * (turns - 0.25 * quarters)
    square = angle * angle
    cosine, sine = horner(_COSINE, square), angle * horner(_SINE, square)
    quadrant = quarters.astype(np.int64) % 4
    return (
        np.choose(quadrant, [cosine, -sine, -cosine, sine]),
        np.choose(quadrant, [sine, cosine, -sine, -cosine]),
    )
