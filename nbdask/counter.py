"""Random numbers that depend on seed, frame and pixel alone: Philox4x32-10, plain NumPy.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11, 2011).  The
generator has no state: ten rounds turn a counter of four 32-bit words and a key of two into four
random words.  The counter here is

    fast index, slow index, frame, stream * 2**24 + draw

and the key is the seed, so the random numbers of a pixel do not depend on tiles, processes or the
order of computation.  A stream belongs to one step of a pipeline; a draw gives one or two deviates.

The functions work on uint64 arrays that hold 32-bit words; ``derive_counter.h`` holds the same in
C++.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError

#: Name of the generator in provenance.
GENERATOR = "philox4x32-10"
SEED_MOST, FRAME_MOST = (1 << 64) - 1, (1 << 32) - 1

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_MASK, _WORD = np.uint64(0xFFFFFFFF), np.uint64(32)
_DROP, _SHIFT = np.uint64(6), np.uint64(26)


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Return four random words.

    Parameters
    ----------
    c0, c1, c2, c3 : uint64 or arrays of uint64
        The counter's words, below 2**32.
    k0, k1 : uint64
        The key's words, below 2**32.

    Returns
    -------
    tuple of four, as the counter
        Words below 2**32.
    """
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1 = (p1 >> _WORD) ^ c1 ^ k0, p1 & _MASK
        c2, c3 = (p0 >> _WORD) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def uniform(high: Any, low: Any) -> Any:
    """Return a deviate above 0 and below 1 from two words.

    Returns
    -------
    float64 or array
        (n + 1/2) / 2**52 with the whole number n made of 26 bits of each word; never 0 or 1, and
        as far from 0 as from 1.
    """
    number = ((high >> _DROP) << _SHIFT) | (low >> _DROP)
    return (number + 0.5) * 2.220446049250313e-16


def key_words(seed: int) -> tuple[np.uint64, np.uint64]:
    """Return the key's two words, the lower half of the seed first."""
    return np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)


def check_seed(seed: object, name: str = "seed") -> int:
    """Return a seed as an int.

    Raises
    ------
    FieldError
        Not a whole number from 0 to 2**64 - 1.
    """
    return _whole(name, seed, SEED_MOST)


def check_frame(frame: object) -> int:
    """Return the number of a frame as an int.

    Raises
    ------
    FieldError
        Not a whole number from 0 to 2**32 - 1.
    """
    return _whole("frame", frame, FRAME_MOST)


def _whole(name: str, value: object, most: int) -> int:
    """Return a whole number within bounds, or raise FieldError."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= value <= most:
        return int(value)
    raise FieldError(name, value, f"a whole number from 0 to {most}")


def pixel_uniforms(
    shape: tuple[int, int], corner: tuple[int, int], seed: int, frame: int, stream: int, draw: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two deviates for each pixel of a rectangle.

    Parameters
    ----------
    shape : tuple of int
        Pixels (slow, fast).
    corner : tuple of int
        Detector indices (slow, fast) of the first pixel.
    seed, frame : int
    stream : int
        0 to 255.
    draw : int
        0 to 2**24 - 1.

    Returns
    -------
    tuple of two (slow, fast) float64 arrays
        Above 0 and below 1.
    """
    slow = (np.arange(shape[0], dtype=np.uint64) + np.uint64(corner[0]))[:, None]
    fast = (np.arange(shape[1], dtype=np.uint64) + np.uint64(corner[1]))[None, :]
    slow, fast = np.broadcast_arrays(slow, fast)
    last = np.uint64((stream << 24) | draw)
    words = philox(fast, slow, np.uint64(frame), last, *key_words(seed))
    return uniform(words[0], words[1]), uniform(words[2], words[3])
